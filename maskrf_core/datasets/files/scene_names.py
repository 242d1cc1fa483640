"""Names of scenes and ids of images: take them apart by the data set's pattern, and refuse what does not fit."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

from maskrf_core.support.errors import DatasetError

Value = TypeVar("Value")
NUMBERS = ("size", "width", "height", "factor")
"""Placeholders of a pattern that stand for a number of one to five digits; any other stands for any word."""


def name_parts(name: str, pattern: str, example: str) -> list[str]:
    """Return the parts of a scene's name that fill the placeholders of `gso/<object>/<black|white>_<raw|size>`.

    Raises:
        DatasetError: the name is not of this pattern; the message gives pattern, example and the nearest word.
    """
    match = re.fullmatch(re.sub(r"<([^>]+)>", _group, pattern), name)
    if match is None:
        raise misnamed(name, pattern, example)
    return list(match.groups())


def misnamed(name: str, pattern: str, example: str) -> DatasetError:
    """Make the error for a name that is not of the pattern."""
    words = [word for part in re.findall(r"<([^>]+\|[^>]+)>", pattern) for word in part.split("|")]
    last = name.split("/")[-1].split("_")[0]
    nearest = [] if last in words else get_close_matches(last, words, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return DatasetError(f"{name}: a scene of this data set is called {pattern}, such as {example}.{hint}")


def look_up(values: Mapping[str, Value], image_id: str, scene_name: str) -> Value:
    """Return the value of an image; raise `DatasetError` for an id that the scene has not."""
    try:
        return values[image_id]
    except KeyError:
        nearest = get_close_matches(str(image_id), values, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        first = next(iter(values), None)
        raise DatasetError(f"{scene_name}: no image {image_id!r}; the first of its ids is {first!r}.{hint}") from None


def _group(placeholder: re.Match) -> str:
    words = placeholder[1].split("|")
    kinds = [r"[1-9][0-9]{0,4}" if word in NUMBERS else word if len(words) > 1 else "[^/]+" for word in words]
    return f"({'|'.join(kinds)})"
