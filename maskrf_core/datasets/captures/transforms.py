"""Photographs with the cameras of transforms.json, or of transforms_train.json, _val and _test."""

import warnings
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from maskrf_core.datasets.captures.capture_sources import (
    CaptureSource,
    PosedPhotograph,
    fingerprint,
    pose_photograph,
    report_absent,
)
from maskrf_core.datasets.captures.transforms_fields import (
    camera_of,
    check_fields,
    pose_of,
    shares_centre,
    sized_by_photographs,
)
from maskrf_core.datasets.data_set import PARTS, Part
from maskrf_core.datasets.files.checked_files import read_json
from maskrf_core.datasets.files.image_files import image_size
from maskrf_core.datasets.files.image_folders import find_listed_image, in_order
from maskrf_core.support.errors import DatasetError, in_short

LISTS = {part: f"{part}_filenames" for part in PARTS}  # nerfstudio's names of the fields that list each part


def transforms_files(folder: Path) -> dict[Path, Part | None]:
    """Return transforms.json, or else what there is of transforms_train.json, _val and _test, each with its part."""
    if (folder / "transforms.json").is_file():
        return {folder / "transforms.json": None}
    named = {folder / f"transforms_{part}.json": part for part in PARTS}
    return {path: part for path, part in named.items() if path.is_file()}


def source_from_transforms(paths: dict[Path, Part | None]) -> CaptureSource:
    """Read the files that `transforms_files` found, and find their photographs.

    `transforms_fields` says which of their fields are used. The photographs of a split of its own are those of its
    file, or those that train_filenames, val_filenames and test_filenames list.
    """
    photographs: dict[Path, PosedPhotograph] = {}
    absent: list[str] = []
    for path, part in paths.items():
        before, again = set(photographs), []
        for name, photograph in _photographs(path, part):
            if photograph is None:
                absent.append(name)
            elif photograph.path in before:
                again.append(name)
            elif photograph.path in photographs:
                raise DatasetError(f"{path}: lists {name} twice. Remove one of the two frames.")
            else:
                photographs[photograph.path] = photograph
        _warn_of(f"{path}: lists what another part lists before it, where alone it is used", again)
    report_absent(absent, len(photographs), str(next(iter(paths))))
    ordered = tuple(photographs[path] for path in in_order(photographs))
    files = [(photo.path, photo.mask) for photo in ordered]
    return CaptureSource(ordered, fingerprint([*paths, *filter(None, chain.from_iterable(files))]))


def _photographs(path: Path, part: Part | None) -> Iterator[tuple[str, PosedPhotograph | None]]:
    """Read one file: the name of each of its photographs, and the photograph where it is there."""
    content = read_json(path)
    frames = content.get("frames")
    if not isinstance(frames, list) or not frames:
        raise DatasetError(f"{path}: 'frames' is not a list of at least one frame. Export it again.")
    for number, frame in enumerate(frames):
        if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str):
            raise DatasetError(f"{path}: frame {number} has no file_path. Export it again.")
    check_fields(content, str(path))
    parts, sizes = _listed_parts(path, content), set()
    for number, frame in enumerate(frames):
        name = frame["file_path"]
        where = f"{path}, frame {number} ({name})"
        file, w2c = find_listed_image(path.parent, name), pose_of(frame, where)
        if parts is not None and _plain(name) not in parts:
            continue
        if file is None:
            yield name, None
            continue
        sizes.add(image_size(file))
        camera = camera_of(content, frame, image_size(file), where)
        camera.check(where)
        photograph = pose_photograph(file, camera, w2c)
        mask = _mask(path.parent, frame.get("mask_path"), where)
        yield name, photograph._replace(mask=mask, part=part if parts is None else parts[_plain(name)])
    if len(sizes) > 1 and (sized_by_photographs(content, frames) or shares_centre(content, frames)):
        missing = f"{path}: gives intrinsics in pixels, but no w and h, and the photographs differ in size"
        raise DatasetError(f"{missing}. Add w and h, the size that they are for, to the file or to each frame.")
    if sized_by_photographs(content, frames):
        _say_size(path, sizes)


def _mask(folder: Path, listed: Any, where: str) -> Path | None:
    """Find the mask that a frame lists, if it lists one."""
    if not listed:
        return None
    mask = find_listed_image(folder, listed) if isinstance(listed, str) else None
    if mask is None:
        raise DatasetError(f"{where}: lists the mask {listed!r}, which is not there. Put it back, or remove mask_path.")
    return mask


def _say_size(path: Path, sizes: set[tuple[int, int]]) -> None:
    """Say what size is taken where the file gives a focal length in pixels, but of no size."""
    missing = f"{path}: gives focal lengths in pixels, but neither w and h nor cx and cy"
    for height, width in sizes:
        warnings.warn(f"{missing}; taken to be for the photographs as they are, {width}×{height}.", stacklevel=4)


def _listed_parts(path: Path, content: dict[str, Any]) -> dict[str, Part] | None:
    """Return the part of each photograph that nerfstudio's lists name; None where there are no lists."""
    parts: dict[str, Part] = {}
    again: list[str] = []
    for part, field in LISTS.items():
        listed = content.get(field) or []
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            raise DatasetError(f"{path}: {field} is not a list of names. Correct it.")
        again += [name for name in map(_plain, listed) if name in parts]
        parts |= {_plain(name): part for name in listed}
    if not parts:
        return None
    frames = [_plain(frame["file_path"]) for frame in content["frames"]]
    _warn_of(f"{path}: in more than one of {', '.join(LISTS.values())}, of which the last counts", again)
    _warn_of(f"{path}: lists that are no frames", [name for name in parts if name not in frames])
    _warn_of(f"{path}: frames in none of {', '.join(LISTS.values())}, left out", [n for n in frames if n not in parts])
    return parts


def _warn_of(what: str, names: Sequence[str]) -> None:
    if names:
        warnings.warn(f"{what}: {in_short(names)}.", stacklevel=5)


def _plain(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")
