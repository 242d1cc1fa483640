"""Draw renders beside the truth, methods beside each other, and frames of a camera path."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

import cv2
import numpy as np
import pandas as pd
from jaxtyping import UInt8
from matplotlib.figure import Figure

from maskrf_core.rendering.path_rendering import RenderedPath
from maskrf_core.workbook.figures import draw_picture, new_figure

KINDS = {"truth": "truth", "fine": "render", "error": "|error|", "depth": "depth (near: bright)"}
"""Pictures of a view, and what is written above them."""
FRAMES = 8


def read_pictures(folder: Path, scene: str, image_id: str) -> dict[str, UInt8[np.ndarray, "height width 3"]]:
    """Read what `evaluation.write_pictures` left of one view, by kind."""
    stem = folder / scene.replace("/", "_") / image_id.replace("/", "_")
    files = {kind: stem.with_name(f"{stem.name}_{kind}.png") for kind in KINDS}
    return {kind: _read(file) for kind, file in files.items()}


def render_rows(rows: Mapping[str, Mapping[str, UInt8[np.ndarray, "height width 3"]]], title: str) -> Figure:
    """Draw truth, render, error and depth, one row a view or method."""
    shapes = [next(iter(row.values())).shape for row in rows.values()]
    width = 1.9 if shapes[0][1] <= 128 else 2.6
    height = max(shape[0] / shape[1] for shape in shapes)
    figure = new_figure(width * len(KINDS) + 0.4, width * height * len(rows) + 0.6)
    grid = figure.subplots(len(rows), len(KINDS), squeeze=False)
    for row, (name, pictures) in enumerate(rows.items()):
        for axes, (kind, heading) in zip(grid[row], KINDS.items(), strict=True):
            draw_picture(axes, pictures[kind], "" if row else heading)
        grid[row, 0].set_ylabel(fill(name, 20), fontsize=8)
    figure.suptitle(title, fontsize=11)
    return figure


def method_bars(summary: pd.DataFrame) -> Figure:
    """Draw mean PSNR and SSIM of every method (the index), best on top."""
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


def frame_strip(filmed: RenderedPath) -> Figure:
    """Draw up to 8 frames evenly spread over a path, colour over depth."""
    count = len(filmed.cameras)
    indices = [number * count // min(FRAMES, count) for number in range(min(FRAMES, count))]
    height, width = filmed.cameras[0].size
    figure = new_figure(1.15 * max(4, len(indices)) + 0.4, 2.3 * height / width + 0.7)
    grid = figure.subplots(2, len(indices), squeeze=False)
    for row, kind in enumerate(("colour", "depth")):
        files = filmed.frames(kind)
        for axes, index in zip(grid[row], indices, strict=True):
            draw_picture(axes, _read(files[index]), "" if row else f"frame {index}", 8)
        grid[row, 0].set_ylabel(kind, fontsize=8)
    figure.suptitle(f"{filmed.kind} through {filmed.scene}: {count} views", fontsize=11)
    return figure


def _read(file: Path) -> UInt8[np.ndarray, "height width 3"]:
    return cv2.imread(str(file), cv2.IMREAD_COLOR)[..., ::-1]
