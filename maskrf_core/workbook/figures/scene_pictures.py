"""Draw photographs, depth maps and masks."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from maskrf_core.workbook.figures import new_figure, without_ticks

DEPTH_COLOURS = "viridis_r"
"""Near is bright."""


def contact_sheet(images: Mapping[str, UInt8[np.ndarray, "_ _ 3"]], title: str, columns: int = 8) -> Figure:
    """Draw small pictures with their names."""
    rows = -(-len(images) // columns)
    figure = new_figure(0.9 * columns, 1.15 * rows + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, (name, image) in zip(grid, images.items(), strict=False):
        axes.imshow(image)
        axes.set_title(name, fontsize=6)
    figure.suptitle(title)
    return figure


def overlays(
    images: Mapping[str, UInt8[np.ndarray, "_ _ 3"]],
    depths: Mapping[str, Float[np.ndarray, "_ _"]],
    masks: Mapping[str, Bool[np.ndarray, "_ _"]],
) -> Figure:
    """Draw a few views, a column each: with the outline of the mask, and with the depth laid over them."""
    names = list(images)
    shape = next(iter(images.values())).shape
    figure = new_figure(1.55 * len(names) + 1.0, 2 * min(1.6 * shape[0] / shape[1], 2.0) + 0.7)
    grid = figure.subplots(2, len(names), squeeze=False)
    known = np.concatenate([depth[depth > 0] for depth in depths.values()] or [np.zeros(0)])
    near, far = np.quantile(known, [0.01, 0.99]).tolist() if len(known) else (0.0, 1.0)
    for column, name in enumerate(names):
        mask, depth = masks[name], depths[name]
        grid[0, column].imshow(images[name])
        grid[0, column].set_title(name, fontsize=9)
        if mask.any() and not mask.all():
            grid[0, column].contour(mask, levels=[0.5], colors="red", linewidths=1)
        grid[1, column].imshow(images[name].mean(axis=2), cmap="gray", vmin=0, vmax=255)
        picture = show_depth(grid[1, column], depth, near, far, opacity=0.65)
    for row, label in enumerate(["mask's outline", "depth"]):
        grid[row, 0].set_ylabel(label, fontsize=9)
    without_ticks(grid)
    figure.colorbar(picture, ax=grid.ravel().tolist(), label="z-depth [scene units]")
    foreground, covered = (
        np.mean([part(name) for name in names])
        for part in (
            lambda name: masks[name].mean(),
            lambda name: (depths[name] > 0)[masks[name]].sum() / max(1, masks[name].sum()),
        )
    )
    depth_says = (
        f"{covered:.0%} of it has depth, from {near:.2f} to {far:.2f}" if len(known) else "its depth is unknown"
    )
    figure.suptitle(f"{foreground:.0%} of the pixels are foreground, {depth_says}")
    return figure


def depth_comparison(
    image: UInt8[np.ndarray, "height width 3"],
    estimate: Float[np.ndarray, "height width"],
    truth: Float[np.ndarray, "height width"] | None,
    title: str,
) -> Figure:
    """Draw a photograph, its estimated depth and, if it is known, the true depth and the relative error."""
    columns = 2 if truth is None else 4
    figure = new_figure(2.5 * columns + 0.6, 2.5 * image.shape[0] / image.shape[1] + 0.7)
    grid = figure.subplots(1, columns, squeeze=False)[0]
    grid[0].imshow(image)
    grid[0].set_title("photograph", fontsize=9)
    reference = estimate if truth is None else truth
    known = reference[reference > 0]
    near, far = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    picture = show_depth(grid[1], estimate, near, far)
    grid[1].set_title("estimated (white: unknown)", fontsize=9)
    if truth is not None:
        show_depth(grid[2], truth, near, far)
        grid[2].set_title("true", fontsize=9)
        both = (estimate > 0) & (truth > 0)
        error = np.where(both, np.abs(estimate - truth) / np.where(both, truth, 1), np.nan)
        shown = grid[3].imshow(100 * error, cmap="magma", vmin=0, vmax=5, interpolation="nearest")
        grid[3].set_title("error", fontsize=9)
        figure.colorbar(shown, ax=grid[3], label="of the depth [%]")
    figure.colorbar(picture, ax=grid[: 2 if truth is None else 3].tolist(), label="z-depth [scene units]")
    without_ticks(grid)
    figure.suptitle(title)
    return figure


def carried_over(
    here: UInt8[np.ndarray, "height width 3"],
    there: UInt8[np.ndarray, "_ _ 3"],
    carried: Float[np.ndarray, "height width 3"],
    visible: Bool[np.ndarray, "height width"],
) -> Figure:
    """Draw a view, another one, the other's colours carried into the first, and how much they differ there."""
    difference = np.abs(here / 255 - carried).mean(axis=-1)
    unmoved = np.abs(here / 255 - there / 255).mean(axis=-1)[visible] if here.shape == there.shape else None
    figure = new_figure(9, 2.1 * here.shape[0] / here.shape[1] + 0.7)
    grid = figure.subplots(1, 4)
    grid[0].imshow(here)
    grid[0].set_title("a view", fontsize=9)
    grid[1].imshow(there)
    grid[1].set_title("another view", fontsize=9)
    grid[2].imshow(np.where(visible[..., None], carried, 1))
    grid[2].set_title("the other's colours, carried over", fontsize=9)
    shown = grid[3].imshow(np.where(visible, difference, np.nan), cmap="magma", vmin=0, vmax=0.5)
    grid[3].set_title("difference", fontsize=9)
    figure.colorbar(shown, ax=grid[3], label="|difference| of RGB")
    without_ticks(grid)
    without = "" if unmoved is None else f", {unmoved.mean():.3f} without cameras and depth"
    figure.suptitle(
        f"Colours that travel through cameras and depth differ by {difference[visible].mean():.3f}{without}"
    )
    return figure


def show_depth(
    axes: Axes, depth: Float[np.ndarray, "height width"], near: float, far: float, opacity: float = 1.0
) -> AxesImage:
    """Draw a depth map; nothing where it is unknown."""
    shown = np.where(depth > 0, depth, np.nan)
    return axes.imshow(shown, cmap=DEPTH_COLOURS, vmin=near, vmax=far, interpolation="nearest", alpha=opacity)
