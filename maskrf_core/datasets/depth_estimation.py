"""Depth maps for scenes without any: a plane sweep for every view; what the other views do not confirm is cut."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from tqdm import tqdm

from maskrf_core.cameras import camera_centres
from maskrf_core.datasets.depth_consistency import confirmed_depth, off_silhouettes, smooth_surface
from maskrf_core.datasets.plane_sweep import SweepSettings, SweepView, sweep_around, sweep_depth
from maskrf_core.datasets.resize import downscale_image, downscale_nearest, scale_intrinsics
from maskrf_core.datasets.scene import Scene
from maskrf_core.errors import DatasetError

SURFACE_STEPS = 4.0
"""Steps in depth between pixels of one surface, in distances between planes."""


@dataclass(frozen=True)
class DepthSettings:
    """How depth is estimated and which pixels are kept; chosen on training scenes of the demo."""

    longest_side: int = 256
    """Larger images are estimated at this size in pixels, and the map is enlarged by nearest."""
    sources: int = 4
    """Neighbours that a view is matched with."""
    best_angle: float = 10.0
    """Angle in degrees, between two views of the middle of the scene, that serves matching best."""
    silhouettes: int = 12
    """How many views' masks forbid depths that would put a foreground pixel on their background."""
    confirming_views: int = 1
    """How many neighbours must agree with a depth for it to be kept..."""
    asked_views: int = 8
    """...out of how many."""
    depth_tolerance: float = 0.015
    """Relative difference of depth at which two views still agree."""
    pixel_tolerance: float = 1.0
    """Pixels (at the size estimated) within which a point comes back from a neighbour's depth map."""
    sweep: SweepSettings = field(default_factory=SweepSettings)


@torch.no_grad()
def estimate_depth_maps(
    scene: Scene,
    image_ids: Sequence[str],
    *,
    device: str | torch.device = "cpu",
    progress: bool = True,
    settings: DepthSettings | None = None,
) -> dict[str, Float32[np.ndarray, "_height _width"]]:
    """z-depth of each view, 0 where no other view confirms it and on the background.

    Only the views of `image_ids` are looked at, so that held-out views stay unseen; the more there are, the better.

    Raises:
        DatasetError: fewer than two views, or a file of the scene is missing or broken.
    """
    settings = settings or DepthSettings()
    if len(image_ids) < 2:
        raise DatasetError(
            f"{scene.name}: depth cannot be estimated from {len(image_ids)} view. Give at least two views of the scene."
        )
    views = [_load(scene, image_id, settings, device) for image_id in image_ids]
    order = neighbour_order(views, settings.best_angle)
    with tqdm(total=2 * len(views), desc=f"depth of {scene.name}", unit="pass", disable=not progress) as bar:
        depths = _sweep_all(views, order, settings, bar)
        depths = _refine_all(views, order, depths, settings, bar)
    maps = {}
    for index, image_id in enumerate(image_ids):
        mask = scene.mask(image_id)
        kept = _confirm(views, order, depths, index, settings).cpu().numpy()
        kept = cv2.resize(kept, mask.shape[::-1], interpolation=cv2.INTER_NEAREST)
        maps[image_id] = np.where(mask, kept, np.float32(0))
    return maps


def _sweep_all(
    views: list[SweepView], order: list[list[int]], settings: DepthSettings, bar: tqdm
) -> list[Float[Tensor, "_height _width"]]:
    spread = spread_views(views, settings.silhouettes)
    depths = []
    for index, view in enumerate(views):
        sources = [views[other] for other in order[index][: settings.sources]]
        depth, box = torch.zeros_like(view.image[0]), foreground_box(view)
        if sources and box is not None:
            part = crop(view, box)
            masks = [views[other] for other in spread if other != index]
            depth[box] = sweep_depth(part, sources, settings.sweep, off_silhouettes(part, masks, settings.sweep.planes))
        depths.append(depth)
        bar.update()
    return depths


