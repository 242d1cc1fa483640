"""COLMAP's sparse models (cameras, images and points3D, .bin or .txt) as plain arrays.

They are not read by `pycolmap.Reconstruction`. It refuses models whose tracks and observations disagree, as those of
the published example do, and trusts the counts in binary files: cut short, `cameras.bin` gives cameras of chance, and
`points3D.bin` is read without end.
"""

import re
import struct
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from maskrf_core.datasets.captures.lens_camera import LensCamera, parameter_count
from maskrf_core.datasets.files.checked_files import check_w2c, parse_numbers, path_inside, read_bytes, read_text
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.importing import import_pycolmap

FILES = ("cameras", "images", "points3D")
POINT2D = np.dtype([("xy", "<f8", 2), ("point", "<i8")])
POINT3D = np.dtype([("id", "<i8"), ("xyz", "<f8", 3), ("colour and error", "V11")])


class ColmapView(NamedTuple):
    """One registered image; `seen` are the rows of the model's points that it observes."""

    image_id: int
    name: str
    camera: LensCamera
    w2c: Float[np.ndarray, "3 4"]
    seen: Int64[np.ndarray, "_observation"]


class ColmapModel(NamedTuple):
    """Views in the order of COLMAP's image ids, and the sparse points in world units."""

    views: tuple[ColmapView, ...]
    points: Float[np.ndarray, "point 3"]


# An image as the files have it: id, quaternion (w first) and translation, camera's id, name, ids of points seen.
_Image = tuple[int, list[float], int, str, Int64[np.ndarray, "_observation"]]
# Cameras with their ids, images, ids of points, and the points.
_Content = tuple[list[tuple[int, LensCamera]], list[_Image], Int64[np.ndarray, "point"], Float[np.ndarray, "point 3"]]


def is_colmap_model(folder: Path) -> bool:
    """Tell whether the three files of a model are there."""
    return _model_files(folder) is not None


def _model_files(folder: Path) -> list[Path] | None:
    wholes = ([folder / f"{name}{suffix}" for name in FILES] for suffix in (".bin", ".txt"))
    return next((paths for paths in wholes if all(path.is_file() for path in paths)), None)


def read_colmap_model(folder: str | Path) -> ColmapModel:
    """Read the model in `folder`; rigs are not needed, since each image has its own pose.

    Raises:
        DatasetError: there is no model, or it is damaged: cut short, of unknown camera models, with poses that are no
            rotation, with names that lead out of the image folder.
    """
    folder = Path(folder)
    if (paths := _model_files(folder)) is None:
        raise DatasetError(
            f"{folder}: no whole COLMAP model; cameras, images and points3D, all .bin or all .txt, were expected. "
            "Copy or export the model again."
        )
    cameras, images, ids, points = (_read_text if paths[0].suffix == ".txt" else _read_binary)(*paths)
    for path, used in zip(paths, ([key for key, _ in cameras], [image[0] for image in images], ids), strict=True):
        if len(np.unique(used)) < len(used):
            raise _fault(path, "gives two entries one id")
    if not images:
        raise DatasetError(f"{folder}: the model has no images. Give a model whose reconstruction succeeded.")
    if len({image[3] for image in images}) < len(images):
        raise DatasetError(f"{folder}: two images of the model have one name. Export the model again.")
    if not np.isfinite(points).all():
        raise DatasetError(f"{folder}: a point is NaN or infinite. Copy or export the model again.")
    order = ids.view(np.uint64).argsort()
    views = [_view(folder, dict(cameras), ids[order], image) for image in sorted(images, key=itemgetter(0))]
    return ColmapModel(tuple(views), points[order])


def _view(
    folder: Path, cameras: dict[int, LensCamera], point_ids: Int64[np.ndarray, "point"], image: _Image
) -> ColmapView:
    pycolmap = import_pycolmap()

    image_id, (w, x, y, z, *translation), camera_id, name, observed = image
    where = f"{folder}, image {image_id} ({name})"
    path_inside(folder, name)
    if camera_id not in cameras:
        raise DatasetError(f"{where}: its camera {camera_id} is not in the model. Copy or export it again.")
    cameras[camera_id].check(where)
    if np.abs([w, x, y, z]).max() < 0.4:  # of length 1 it is at least ½
        raise DatasetError(f"{where}: its quaternion is none of length 1. Copy or export the model again.")
    w2c = np.array(pycolmap.Rigid3d(pycolmap.Rotation3d([x, y, z, w]), translation).matrix(), np.float64)
    check_w2c(w2c, where)
    seen = np.flatnonzero(np.isin(point_ids, observed)).astype(np.int64)
    return ColmapView(image_id, name, cameras[camera_id], w2c, seen)


