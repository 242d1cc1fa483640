"""Draw curves and bars: losses and scores over steps and mask ratio, methods beside each other, and speed."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskrf_core.runs.log import AFTER_TERMS, BEFORE_TERMS
from maskrf_core.workbook.figures import TEXT, TITLE, legend_beside, new_figure

LEGEND_ENTRIES, LABEL_WIDTH = 12, 34
CURVES = (8.5, 3.2)  # size in inches of one plot with its legend
STEPS = "optimiser steps, pretraining included"
Runs = Mapping[str, tuple[pd.DataFrame, int]]  # metrics of runs by name, and the steps before them


def loss_curves(metrics: pd.DataFrame, alignment_from: int | None = None) -> Figure:
    """Draw the raw loss terms of a run over its steps; `alignment_from` is where feature alignment begins to count."""
    rows = metrics[metrics["phase"] == "train"].set_index("step", drop=False)
    terms = rows.drop(columns=[*BEFORE_TERMS, *AFTER_TERMS, "chance_alignment"], errors="ignore").dropna(
        axis="columns", how="all"
    )
    (first, last), steps = rows["colour_fine"].iloc[[0, -1]], rows.index[-1]
    change = f"goes from {first:.3f} to {last:.3f} in" if len(rows) > 1 else f"is {last:.3f} after"
    title = f"The fine colour loss {change} {steps} steps"
    figure = _curves({name.replace("_", " "): terms[name] for name in terms}, "step", "loss term, unweighted", title)
    axes = figure.axes[0]
    if alignment_from is not None:
        axes.axvline(alignment_from, color="gray", linestyle=":", label="alignment counts from here")
    axes.set_yscale("log")
    legend_beside(axes)
    return figure


def agreement_curves(metrics: pd.DataFrame, begins: int) -> Figure:
    """Draw over the steps how much prediction and target agree, beside the targets of other rays.

    Agreement is the mean cosine; alignment losses are 2 - 2 cosines. `begins` is the step at which they count.
    """
    rows = metrics[metrics["phase"] == "train"].set_index("step")
    lines = {
        "with the target": 1 - rows["feature_alignment"] / 2,
        "with the target of another ray": 1 - rows["chance_alignment"] / 2,
    }
    (first, last), other = lines["with the target"].iloc[[0, -1]], lines["with the target of another ray"].iloc[-1]
    title = (
        f"The prediction's cosine with its target goes from {first:.2f} to {last:.2f}; with another ray's: {other:.2f}"
    )
    figure = _curves(lines, "step", "mean cosine", title)
    figure.axes[0].axvline(begins, color="gray", linestyle=":", label="alignment counts from here")
    legend_beside(figure.axes[0])
    return figure


def validation_curves(runs: Runs) -> Figure:
    """Draw the fine PSNR of runs on the validation scenes over all steps."""
    lines = _of_runs(runs, "validation", "fine_psnr")
    title = "; ".join(f"{name}: {line.iloc[-1]:.2f} dB" for name, line in lines.items() if len(line))
    return _curves(lines, STEPS, "PSNR on the validation scenes [dB]", title, "o")


def colour_curves(runs: Runs) -> Figure:
    """Draw the fine colour loss of runs over all steps."""
    lines = _of_runs(runs, "train", "colour_fine")
    last = sorted(line.iloc[-1] for line in lines.values() if len(line))
    title = f"Last training losses: {last[0]:.4f} to {last[-1]:.4f}" if last else "No training losses yet"
    figure = _curves(lines, STEPS, "fine colour loss", title)
    figure.axes[0].set_yscale("log")
    return figure


def test_curve(metrics: pd.DataFrame) -> Figure:
    """Draw the PSNR on the test views of one scene over the steps of its training; step 0 is before the first."""
    rows = metrics[metrics["phase"] == "test"].set_index("step")
    lines = {name: rows[f"{name}_psnr"] for name in ("fine", "coarse")}
    first, last = lines["fine"].iloc[[0, -1]]
    title = f"From {first:.2f} dB to {last:.2f} dB in {rows.index[-1]} steps"
    return _curves(lines, "optimiser steps on the scene", "PSNR on its test views [dB]", title, "o")


def method_bars(summary: pd.DataFrame) -> Figure:
    """Draw mean PSNR and SSIM of every method (the index), best on top."""
    ordered = summary.sort_values("psnr")
    ends = " to ".join(dict.fromkeys(f"{psnr:.2f}" for psnr in ordered["psnr"].iloc[[0, -1]]))
    title = f"Mean PSNR {ends} dB; one training of a method has no interval"
    figure, (panels,) = new_figure(9, 0.45 * len(ordered) + 1.3, 1, 2, title, sharey=True)
    kinds = [("psnr", "PSNR [dB]", "%.2f"), ("ssim", "SSIM", "%.3f")]
    for axes, (column, unit, shown) in zip(panels, kinds, strict=True):
        bars = axes.barh(ordered.index, ordered[column], color="tab:blue")
        axes.bar_label(bars, fmt=shown, padding=2, fontsize=TEXT)
        axes.set_xlabel(f"{unit}, higher is better")
        axes.margins(x=0.18)
    return figure


def ratio_bars(comparisons: Mapping[str, Any]) -> Figure:
    """Draw how many times as much the straightforward way takes, from `performance.Comparison` by title."""
    labels = [f"{part.ratio.median:.2f}×" for part in comparisons.values()]
    medians = [f"{median:.2g}" for median in sorted(part.ratio.median for part in comparisons.values())]
    ends = " to ".join(dict.fromkeys([*medians[:1], *medians[-1:]]))
    title = f"The straightforward way takes {ends} times as much" if comparisons else "Nothing was compared"
    figure, axes = _bars({name: part.ratio.all for name, part in comparisons.items()}, labels, title)
    axes.axvline(1, color="gray", linestyle=":")
    axes.set_xlabel("the straightforward way takes … times as much (dotted: the same)")
    return figure


def ceiling_bars(arithmetic: Mapping[str, Any]) -> Figure:
    """Draw how much of a matrix product's speed is reached, from `performance.Arithmetic` by title."""
    percent = {title: [100 * value for value in part.fraction.all] for title, part in arithmetic.items()}
    labels = [
        f"{part.gflop_per_second.median:.0f} of {part.ceiling.median:.0f} GFLOP/s in {part.precision}"
        for part in arithmetic.values()
    ]
    best = max(percent, key=lambda name: np.median(percent[name]), default=None)
    title = f"At most {np.median(percent[best]):.0f} % of the ceiling: {best}" if best else "No operations were counted"
    figure, axes = _bars(percent, labels, title)
    axes.set(xlabel="of the speed of a matrix product [%]", xlim=(0, max([100, *axes.get_xlim()])))
    return figure


