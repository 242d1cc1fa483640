"""What masked ray and view modelling hides."""

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from maskrf_core.workbook.figures import new_figure


def mask_on_ray(mask: Bool[np.ndarray, "view sample"], depths: Float[np.ndarray, "sample"]) -> Figure:
    """The mask of one ray as view × sample, True (dark) = masked; samples stand in their order, near to far."""
    views, samples = mask.shape
    chosen = mask.any(axis=0)
    figure = new_figure(9, 0.32 * views + 1.5)
    axes = figure.subplots()
    axes.imshow(mask, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set_xticks(np.arange(samples + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(views + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="lightgray", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    shown = np.linspace(0, samples - 1, min(samples, 8)).round().astype(int)
    axes.set_xticks(shown, [f"{index}\nz={depths[index]:.2f}" for index in shown], fontsize=8)
    axes.set_yticks(range(views))
    axes.set(xlabel="fine sample on the ray, and its z-depth [scene units]", ylabel="reference view")
    axes.set_title(
        f"{chosen.sum()} of {samples} samples are masked, each in 1 to {views} of {views} views: "
        f"{mask.mean():.0%} of all features"
    )
    return figure
