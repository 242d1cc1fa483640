"""Whether cameras, depth and photographs of a scene fit together."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch.nn.functional import grid_sample

from maskrf_core.cameras import back_project, project
from maskrf_core.datasets.batches.scene_views import SceneViews, expand_scene_names
from maskrf_core.datasets.scene import Scene, open_scene

SAME_SURFACE = 0.02
"""Relative difference of depth up to which two views are taken to see the same surface."""


class DepthQuality(NamedTuple):
    """How good estimated depth maps are."""

    median_error: float
    """Median of |estimate - truth| / truth over the pixels where both are known."""
    kept: float
    """Share of the foreground whose depth is known."""

    def __str__(self) -> str:
        error = "the truth is not known" if np.isnan(self.median_error) else f"median error {self.median_error:.2%}"
        return (
            f"{self.kept:.1%} of the foreground kept, {error}{'' if np.isnan(self.median_error) else ' of the depth'}"
        )


class Carried(NamedTuple):
    """Another view's colours, seen from here."""

    colours: Float[np.ndarray, "height width 3"]
    visible: Bool[np.ndarray, "height width"]
    """True where the depth is known and the other view sees the same surface."""


class StackedCameras(NamedTuple):
    """Cameras of some views as arrays; `size` is (height, width) of the first one's image."""

    K: Float[np.ndarray, "view 3 3"]
    w2c: Float[np.ndarray, "view 3 4"]
    depth_ranges: Float[np.ndarray, "view 2"]
    size: tuple[int, int]


def first_photographs(names: Sequence[str]) -> dict[str, UInt8[np.ndarray, "height width 3"]]:
    """The first image of each demo scene, by its name; `demo/train` and the like stand for all of their scenes."""
    opened = [open_scene(name) for name in expand_scene_names(names)]
    return {scene.name: scene.image(scene.image_ids[0]) for scene in opened}


def stacked_cameras(scene: Scene, image_ids: Sequence[str]) -> StackedCameras:
    """Everything about the cameras of these views."""
    parts = (np.stack([np.asarray(read(name)) for name in image_ids]) for read in (scene.K, scene.w2c))
    ranges = np.array([scene.depth_range(name) for name in image_ids])
    return StackedCameras(*parts, ranges, scene.image(image_ids[0]).shape[:2])


def nearest_views(scene: Scene, image_id: str, candidates: Sequence[str], count: int = 1) -> list[str]:
    """Up to `count` candidates, other than the view itself, whose cameras are nearest."""
    others = [name for name in candidates if name != image_id]
    return SceneViews(scene).nearest(image_id, others, min(count, len(others)))


def depth_quality(
    estimates: Mapping[str, Float[np.ndarray, "height width"]],
    truths: Mapping[str, Float[np.ndarray, "height width"]],
    masks: Mapping[str, Bool[np.ndarray, "height width"]],
) -> DepthQuality:
    """Error and coverage over all views; the error is NaN where no truth is given."""
    errors = []
    for image_id, truth in truths.items():
        estimate = estimates[image_id]
        both = (estimate > 0) & (truth > 0)
        errors.append(np.abs(estimate[both] - truth[both]) / truth[both])
    known = sum(int((estimates[image_id] > 0)[mask].sum()) for image_id, mask in masks.items())
    foreground = sum(int(mask.sum()) for mask in masks.values())
    pooled = np.concatenate(errors) if errors else np.zeros(0)
    return DepthQuality(float(np.median(pooled)) if len(pooled) else float("nan"), known / max(1, foreground))


def carry_colours(
    scene: Scene, here: str, there: str, depths: Mapping[str, Float[np.ndarray, "height width"]]
) -> Carried:
    """Look up every pixel of view `here` in view `there`, through its depth and both cameras."""
    points = back_project(_tensor(scene.K(here)), _tensor(scene.w2c(here)), _tensor(depths[here]))[0]
    there_image, there_depth = _tensor(scene.image(there)) / 255, _tensor(depths[there])
    height, width = there_depth.shape[1:]
    projection = project(_tensor(scene.K(there)), _tensor(scene.w2c(there)), points, height, width)
    xy = projection.pixels_xy[0]
    normalised = 2 * xy / torch.tensor([width - 1, height - 1]) - 1
    colours = grid_sample(there_image.permute(0, 3, 1, 2), normalised[None], align_corners=True)[0].permute(1, 2, 0)
    column, row = xy[..., 0].round().long().clamp(0, width - 1), xy[..., 1].round().long().clamp(0, height - 1)
    seen = there_depth[0, row, column]
    same = (projection.depth[0] - seen).abs() <= SAME_SURFACE * seen
    visible = projection.valid[0] & same & (seen > 0) & torch.from_numpy(depths[here] > 0)
    return Carried(colours.numpy(), visible.numpy())


def colour_differences(scene: Scene, here: str, there: str, carried: Carried) -> tuple[float, float]:
    """Mean |difference| of RGB in [0, 1] where both views see a surface: carried over, and pixel by pixel as it is."""
    image = scene.image(here) / 255
    through = np.abs(image - carried.colours)[carried.visible].mean()
    unmoved = np.abs(image - scene.image(there) / 255)[carried.visible].mean()
    return float(through), float(unmoved)


def _tensor(array: np.ndarray) -> torch.Tensor:
    """One view as float32."""
    return torch.from_numpy(np.asarray(array, dtype=np.float32))[None]
