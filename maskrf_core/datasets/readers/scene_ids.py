"""What the layouts share about ids: finding an image by its id, and which of a scene's images are queries."""

from collections.abc import Mapping
from typing import TypeVar

from maskrf_core.datasets.scene import SplitKind
from maskrf_core.support.errors import DatasetError

Value = TypeVar("Value")
QUERY_STRIDE = 8


def look_up(values: Mapping[str, Value], image_id: str, scene_name: str) -> Value:
    """The value of an image; `DatasetError` for an id that the scene has not."""
    try:
        return values[image_id]
    except KeyError:
        raise DatasetError(
            f"{scene_name}: no image {image_id!r}; the first of its ids is {next(iter(values))!r}."
        ) from None


def every_eighth(image_ids: list[str]) -> tuple[list[str], list[str]]:
    """(references, queries): every 8th id, from the first, is a query, as NeRF does on forward-facing scenes."""
    references = [image_id for row, image_id in enumerate(image_ids) if row % QUERY_STRIDE]
    return references, image_ids[::QUERY_STRIDE]


def training_split(image_ids: list[str], kind: SplitKind) -> tuple[list[str], list[str]]:
    """Of a scene that is for training: every image is both; to validate or test on it, `every_eighth`."""
    return (list(image_ids), list(image_ids)) if kind == "train" else every_eighth(image_ids)
