"""What the folder of a capture holds: photographs, videos, COLMAP models."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from maskrf_core.datasets.captures.colmap_models import is_colmap_model, read_colmap_model
from maskrf_core.datasets.files.checked_files import folder_contents, scene_folders
from maskrf_core.datasets.files.image_folders import images_below, in_order, is_image, names_below
from maskrf_core.support.errors import DatasetError, in_short

OTHERS = (".heic", ".heif", ".avif", ".webp", ".tif", ".tiff", ".bmp", ".dng", ".cr2", ".nef", ".arw")  # of photographs
VIDEOS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")
DYNAMIC = "dynamic_mask_"  # instant-ngp's masks of what moves, in the same folder as the photographs
MODEL_PLACES = ("sparse", "colmap/sparse")  # COLMAP's own, and nerfstudio's


def photograph_folder(folder: Path) -> Path:
    """Return `images` in the folder of a capture where there is one, else the folder itself."""
    return folder / "images" if (folder / "images").is_dir() else folder


def list_photographs(folder: Path) -> list[Path]:
    """List the PNG and JPEG files of a capture in order, maybe none: in `images` and its sub-folders, or directly.

    Raises:
        DatasetError: a folder cannot be listed.
    """
    if (images := photograph_folder(folder)) != folder:
        found = images_below(images)
    else:
        found = in_order(path for path in folder_contents(folder) if is_image(path))
    return [path for path in found if not path.name.startswith(DYNAMIC)]


def list_files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """List the files of some kinds, by their suffixes in small letters, in the folder of a capture and in `images`."""
    contents = [path for place in {folder, photograph_folder(folder)} for path in folder_contents(place)]
    return in_order(path for path in contents if path.suffix.lower() in suffixes and path.is_file())


def find_model(folder: Path) -> Path | None:
    """Return the COLMAP model of a capture, of several the one with most images, and a warning names the others.

    They are looked for in `sparse`, in `colmap/sparse` as nerfstudio has it, and in the folders there: 0, 1, ….

    Raises:
        DatasetError: these folders are there, but hold no whole model; or all of several are damaged.
    """
    places = [folder / place for place in MODEL_PLACES if (folder / place).is_dir()]
    models = [path for place in places for path in (*in_order(scene_folders([place])), place) if is_colmap_model(path)]
    if places and not models:
        raise DatasetError(
            f"{places[0]}: holds no COLMAP model (cameras, images and points3D, all .bin or all .txt). Copy it "
            "here, or remove the folder to have cameras found."
        )
    if len(models) < 2:
        return next(iter(models), None)
    counts, said = {}, {}
    for path in models:
        try:
            counts[path] = len(read_colmap_model(path).views)
            said[path] = f"{counts[path]} images"
        except DatasetError as error:
            said[path] = f"damaged: {error}"
    if not counts:
        raise DatasetError(
            f"{folder}: all of its {len(models)} models are damaged, such as {models[0]}: {said[models[0]]}"
        )
    most = max(counts, key=counts.__getitem__)
    named = {path: f"{path.relative_to(folder)} ({said[path]})" for path in models}
    passed_over = in_short([named[path] for path in models if path != most])
    warnings.warn(f"{folder}: of {len(models)} models {named[most]} is used, not {passed_over}.", stacklevel=4)
    return most


def warn_of_unused(folder: Path, used: Sequence[Path], cameras: Path) -> None:
    """Name the photographs of a capture that the file or model `cameras` has no camera for."""
    photographs = list_photographs(folder)
    names, used = names_below(photographs), set(used)
    if used.isdisjoint(photographs):  # the cameras are for copies of them in a folder of its own, such as images_4
        return
    if unused := [name for path, name in zip(photographs, names, strict=True) if path not in used]:
        counted = f"{len(unused)} of {len(names)} photographs have no camera in it and are left out"
        warnings.warn(f"{cameras}: {counted}: {in_short(unused)}.", stacklevel=4)
