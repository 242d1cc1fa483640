"""Passes that find depth: planes are swept at reduced size, the surface is refined at full size, then confirmed.

Each view passes through all three, and each pass of a view looks at earlier passes of its neighbours.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, pad

from maskrf_core.cameras import camera_centres
from maskrf_core.datasets.depth.depth_consistency import (
    confirmed_depth,
    off_silhouettes,
    smooth_surface,
    without_specks,
)
from maskrf_core.datasets.depth.plane_sweep import SweepSettings, SweepView, sweep_around, sweep_depth

SURFACE_STEPS = 4.0  # steps in depth between pixels of one surface, in distances between planes
SPECK_STEPS = 2.0  # the same where specks are told from a surface: what is wrong but near the surface is a speck


@dataclass(frozen=True)
class DepthSettings:
    """Settings of depth estimation and of the pixels that are kept; chosen on training scenes of the demo."""

    longest_side: int = 512  # larger images are estimated at this size in pixels, and the map is enlarged by nearest
    sweep_side: int = 256  # planes are swept at this size or less, by halving; the surface is refined at full size
    sources: int = 6  # neighbours that a view is matched with
    best_angle: float = 10.0  # degrees between two views of the scene's middle that serve matching best
    silhouettes: int = 12  # views whose masks forbid depths that would put a foreground pixel on their background
    confirming_views: int = 1  # neighbours that must agree with a depth for it to be kept...
    asked_views: int = 8  # ...out of how many
    depth_tolerance: float = 0.015  # relative difference of depth at which two views still agree
    pixel_tolerance: float = 1.0  # pixels within which a point comes back from a neighbour's depth map
    largest_speck: int = 10  # pixels of unconnected patches of a map that are cut: half are wrong
    sweep: SweepSettings = field(default_factory=SweepSettings)
    # Of views that are swept at reduced size: a distance between planes is then more of their pixels. Chosen, as the
    # numbers of sources and of pixels in a speck, on the demo's training scenes 00, 04, 05 and 11 at 320×320.
    large_sweep: SweepSettings = field(
        default_factory=lambda: SweepSettings(window=5, best_sources=3, jump_penalty=1.0, offset_step=0.25)
    )


class DepthPasses:
    """Views of one scene on their way to depth maps; `given` holds the maps (0 = unknown) of those that have one."""

    def __init__(self, views: list[SweepView], settings: DepthSettings, given: Mapping[int, Tensor] | None = None):
        self._views, self._settings = views, settings
        orders = neighbour_order(views, settings.best_angle)
        self._small = list(views)
        for index in range(len(views)):
            while max(self._small[index].mask.shape) > settings.sweep_side:
                self._small[index] = halved(self._small[index])
        self._silhouettes = spread_views(views, settings.silhouettes)
        self._sources = [order[: settings.sources] for order in orders]
        self._asked = [order[: settings.asked_views] for order in orders]
        reduced = [small is not view for small, view in zip(self._small, views, strict=True)]
        self._sweeps = [settings.large_sweep if smaller else settings.sweep for smaller in reduced]
        # The distance between planes, in inverse depth.
        self._steps = [
            (1 / view.near - 1 / view.far) / (sweep.planes - 1) for view, sweep in zip(views, self._sweeps, strict=True)
        ]
        self._refined = dict(given or {})
        self._swept = {index: _nearest(depth, self._small[index]) for index, depth in self._refined.items()}

    def steps(self, wanted: Iterable[int]) -> list[tuple[Callable[[int], Tensor], int]]:
        """List the passes to call, with their views, in order: only those needed for the `wanted` views.

        Each `confirm` returns the final map of its view, so that maps come out one after the other.
        """
        steps: dict[tuple[Callable, int], None] = {}
        for index in wanted:
            for other in [index, *self._asked[index]]:
                if other not in self._refined:
                    for further in [other, *self._asked[other]]:
                        if further not in self._swept:
                            steps[self.sweep, further] = None
                    steps[self.refine, other] = None
            steps[self.confirm, index] = None
        return list(steps)

    def sweep(self, index: int) -> Float[Tensor, "_height _width"]:
        """Sweep all planes at reduced size: the first pass."""
        view, sources = self._small[index], [self._small[other] for other in self._sources[index]]
        depth, box = torch.zeros_like(view.image[0]), foreground_box(view)
        if sources and box is not None:
            part = crop(view, box)
            masks = [self._small[other] for other in self._silhouettes if other != index]
            sweep = self._sweeps[index]
            depth[box] = sweep_depth(part, sources, sweep, off_silhouettes(part, masks, sweep.planes))
        self._swept[index] = depth
        return depth

    def refine(self, index: int) -> Float[Tensor, "_height _width"]:
        """Sweep around the surface found, whose slant is now known, at full size: the second pass."""
        view, sources = self._views[index], [self._views[other] for other in self._sources[index]]
        depth, box = torch.zeros_like(view.image[0]), foreground_box(view)
        if sources and box is not None:
            confirmed = self._confirmed(self._small, self._swept, index)
            found, sure = (_nearest(part, view)[box] for part in (self._swept[index], confirmed))
            surface = smooth_surface(found, sure, inverse_depth_scale=SURFACE_STEPS * self._steps[index])
            depth[box] = sweep_around(crop(view, box), sources, surface, self._sweeps[index])
        self._refined[index] = depth
        return depth

    def confirm(self, index: int) -> Float[Tensor, "_height _width"]:
        """Return the final map, 0 where no other view agrees or too small a patch is left: the third pass."""
        kept = self._confirmed(self._views, self._refined, index)
        step = SPECK_STEPS * self._steps[index]
        return without_specks(kept, largest_speck=self._settings.largest_speck, inverse_depth_step=step)

    def _confirmed(
        self, views: list[SweepView], depths: dict[int, Tensor], index: int
    ) -> Float[Tensor, "_height _width"]:
        kept, box = torch.zeros_like(depths[index]), foreground_box(views[index])
        if box is not None:
            kept[box] = confirmed_depth(
                crop(views[index], box),
                depths[index][box],
                [(views[other], depths[other]) for other in self._asked[index]],
                confirming_views=self._settings.confirming_views,
                depth_tolerance=self._settings.depth_tolerance,
                pixel_tolerance=self._settings.pixel_tolerance,
            )
        return kept


def _nearest(depth: Float[Tensor, "_height _width"], view: SweepView) -> Float[Tensor, "_height _width"]:
    """Bring a map at another size of the same view to the view's size."""
    if depth.shape == view.mask.shape:
        return depth
    (height, width), (rows, columns) = view.mask.shape, depth.shape
    # Sizes differ by halvings, rounded up: 2ⁿ pixels to one.
    factor = 2 ** round(math.log2(max(height, width) / max(rows, columns)))
    y, x = (
        (torch.arange(count, device=depth.device) / factor).long().clamp(max=size - 1)
        for count, size in ((height, rows), (width, columns))
    )
    return depth[y[:, None], x]


