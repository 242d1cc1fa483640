"""Input of the model: a few posed views as tensors, and the query pixels to render."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


class _Tensors:
    """Base of records of tensors, which may be None, and of other such records."""

    def replace(self, **parts):
        """Return the same with some parts exchanged."""
        return replace(self, **parts)

    def changed(self, change: Callable[[Tensor], Tensor]):
        """Return the same after `change` of each tensor."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: part for name, part in parts.items() if part is not None}
        return replace(
            self,
            **{name: change(part) if isinstance(part, Tensor) else part.changed(change) for name, part in kept.items()},
        )

    def to(self, device: torch.device | str, *, non_blocking: bool = False):
        """Return the same on `device`; to a GPU, `non_blocking` copies what is pinned while Python goes on."""
        return self.changed(lambda tensor: tensor.to(device, non_blocking=non_blocking))


@dataclass(frozen=True)
class Views(_Tensors):
    """Posed views of one scene. Images are in [0, 1]; cameras follow `maskrf_core.cameras`."""

    images: Float[Tensor, "view 3 height width"]
    K: Float[Tensor, "view 3 3"]
    w2c: Float[Tensor, "view 3 4"]
    depth_range: Float[Tensor, "view 2"]  # (near, far) of each view, in scene units
    masks: Bool[Tensor, "view height width"] | None = None
    depths: Float[Tensor, "view 1 height width"] | None = None  # z-depth, 0 where unknown: what the model sees
    true_depths: Float[Tensor, "view 1 height width"] | None = None
    """z-depth that supervises, while `depths` may have been made noisy; None: none does."""
    training_index: Int64[Tensor, "view"] | None = None
    """Place of each view among those that a training of its scene alone may see, -1 for others; free maps' key."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_size(self) -> tuple[int, int]:
        """Return (height, width) in pixels."""
        return self.images.shape[-2], self.images.shape[-1]

    def none(self) -> "Views":
        """Return no view of the same size, with no part but images and cameras."""
        return Views(self.images[:0], self.K[:0], self.w2c[:0], self.depth_range[:0])


@dataclass(frozen=True)
class SourceViews(_Tensors):
    """Views that cost volumes match the reference views against, and whose neighbour each of them is."""

    views: Views  # of the references' size, with no part but images and cameras; there may be none
    neighbours: Int64[Tensor, "reference neighbour"]
    """The nearest views of each reference, nearest first, never itself; counted in [references, then `views`]."""


class ModelInputs(NamedTuple):
    """Needs of a model of its reference views beside images and cameras."""

    depths: bool
    sources: bool
    shared_range: bool = False  # one depth range for all views of a scene, the query too: `SceneViews.in_shared_range`
    object_ranges: bool = True  # in training, ranges of rendered objects are augmented around their own depth


FROM_DEPTHS = ModelInputs(depths=True, sources=False)  # the inputs where nothing else is asked for


@dataclass(frozen=True)
class SceneBatch(_Tensors):
    """One query view, the reference views it is rendered from, and the query pixels (x, y) to render."""

    query: Views
    references: Views
    pixels_xy: Float[Tensor, "ray 2"]
    sources: SourceViews | None = None  # only where visibility comes from cost volumes
