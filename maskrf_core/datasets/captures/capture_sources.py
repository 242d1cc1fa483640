"""Photographs with cameras, lens included; from a COLMAP model."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.captures.colmap_models import read_colmap_model
from maskrf_core.datasets.captures.lens_camera import LensCamera
from maskrf_core.datasets.data_set import Part
from maskrf_core.datasets.files.checked_files import read_bytes
from maskrf_core.datasets.files.image_files import image_size
from maskrf_core.datasets.files.image_folders import find_listed_image, in_order
from maskrf_core.support.errors import DatasetError, in_short

LEAST_VIEWS = 3
SHAPE_TOLERANCE = 0.01  # relative difference between the shapes of a photograph and its camera; rounding is less
NO_POINTS = np.zeros((0, 3))


class PosedPhotograph(NamedTuple):
    """A photograph, its camera for its size, and the points that it sees.

    `upright`: the camera is for the picture as its orientation tag turns it, not for the pixels as they are stored.
    `mask` is a picture of the same size, white on the foreground. `part` is the split it is listed for.
    """

    path: Path
    camera: LensCamera
    w2c: Float[np.ndarray, "3 4"]
    upright: bool
    points: Float[np.ndarray, "_point 3"]
    mask: Path | None = None
    part: Part | None = None


class CaptureSource(NamedTuple):
    """Photographs in the order of their names, and a fingerprint of everything they and their cameras are made from."""

    photographs: tuple[PosedPhotograph, ...]
    fingerprint: str


def source_from_model(
    model_path: Path, image_folder: Path, *, upright_by_name: Mapping[str, Path] | None = None
) -> CaptureSource:
    """Read a COLMAP model of any camera models, and find its photographs.

    `upright_by_name` says which files the model's names stand for, their pixels turned as the orientation tag says.
    Without it names are files in `image_folder`, taken as they are stored unless only their turned shape fits.
    """
    model = read_colmap_model(model_path)
    photographs: dict[Path, PosedPhotograph] = {}
    absent = []
    for view in model.views:
        known = upright_by_name is not None and view.name in upright_by_name
        path = upright_by_name[view.name] if known else find_listed_image(image_folder, view.name)
        if path in photographs:
            raise DatasetError(f"{model_path}: lists {path} twice, once as {view.name}. Remove one of the two images.")
        if path is None or not path.is_file():
            absent.append(view.name)
        else:
            seen = model.points[view.seen]
            photographs[path] = pose_photograph(path, view.camera, view.w2c, seen, upright=known or None)
    report_absent(absent, len(photographs), str(model_path))
    files = sorted(path for path in model_path.iterdir() if path.suffix in (".bin", ".txt"))
    paths = in_order(photographs)
    return CaptureSource(tuple(photographs[path] for path in paths), fingerprint([*files, *paths]))


def pose_photograph(
    path: Path,
    camera: LensCamera,
    w2c: Float[np.ndarray, "3 4"],
    points: Float[np.ndarray, "_point 3"] = NO_POINTS,
    *,
    upright: bool | None = None,
) -> PosedPhotograph:
    """Fit a camera to a photograph; the camera may be for another size of it.

    `upright` None takes the pixels as they are stored, unless only their turned shape (EXIF) is the camera's.
    """
    for turned in (False, True) if upright is None else (upright,):
        height, width = image_size(path, upright=turned)
        if abs(height / width * camera.width / camera.height - 1) < SHAPE_TOLERANCE:
            return PosedPhotograph(path, camera.resized(width, height), w2c, turned, points)
    height, width = image_size(path)
    raise DatasetError(
        f"{path}: is {width}×{height}, but its camera is for {camera.width}×{camera.height}. Restore the photograph "
        "that the cameras were made from, or make the cameras again."
    )


def report_absent(absent: Sequence[str], present: int, where: str) -> None:
    """Warn of listed photographs that are missing, in one line; `DatasetError` if fewer than 3 are left."""
    if present < LEAST_VIEWS:
        missing = f"; {len(absent)} are missing: {in_short(absent)}" if absent else ""
        remedy = f"At least {LEAST_VIEWS} are needed; put the missing ones back, or take more."
        raise DatasetError(f"{where}: lists {present} photographs that are there{missing}. {remedy}")
    if absent:
        counted = f"{len(absent)} of {len(absent) + present} listed photographs are missing and left out"
        warnings.warn(f"{where}: {counted}: {in_short(absent)}.", stacklevel=3)


def fingerprint(paths: Sequence[Path], *words: object) -> str:
    """Digest the names and contents of files, and the words."""
    digest = hashlib.blake2b(repr(words).encode(), digest_size=8)
    for path in paths:
        digest.update(path.name.encode("utf-8", "surrogateescape") + b"\0")
        digest.update(hashlib.blake2b(read_bytes(path)).digest())
    return digest.hexdigest()