def _refine_all(
    views: list[SweepView],
    order: list[list[int]],
    depths: list[Float[Tensor, "_height _width"]],
    settings: DepthSettings,
    bar: tqdm,
) -> list[Float[Tensor, "_height _width"]]:
    """Sweep once more, around the surfaces found: their slant is then known."""
    refined = []
    for index, view in enumerate(views):
        sources = [views[other] for other in order[index][: settings.sources]]
        depth, box = depths[index].clone(), foreground_box(view)
        if sources and box is not None:
            plane_distance = (1 / view.near - 1 / view.far) / (settings.sweep.planes - 1)
            confirmed = _confirm(views, order, depths, index, settings)
            surface = smooth_surface(depth, confirmed, inverse_depth_scale=SURFACE_STEPS * plane_distance)
            depth[box] = sweep_around(crop(view, box), sources, surface[box], settings.sweep)
        refined.append(depth)
        bar.update()
    return refined


def _confirm(
    views: list[SweepView],
    order: list[list[int]],
    depths: list[Float[Tensor, "_height _width"]],
    index: int,
    settings: DepthSettings,
) -> Float[Tensor, "_height _width"]:
    return confirmed_depth(
        views[index],
        depths[index],
        [(views[other], depths[other]) for other in order[index][: settings.asked_views]],
        confirming_views=settings.confirming_views,
        depth_tolerance=settings.depth_tolerance,
        pixel_tolerance=settings.pixel_tolerance,
    )


def _load(scene: Scene, image_id: str, settings: DepthSettings, device: str | torch.device) -> SweepView:
    image, mask = scene.image(image_id), scene.mask(image_id)
    ratio = min(1.0, settings.longest_side / max(mask.shape))
    near, far = scene.depth_range(image_id)
    colours = torch.from_numpy(downscale_image(image, ratio).astype(np.float32) / 255).permute(2, 0, 1)
    return SweepView(
        image=colours.contiguous().to(device),
        mask=torch.from_numpy(downscale_nearest(mask, ratio).copy()).to(device),
        K=torch.tensor(scale_intrinsics(scene.K(image_id), ratio), dtype=torch.float32, device=device),
        w2c=torch.tensor(scene.w2c(image_id), dtype=torch.float32, device=device),
        near=near,
        far=far,
    )


def neighbour_order(views: list[SweepView], best_angle: float) -> list[list[int]]:
    """For every view all others that see what it looks at, the most useful for matching first.

    A neighbour is the less useful the farther its angle (at the middle of the view's depth range) is from the best
    one, and four times so below it: too small an angle measures no depth.
    """
    w2c = torch.stack([view.w2c for view in views]).cpu()
    centres = camera_centres(w2c)
    orders = []
    for index, view in enumerate(views):
        middle = 2 / (1 / view.near + 1 / view.far)
        target = centres[index] + middle * w2c[index, 2, :3]
        rays = torch.nn.functional.normalize(centres - target, dim=-1)
        angle = torch.rad2deg(torch.arccos((rays @ rays[index]).clamp(-1, 1)))
        excess = angle - best_angle
        penalty = torch.where(excess < 0, -4 * excess, excess)
        sees = (w2c[:, 2, :3] @ target + w2c[:, 2, 3] > 0) & (angle < 90)
        orders.append([other for other in penalty.argsort(stable=True).tolist() if other != index and sees[other]])
    return orders


def spread_views(views: list[SweepView], count: int) -> list[int]:
    """Up to `count` views with a background, spread out: each next one is the farthest from those before it."""
    candidates = [index for index, view in enumerate(views) if not view.mask.all()]
    if len(candidates) <= count:
        return candidates
    centres = camera_centres(torch.stack([views[index].w2c for index in candidates])).cpu()
    chosen = [0]
    while len(chosen) < count:
        chosen.append(int(torch.cdist(centres, centres[chosen]).min(1).values.argmax()))
    return [candidates[place] for place in chosen[:count]]


def foreground_box(view: SweepView, margin: int = 2) -> tuple[slice, slice] | None:
    """Rows and columns that hold the foreground and a margin about it; None if there is no foreground."""
    rows, columns = view.mask.any(1).nonzero(), view.mask.any(0).nonzero()
    if len(rows) == 0:
        return None
    return tuple(slice(max(int(lines.min()) - margin, 0), int(lines.max()) + 1 + margin) for lines in (rows, columns))


def crop(view: SweepView, box: tuple[slice, slice]) -> SweepView:
    """The part of a view in a box; its principal point moves along."""
    K = view.K.clone()
    K[0, 2] -= box[1].start
    K[1, 2] -= box[0].start
    return replace(view, image=view.image[(slice(None), *box)], mask=view.mask[box], K=K)
