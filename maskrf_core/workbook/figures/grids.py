"""Grids of trainings: scores over the mask ratio, with what the seeds leave open."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from maskrf_core.workbook.experiments.grid_statistics import OF_MASKING, finding, varied_columns
from maskrf_core.workbook.figures import new_figure

LEGEND_ENTRIES = 12


def ratio_curves(scores: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Validation PSNR after finetuning over the mask ratio: a dot a seed, and a line with 95 % intervals of the means
    for each strategy and combination of settings. All strategies begin at the one without masks."""
    figure = new_figure(7, 3.6)
    axes = figure.subplots()
    axes.plot(scores["mask_ratio"], scores["psnr"], ".", color="tab:gray", label="one seed", zorder=3)
    varied = varied_columns(scores)
    lines = _lines(summary, varied)
    for label, rows in lines.items():
        means = [found.mean for found in rows["psnr"]]
        halves = [found.half for found in rows["psnr"]]  # nan, of one seed, draws none
        axes.errorbar(rows["mask_ratio"], means, yerr=halves, capsize=3, label=label)
    axes.set(xlabel="mask ratio in pretraining (0: none)", ylabel="PSNR on validation scenes [dB]")
    if len(lines) <= LEGEND_ENTRIES:
        axes.legend(fontsize=8)
    axes.set_title(finding(summary), fontsize=10)
    return figure


def _lines(summary: pd.DataFrame, varied: list[str]) -> dict[str, pd.DataFrame]:
    """Rows of a line by its name, the unmasked among them."""
    unmasked = summary["strategy"] == "none"
    shared = [name for name in varied if not name.startswith(OF_MASKING)]
    lines = {}
    for index, row in summary[~unmasked].iterrows():
        values = [f"{name}={row[name]}" for name in varied]
        lines.setdefault(", ".join(["mean, " + row["strategy"], *values]), []).append(index)
    if not lines:
        return {"mean": summary}
    found = {}
    for label, indices in lines.items():
        first = summary.loc[indices[0]]
        fits = np.array([all(repr(row[name]) == repr(first[name]) for name in shared) for _, row in summary.iterrows()])
        rows = summary[(unmasked & fits) | summary.index.isin(indices)]
        found[label] = rows.sort_values("mask_ratio")
    return found
