"""Reading of the small files beside the images: contents are checked, paths that leave their scene refused."""

import codecs
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float

from maskrf_core.support.errors import DatasetError, in_short

ROTATION_TOLERANCE = 1e-3  # largest distance of `R Rᵀ` from the identity, by element; published poses are within 1e-5
LONGEST_NAME, LONGEST_PATH = 250, 1000  # bytes of a file's name, to which a suffix may come, and signs of a path


def read_bytes(path: Path) -> bytes:
    """Read the whole file; `DatasetError` if it is missing or cannot be read."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise DatasetError(f"{path}: is no file. Download or unpack the data set again.")
    try:
        return path.read_bytes()
    except OSError as error:
        remedy = "Download or unpack the data set again, or check the file's permissions."
        raise DatasetError(f"{path}: cannot be read ({error.strerror}). {remedy}") from error


def read_json(path: Path, kind: type = dict) -> Any:
    """Read a JSON file whose top level is an object, or a list if `kind` is; `DatasetError` for anything else."""
    try:
        content = json.loads(read_bytes(path))  # whichever UTF it is in, with or without a mark of that
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not valid JSON ({error}). Download or unpack the data set again.") from error
    if not isinstance(content, kind):
        called = {dict: "an object", list: "a list"}
        found = type(content).__name__
        raise DatasetError(f"{path}: holds a JSON {found}, {called[kind]} was expected. Unpack or export it again.")
    return content


def read_text(path: Path, *, ascii_only: bool = True) -> str:
    """Read a text file, of ASCII characters as camera files are, or of any in UTF-8; in UTF-16 if it is so marked.

    Raises:
        DatasetError: the file is missing, or something else.
    """
    data = read_bytes(path)
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is not UTF-8 text ({error}). Download, unpack or export it again.") from error
    if ascii_only and not text.isascii():
        raise DatasetError(f"{path}: not a text file. Download or unpack the data set again.")
    return text


def parse_numbers(words: Sequence[str], where: str) -> Float[np.ndarray, "number"]:
    """Parse finite numbers written as decimals; `DatasetError` naming `where` for anything else."""
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError as error:
        raise DatasetError(f"{where}: numbers were expected ({error}). Unpack the data set again.") from error
    if any("_" in word for word in words) or not np.isfinite(numbers).all():
        raise DatasetError(f"{where}: holds NaN, infinity or a number that is none. Unpack the data set again.")
    return numbers


def read_matrix(path: Path, rows: int, columns: int) -> Float[np.ndarray, "{rows} {columns}"]:
    """Read a matrix written as text, row by row; `DatasetError` unless it is rows × columns finite numbers."""
    numbers = parse_numbers(read_text(path).split(), str(path))
    if len(numbers) != rows * columns:
        found = f"holds {len(numbers)} numbers, {rows}×{columns} were expected"
        raise DatasetError(f"{path}: {found}. Unpack the data set again.")
    return numbers.reshape(rows, columns)


def read_array(path: Path, shape: tuple[int | None, ...]) -> Float[np.ndarray, "..."]:
    """Read a `.npy` array as float64; `DatasetError` unless it is finite and of `shape` (None: any length from 1)."""
    if not path.is_file():
        raise DatasetError(f"{path}: missing. Download or unpack the data set again.")
    try:
        array = np.load(path, allow_pickle=False)
    except Exception as error:  # np.load raises many types on damaged headers
        raise DatasetError(f"{path}: not a readable .npy array ({error}). Unpack the data set again.") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise DatasetError(f"{path}: an array of numbers was expected. Unpack the data set again.")
    sizes = zip(array.shape, shape, strict=False)
    if array.ndim != len(shape) or any(size != (wanted or max(size, 1)) for size, wanted in sizes):
        wanted = "×".join("n" if size is None else str(size) for size in shape)
        raise DatasetError(f"{path}: the array has shape {array.shape}, {wanted} was expected. Unpack it again.")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise DatasetError(f"{path}: the array holds NaN or infinity. Unpack it again.")
    return array


def path_inside(root: Path, relative: str) -> Path:
    """Return `root / relative`, refusing what could lead outside (absolute paths, `..`) and names too long.

    Backslashes are slashes, as programs on Windows write them.
    Links within the root are followed: they are the user's own arrangement, unlike what a data file lists.
    """
    pure = PurePosixPath(relative.replace("\\", "/"))
    if "\0" in relative or pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise DatasetError(f"{root}: lists the file {relative!r}, which is not inside the scene. Correct the list.")
    if len(relative) > LONGEST_PATH or max(len(part.encode(errors="replace")) for part in pure.parts) > LONGEST_NAME:
        raise DatasetError(f"{root}: lists the file {relative[:80]!r}…, a name too long for a file. Correct the list.")
    return root.joinpath(*pure.parts)


def folder_contents(folder: Path) -> list[Path]:
    """List a folder by name, without hidden files; `DatasetError` if it is missing or cannot be listed."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        remedy = "Download or unpack the data set again, or check the folder's permissions."
        raise DatasetError(f"{folder}: cannot be listed ({error.strerror}). {remedy}") from error


