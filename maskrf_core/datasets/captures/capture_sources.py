"""What a capture is made of, before its distortion is undone: photographs with cameras, from any of three sources."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from maskrf_core.datasets.captures.colmap_models import is_colmap_model, read_colmap_model
from maskrf_core.datasets.captures.lens_camera import LensCamera
from maskrf_core.datasets.files.checked_files import folder_contents, path_inside, read_bytes
from maskrf_core.datasets.files.image_files import IMAGE_SUFFIXES, image_size
from maskrf_core.support.errors import DatasetError

LEAST_VIEWS = 3
OTHER_FORMATS = (".heic", ".heif", ".avif", ".webp", ".tif", ".tiff", ".bmp", ".dng", ".cr2", ".nef", ".arw")
LISTED = 5
"""Names that a message lists."""
SHAPE_TOLERANCE = 0.01
"""Relative difference between the shapes of a photograph and of its camera; rounded sides differ by less."""


@dataclass(frozen=True)
class PosedPhotograph:
    """A photograph and its camera, for its size.

    `upright`: the camera is for the picture as its orientation tag turns it, not for the pixels as they are stored.
    `points` are those that it sees, None where the source has no points.
    """

    path: Path
    camera: LensCamera
    w2c: Float[np.ndarray, "3 4"]
    upright: bool
    points: Float[np.ndarray, "_point 3"] | None = None


@dataclass(frozen=True)
class CaptureSource:
    """Photographs in the order of their names, and a fingerprint of everything they and their cameras are made from."""

    photographs: tuple[PosedPhotograph, ...]
    fingerprint: str


def model_folder(folder: Path) -> Path | None:
    """Where the capture in `folder` has a COLMAP model, None if nowhere."""
    return next((folder / place for place in ("sparse/0", "sparse") if is_colmap_model(folder / place)), None)


def photograph_folder(folder: Path) -> Path:
    """`images` in the folder of a capture where there is one, else the folder itself."""
    return folder / "images" if (folder / "images").is_dir() else folder


def list_photographs(folder: Path) -> list[Path]:
    """PNG and JPEG files of a capture's folder, by name, maybe none; `DatasetError` if it cannot be listed."""
    return [path for path in folder_contents(photograph_folder(folder)) if path.suffix.lower() in IMAGE_SUFFIXES]


def warn_of_other_formats(name: str, folder: Path) -> None:
    """Say which photographs are passed over because they are neither PNG nor JPEG, as telephones make them."""
    others = [path for path in folder_contents(photograph_folder(folder)) if path.suffix.lower() in OTHER_FORMATS]
    if others:
        warnings.warn(
            f"{name}: {len(others)} photographs are neither PNG nor JPEG and are passed over, such as {others[0]}. "
            "Convert them first.",
            stacklevel=4,
        )


def source_from_model(
    model_path: Path, image_folder: Path, *, upright_by_name: Mapping[str, Path] | None = None
) -> CaptureSource:
    """A COLMAP model of any camera models, and its photographs.

    `upright_by_name` says which files the model's names stand for, their pixels turned as the orientation tag says.
    Without it names are files in `image_folder`, taken as they are stored unless only their turned shape fits.

    Raises:
        DatasetError: the model or a photograph is broken, or fewer than 3 of its photographs are there.
    """
    model = read_colmap_model(model_path)
    photographs, absent = [], []
    for view in model.views:
        known = upright_by_name is not None and view.name in upright_by_name
        path = upright_by_name[view.name] if known else path_inside(image_folder, view.name)
        if path.is_file():
            photographs.append(posed(path, view.camera, view.w2c, model.points[view.seen], upright=known or None))
        else:
            absent.append(view.name)
    report_absent(absent, len(photographs), str(model_path))
    photographs.sort(key=lambda photo: photo.path)
    files = sorted(path for path in model_path.iterdir() if path.suffix in (".bin", ".txt"))
    return CaptureSource(tuple(photographs), fingerprint([*files, *(photo.path for photo in photographs)]))


def posed(
    path: Path,
    camera: LensCamera,
    w2c: Float[np.ndarray, "3 4"],
    points: Float[np.ndarray, "_point 3"] | None = None,
    *,
    upright: bool | None = None,
) -> PosedPhotograph:
    """A photograph with its camera, which may be for another size of it.

    `upright` None takes the pixels as they are stored, unless only their turned shape (EXIF) is the camera's.

    Raises:
        DatasetError: the photograph's header is broken, or its shape is not the camera's.
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
    if not absent and present >= LEAST_VIEWS:
        return
    named = ", ".join(absent[:LISTED]) + (f" and {len(absent) - LISTED} more" if len(absent) > LISTED else "")
    if present < LEAST_VIEWS:
        missing = f"; {len(absent)} are missing: {named}" if absent else ""
        raise DatasetError(
            f"{where}: lists {present} photographs that are there{missing}. At least {LEAST_VIEWS} are needed; "
            "put the missing ones back, or take more."
        )
    warnings.warn(
        f"{where}: {len(absent)} of {len(absent) + present} listed photographs are missing and left out: {named}.",
        stacklevel=3,
    )


def fingerprint(paths: Sequence[Path], *words: object) -> str:
    """Changes with the name or content of any of the files, and with the words."""
    digest = hashlib.blake2b(repr(words).encode(), digest_size=8)
    for path in paths:
        digest.update(path.name.encode("utf-8", "surrogateescape") + b"\0")
        digest.update(hashlib.blake2b(read_bytes(path)).digest())
    return digest.hexdigest()
