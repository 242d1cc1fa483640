"""One's own captures made ready: cameras found, distortion undone, depth ranges set; kept as PNG and `cameras.json`."""

import os
import re
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from maskrf_core.datasets.captures.capture_sources import (
    CaptureSource,
    fingerprint,
    list_photographs,
    photograph_folder,
    source_from_model,
    source_from_transforms,
)
from maskrf_core.datasets.captures.colmap_models import is_colmap_model
from maskrf_core.datasets.captures.depth_ranges import ranges_from_points, ranges_from_sweep, wide_ranges
from maskrf_core.datasets.captures.lens_camera import pinhole_intrinsics, undistort
from maskrf_core.datasets.captures.structure_from_motion import photograph_name, reconstruct
from maskrf_core.datasets.files import checked_files
from maskrf_core.datasets.files.image_files import read_image, read_rgb
from maskrf_core.datasets.files.resize import downscaled_size
from maskrf_core.datasets.readers.scene_ids import every_eighth, look_up
from maskrf_core.datasets.readers.scene_names import misnamed, name_parts
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.support.atomic_files import write_json
from maskrf_core.support.errors import DatasetError, NotPreparedError, printable
from maskrf_core.support.paths import cache_folder
from maskrf_core.support.progress import tracked

FORM, EXAMPLE = "capture/<name>/<raw|size>", "capture/fox/800"
CAPTURES, CAMERAS = "captures", "cameras.json"  # folder below the data root and the cache folder, and a file's name
OTHER_FORMATS = (".heic", ".heif", ".avif", ".webp", ".tif", ".tiff", ".bmp", ".dng", ".cr2", ".nef", ".arw")
VERSION = 1  # to be raised with every change of what the preparation makes: older results are then not used


class PreparedView(NamedTuple):
    """One image, `file` in the folder, and its camera; K has the centre of the first pixel at (0, 0)."""

    image_id: str
    file: str
    K: Float[np.ndarray, "3 3"]
    w2c: Float[np.ndarray, "3 4"]
    depth_range: tuple[float, float]


def prepare_capture(name: str, data_root: str | Path, *, find_cameras: bool = True) -> Path:
    """Make `capture/<name>/<raw|size>` ready to be opened, and return the prepared folder, below the cache folder.

    `<data root>/captures/<name>` holds transforms.json or a COLMAP model (in `sparse/0` or `sparse`) and its images, or
    photographs alone, in `images` or directly. For these cameras are found by structure from motion, which takes
    minutes; `find_cameras` False raises an error instead. What was prepared from the same files is used again.

    Raises:
        DatasetError: no such capture, something in it is missing or broken, or no cameras could be found.
    """
    capture, size = name_parts(name, FORM, EXAMPLE)
    if not re.fullmatch(r"raw|[1-9][0-9]{0,4}", size):
        raise misnamed(name, FORM, EXAMPLE)
    data_root = Path(data_root)
    folder = checked_files.find_scene_folder(name, capture, [data_root / CAPTURES])
    kept = cache_folder(data_root) / CAPTURES / capture
    source = _source(name, folder, kept, find_cameras)
    canvas = _canvas(name, source, size)
    target = kept / f"{size}_{fingerprint([], VERSION, source.fingerprint, canvas)}"
    if not (target / CAMERAS).is_file():
        _prepare(name, source, canvas, target)
    return target