def neighbour_order(views: list[SweepView], best_angle: float) -> list[list[int]]:
    """Return for every view all others that see what it looks at, the most useful for matching first."""
    ranges = [(view.near, view.far) for view in views]
    penalties = matching_penalties(torch.stack([view.w2c for view in views]).cpu(), ranges, best_angle)
    return [[other for other in row.argsort(stable=True).tolist() if row[other].isfinite()] for row in penalties]


def matching_penalties(
    w2c: Float[Tensor, "view 3 4"], depth_ranges: Sequence[tuple[float, float]], best_angle: float
) -> Float[Tensor, "view view"]:
    """Return how little another view (column) serves to match a view (row); infinite for one that does not see it.

    A neighbour is the less useful the farther its angle (in degrees, at the middle of the view's depth range) is from
    the best one, and four times so below it: too small an angle measures no depth.
    """
    centres = camera_centres(w2c)
    penalties = torch.full((len(w2c), len(w2c)), torch.inf)
    for index, (near, far) in enumerate(depth_ranges):
        middle = 2 / (1 / near + 1 / far)
        target = centres[index] + middle * w2c[index, 2, :3]
        rays = torch.nn.functional.normalize(centres - target, dim=-1)
        angle = torch.rad2deg(torch.arccos((rays @ rays[index]).clamp(-1, 1)))
        excess = angle - best_angle
        sees = (w2c[:, 2, :3] @ target + w2c[:, 2, 3] > 0) & (angle < 90)
        sees[index] = False
        penalties[index, sees] = torch.where(excess < 0, -4 * excess, excess)[sees]
    return penalties


def spread_views(views: list[SweepView], count: int) -> list[int]:
    """Choose up to `count` views with a background, each the farthest from those before it."""
    candidates = [index for index, view in enumerate(views) if not view.mask.all()]
    if len(candidates) <= count:
        return candidates
    centres = camera_centres(torch.stack([views[index].w2c for index in candidates])).cpu()
    chosen = [0]
    while len(chosen) < count:
        chosen.append(int(torch.cdist(centres, centres[chosen]).min(1).values.argmax()))
    return [candidates[place] for place in chosen[:count]]


def foreground_box(view: SweepView, margin: int = 2) -> tuple[slice, slice] | None:
    """Return rows and columns that hold the foreground and a margin; None if there is no foreground."""
    rows, columns = view.mask.any(1).nonzero(), view.mask.any(0).nonzero()
    if len(rows) == 0:
        return None
    return tuple(slice(max(int(lines.min()) - margin, 0), int(lines.max()) + 1 + margin) for lines in (rows, columns))


def crop(view: SweepView, box: tuple[slice, slice]) -> SweepView:
    """Cut a view to a box; its principal point moves along."""
    K = view.K.clone()
    K[0, 2] -= box[1].start
    K[1, 2] -= box[0].start
    return replace(view, image=view.image[(slice(None), *box)], mask=view.mask[box], K=K)


def halved(view: SweepView) -> SweepView:
    """Halve a view (rounded up): colours averaged, foreground where any of the four pixels is."""
    height, width = view.mask.shape
    odd = (0, width % 2, 0, height % 2)
    K = view.K.clone()
    K[:2, 2] -= 0.5  # the centre of four pixels lies half a pixel beyond that of the first
    K[:2] /= 2
    image = avg_pool2d(pad(view.image, odd, mode="replicate"), 2)
    mask = max_pool2d(pad(view.mask[None].float(), odd), 2)[0] > 0
    return replace(view, image=image, mask=mask, K=K)