def files_stamp(folder: Path, beside: Iterable[Path] = ()) -> str:
    """Digest the names, sizes and times of change of all files in a folder and those below, and of others `beside` it.

    No file is read. Links are followed; names are relative to the folder, so that it may be moved as a whole. Raises
    `OSError` if a file is gone, or a folder cannot be listed.
    """
    found = [(os.path.relpath(path, folder), path.stat()) for path in beside]
    waiting, entered = [folder], set()
    while waiting:
        current = waiting.pop()
        if (real := os.path.realpath(current)) in entered:  # links may lead round in circles
            continue
        entered.add(real)
        with os.scandir(current) as entries:
            for entry in entries:
                if entry.is_dir():
                    waiting.append(Path(entry.path))
                elif entry.is_file():  # no link to nowhere
                    found.append((os.path.relpath(entry.path, folder), entry.stat()))
    lines = sorted({f"{name} {facts.st_size} {facts.st_mtime_ns}" for name, facts in found})
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def scene_folders(parents: Iterable[Path]) -> list[Path]:
    """List the folders in `parents`, parent by parent, each by name; hidden ones and absent parents are passed over."""
    return [folder for parent in parents if parent.is_dir() for folder in folder_contents(parent) if folder.is_dir()]


def find_scene_folder(name: str, scene: str, parents: Iterable[Path]) -> Path:
    """Find the first of `parents` that has a folder `scene`; `DatasetError` that lists those that exist if none has."""
    parents = list(parents)
    existing = scene_folders(parents)
    for folder in existing:
        if folder.name == scene:
            return folder
    places = " or ".join(str(parent) for parent in parents)
    if not existing:
        raise DatasetError(f"{name}: no scenes in {places}. Put the data set there, or give another data root.")
    known = [folder.name for folder in existing]
    nearest = get_close_matches(scene, known, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise DatasetError(f"{name}: no scene {scene!r} in {places}.{hint} Existing are {in_short(known)}.")


def check_w2c(w2c: Float[np.ndarray, "3 4"], where: str) -> None:
    """Raise `DatasetError` unless `w2c` is finite and its left part a rotation (orthonormal, right-handed)."""
    rotation = w2c[:, :3]
    if not np.isfinite(w2c).all():
        raise DatasetError(f"{where}: the pose holds NaN or infinity. Correct the file, or remove the view.")
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if error > ROTATION_TOLERANCE or np.linalg.det(rotation) <= 0:
        raise DatasetError(
            f"{where}: the pose is not a rotation and a translation (R Rᵀ is {error:.2g} from the identity, "
            f"det R = {np.linalg.det(rotation):.2g}). Correct the file; scale and mirroring are not allowed."
        )


def check_intrinsics(K: Float[np.ndarray, "3 3"], where: str) -> None:
    """Raise `DatasetError` unless `K` is finite and invertible, with positive focal lengths and last row 0 0 1."""
    if not np.isfinite(K).all():
        raise DatasetError(f"{where}: the intrinsics hold NaN or infinity. Correct the file, or remove the view.")
    if K[0, 0] <= 0 or K[1, 1] <= 0 or np.abs(K[2] - [0, 0, 1]).max() > 1e-6 or np.linalg.det(K) <= 0:
        raise DatasetError(
            f"{where}: the intrinsics {K.round(3).tolist()} are none: positive focal lengths on the diagonal, the last "
            "row 0 0 1 and a matrix that can be inverted were expected. Correct the file, or remove the view."
        )


def check_depth_range(near: float, far: float, where: str) -> None:
    """Raise `DatasetError` unless 0 < near < far < infinity."""
    if not (0 < near < far < float("inf")):
        found = f"the depth range is ({near:g}, {far:g}), 0 < near < far was expected"
        raise DatasetError(f"{where}: {found}. Correct the file.")
