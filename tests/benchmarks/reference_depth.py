"""The costs of a plane sweep, computed the plain way: one plane and one neighbour at a time, on whole images."""

import torch
from torch import Tensor
from torch.nn import functional

from maskrf_core.cameras import GRID_ROUNDING, SMALLEST_PROJECTED_DEPTH
from maskrf_core.datasets.depth.plane_sweep import WORST_COST, SweepSettings, SweepView


def photometric_costs(
    reference: SweepView, sources: list[SweepView], planes: Tensor, settings: SweepSettings
) -> Tensor:
    """Compute what `maskrf_core.datasets.depth.plane_sweep.photometric_costs` says, (plane, height, width)."""
    kept = min(settings.best_sources, len(sources))
    costs = []
    for plane in planes:
        of_sources = []
        for source in sources:
            warped, visible = warp(reference, source, plane)
            cost = torch.where(visible, 0.5 - 0.5 * correlation(reference, warped, settings), WORST_COST)
            side = 2 * settings.shift + 1
            of_sources.append(-functional.max_pool2d(-cost[None], side, stride=1, padding=settings.shift)[0])
        costs.append(torch.stack(of_sources).sort(dim=0).values[:kept].mean(dim=0))
    return torch.stack(costs)


def warp(reference: SweepView, source: SweepView, plane: Tensor) -> tuple[Tensor, Tensor]:
    """Warp the source image to the reference camera at these depths (3, height, width), and say where it is seen."""
    height, width = reference.mask.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)], dim=-1).to(reference.image)
    in_reference = pixels @ reference.K.inverse().T * plane.expand(height, width)[..., None]
    world = (in_reference - reference.w2c[:, 3]) @ reference.w2c[:, :3]
    projected = (world @ source.w2c[:, :3].T + source.w2c[:, 3]) @ source.K.T
    depth = projected[..., 2]
    pixels_xy = projected[..., :2] / depth.clamp(min=SMALLEST_PROJECTED_DEPTH)[..., None]
    rows, columns = source.mask.shape
    grid = 2 * pixels_xy / pixels_xy.new_tensor([max(columns - 1, 1), max(rows - 1, 1)]) - 1
    warped = functional.grid_sample(source.image[None], grid[None], padding_mode="border", align_corners=True)[0]
    inside = (grid.abs() <= 1 + GRID_ROUNDING).all(dim=-1)
    return warped, inside & (depth > SMALLEST_PROJECTED_DEPTH)


def correlation(reference: SweepView, other: Tensor, settings: SweepSettings) -> Tensor:
    """Compute the zero-mean normalised cross-correlation of the foreground windows (height, width)."""
    weight = reference.mask.to(other)
    share = average(weight[None], settings.window).clamp(min=1e-6 / settings.window**2)

    def mean(values: Tensor) -> Tensor:
        return average(values * weight, settings.window) / share

    def variance(image: Tensor) -> Tensor:
        about = (mean(image**2) - mean(image) ** 2).sum(dim=0)
        return about.clamp(min=0) + settings.texture_floor**2

    covariance = (mean(reference.image * other) - mean(reference.image) * mean(other)).sum(dim=0)
    return (covariance / (variance(reference.image) * variance(other)).sqrt()).clamp(-1, 1)


def average(values: Tensor, side: int) -> Tensor:
    """Average the squares of this side about each pixel; zero outside of the image."""
    return functional.avg_pool2d(values, side, stride=1, padding=side // 2)
