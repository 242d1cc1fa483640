"""One's own captures made ready: cameras found, distortion undone, depth ranges set; kept as PNG and `cameras.json`."""

import warnings
from collections import Counter
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrf_core.datasets.captures.capture_contents import (
    OTHERS,
    VIDEOS,
    find_model,
    list_files,
    list_photographs,
    photograph_folder,
    warn_of_unused,
)
from maskrf_core.datasets.captures.capture_masks import with_masks
from maskrf_core.datasets.captures.capture_sources import (
    CaptureSource,
    PosedPhotograph,
    fingerprint,
    source_from_model,
)
from maskrf_core.datasets.captures.depth_ranges import ranges_from_points, ranges_from_sweep, wide_ranges
from maskrf_core.datasets.captures.lens_camera import pinhole_intrinsics, undistort
from maskrf_core.datasets.captures.structure_from_motion import photograph_names, reconstruct
from maskrf_core.datasets.captures.transforms import source_from_transforms, transforms_files
from maskrf_core.datasets.captures.video_frames import frames_of_video
from maskrf_core.datasets.data_set import Frame, NamedScene
from maskrf_core.datasets.files import checked_files
from maskrf_core.datasets.files.downscaling import downscaled_size
from maskrf_core.datasets.files.image_files import alpha_mask, check_size, composite, read_image, read_mask
from maskrf_core.datasets.files.image_folders import names_below
from maskrf_core.datasets.files.scene_names import name_parts
from maskrf_core.datasets.recentring import moved_world, recentring_shift
from maskrf_core.datasets.records import DATA_SETS
from maskrf_core.datasets.scene import FrameScene
from maskrf_core.support.atomic_files import made_beside, write_json
from maskrf_core.support.errors import DatasetError, NotPreparedError, printable
from maskrf_core.support.paths import cache_folder, kept_path, writable_path
from maskrf_core.support.progress import tracked

Kept = tuple[Path, str]  # the cache folder, and the name of the capture's folder below it
CAPTURES, CAMERAS = "captures", "cameras.json"  # folder below the data root and the cache folder, and a file's name
VERSION = 2  # to be raised with every change of what the preparation makes: older results are then not used
CAMERAS_VERSION = 1  # the same for cameras found by structure from motion, which takes minutes


def prepare_capture(
    name: str, data_root: str | Path, *, find_cameras: bool = True, video_frames: int | None = None
) -> Path:
    """Make `capture/<name>/<raw|size>` ready to be opened, and return the prepared folder, below the cache folder.

    `<data root>/captures/<name>` holds transforms.json or a COLMAP model (in `sparse/0` or `sparse`, or these below
    `colmap`) and its images, or photographs alone, in `images` or directly, or a video. For these cameras are found by
    structure from motion, which takes minutes; `find_cameras` False raises an error instead. Of a video `video_frames`
    frames are taken: those that were asked for last if None, at first 60. What was prepared from the same files is
    used again.

    Raises:
        DatasetError: no such capture, something in it is missing or broken, or no cameras could be found.
    """
    data_root, record = Path(data_root), DATA_SETS["capture"]
    capture, size = name_parts(name, record.pattern, record.example)
    folder = checked_files.find_scene_folder(name, capture, [data_root / CAPTURES])
    kept = cache_folder(data_root), f"{CAPTURES}/{capture}"
    source = with_masks(name, folder, _source(name, folder, kept, find_cameras, video_frames))
    canvas = _canvas(name, source, size)
    called = f"{size}_{fingerprint([], VERSION, source.fingerprint, canvas)}"
    target = kept_path(*kept, called)
    if not (target / CAMERAS).is_file():
        target = writable_path(*kept, called)
        _prepare(name, source, canvas, target)
    return target


