"""Draw photographs, depth maps and masks."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from maskrf_core.workbook.figures import draw_picture, new_figure

DEPTH_COLOURS = "viridis_r"  # near is bright


def contact_sheet(images: Mapping[str, UInt8[np.ndarray, "_ _ 3"]], title: str, columns: int = 8) -> Figure:
    """Draw small pictures with their names."""
    rows = -(-len(images) // columns)
    figure = new_figure(0.9 * columns, 1.15 * rows + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, (name, image) in zip(grid, images.items(), strict=False):
        draw_picture(axes, image, name, 6)
    figure.suptitle(title)
    return figure


def overlays(
    images: Mapping[str, UInt8[np.ndarray, "_ _ 3"]],
    depths: Mapping[str, Float[np.ndarray, "_ _"]],
    masks: Mapping[str, Bool[np.ndarray, "_ _"]],
) -> Figure:
    """Draw a few views, a column each: with the outline of the mask, and with the depth laid over them."""
    shape = next(iter(images.values())).shape
    figure = new_figure(1.55 * len(images) + 1.0, 2 * min(1.6 * shape[0] / shape[1], 2.0) + 0.7)
    grid = figure.subplots(2, len(images), squeeze=False)
    known = np.concatenate([depth[depth > 0] for depth in depths.values()] or [np.zeros(0)])
    near, far = np.quantile(known, [0.01, 0.99]).tolist() if len(known) else (0.0, 1.0)
    for (name, image), (top, bottom) in zip(images.items(), grid.T, strict=True):
        draw_picture(top, image, name)
        if masks[name].any() and not masks[name].all():
            top.contour(masks[name], levels=[0.5], colors="red", linewidths=1)
        draw_picture(bottom, image.mean(axis=2), cmap="gray", vmin=0, vmax=255)
        picture = _draw_depth(bottom, depths[name], near, far, alpha=0.65)
    for axes, label in zip(grid[:, 0], ["mask's outline", "depth"], strict=True):
        axes.set_ylabel(label, fontsize=9)
    figure.colorbar(picture, ax=grid.ravel().tolist(), label="z-depth [scene units]")
    foreground = np.mean([masks[name].mean() for name in images])
    covered = np.mean([(depths[name] > 0)[masks[name]].sum() / max(1, masks[name].sum()) for name in images])
    depth = f"{covered:.0%} of it has depth, from {near:.2f} to {far:.2f}" if len(known) else "its depth is unknown"
    figure.suptitle(f"{foreground:.0%} of the pixels are foreground, {depth}")
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
    draw_picture(grid[0], image, "photograph")
    reference = estimate if truth is None else truth
    known = reference[reference > 0]
    near, far = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    picture = _draw_depth(grid[1], estimate, near, far, "estimated (white: unknown)")
    if truth is not None:
        _draw_depth(grid[2], truth, near, far, "true")
        both = (estimate > 0) & (truth > 0)
        error = np.where(both, np.abs(estimate - truth) / np.where(both, truth, 1), np.nan)
        shown = draw_picture(grid[3], 100 * error, "error", cmap="magma", vmin=0, vmax=5, interpolation="nearest")
        figure.colorbar(shown, ax=grid[3], label="of the depth [%]")
    figure.colorbar(picture, ax=grid[: 2 if truth is None else 3].tolist(), label="z-depth [scene units]")
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
    figure = new_figure(9, 2.1 * here.shape[0] / here.shape[1] + 0.7)
    grid = figure.subplots(1, 4)
    draw_picture(grid[0], here, "a view")
    draw_picture(grid[1], there, "another view")
    draw_picture(grid[2], np.where(visible[..., None], carried, 1), "the other's colours, carried over")
    shown = draw_picture(grid[3], np.where(visible, difference, np.nan), "difference", cmap="magma", vmin=0, vmax=0.5)
    figure.colorbar(shown, ax=grid[3], label="|difference| of RGB")
    without = ""
    if here.shape == there.shape:
        unmoved = np.abs(here / 255 - there / 255).mean(axis=-1)[visible].mean()
        without = f", {unmoved:.3f} without cameras and depth"
    mean = difference[visible].mean()
    figure.suptitle(f"Colours that travel through cameras and depth differ by {mean:.3f}{without}")
    return figure


def _draw_depth(
    axes: Axes, depth: Float[np.ndarray, "height width"], near: float, far: float, title: str = "", alpha: float = 1.0
) -> AxesImage:
    """Draw a depth map; nothing where it is unknown."""
    known = np.where(depth > 0, depth, np.nan)
    return draw_picture(
        axes, known, title, cmap=DEPTH_COLOURS, vmin=near, vmax=far, interpolation="nearest", alpha=alpha
    )
