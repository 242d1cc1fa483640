"""Ways in which a data set on disk goes wrong: each changes one file of a tree and says what it did."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

Mutation = Callable[[Path, np.random.Generator], None]
TEXTS = (".txt", ".json")
ARRAYS = (".npy", ".npz")
IMAGES = (".png", ".jpg", ".jpeg")


def removed(path: Path, generator: np.random.Generator) -> None:
    path.unlink()


def emptied(path: Path, generator: np.random.Generator) -> None:
    path.write_bytes(b"")


def truncated(path: Path, generator: np.random.Generator) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(generator.integers(len(content)))])


def bytes_changed(path: Path, generator: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    for place in generator.integers(len(content), size=int(generator.integers(1, 6))):
        content[place] = int(generator.integers(256))
    path.write_bytes(content)


def noise_instead(path: Path, generator: np.random.Generator) -> None:
    path.write_bytes(generator.bytes(200))


def tail_added(path: Path, generator: np.random.Generator) -> None:
    path.write_bytes(path.read_bytes() + generator.bytes(64))


def swapped_with_another(path: Path, generator: np.random.Generator) -> None:
    others = [other for other in sorted(path.parent.rglob("*")) if other.is_file() and other != path] or [path]
    other = others[generator.integers(len(others))]
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)


def folder_instead(path: Path, generator: np.random.Generator) -> None:
    path.unlink()
    path.mkdir()


def pipe_instead(path: Path, generator: np.random.Generator) -> None:
    """Reading one waits for somebody who writes."""
    path.unlink()
    os.mkfifo(path)


def dangling_link_instead(path: Path, generator: np.random.Generator) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def link_to_itself_instead(path: Path, generator: np.random.Generator) -> None:
    path.unlink()
    path.symlink_to(path)


def link_out_of_the_root(path: Path, generator: np.random.Generator) -> None:
    target = _outside(path) / f"elsewhere{path.suffix}"
    target.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(target)


def strange_neighbours(path: Path, generator: np.random.Generator) -> None:
    """What other systems and people leave beside files; one name is not UTF-8."""
    for name in (b".DS_Store", b"Thumbs.db", b"notes.txt", b"caf\xe9.txt", b"._" + os.fsencode(path.name)):
        Path(os.fsdecode(os.fsencode(path.parent) + b"/" + name)).write_bytes(b"\x00\x05\x16\x07")


def name_that_is_not_utf8(path: Path, generator: np.random.Generator) -> None:
    path.rename(os.fsdecode(os.fsencode(path.parent) + b"/\xff\xfe" + os.fsencode(path.name)))


def a_copy_beside(path: Path, generator: np.random.Generator) -> None:
    path.with_name(f"{path.stem}_copy{path.suffix}").write_bytes(path.read_bytes())


def number_replaced(path: Path, generator: np.random.Generator) -> None:
    words = path.read_text().split(" ")
    places = [index for index, word in enumerate(words) if any(sign.isdigit() for sign in word)] or [0]
    place = places[generator.integers(len(places))]
    end = "," if words[place].rstrip().endswith(",") else ""
    words[place] = str(generator.choice(["nan", "inf", "-1", "0", "1e400", "1e30", "", "word", "null", "[]"])) + end
    path.write_text(" ".join(words))


def line_removed(path: Path, generator: np.random.Generator) -> None:
    lines = path.read_text().splitlines(keepends=True) or [""]
    del lines[generator.integers(len(lines))]
    path.write_text("".join(lines))


def line_repeated(path: Path, generator: np.random.Generator) -> None:
    lines = path.read_text().splitlines(keepends=True) or [""]
    place = int(generator.integers(len(lines)))
    path.write_text("".join([*lines[:place], lines[place], *lines[place:]]))


def array_changed(path: Path, generator: np.random.Generator) -> None:
    loaded = np.load(path)
    arrays = {name: loaded[name] for name in loaded.files} if path.suffix == ".npz" else {"": loaded}
    name = list(arrays)[generator.integers(len(arrays))]
    array = np.array(arrays[name], dtype=np.float64)
    choice = generator.integers(8)
    if choice < 4 and array.size:
        array.flat[generator.integers(array.size)] = (np.nan, np.inf, -1e30, 0.0)[choice]
    else:
        array = {4: array[:-1], 5: array.astype(str), 6: np.zeros_like(array), 7: array[..., None]}.get(choice, array)
    arrays[name] = array
    written = io.BytesIO()
    np.savez(written, **arrays) if path.suffix == ".npz" else np.save(written, array)
    path.write_bytes(written.getvalue())


def key_removed(path: Path, generator: np.random.Generator) -> None:
    with np.load(path) as loaded:
        names = list(loaded.files)
        kept = {name: loaded[name] for name in names if name != names[generator.integers(len(names))]}
    np.savez(path, **kept)


def huge_image(path: Path, generator: np.random.Generator) -> None:
    """A PNG of a few bytes whose header asks for 40 gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 120_000, 120_000, 8, 2, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    path.write_bytes(signature + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))


ANY_FILE = (
    removed,
    emptied,
    truncated,
    bytes_changed,
    noise_instead,
    tail_added,
    swapped_with_another,
    folder_instead,
    pipe_instead,
    dangling_link_instead,
    link_to_itself_instead,
    link_out_of_the_root,
    strange_neighbours,
    name_that_is_not_utf8,
    a_copy_beside,
)


def mutations_of(path: Path) -> tuple[Mutation, ...]:
    """What can go wrong with a file of this kind."""
    if path.suffix in TEXTS:
        return (*ANY_FILE, number_replaced, line_removed, line_repeated)
    if path.suffix in ARRAYS:
        extra = (key_removed,) if path.suffix == ".npz" else ()
        return (*ANY_FILE, array_changed, *extra)
    if path.suffix in IMAGES:
        return (*ANY_FILE, huge_image)
    return ANY_FILE


def _outside(path: Path) -> Path:
    """A folder beside the data root of a tree."""
    root = next(parent for parent in path.parents if parent.name == "root")
    folder = root.parent / "outside"
    folder.mkdir(exist_ok=True)
    return folder
