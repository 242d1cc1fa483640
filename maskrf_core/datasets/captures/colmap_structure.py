"""The structure of COLMAP's model files, walked before pycolmap reads them.

pycolmap trusts the counts in binary files: cut short, `cameras.bin` gives cameras of chance, and `points3D.bin` is read
without end. It also refuses models whose tracks and observations disagree, as those of the published example do. So
each file is walked, held to its size, and given to pycolmap without observations, which are returned apart.
"""

import re
import struct
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from maskrf_core.datasets.files.checked_files import read_bytes
from maskrf_core.support.errors import DatasetError

Observations = dict[int, Int64[np.ndarray, "_observation"]]
"""COLMAP's image id → ids of the points that the image sees."""
FILES = ("cameras", "images", "points3D")
POINT2D = np.dtype([("xy", "<f8", 2), ("point", "<i8")])


def copy_without_observations(folder: Path, target: Path) -> Observations:
    """Write the model of `folder` to `target`, its tracks and observations left out; these are returned.

    Raises:
        DatasetError: no model in the folder, or a file that is cut short, too long, or holds no such structure.
    """
    for suffix, strip in ((".bin", _strip_binary), (".txt", _strip_text)):
        paths = [folder / f"{name}{suffix}" for name in FILES]
        if all(path.is_file() for path in paths):
            try:
                return strip(paths, target)
            except UnicodeDecodeError as error:
                raise DatasetError(
                    f"{folder}: holds text or a file name that is not UTF-8 ({error}). Rename the file and export the "
                    "model again."
                ) from error
    raise DatasetError(
        f"{folder}: no whole COLMAP model; cameras, images and points3D, all .bin or all .txt, were expected. "
        "Copy or export the model again."
    )


def _strip_binary(paths: list[Path], target: Path) -> Observations:
    cameras, images, points = (_Walk(path) for path in paths)
    _walk_cameras(cameras)
    observations: Observations = {}
    heads = []
    for _ in range(images.count()):
        head, name = images.take(64), images.until_zero()
        name.decode("utf-8")
        seen = np.frombuffer(images.take(POINT2D.itemsize * images.count(POINT2D.itemsize)), POINT2D)["point"]
        observations[struct.unpack_from("<I", head)[0]] = seen[seen >= 0].astype(np.int64)
        heads.append(head + name)
    rows = []
    for _ in range(points.count(51)):
        rows.append(points.take(43))
        points.take(8 * points.count(8))
    for walk in (cameras, images, points):
        walk.finish()
    none = struct.pack("<Q", 0)
    (target / "cameras.bin").write_bytes(cameras.data)
    for name, parts in (("images.bin", heads), ("points3D.bin", rows)):
        (target / name).write_bytes(struct.pack("<Q", len(parts)) + b"".join(part + none for part in parts))
    return observations


def _walk_cameras(cameras: "_Walk") -> None:
    import pycolmap

    for _ in range(cameras.count(24)):
        _, model, _, _ = struct.unpack("<IiQQ", cameras.take(24))
        try:
            camera = pycolmap.Camera.create_from_model_id(1, pycolmap.CameraModelId(model), 1.0, 1, 1)
        except (ValueError, TypeError, IndexError, RuntimeError) as error:
            raise cameras.fault(f"has a camera of the unknown model {model}") from error
        cameras.take(8 * len(camera.params))


def _strip_text(paths: list[Path], target: Path) -> Observations:
    cameras, images, points = (_lines(path) for path in paths)
    images = images + [""] * (len(images) % 2)  # the last image may have no line of observations
    observations: Observations = {}
    for head, seen in zip(images[::2], images[1::2], strict=True):
        if not head.strip():
            continue
        try:
            ids = np.array(seen.split()[2::3], np.int64)
            observations[int(head.split()[0])] = ids[ids >= 0]
        except (ValueError, OverflowError, IndexError) as error:
            raise DatasetError(f"{paths[1]}: {head[:40]!r} is not followed by its points. Export it again.") from error
    heads = [line for line in images[::2] if line.strip()]
    rows = [" ".join(line.split()[:8]) for line in points if line.strip()]
    for path, line, words in [(paths[1], line, 10) for line in heads] + [(paths[2], row, 8) for row in rows]:
        if len(line.split()) < words:
            raise DatasetError(
                f"{path}: the line {line[:60]!r} is cut short, {words} words were expected. Export it again."
            )
    (target / "cameras.txt").write_text("".join(f"{line}\n" for line in cameras if line.strip()))
    (target / "images.txt").write_text("".join(f"{line}\n\n" for line in heads))
    (target / "points3D.txt").write_text("".join(f"{line}\n" for line in rows))
    return observations


def _lines(path: Path) -> list[str]:
    """The lines that are no comments, held to the number that COLMAP's own comment gives."""
    text = read_bytes(path).decode("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    said = re.search(r"^# Number of \w+: (\d{1,12})\b", text, re.MULTILINE)
    entries = sum(1 for line in (lines[::2] if path.stem == "images" else lines) if line.strip())
    if said and int(said[1]) != entries:
        raise DatasetError(
            f"{path}: holds {entries} entries, but its comment says {said[1]}. Copy or export it again, or correct the "
            "comment."
        )
    return lines


class _Walk:
    """A binary file, taken piece by piece; `DatasetError` where a piece would go beyond its end."""

    def __init__(self, path: Path):
        self.path, self.data, self.place = path, read_bytes(path), 0

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.place:
            raise self.fault("is cut short")
        self.place += size
        return self.data[self.place - size : self.place]

    def count(self, bytes_each: int = 1) -> int:
        """The number of things to follow, refused if the rest of the file cannot hold them."""
        (count,) = struct.unpack("<Q", self.take(8))
        if count * bytes_each > len(self.data) - self.place:
            raise self.fault(f"says that {count} entries follow, which it is too short for")
        return count

    def until_zero(self) -> bytes:
        end = self.data.find(b"\0", self.place)
        if end < 0:
            raise self.fault("is cut short in a name")
        return self.take(end + 1 - self.place)

    def finish(self) -> None:
        if self.place != len(self.data):
            raise self.fault(f"goes on for {len(self.data) - self.place} bytes after its last entry")

    def fault(self, what: str) -> DatasetError:
        return DatasetError(f"{self.path}: {what}, so it is damaged. Copy or export the model again.")
