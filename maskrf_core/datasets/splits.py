"""Rules that split the images of a scene into references and queries, for training, validation and test."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

SplitKind = Literal["train", "validation", "test"]
SplitRule = Callable[[str, Sequence[str], SplitKind], tuple[list[str], list[str]]]
"""(name of the scene, its image ids, kind) → (reference ids, query ids)."""
VALIDATION_NUMBERS = (39, 2, 94, 62, 23, 36)
"""Frames of NeRF's synthetic scenes that the published training (NeuRay) validates on."""


@dataclass(frozen=True)
class EveryNth:
    """Test and validate on the `queries`, by default every 8th image from the first as NeRF does, from all others.

    Where the slice takes none, the middle image is the query. A training has every image as query and reference, or
    the references alone if `trains_on_all` is False.
    """

    queries: slice = field(default_factory=lambda: slice(None, None, 8))
    trains_on_all: bool = True

    def __call__(self, name: str, image_ids: Sequence[str], kind: SplitKind) -> tuple[list[str], list[str]]:
        """Return (reference ids, query ids)."""
        if kind == "train" and self.trains_on_all:
            return list(image_ids), list(image_ids)
        queries = list(image_ids[self.queries] or image_ids[len(image_ids) // 2 :][:1])
        references = [image_id for image_id in image_ids if image_id not in queries]
        return references, list(references) if kind == "train" else queries


def nerf_synthetic_split(name: str, image_ids: Sequence[str], kind: SplitKind) -> tuple[list[str], list[str]]:
    """Return the train frames as references; validation queries are the published six, as far as they exist."""
    train = [image_id for image_id in image_ids if image_id.startswith("train-")]
    if kind != "validation":
        return train, [image_id for image_id in image_ids if image_id.startswith(f"{kind}-")]
    wanted = [f"val-r_{number}" for number in VALIDATION_NUMBERS]
    absent = [image_id for image_id in wanted if image_id not in image_ids]
    if absent:
        warnings.warn(
            f"{name}: transforms_val.json does not list the validation frames {', '.join(absent)}; validating on "
            f"{len(wanted) - len(absent)}.",
            stacklevel=3,
        )
    return train, [image_id for image_id in wanted if image_id not in absent]
