"""What the model takes: a few posed views as tensors, and the query pixels to render."""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Views:
    """Posed views of one scene. Images are in [0, 1]; cameras follow `maskrf_core.cameras`."""

    images: Float[Tensor, "view 3 height width"]
    K: Float[Tensor, "view 3 3"]
    w2c: Float[Tensor, "view 3 4"]
    depth_range: Float[Tensor, "view 2"]
    """(near, far) of each view, in scene units."""
    masks: Bool[Tensor, "view height width"] | None = None
    depths: Float[Tensor, "view 1 height width"] | None = None
    """z-depth, 0 where unknown: what the model sees."""
    true_depths: Float[Tensor, "view 1 height width"] | None = None
    """z-depth that supervises where `depths` was made noisy; None: `depths` itself does."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.images.shape[-2], self.images.shape[-1]

    def replace(self, **parts: Tensor | None) -> "Views":
        """The same views with some parts exchanged."""
        return replace(self, **parts)

    def to(self, device: torch.device | str) -> "Views":
        """The same views on `device`."""
        return _moved(self, device)


@dataclass(frozen=True)
class SceneBatch:
    """One query view, the reference views it is rendered from, and the query pixels (x, y) to render."""

    query: Views
    references: Views
    pixels_xy: Float[Tensor, "ray 2"]

    def to(self, device: torch.device | str) -> "SceneBatch":
        """The same batch on `device`."""
        return _moved(self, device)


def _moved(value, device):
    parts = {field.name: getattr(value, field.name) for field in fields(value)}
    return replace(value, **{name: part.to(device) for name, part in parts.items() if part is not None})
