"""Draw what masked ray and view modelling hides."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskrf_core.workbook.figures import new_figure


def mask_on_ray(mask: Bool[np.ndarray, "view sample"], depths: Float[np.ndarray, "sample"]) -> Figure:
    """Draw the mask of one ray as view × sample, True (dark) = masked; samples stand in their order, near to far."""
    views, samples = mask.shape
    figure = new_figure(9, 0.32 * views + 1.5)
    axes = figure.subplots()
    _draw(axes, mask)
    shown = np.linspace(0, samples - 1, min(samples, 8)).round().astype(int)
    axes.set_xticks(shown, [f"{index}\nz={depths[index]:.2f}" for index in shown], fontsize=8)
    axes.set(xlabel="fine sample on the ray, and its z-depth [scene units]", ylabel="reference view")
    axes.set_title(what_is_masked(mask))
    return figure


def masks_beside_each_other(masks: Mapping[str, Bool[np.ndarray, "view sample"]]) -> Figure:
    """Draw masks of one ray, each as `mask_on_ray` does and headed by its name and what it masks."""
    views = max(len(mask) for mask in masks.values())
    columns = min(2, len(masks))
    rows = -(-len(masks) // columns)
    figure = new_figure(5.5 * columns, rows * (0.2 * views + 1.1))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (name, mask) in zip(grid.flat, masks.items(), strict=False):
        _draw(axes, mask)
        axes.set_title(f"{name}: {what_is_masked(mask)}", fontsize=8)
    for axes in grid.flat[len(masks) :]:
        axes.axis("off")
    figure.supxlabel("fine sample on the ray, near to far", fontsize=9)
    figure.supylabel("reference view", fontsize=9)
    shares = sorted({f"{mask.mean():.0%}" for mask in masks.values()}, key=lambda share: float(share[:-1]))
    figure.suptitle(f"Masked on this ray: {' to '.join(shares[:: max(1, len(shares) - 1)])} of its features")
    return figure


def what_is_masked(mask: Bool[np.ndarray, "view sample"]) -> str:
    """Return in words how many samples are masked, in how many views, and how much that is."""
    views, samples = mask.shape
    in_views = mask.sum(axis=0)
    in_views = in_views[in_views > 0]
    if not len(in_views):
        return "nothing is masked"
    between = {int(in_views.min()), int(in_views.max())}
    return (
        f"{len(in_views)} of {samples} samples are masked, each in {' to '.join(map(str, sorted(between)))} of {views} "
        f"views: {mask.mean():.0%} of all features"
    )


def _draw(axes: Axes, mask: Bool[np.ndarray, "view sample"]) -> None:
    views, samples = mask.shape
    axes.imshow(mask, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set_xticks(np.arange(samples + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(views + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="lightgray", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    axes.set_yticks(range(views))
