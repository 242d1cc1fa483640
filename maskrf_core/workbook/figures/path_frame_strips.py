"""Frames of a camera path beside each other."""

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from maskrf_core.rendering.path_rendering import RenderedPath
from maskrf_core.workbook.figures import new_figure
from maskrf_core.workbook.figures.scene_pictures import without_ticks

SHOWN = 8


def frame_strip(filmed: RenderedPath) -> Figure:
    """Up to 8 frames evenly spread over a path, colour over depth."""
    count = len(filmed.cameras)
    indices = [number * count // min(SHOWN, count) for number in range(min(SHOWN, count))]
    height, width = filmed.cameras[0].size
    figure = new_figure(1.15 * max(4, len(indices)) + 0.4, 2.3 * height / width + 0.7)
    grid = figure.subplots(2, len(indices), squeeze=False)
    for row, kind in enumerate(("colour", "depth")):
        files = filmed.frames(kind)
        for axes, index in zip(grid[row], indices, strict=True):
            with Image.open(files[index]) as picture:
                axes.imshow(np.asarray(picture))
            if row == 0:
                axes.set_title(f"frame {index}", fontsize=8)
        grid[row, 0].set_ylabel(kind, fontsize=8)
    without_ticks(grid)
    figure.suptitle(f"{filmed.kind} through {filmed.scene}: {count} views that nobody photographed", fontsize=11)
    return figure
