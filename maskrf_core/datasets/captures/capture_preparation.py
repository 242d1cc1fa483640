"""One's own captures made ready: cameras found where there are none, distortion undone, depth ranges set, all kept."""

import os
import re
import shutil
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from maskrf_core.datasets.captures.capture_sources import (
    CaptureSource,
    fingerprint,
    list_photographs,
    model_folder,
    photograph_folder,
    source_from_model,
    source_from_transforms,
    warn_of_other_formats,
)
from maskrf_core.datasets.captures.depth_ranges import ranges_from_points, ranges_from_sweep, wide_ranges
from maskrf_core.datasets.captures.lens_camera import pinhole_view, undistort
from maskrf_core.datasets.captures.prepared_capture import CAMERAS, PreparedView, write_cameras
from maskrf_core.datasets.captures.structure_from_motion import photograph_name, reconstruct
from maskrf_core.datasets.files.checked_files import find_scene_folder
from maskrf_core.datasets.files.image_files import read_image
from maskrf_core.datasets.files.resize import downscaled_size
from maskrf_core.datasets.files.scene_names import misnamed, name_parts
from maskrf_core.support.errors import DatasetError, NotPreparedError, printable
from maskrf_core.support.paths import cache_folder
from maskrf_core.support.progress import tracked

FORM, EXAMPLE = "capture/<name>/<raw|size>", "capture/fox/800"
CAPTURES = "captures"  # folder below the data root, and below the cache folder
VERSION = 1  # A number to be raised with every change of what the preparation makes: older results are then not used


def prepare_capture(name: str, data_root: str | Path, *, find_cameras: bool = True) -> Path:
    """Make `capture/<name>/<raw|size>` ready to be opened, and return the prepared folder, below the cache folder.

    `<data root>/captures/<name>` holds transforms.json and its images, or a COLMAP model in `sparse/0` or `sparse` and
    its images, or photographs alone (PNG, JPEG), in `images` or directly. For photographs alone cameras are found by
    structure from motion, which takes minutes; `find_cameras` False raises an error instead. Everything else takes
    seconds. What was prepared from the same files is used again; what is new is made whole or not at all.

    Raises:
        DatasetError: no such capture, something in it is missing or broken, or no cameras could be found.
    """
    capture, size = name_parts(name, FORM, EXAMPLE)
    if not re.fullmatch(r"raw|[1-9][0-9]{0,4}", size):
        raise misnamed(name, FORM, EXAMPLE)
    data_root = Path(data_root)
    folder = find_scene_folder(name, capture, [data_root / CAPTURES])
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
    if (model := model_folder(folder)) is not None:
        return source_from_model(model, photograph_folder(folder))
    if (folder / "sparse").is_dir():
        raise DatasetError(
            f"{folder / 'sparse'}: holds no COLMAP model (cameras, images and points3D, all .bin or all .txt). Copy it "
            "here, or remove the folder to have cameras found."
        )
    photographs = list_photographs(folder)
    warn_of_other_formats(name, folder)
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
    sizes = Counter((photo.camera.height, photo.camera.width) for photo in source.photographs)
    native, count = sizes.most_common(1)[0]
    if count < len(source.photographs):
        warnings.warn(
            f"{name}: {len(source.photographs) - count} photographs are not {native[1]}×{native[0]} as the others; "
            "they are scaled and cropped to that shape.",
            stacklevel=4,
        )
    ratio = 1.0 if size == "raw" else int(size) / max(native)
    if ratio > 1:
        raise DatasetError(
            f"{name}: {size} pixels are asked for, but the longer side of the photographs has {max(native)} and images "
            f"are never enlarged. Open {name.rsplit('/', 1)[0]}/raw instead."
        )
    return downscaled_size(*native, ratio)


def _prepare(name: str, source: CaptureSource, canvas: tuple[int, int], target: Path) -> None:
    """Build the folder beside and rename it, so that what is there is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        ids = _ids([photo.path for photo in source.photographs])
        wide = wide_ranges(np.stack([photo.w2c for photo in source.photographs]))
        views = []
        for index, photo in tracked(
            enumerate(source.photographs), total=len(ids), title=f"distortion of {name} undone"
        ):
            view = pinhole_view(photo.camera, canvas, str(photo.path))
            pixels = read_image(photo.path, upright=photo.upright)[..., :3]
            image = undistort(pixels, photo.camera, view)
            file = f"{index:05d}.png"
            (beside / file).write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
            views.append(PreparedView(ids[index], file, view.K, photo.w2c, wide[index]))
        seen = [photo.points if photo.points is not None else np.zeros((0, 3)) for photo in source.photographs]
        if any(map(len, seen)):
            views = ranges_from_points(name, views, seen)
        else:
            views = ranges_from_sweep(name, beside, canvas, views)
        write_cameras(beside, canvas, views)
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
