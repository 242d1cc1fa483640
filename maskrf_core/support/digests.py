"""SHA-256 of structured values, tensors included."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel


def digest(value: Any) -> str:
    """Return the SHA-256 of plain values, tensors, arrays, dataclasses, settings, and sequences and mappings of them.

    Types, shapes, names and order count, so that no two different values are written alike; but a tuple is as a list.
    """
    hasher = hashlib.sha256()
    _feed(hasher, value)
    return hasher.hexdigest()


def _feed(hasher, value: Any) -> None:
    """Feed a head, which ends with a line break, then the bytes of a value, then its parts."""
    data, parts, name = b"", (), type(value).__name__
    match value:
        case torch.Tensor():
            head = f"tensor {value.dtype} {tuple(value.shape)}"
            data = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        case np.ndarray():
            head, data = (
                f"array {value.dtype.str} {value.shape}",
                np.ascontiguousarray(value).reshape(-1).view(np.uint8),
            )
        case bytes():
            head, data = f"bytes {len(value)}", value
        case BaseModel():
            head, parts = f"settings {name}", [list(value.model_dump().items())]
        case Mapping():
            head, parts = "mapping", [list(value.items())]
        case list() | tuple():
            head, parts = f"sequence {len(value)}", value
        case None | bool() | int() | float() | str():
            data = repr(value).encode()
            head = f"{name} {len(data)}"
        case _ if is_dataclass(value):
            head, parts = f"dataclass {name}", [[(field.name, getattr(value, field.name)) for field in fields(value)]]
        case _:
            raise TypeError(f"{name} has no digest")
    hasher.update(f"{head}\n".encode())
    hasher.update(data)
    for part in parts:
        _feed(hasher, part)
