"""What a checkpoint file says that it holds, checked before torch makes any of it: no more than the file's own size."""

import math
import pickle
import re
import zipfile
from collections.abc import Sized
from pathlib import Path
from typing import Any, BinaryIO

from maskrf_core.support.errors import CheckpointError

ZIP_BEGINS = b"PK\x03\x04"
PICKLES_BEFORE, PICKLES_AFTER = 3, 1  # of the one with the values, in files of torch before 1.6
BYTES = {"Double": 8, "Long": 8, "ComplexFloat": 8, "ComplexDouble": 16, "Float": 4, "Int": 4, "Half": 2}
BYTES |= {"BFloat16": 2, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1, "Untyped": 1}
TENSORS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
PLAIN = re.compile(
    r"collections\.(OrderedDict|Counter)|builtins\.(set|complex)|_codecs\.encode"
    r"|torch\.(Size|device|strided|(b?float|u?int|complex)\d+|bool)|torch\._utils\._rebuild_parameter(_with_state)?"
    r"|torch\.serialization\._get_layout|numpy\.(_?core\.multiarray\.scalar|dtype(s\.\w+)?)"
)
NUMPY_KIND = re.compile(r"[?bhilqpBHILQPefdgiu]\d{0,2}")  # not text, bytes or records: their size is part of the name


def check_contents(path: Path) -> None:
    """Check that reading a file takes no more memory than its own size, and a little for each value that it names.

    Raises:
        CheckpointError: parts are packed, or there are more or larger values than the file has room for.
        pickle.UnpicklingError: it names something else than tensors and plain values; many kinds, where it is damaged.
    """
    with path.open("rb") as file:
        zipped = file.read(len(ZIP_BEGINS)) == ZIP_BEGINS
        file.seek(0)
        outline = _Outline(file, path)
        if zipped:
            outline.read_zip()
        else:
            for _ in range(PICKLES_BEFORE + 1 + PICKLES_AFTER):
                outline.load()


class _Named:
    """Stands for what a pickle names or makes of it. Nothing that a pickle says of it has an effect."""

    def __init__(self, outline: "_Outline", name: str = "", size: int = 0):
        self.outline, self.name, self.size = outline, name, size

    def __call__(self, *arguments: Any) -> "_Named":
        self.outline.check_made(self.name, arguments)
        return _Named(self.outline)

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


class _Outline(pickle._Unpickler):  # of Python's own: the one in C reserves at once what a pickle says that it needs
    """Goes through a pickle without making what it names."""

    def __init__(self, file: BinaryIO, path: Path):
        super().__init__(file, encoding="latin1")
        self.path, self.room = path, path.stat().st_size
        self.left = self.room  # for what is made of other values
        self.storages: dict[Any, int] = {}  # bytes by key
        self.parts: dict[str, int] | None = None  # bytes of each part of a zip file by name
        self.file = file

    def read_zip(self) -> None:
        """Go through a zip file, in which every storage is a part of its own."""
        with zipfile.ZipFile(self.file) as archive:
            parts = archive.infolist()
            self.parts = {part.filename: part.file_size for part in parts}
            if len({name.lower() for name in self.parts}) < len(parts):  # torch may read another than we do
                raise self.too_much("several parts of one name")
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
                raise self.too_much("packed parts")
            if sum(self.parts.values()) > self.room:
                raise self.too_much("parts that overlap")
            self.folder = parts[0].filename.split("/")[0]
            with archive.open(f"{self.folder}/data.pkl") as values:
                super().__init__(values, encoding="latin1")
                self.load()

    def find_class(self, module: str, name: str) -> _Named:
        full, kind = f"{module}.{name}", name.removesuffix("Storage")
        if full in TENSORS or PLAIN.fullmatch(full):
            return _Named(self, full)
        if kind in BYTES and full in (f"torch.{name}", f"torch.storage.{name}"):
            return _Named(self, "storage", BYTES[kind])
        raise pickle.UnpicklingError(full)

    def persistent_load(self, pid: Any) -> _Named:
        _, kind, key, _, count = pid[:5]
        if not isinstance(count, int) or count < 0 or kind.name != "storage":
            raise self.too_much("a storage of no size")
        size = count * kind.size
        known = self.storages.setdefault(key, size)
        part = size if self.parts is None else self.parts[f"{self.folder}/data/{key}"]
        if known != size or part < size or sum(self.storages.values()) > self.room:
            raise self.too_much(f"a storage of {size} bytes")
        return _Named(self, "values", count)

    def check_made(self, name: str, arguments: tuple) -> None:
        """Check what the function of that name would be called with."""
        if name in TENSORS:
            storage, offset, shape, strides = arguments[:4]
            counted = [offset, *shape, *strides]
            reach = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True)) + 1
            fits = all(isinstance(number, int) and number >= 0 for number in counted) and storage.name == "values"
            if not fits or math.prod(shape) > storage.size or (math.prod(shape) and reach > storage.size):
                raise self.too_much(f"a tensor of shape {list(shape)}")
        elif name == "numpy.dtype" and not NUMPY_KIND.fullmatch(arguments[0]):
            raise pickle.UnpicklingError(f"numpy.dtype({arguments[0]!r})")
        elif not name:
            raise pickle.UnpicklingError("a call of what is no function")
        self.left -= sum(len(each) for each in arguments if isinstance(each, Sized))
        if self.left < 0:
            raise self.too_much("values made of others")

    def too_much(self, what: str) -> CheckpointError:
        """Return the error for what a file of this size does not hold."""
        return CheckpointError(
            f"{self.path}: is of {self.room} bytes, and tells of {what}: more than it holds. Use another copy."
        )