def growth_curves(grown: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw cost over quantity, both logarithmic and relative, from `performance.Growth` by thing and quantity."""
    found = {f"{quantity}, {name}": part.exponent for name, parts in grown.items() for quantity, part in parts.items()}
    most = max(found, key=found.get, default=None)
    title = f"Largest exponent: {found[most]:.2f} ({most})" if most else "No growth was measured"
    columns = max(1, len(grown))
    figure, (panels,) = new_figure(1 + 4.2 * columns, 4.4, 1, columns, title)
    for axes, (name, parts) in zip(panels, grown.items(), strict=False):
        factors = sorted({factor for part in parts.values() for factor in part.seconds})
        axes.plot(factors, factors, color="gray", linestyle="--", label="as the quantity: exponent 1")
        for quantity, part in parts.items():
            seconds = np.array([spread.median for spread in part.seconds.values()])
            relative = seconds / part.seconds[min(part.seconds)].median
            axes.plot(list(part.seconds), relative, "o-", label=f"{quantity}: exponent {part.exponent:.2f}")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"×{value:g}")
        axes.set(xlabel="quantity", ylabel="seconds")
        legend_beside(axes, loc="upper center", bbox_to_anchor=(0.5, -0.2))
        axes.set_title(name, fontsize=TITLE)
    return figure


def _curves(lines: Mapping[str, pd.Series], xlabel: str, ylabel: str, title: str, marker: str = ".") -> Figure:
    """Draw lines by their labels: values over the steps in their index."""
    figure, [[axes]] = new_figure(*CURVES, title=title)
    for number, (label, line) in enumerate(lines.items()):
        style = ("-", "--", ":")[number // 10 % 3]  # there are ten colours
        axes.plot(line.index, line, label=label, marker=marker, linestyle=style)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    legend_beside(axes)
    return figure


def _of_runs(runs: Runs, phase: str, column: str) -> dict[str, pd.Series]:
    """Return a column of each run's metrics over the steps of all its trainings."""
    lines = {}
    for name, (metrics, before) in runs.items():
        rows = metrics[metrics["phase"] == phase]
        lines[name] = rows.set_index(rows["step"] + before)[column]
    return lines


def _bars(measured: Mapping[str, Sequence[float]], labels: Sequence[str], title: str) -> tuple[Figure, Axes]:
    """Draw horizontal bars of medians, the first on top, with whiskers from the smallest to the largest."""
    figure, [[axes]] = new_figure(8, 0.42 * len(measured) + 1.4, title=title)
    values = list(measured.values())[::-1]
    medians = np.array([np.median(each) for each in values])
    ends = np.array([[min(each), max(each)] for each in values]).reshape(-1, 2)
    names = [fill(name, LABEL_WIDTH) for name in measured][::-1]
    bars = axes.barh(names, medians, xerr=np.abs(ends.T - medians), color="tab:blue", capsize=3)
    axes.bar_label(bars, labels[::-1], padding=6, fontsize=TEXT)
    axes.margins(x=0.25)
    return figure, axes
