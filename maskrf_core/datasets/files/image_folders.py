"""Folders of images: listed in one order, found by the name that a file gives, and paired with each other."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path

from maskrf_core.datasets.files.checked_files import folder_contents, path_inside
from maskrf_core.datasets.files.image_files import IMAGE_SUFFIXES, REMEDY
from maskrf_core.support.errors import DatasetError


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Sort by name, folder after folder; as numbers where all stems of one folder are whole numbers: 2.png, 10.png."""
    paths, stems = list(paths), defaultdict(set)
    folders = {path.parent for path in paths}  # few, of many paths
    for each in chain(paths, folders, *(folder.parents for folder in folders)):
        stems[each.parent].add(each.stem)
    numbered = {folder for folder, inside in stems.items() if all(map(_is_whole, inside))}

    def step(path: Path) -> tuple[int, str]:
        return int(path.stem) if path.parent in numbered else 0, path.name

    above = {folder: [*map(step, reversed(folder.parents)), step(folder)] for folder in folders}
    return sorted(paths, key=lambda path: [*above[path.parent], step(path)])


def names_below(paths: Sequence[Path]) -> list[str]:
    """Return the names of files relative to the folder that holds all of them, with slashes."""
    common = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
    return [path.relative_to(common).as_posix() for path in paths]


def list_images(folder: Path) -> list[Path]:
    """List the PNG and JPEG files in `folder` in order, hidden ones passed over.

    Raises:
        DatasetError: there are none, or two of one stem or, where all are numbers, of one number.
    """
    paths = in_order(path for path in folder_contents(folder) if is_image(path))
    if not paths:
        raise DatasetError(f"{folder}: holds no PNG or JPEG images. {REMEDY}")
    if len(set(map(_identity(paths), paths))) < len(paths):
        raise DatasetError(f"{folder}: two images differ in their suffix or padding only. Remove one of each pair.")
    return paths


def images_below(folder: Path) -> list[Path]:
    """List the PNG and JPEG files in `folder` and in its sub-folders in order, without hidden ones, maybe none."""
    found, waiting, entered = [], [folder], set()
    while waiting:
        current = waiting.pop()
        if (real := current.resolve()) not in entered:  # links may lead round in circles
            entered.add(real)
            contents = folder_contents(current)
            found += [path for path in contents if is_image(path) and not path.is_dir()]
            waiting += [path for path in contents if path.is_dir()]
    return in_order(found)


def is_image(path: Path) -> bool:
    """Tell by its suffix, in small or large letters, whether a file is PNG or JPEG."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def find_listed_image(folder: Path, name: str) -> Path | None:
    """Find the image that a file in `folder` lists as `name`; None if it is not there.

    Taken is the file of exactly this name or, with backslashes as slashes, the one whose name differs in the case of
    its suffix only, or to which `name` leaves the suffix out. Two names of one file give one path.

    Raises:
        DatasetError: `name` leads out of the folder, or stands for several files.
    """
    named = path_inside(folder, name)
    if named.is_file():
        return named
    beside = [path for path in folder_contents(named.parent) if is_image(path)] if named.parent.is_dir() else []
    other_case = [path for path in beside if path.stem == named.stem and path.suffix.lower() == named.suffix.lower()]
    fitting = other_case or [path for path in beside if path.stem == named.name]
    if len(fitting) > 1:
        found = " and ".join(path.name for path in fitting)
        raise DatasetError(f"{folder}: lists the image {name!r}, which {found} fit. Remove all but one.")
    return next((path for path in fitting if path.is_file()), None)


def pair_images(images: list[Path], others: list[Path]) -> list[Path]:
    """Return the one of `others` that belongs to each image: by number where all stems are numbers, else by stem.

    Raises:
        DatasetError: one has no counterpart.
    """
    identity = _identity([*images, *others])
    known = {identity(path): path for path in others}
    alone = [path for path in images if identity(path) not in known]
    alone += [path for path in others if identity(path) not in set(map(identity, images))]
    if alone:
        counts = f"{images[0].parent.name} holds {len(images)} images and {others[0].parent.name} {len(others)}"
        raise DatasetError(f"{alone[0]}: has no counterpart of its number or name; {counts}. {REMEDY}")
    return [known[identity(path)] for path in images]


def _identity(paths: Iterable[Path]) -> Callable[[Path], int | str]:
    """Return the function that gives an image's number, where all stems are whole numbers, or its stem."""
    return (lambda path: int(path.stem)) if all(_is_whole(path.stem) for path in paths) else (lambda path: path.stem)


def _is_whole(stem: str) -> bool:
    return stem.isascii() and stem.isdigit()
