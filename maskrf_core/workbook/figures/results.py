"""Renders beside the truth, and methods beside each other."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

import cv2
import numpy as np
import pandas as pd
from jaxtyping import UInt8
from matplotlib.figure import Figure

from maskrf_core.workbook.figures import new_figure

KINDS = ("truth", "fine", "error", "depth")


def read_pictures(folder: Path, scene: str, image_id: str) -> dict[str, UInt8[np.ndarray, "height width 3"]]:
    """What `evaluation.write_pictures` left of one view, by kind."""
    stem = folder / scene.replace("/", "_") / image_id.replace("/", "_")
    files = {kind: stem.with_name(f"{stem.name}_{kind}.png") for kind in KINDS}
    return {kind: cv2.imread(str(file), cv2.IMREAD_COLOR)[..., ::-1] for kind, file in files.items()}


def render_rows(rows: Mapping[str, Mapping[str, UInt8[np.ndarray, "height width 3"]]], title: str) -> Figure:
    """One row a view or method: truth, render, error and depth."""
    shapes = [next(iter(row.values())).shape for row in rows.values()]
    width = 1.9 if shapes[0][1] <= 128 else 2.6
    height = max(shape[0] / shape[1] for shape in shapes)
    figure = new_figure(width * len(KINDS) + 0.4, width * height * len(rows) + 0.6)
    grid = figure.subplots(len(rows), len(KINDS), squeeze=False)
    titles = {"truth": "truth", "fine": "render", "error": "|error|", "depth": "depth (near: bright)"}
    for row, (name, pictures) in enumerate(rows.items()):
        for column, kind in enumerate(KINDS):
            axes = grid[row, column]
            axes.imshow(pictures[kind])
            axes.set(xticks=[], yticks=[])
            if row == 0:
                axes.set_title(titles[kind], fontsize=9)
        grid[row, 0].set_ylabel(fill(name, 20), fontsize=8)
    figure.suptitle(title, fontsize=11)
    return figure


def method_bars(summary: pd.DataFrame) -> Figure:
    """Mean PSNR and SSIM of every method (the index), best on top."""
    ordered = summary.sort_values("psnr")
    figure = new_figure(9, 0.45 * len(ordered) + 1.3)
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, column, unit in [(left, "psnr", "PSNR [dB]"), (right, "ssim", "SSIM")]:
        bars = axes.barh(ordered.index, ordered[column], color="tab:blue")
        axes.bar_label(bars, fmt="%.2f" if column == "psnr" else "%.3f", padding=2, fontsize=8)
        axes.set_xlabel(f"{unit}, higher is better")
        axes.margins(x=0.18)
    best = ordered.index[-1]
    lead = f", {ordered['psnr'].iloc[-1] - ordered['psnr'].iloc[-2]:.2f} dB ahead" if len(ordered) > 1 else ""
    figure.suptitle(f"Best PSNR: {best}{lead}")
    return figure
