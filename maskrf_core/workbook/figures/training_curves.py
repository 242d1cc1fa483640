"""Draw how trainings went: losses and scores over steps, and scores over the mask ratio."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskrf_core.workbook.figures import new_figure

TERMS = {
    "colour_coarse": "colour, coarse",
    "colour_fine": "colour, fine",
    "colour_direct_coarse": "colour, direct, coarse",
    "colour_direct_fine": "colour, direct, fine",
    "depth_coarse": "depth, coarse",
    "depth_fine": "depth, fine",
    "consistency_coarse": "consistency, coarse",
    "consistency_fine": "consistency, fine",
    "feature_alignment": "feature alignment",
    "masked_colour": "colour, predicted where masked",
}
LEGEND_ENTRIES = 12
Runs = Mapping[str, tuple[pd.DataFrame, int]]  # metrics of runs by name, and the steps before them


def loss_curves(metrics: pd.DataFrame, alignment_from: int | None = None) -> Figure:
    """Draw the raw loss terms of a run over its steps; `alignment_from` is where feature alignment begins to count."""
    rows = metrics[metrics["phase"] == "train"]
    figure, axes = _axes("step", "loss term, unweighted")
    for name, label in TERMS.items():
        if name in rows and rows[name].notna().any():
            axes.plot(rows["step"], rows[name], label=label, marker=".")
    if alignment_from is not None:
        axes.axvline(alignment_from, color="gray", linestyle=":", label="alignment counts from here")
    axes.set_yscale("log")
    axes.legend(fontsize=8, loc="upper right")
    first, last = rows["colour_fine"].iloc[0], rows["colour_fine"].iloc[-1]
    axes.set_title(f"The fine colour loss goes from {first:.3f} to {last:.3f} in {rows['step'].iloc[-1]} steps")
    return figure


def validation_curves(runs: Runs) -> Figure:
    """Draw the fine PSNR of runs on the validation scenes over all steps."""
    figure, axes = _axes("optimiser steps, pretraining included", "PSNR on the validation scenes [dB]")
    last = _lines(axes, runs, "validation", "fine_psnr", "o")
    axes.set_title("; ".join(f"{name}: {value:.2f} dB" for name, value in last.items()), fontsize=10)
    return figure


def colour_curves(runs: Runs) -> Figure:
    """Draw the fine colour loss of runs over all steps."""
    figure, axes = _axes("optimiser steps, pretraining included", "fine colour loss")
    last = _lines(axes, runs, "train", "colour_fine", ".")
    axes.set_yscale("log")
    lowest = min(last, key=last.get)
    axes.set_title(f"Lowest training loss at the end: {lowest} ({last[lowest]:.4f})", fontsize=10)
    return figure


def test_curve(metrics: pd.DataFrame) -> Figure:
    """Draw the PSNR on the test views of one scene over the steps of its training; step 0 is before the first."""
    rows = metrics[metrics["phase"] == "test"]
    figure, axes = _axes("optimiser steps on the scene", "PSNR on its test views [dB]")
    for name, label in (("fine_psnr", "fine"), ("coarse_psnr", "coarse")):
        axes.plot(rows["step"], rows[name], label=label, marker="o")
    axes.legend(fontsize=8)
    first, last = rows["fine_psnr"].iloc[0], rows["fine_psnr"].iloc[-1]
    axes.set_title(f"From {first:.2f} dB to {last:.2f} dB in {rows['step'].iloc[-1]} steps", fontsize=10)
    return figure


def ratio_curves(scores: pd.DataFrame, summary: pd.DataFrame, title: str) -> Figure:
    """Draw the validation PSNR of a grid's points after finetuning over the mask ratio.

    A dot is a seed; a line with 95 % intervals of the means is a strategy with a combination of settings, which are
    the columns with a dot in their name. All strategies begin at the one without masks.
    """
    figure, axes = _axes("mask ratio in pretraining (0: none)", "PSNR on validation scenes [dB]")
    axes.plot(scores["mask_ratio"], scores["psnr"], ".", color="tab:gray", label="one seed", zorder=3)
    lines = _by_strategy(summary)
    for label, rows in lines.items():
        halves = [found.half for found in rows["psnr"]]  # nan, of one seed, draws none
        axes.errorbar(rows["mask_ratio"], [found.mean for found in rows["psnr"]], yerr=halves, capsize=3, label=label)
    if len(lines) <= LEGEND_ENTRIES:
        axes.legend(fontsize=8)
    axes.set_title(title, fontsize=10)
    return figure


def _axes(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    figure = new_figure(7, 3.4)
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure, axes


def _lines(axes: Axes, runs: Runs, phase: str, column: str, marker: str) -> dict[str, float]:
    """Draw a line a run, shifted by the steps before it; return the last values."""
    last = {}
    for name, (metrics, before) in runs.items():
        rows = metrics[metrics["phase"] == phase]
        axes.plot(rows["step"] + before, rows[column], label=name, marker=marker)
        if len(rows):
            last[name] = rows[column].iloc[-1]
    axes.legend(fontsize=8)
    return last


def _by_strategy(summary: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each line by its name, the unmasked with the same settings among them."""
    varied = [name for name in summary.columns if "." in name]
    shared = [name for name in varied if not name.startswith("masking.")]
    unmasked, values = summary["strategy"] == "none", summary[["strategy", *varied]].astype(str)
    lines = {}
    for _, rows in values[~unmasked].groupby(["strategy", *varied], sort=False):
        first = rows.iloc[0]
        same = (values[shared] == first[shared]).all(axis=1)
        label = ", ".join([f"mean, {first['strategy']}", *(f"{name}={first[name]}" for name in varied)])
        lines[label] = summary[(unmasked & same) | summary.index.isin(rows.index)].sort_values("mask_ratio")
    return lines or {"mean": summary}