def _source(name: str, folder: Path, kept: Path, find_cameras: bool) -> CaptureSource:
    if (folder / "transforms.json").is_file():
        return source_from_transforms(folder / "transforms.json")
    images = photograph_folder(folder)
    for model in (folder / "sparse/0", folder / "sparse"):
        if is_colmap_model(model):
            return source_from_model(model, images)
    if (folder / "sparse").is_dir():
        raise DatasetError(
            f"{folder / 'sparse'}: holds no COLMAP model (cameras, images and points3D, all .bin or all .txt). Copy it "
            "here, or remove the folder to have cameras found."
        )
    photographs = list_photographs(folder)
    if others := [path for path in checked_files.folder_contents(images) if path.suffix.lower() in OTHER_FORMATS]:
        warnings.warn(
            f"{name}: {len(others)} photographs are neither PNG nor JPEG and are passed over, such as {others[0]}. "
            "Convert them first.",
            stacklevel=3,
        )
    if not photographs:
        raise DatasetError(
            f"{folder}: holds neither transforms.json, nor a COLMAP model in sparse/0 or sparse, nor photographs (PNG "
            "or JPEG) in images or directly. Put one of these there."
        )
    model = kept / f"cameras_{fingerprint(photographs, VERSION)}"
    if not model.is_dir():
        if not find_cameras:
            raise NotPreparedError(
                f"{name}: {folder} holds photographs alone, and their cameras are not known yet. Find them, which "
                f'takes minutes: prepare_capture("{name}", data_root), or notebook 01_data_prep with scene: {name}.'
            )
        reconstruct(photographs, model, name)
    by_name = {photograph_name(index, path): path for index, path in enumerate(photographs)}
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
    """Build the folder beside and rename it, so that what is there is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        photographs, w2c = source.photographs, np.stack([photo.w2c for photo in source.photographs])
        ids, wide, views = _ids([photo.path for photo in photographs]), wide_ranges(w2c), []
        for index, photo in tracked(enumerate(photographs), total=len(ids), title=f"distortion of {name} undone"):
            K = pinhole_intrinsics(photo.camera, canvas, str(photo.path))
            pixels = read_image(photo.path, upright=photo.upright)[..., :3]
            image = undistort(pixels, photo.camera, K, canvas)
            file = f"{index:05d}.png"
            (beside / file).write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
            views.append(PreparedView(ids[index], file, K, photo.w2c, wide[index]))
        if any(len(photo.points) for photo in photographs):
            ranges = ranges_from_points(name, ids, w2c, [photo.points for photo in photographs])
        else:
            ranges = ranges_from_sweep(PreparedCapture(name, beside, canvas, views), canvas)
        listed = [
            {"id": image_id, "file": file, "K": K.tolist(), "w2c": pose.tolist(), "depth_range": depth_range}
            for (image_id, file, K, pose, _), depth_range in zip(views, ranges, strict=True)
        ]
        write_json(beside / CAMERAS, {"size": canvas, "views": listed})
        beside.chmod(0o755)
        try:
            beside.rename(target)
        except OSError:
            if not (target / CAMERAS).is_file():  # else another process was faster
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _ids(paths: list[Path]) -> list[str]:
    """Return the file stems or, where two agree, names relative to the folder that holds all of them."""
    stems = [printable(path.stem) for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    common = Path(os.path.commonpath([path.parent for path in paths]))
    return [printable(path.relative_to(common).as_posix()) for path in paths]


class PreparedCapture:
    """The scene of a prepared folder. Implements `maskrf_core.datasets.scene.Scene`; all images have one size."""

    def __init__(self, name: str, folder: Path, size: tuple[int, int], views: Sequence[PreparedView]):
        self.name, self.folder, self.size = name, folder, size
        self._views = {view.image_id: view for view in views}
        self.image_ids = list(self._views)

    def image(self, image_id: str) -> UInt8[np.ndarray, "height width 3"]:
        """Return RGB without distortion; `DatasetError` if the prepared file is broken."""
        path = self.folder / self._view(image_id).file
        try:
            return read_rgb(path, self.size)
        except DatasetError as error:
            reason = f"{error} It was made from a photograph: delete {self.folder} and open {self.name} again."
            raise DatasetError(reason) from error

    def K(self, image_id: str) -> Float[np.ndarray, "3 3"]:
        return self._view(image_id).K.copy()

    def w2c(self, image_id: str) -> Float[np.ndarray, "3 4"]:
        return self._view(image_id).w2c.copy()

    def depth_range(self, image_id: str) -> tuple[float, float]:
        return self._view(image_id).depth_range

    def mask(self, image_id: str) -> Bool[np.ndarray, "height width"]:
        """Return all True: captures have no masks."""
        self._view(image_id)
        return np.ones(self.size, bool)

    def depth(self, image_id: str) -> Float32[np.ndarray, "height width"] | None:
        """Return None: depth is estimated from the images."""
        self._view(image_id)
        return None

    def split(self, kind: SplitKind) -> tuple[list[str], list[str]]:
        """Return (references, queries): every 8th image, from the first, is a query; to train, references only."""
        references, queries = every_eighth(self.image_ids)
        return references, list(references) if kind == "train" else queries

    def _view(self, image_id: str) -> PreparedView:
        return look_up(self._views, image_id, self.name)


def read_cameras(folder: Path) -> tuple[tuple[int, int], list[PreparedView]]:
    """Return ((height, width), views) of a prepared folder; `DatasetError` if its listing is missing or damaged."""
    path = folder / CAMERAS
    try:
        content = checked_files.read_json(path)
        height, width = (int(side) for side in content["size"])
        views = []
        for entry in content["views"]:
            K, w2c = np.array(entry["K"], np.float64), np.array(entry["w2c"], np.float64)
            near, far = (float(depth) for depth in entry["depth_range"])
            checked_files.path_inside(folder, entry["file"])
            if K.shape != (3, 3) or w2c.shape != (3, 4):
                raise ValueError(f"matrices of shapes {K.shape} and {w2c.shape}")
            checked_files.check_intrinsics(K, str(path))
            checked_files.check_w2c(w2c, str(path))
            checked_files.check_depth_range(near, far, str(path))
            views.append(PreparedView(str(entry["id"]), entry["file"], K, w2c, (near, far)))
        if not views or len({view.image_id for view in views}) < len(views):
            raise ValueError("no views, or two of one id")
    except (DatasetError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path}: damaged ({error}). Delete {folder} and open the capture again.") from error
    return (height, width), views
