"""Which views help to find the depth of which, and where in a view there is anything to find."""

from dataclasses import replace

import torch
from torch.nn.functional import avg_pool2d, max_pool2d, pad

from maskrf_core.cameras import camera_centres
from maskrf_core.datasets.depth.plane_sweep import SweepView


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


def halved(view: SweepView) -> SweepView:
    """The view at half its size (rounded up): colours averaged, foreground where any of the four pixels is."""
    height, width = view.mask.shape
    odd = (0, width % 2, 0, height % 2)
    K = view.K.clone()
    K[:2, 2] -= 0.5  # the centre of four pixels lies half a pixel beyond that of the first
    K[:2] /= 2
    image = avg_pool2d(pad(view.image, odd, mode="replicate"), 2)
    mask = max_pool2d(pad(view.mask[None].float(), odd), 2)[0] > 0
    return replace(view, image=image, mask=mask, K=K)