def _source(name: str, folder: Path, kept: Kept, find_cameras: bool, video_frames: int | None) -> CaptureSource:
    transforms = transforms_files(folder)
    cameras = next(iter(transforms), None) or find_model(folder)
    if cameras is not None:
        if transforms:
            source = source_from_transforms(transforms)
        else:
            source = source_from_model(cameras, photograph_folder(folder))
        warn_of_unused(folder, [photo.path for photo in source.photographs], cameras)
        return source
    photographs = _photographs(name, folder, kept, find_cameras, video_frames)
    return _found_cameras(name, folder, photographs, kept, find_cameras)


def _photographs(name: str, folder: Path, kept: Kept, take_frames: bool, video_frames: int | None) -> list[Path]:
    """List the photographs of a capture, or frames of its video: none where these are still to be taken."""
    photographs, videos, others = list_photographs(folder), list_files(folder, VIDEOS), list_files(folder, OTHERS)
    if passed_over := [*others, *(videos if photographs else [])]:
        warnings.warn(
            f"{name}: {len(passed_over)} files are neither PNG nor JPEG and are passed over, such as {passed_over[0]}. "
            "Convert them first.",
            stacklevel=4,
        )
    if len(videos) == 1 and not photographs and not others:
        return frames_of_video(videos[0], *kept, video_frames, take=take_frames)
    if not photographs:
        raise DatasetError(
            f"{folder}: holds neither transforms.json, nor a COLMAP model in sparse/0 or sparse, nor photographs (PNG "
            "or JPEG) in images or directly, nor one video alone. Put one of these there."
        )
    return photographs


def _found_cameras(name: str, folder: Path, photographs: list[Path], kept: Kept, find_cameras: bool) -> CaptureSource:
    """Find cameras by structure from motion, or take those that were found before."""
    in_folders = [called for called in names_below(photographs) if "/" in called]
    called = f"cameras_{fingerprint(photographs, CAMERAS_VERSION, *in_folders)}"
    model = kept_path(*kept, called)
    if not model.is_dir():
        if not find_cameras:
            raise NotPreparedError(
                f"{name}: {folder} holds photographs or a video alone, and cameras are not known yet. Find them, which "
                f'takes minutes: prepare_capture("{name}", data_root), or notebook 01_data_prep with scene: {name}.'
            )
        model = writable_path(*kept, called)
        reconstruct(photographs, model, name)
    by_name = dict(zip(photograph_names(photographs), photographs, strict=True))
    try:
        return source_from_model(model, folder, upright_by_name=by_name)
    except DatasetError as error:
        raise DatasetError(f"{error} These cameras were found before: delete {model} and prepare again.") from error


def _canvas(name: str, source: CaptureSource, size: str) -> tuple[int, int]:
    """Return (height, width) of all prepared images: of most photographs, downscaled to the size asked for."""
    cameras = [photo.camera for photo in source.photographs]
    native, count = Counter((camera.height, camera.width) for camera in cameras).most_common(1)[0]
    if count < len(cameras):
        warnings.warn(
            f"{name}: {len(cameras) - count} photographs are not {native[1]}×{native[0]} as the others; "
            "they are scaled and cropped to that shape.",
            stacklevel=4,
        )
    ratio = 1.0 if size == "raw" else int(size) / max(native)
    if ratio > 1:
        raise DatasetError(
            f"{name}: the longer side of the photographs has {max(native)} and images are never enlarged. Open "
            f"{name.rsplit('/', 1)[0]}/raw instead."
        )
    return downscaled_size(*native, ratio)


