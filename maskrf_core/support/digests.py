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
    if isinstance(value, torch.Tensor):
        data = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        _feed_bytes(hasher, f"tensor {value.dtype} {tuple(value.shape)}", data)
    elif isinstance(value, np.ndarray):
        data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        _feed_bytes(hasher, f"array {value.dtype.str} {value.shape}", data)
    elif isinstance(value, bytes):
        _feed_bytes(hasher, f"bytes {len(value)}", value)
    elif isinstance(value, BaseModel):
        _feed_parts(hasher, f"settings {type(value).__name__}", value.model_dump())
    elif is_dataclass(value):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        _feed_parts(hasher, f"dataclass {type(value).__name__}", parts)
    elif isinstance(value, Mapping):
        _feed_parts(hasher, "mapping", value)
    elif isinstance(value, list | tuple):
        _feed_bytes(hasher, f"sequence {len(value)}", b"")
        for item in value:
            _feed(hasher, item)
    elif value is None or isinstance(value, bool | int | float | str):
        text = repr(value).encode()
        _feed_bytes(hasher, f"{type(value).__name__} {len(text)}", text)
    else:
        raise TypeError(f"{type(value).__name__} has no digest")


def _feed_parts(hasher, kind: str, parts: Mapping) -> None:
    _feed_bytes(hasher, kind, b"")
    _feed(hasher, list(parts.items()))


def _feed_bytes(hasher, kind: str, data) -> None:
    hasher.update(f"{kind}\n".encode())
    hasher.update(data)
