"""How trainings went: losses and validation over steps."""

from collections.abc import Mapping

import pandas as pd
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


def loss_curves(metrics: pd.DataFrame, alignment_from: int | None = None) -> Figure:
    """The raw loss terms of a run over its steps; `alignment_from` is where feature alignment begins to count."""
    rows = metrics[metrics["phase"] == "train"]
    figure = new_figure(7, 3.4)
    axes = figure.subplots()
    for name, label in TERMS.items():
        if name in rows and rows[name].notna().any():
            axes.plot(rows["step"], rows[name], label=label, marker=".")
    if alignment_from is not None:
        axes.axvline(alignment_from, color="gray", linestyle=":", label="alignment counts from here")
    axes.set(xlabel="step", ylabel="loss term, unweighted", yscale="log")
    axes.legend(fontsize=8, loc="upper right")
    first, last = rows["colour_fine"].iloc[0], rows["colour_fine"].iloc[-1]
    axes.set_title(f"The fine colour loss goes from {first:.3f} to {last:.3f} in {rows['step'].iloc[-1]} steps")
    return figure


def validation_curves(runs: Mapping[str, tuple[pd.DataFrame, int]]) -> Figure:
    """Fine PSNR on the validation scenes over all steps, of runs by name: their metrics and the steps before them."""
    figure = new_figure(7, 3.4)
    axes = figure.subplots()
    last = {}
    for name, (metrics, before) in runs.items():
        rows = metrics[metrics["phase"] == "validation"]
        axes.plot(rows["step"] + before, rows["fine_psnr"], label=name, marker="o")
        if len(rows):
            last[name] = rows["fine_psnr"].iloc[-1]
    axes.set(xlabel="optimiser steps, pretraining included", ylabel="PSNR on the validation scenes [dB]")
    axes.legend(fontsize=8)
    axes.set_title("; ".join(f"{name}: {value:.2f} dB" for name, value in last.items()), fontsize=10)
    return figure


def test_curve(metrics: pd.DataFrame) -> Figure:
    """PSNR on the test views of one scene over the steps of its training; step 0 is before the first."""
    rows = metrics[metrics["phase"] == "test"]
    figure = new_figure(7, 3.4)
    axes = figure.subplots()
    for name, label in (("fine_psnr", "fine"), ("coarse_psnr", "coarse")):
        axes.plot(rows["step"], rows[name], label=label, marker="o")
    axes.set(xlabel="optimiser steps on the scene", ylabel="PSNR on its test views [dB]")
    axes.legend(fontsize=8)
    first, last = rows["fine_psnr"].iloc[0], rows["fine_psnr"].iloc[-1]
    axes.set_title(f"From {first:.2f} dB to {last:.2f} dB in {rows['step'].iloc[-1]} steps", fontsize=10)
    return figure


def colour_curves(runs: Mapping[str, tuple[pd.DataFrame, int]]) -> Figure:
    """Fine colour loss over all steps, of runs by name: their metrics and the steps before them."""
    figure = new_figure(7, 3.4)
    axes = figure.subplots()
    last = {}
    for name, (metrics, before) in runs.items():
        rows = metrics[metrics["phase"] == "train"]
        axes.plot(rows["step"] + before, rows["colour_fine"], label=name, marker=".")
        last[name] = rows["colour_fine"].iloc[-1]
    axes.set(xlabel="optimiser steps, pretraining included", ylabel="fine colour loss", yscale="log")
    axes.legend(fontsize=8)
    lowest = min(last, key=last.get)
    axes.set_title(f"Lowest training loss at the end: {lowest} ({last[lowest]:.4f})", fontsize=10)
    return figure