def _prepare(name: str, source: CaptureSource, canvas: tuple[int, int], target: Path) -> None:
    with made_beside(target, lambda folder: (folder / CAMERAS).is_file()) as beside:
        photographs, w2c = source.photographs, np.stack([photo.w2c for photo in source.photographs])
        wide = wide_ranges(moved_world(w2c, recentring_shift(w2c)))
        ids, frames = _ids([photo.path for photo in photographs]), []
        for index, photo in tracked(enumerate(photographs), total=len(ids), title=f"distortion of {name} undone"):
            K = pinhole_intrinsics(photo.camera, canvas, str(photo.path))
            pixels = _pixels(photo, canvas)
            image = undistort(pixels, photo.camera.resized(pixels.shape[1], pixels.shape[0]), K, canvas)
            path = beside / f"{index:05d}.png"
            path.write_bytes(cv2.imencode(".png", image[..., [2, 1, 0, 3][: image.shape[2]]])[1].tobytes())
            frames.append(Frame(ids[index], path, K, photo.w2c, wide[index], canvas, part=photo.part))
        if any(len(photo.points) for photo in photographs):
            ranges = ranges_from_points(name, ids, w2c, [photo.points for photo in photographs])
        else:
            asked = NamedScene(name, DATA_SETS["capture"], (), beside, beside)
            ranges = ranges_from_sweep(FrameScene(asked, frames), canvas)
        listed = []
        for frame, span in zip(frames, ranges, strict=True):
            camera = {"K": frame.K.tolist(), "w2c": frame.w2c.tolist(), "depth_range": span}
            listed.append({"id": frame.image_id, "file": frame.image.name, "part": frame.part, **camera})
        write_json(beside / CAMERAS, {"size": canvas, "views": listed})


def _pixels(photo: PosedPhotograph, canvas: tuple[int, int]) -> UInt8[np.ndarray, "height width channel"]:
    """Read RGB, large enough for the canvas, and with a mask or transparency a fourth channel: 255 on the foreground.

    What is transparent is put on black; what a mask leaves out stays in the picture.
    """
    pixels = read_image(photo.path, upright=photo.upright, enough=canvas if photo.mask is None else None)
    alpha = pixels[..., 3:]
    if photo.mask is not None:
        alpha = np.uint8(255) * read_mask(photo.mask, pixels.shape[:2])[..., None]
    return np.concatenate([composite(pixels), alpha], axis=-1)


def _ids(paths: list[Path]) -> list[str]:
    """Return the file stems or, where two agree, names relative to the folder that holds all of them."""
    stems = [printable(path.stem) for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    return list(map(printable, names_below(paths)))


def read_prepared(folder: Path, name: str) -> list[Frame]:
    """Return the frames of a prepared folder; `DatasetError` if its listing is missing or damaged."""
    path, frames = folder / CAMERAS, []
    try:
        content = checked_files.read_json(path)
        height, width = (int(side) for side in content["size"])
        for entry in content["views"]:
            K, w2c = np.array(entry["K"], np.float64), np.array(entry["w2c"], np.float64)
            near, far = (float(depth) for depth in entry["depth_range"])
            if K.shape != (3, 3) or w2c.shape != (3, 4):
                raise ValueError(f"matrices of shapes {K.shape} and {w2c.shape}")
            checked_files.check_intrinsics(K, str(path))
            checked_files.check_w2c(w2c, str(path))
            checked_files.check_depth_range(near, far, str(path))
            file = checked_files.path_inside(folder, entry["file"])
            image = partial(_read_prepared_image, file, (height, width), name)
            mask, part = partial(alpha_mask, file, (height, width)), entry["part"]
            size = height, width
            frames.append(Frame(str(entry["id"]), image, K, w2c, (near, far), size, mask, files=(file,), part=part))
        if not frames or len({frame.image_id for frame in frames}) < len(frames):
            raise ValueError("no views, or two of one id")
    except (DatasetError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path}: damaged ({error}). Delete {folder} and open the capture again.") from error
    return frames


def _read_prepared_image(path: Path, size: tuple[int, int], name: str) -> UInt8[np.ndarray, "height width 3"]:
    try:
        image = read_image(path)[..., :3]  # not composited: what a mask leaves out stays in the picture
        check_size(path, image.shape[:2], size)
        return image
    except DatasetError as error:
        reason = f"{error} It was made from a photograph: delete {path.parent} and open {name} again."
        raise DatasetError(reason) from error
