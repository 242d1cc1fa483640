"""Plans for downloaded archives: the data set that each holds, and where below the data root it belongs."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from maskrf_core.datasets.archives.archive_members import archive_suffix, opened_archive
from maskrf_core.datasets.archives.unpacking import LEFT_OUT
from maskrf_core.datasets.records import DATA_SETS
from maskrf_core.support.errors import DatasetError

DOWNLOADS = "downloads"  # folder below the data root where archives are looked for, beside the data root itself
LOOKED_AT = 5000  # members that are read to tell what an archive is: all of a compressed tar would take minutes


@dataclass(frozen=True)
class UnpackingPlan:
    """Archive and where it is to be unpacked: `unpacking.unpack(archive, destination, strip=strip)`."""

    archive: Path
    data_set: str | None  # folder that it belongs in, None where it looks like none of the known ones
    destination: Path | None
    strip: str = ""
    fault: str | None = None  # why it cannot be unpacked


def find_archives(data_root: str | Path) -> list[Path]:
    """List archives in the data root and in its `downloads`, by name."""
    folders = [Path(data_root), Path(data_root) / DOWNLOADS]
    try:
        files = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    except OSError as error:
        raise DatasetError(f"{error.filename}: cannot be listed ({error.strerror}). Check its permissions.") from error
    return sorted(path for path in files if path.is_file() and archive_suffix(path))


def plan_unpacking(archive: str | Path, data_root: str | Path) -> UnpackingPlan:
    """Find where an archive belongs, told by the names of the folders in it or else by the files of its scenes.

    Nothing is written. What cannot be unpacked, or is not known, says so in `fault`.
    """
    archive, data_root = Path(archive), Path(data_root)
    try:
        with opened_archive(archive) as members:
            paths = [member.path for member in islice(members, LOOKED_AT)]
    except (DatasetError, OSError) as error:
        return UnpackingPlan(archive, None, None, fault=str(error))
    paths = [path for path in paths if not set(path.split("/")) & set(LEFT_OUT)]
    found = _by_folder(paths) or _by_scene(paths, archive)
    if found is None:
        fault = f"{archive.name}: looks like none of the known data sets. Unpack it by hand to where it belongs."
        return UnpackingPlan(archive, None, None, fault=fault)
    return UnpackingPlan(archive, found[1].split("/")[0], data_root / found[1], strip=found[0])


def _by_folder(paths: Sequence[str]) -> tuple[str, str] | None:
    """Return (what to strip, folder), by the outermost folder of each path that has a known name; the most frequent."""
    known, votes = {}, Counter()  # name of a folder in archives, in lower case → the folder below the data root
    for record in DATA_SETS.values():
        kept = record.colmap_depth.files if record.colmap_depth else ()
        caches = [file.split("/")[1] for file in kept if file.startswith("{root}/")]
        known |= {name.lower(): name for name in (*record.folders, *caches)}
        known |= {name.lower(): record.folders[0] for name in record.also_called}
    for path in paths:
        parts = path.split("/")[:-1]
        index = next((index for index, part in enumerate(parts) if part.lower() in known), None)
        if index is not None:
            votes["/".join(parts[: index + 1])] += 1
    if not votes:
        return None
    strip = votes.most_common(1)[0][0]
    return strip, known[strip.split("/")[-1].lower()]


def _by_scene(paths: Sequence[str], archive: Path) -> tuple[str, str] | None:
    """Return (what to strip, folder), by the files that a scene has; a bare scene gets the archive's name.

    The first record whose pattern fits counts; released LLFF scenes look like test scenes, so only their folder's name
    tells them apart.
    """
    for record in sorted(DATA_SETS.values(), key=lambda record: record.archive_rank):
        bare = record.archive_pattern.removeprefix("<scene>/")
        if not bare:
            continue
        is_of_scene = bare != record.archive_pattern
        folder = f"{record.folders[0]}/{record.scenes_in}".removesuffix("/.") if is_of_scene else record.folders[0]
        for path in paths:
            if match := re.fullmatch(f"(.*/)?{'[^/]+/' if is_of_scene else ''}{bare}", path):
                return (match[1] or "").rstrip("/"), folder
            if is_of_scene and re.fullmatch(bare, path):
                stem = archive.name[: -len(archive_suffix(archive) or "")].strip(".")
                return "", f"{folder}/{stem or 'scene'}"
    return None