def _read_binary(*paths: Path) -> _Content:
    in_cameras, in_images, in_points = (_Walk(path) for path in paths)
    cameras, images, heads = [], [], []
    for _ in range(in_cameras.count(24)):
        camera_id, model, width, height = struct.unpack("<IiQQ", in_cameras.take(24))
        if (known := parameter_count(model)) is None:
            raise in_cameras.fault(f"has a camera of the unknown model {model}")
        parameters = struct.unpack(f"<{known[1]}d", in_cameras.take(8 * known[1]))
        cameras.append((camera_id, LensCamera(known[0], width, height, parameters)))
    for _ in range(in_images.count()):
        image_id, *pose, camera_id = struct.unpack("<I7dI", in_images.take(64))
        length = in_images.data.find(b"\0", in_images.place) - in_images.place
        if length < 0:
            raise in_images.fault("is cut short in a name")
        try:
            name = in_images.take(length + 1)[:-1].decode("utf-8")
        except UnicodeDecodeError as error:
            raise in_images.fault(f"has a name that is not UTF-8 ({error})") from error
        seen = np.frombuffer(in_images.take(POINT2D.itemsize * in_images.count(POINT2D.itemsize)), POINT2D)["point"]
        images.append((image_id, pose, camera_id, name, seen[seen >= 0].astype(np.int64)))
    for _ in range(in_points.count(POINT3D.itemsize + 8)):
        heads.append(in_points.take(POINT3D.itemsize))
        in_points.take(8 * in_points.count(8))  # the track
    for walk in (in_cameras, in_images, in_points):
        if rest := len(walk.data) - walk.place:
            raise walk.fault(f"goes on for {rest} bytes after its last entry")
    points = np.frombuffer(b"".join(heads), POINT3D)
    return cameras, images, points["id"].astype(np.int64), points["xyz"].astype(np.float64)


def _read_text(*paths: Path) -> _Content:
    cameras, ids, points = [], [], []
    lines, said = _lines(paths[0])
    for line in lines:
        camera_id, model, *numbers = _words(line, 4, paths[0])
        known, (width, height, *parameters) = parameter_count(model), parse_numbers(numbers, str(paths[0])).tolist()
        if known is None or known[1] != len(parameters) or not (width == int(width) and height == int(height)):
            raise _fault(paths[0], f"has a camera of an unknown model or without its parameters ({line[:60]!r})")
        lens = LensCamera(model, int(width), int(height), tuple(parameters))
        cameras.append((int(_ids([camera_id], paths[0])[0]), lens))
    _check_count(paths[0], len(cameras), said)
    lines, said = _lines(paths[2])
    for line in lines:
        words = _words(line, 8, paths[2])
        ids.append(words[0])
        points.append(parse_numbers(words[1:4], str(paths[2])))
    _check_count(paths[2], len(ids), said)
    return cameras, _text_images(paths[1]), _ids(ids, paths[2]), np.array(points, np.float64).reshape(-1, 3)


def _text_images(path: Path) -> list[_Image]:
    """Read images.txt: a line of an image, then one of what it observes, (x, y, point) each, which may be empty.

    Blank lines and comments may stand anywhere: the two lines are told apart by what they hold.
    """
    images: list[_Image] = []
    may_observe = False
    lines, said = _lines(path)
    for line in lines:
        observed = _observed(line) if may_observe else None
        if observed is None:
            words = _words(line, 10, path)
            image_id, camera_id = _ids([words[0], words[8]], path).tolist()
            pose, name = parse_numbers(words[1:8], str(path)).tolist(), line.split(maxsplit=9)[9]
            images.append((image_id, pose, camera_id, name, np.zeros(0, np.int64)))
        else:
            images[-1] = (*images[-1][:4], observed[observed >= 0])
        may_observe = observed is None
    _check_count(path, len(images), said)
    return images


def _observed(line: str) -> Int64[np.ndarray, "_observation"] | None:
    """Return the ids of the points in a line of observations; None for any other line."""
    words = line.split()
    try:
        np.array(words, np.float64)
        return np.array(words[2::3], np.int64) if len(words) % 3 == 0 else None
    except (ValueError, OverflowError):
        return None


def _lines(path: Path) -> tuple[list[str], int | None]:
    """Return the lines that are neither blank nor comments, and the number of entries by COLMAP's own comment."""
    lines = [line for line in map(str.strip, read_text(path, ascii_only=False).split("\n")) if line]
    said = (re.match(r"# Number of \w+: (\d{1,12})\b", line) for line in lines)
    return [line for line in lines if not line.startswith("#")], next((int(each[1]) for each in said if each), None)


def _check_count(path: Path, entries: int, said: int | None) -> None:
    if said is not None and said != entries:
        found = f"holds {entries} entries, but its comment says {said}"
        raise DatasetError(f"{path}: {found}. Copy or export it again, or correct the comment.")


def _words(line: str, least: int, path: Path) -> list[str]:
    if len(words := line.split()) < least:
        raise _fault(path, f"has a line {line[:60]!r} of fewer than {least} words")
    return words


def _ids(words: Sequence[str], path: Path) -> Int64[np.ndarray, "number"]:
    try:
        return np.array(words, np.int64)
    except (ValueError, OverflowError) as error:
        raise _fault(path, f"has something else where numbers of images or points should be ({error})") from error


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
        """Return the number of things to follow, refused if the rest of the file cannot hold them."""
        (count,) = struct.unpack("<Q", self.take(8))
        if count * bytes_each > len(self.data) - self.place:
            raise self.fault(f"says that {count} entries follow, which it is too short for")
        return count

    def fault(self, what: str) -> DatasetError:
        return _fault(self.path, what)


def _fault(path: Path, what: str) -> DatasetError:
    return DatasetError(f"{path}: {what}, so it is damaged. Copy or export the model again.")
