"""Draw what masking gains over no mask: a dot a scene and seed, and means with their intervals."""

import pandas as pd
from matplotlib.figure import Figure

from maskrf_core.workbook.figures import legend_beside, new_figure
from maskrf_core.workbook.figures.plots import CURVES, LEGEND_ENTRIES


def difference_curves(differences: pd.DataFrame, summary: pd.DataFrame, title: str) -> Figure:
    """Draw PSNR minus that of no mask with the same seed [dB] over the mask ratio of the masked points.

    A dot is a scene of a seed, or a seed where there is no `scene`: `differences` has `mask_ratio`, `strategy`, other
    settings and `difference`. `summary` has the `Estimate` of each mean over seeds, which is drawn with its 95 %
    interval where there is one. Means are joined by no line.
    """
    figure, [[axes]] = new_figure(*CURVES, title=title)
    axes.axhline(0, color="gray", linestyle=":", label="no mask, same seed")
    dot, estimates = "scene and seed" if "scene" in differences else "seed", {}
    for row in summary.to_dict("records"):
        if row["difference"].n:
            estimates.setdefault(_line_of(row), []).append((row["mask_ratio"], row["difference"]))
    dots = differences.dropna(subset=["difference"])
    lines = dots.apply(_line_of, axis=1) if len(dots) else pd.Series(dtype=str)
    for number, (line, found) in enumerate(estimates.items()):
        colour, rows = f"C{number}", dots[lines == line]
        beside = 0.008 * (number - (len(estimates) - 1) / 2)  # lines at the same ratio do not hide each other
        axes.plot(rows["mask_ratio"] + beside, rows["difference"], ".", color=colour, label=f"{line}: one {dot}")
        several = [(ratio, each) for ratio, each in found if each.n > 1]
        if several:
            ratios, means = [ratio + beside for ratio, _ in several], [each.mean for _, each in several]
            halves = [each.half for _, each in several]
            axes.errorbar(
                ratios, means, yerr=halves, fmt="_", markersize=9, capsize=4, color=colour, label=f"{line}: mean, 95 %"
            )
    axes.set(xlabel="mask ratio in pretraining", ylabel="PSNR against no mask [dB]", xlim=(0, 1))
    if len(estimates) <= LEGEND_ENTRIES:
        legend_beside(axes)
    return figure


def _line_of(row: pd.Series | dict) -> str:
    """Spell the strategy of a row and the values of what is varied, whose names have a dot."""
    return ", ".join([str(row["strategy"]), *(f"{name}={row[name]}" for name in dict(row) if "." in name)])
