"""Masks that lie beside the photographs of a capture: `masks/<photograph>`, found by name; white is the foreground."""

import warnings
from collections import Counter
from pathlib import Path

from maskrf_core.datasets.captures.capture_contents import DYNAMIC, photograph_folder
from maskrf_core.datasets.captures.capture_sources import CaptureSource, fingerprint
from maskrf_core.datasets.files.checked_files import folder_contents
from maskrf_core.datasets.files.image_files import IMAGE_SUFFIXES
from maskrf_core.datasets.files.image_folders import list_images, pair_images
from maskrf_core.support.errors import DatasetError, in_short

MASKS = "masks"


def with_masks(name: str, folder: Path, source: CaptureSource) -> CaptureSource:
    """Give every photograph its mask, where all have one; masks that are not used are named in a warning.

    The mask of images/a.jpg is masks/a.png or masks/a.jpg.png (COLMAP's name for it), or of any suffix of pictures;
    where all names are numbers, that of the same number.
    """
    photographs = source.photographs
    folders = {photo.path.parent for photo in photographs}
    dynamic = [path.name for each in folders for path in folder_contents(each) if path.name.startswith(DYNAMIC)]
    if dynamic:
        _warn(f"{name}: masks of what moves are not known here and passed over: {in_short(dynamic)}.")
    listed = [photo.mask is not None for photo in photographs]  # in transforms.json
    if any(listed) and not all(listed):
        _warn(f"{name}: {sum(listed)} of {len(listed)} photographs list a mask; of the others all is foreground.")
    if any(listed) or not (folder / MASKS).is_dir():
        return source
    found = [_mask_of(photo.path, folder) for photo in photographs]
    if None in found:
        try:
            found = pair_images([photo.path for photo in photographs], list_images(folder / MASKS))
        except DatasetError as error:
            _warn(f"{name}: {folder / MASKS} is passed over, as not every photograph has a mask there ({error}).")
            return source
    if shared := [path.name for path, count in Counter(found).items() if count > 1]:
        _warn(f"{name}: {folder / MASKS} is passed over, as masks fit several photographs: {in_short(shared)}.")
        return source
    masked = tuple(photo._replace(mask=mask) for photo, mask in zip(photographs, found, strict=True))
    return CaptureSource(masked, fingerprint(found, source.fingerprint))


def _mask_of(photograph: Path, folder: Path) -> Path | None:
    parent = photograph_folder(folder)
    inside = photograph.relative_to(parent) if photograph.is_relative_to(parent) else Path(photograph.name)
    stems = (inside.with_suffix(""), inside)
    candidates = (folder / MASKS / f"{stem}{suffix}" for stem in stems for suffix in IMAGE_SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)
