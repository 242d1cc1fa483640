"""Pieces of HTML that widgets show: a small line of losses, a figure with words, a picture, a time."""

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
from matplotlib.figure import Figure

from maskrf_core.workbook.figures import png_of

LINE_SIZE, LINE_POINTS = (110, 22), 100  # of a small loss line: pixels, and at most so many points


def loss_line(losses: Sequence[float]) -> str:
    """Draw losses as a small line, logarithmic, in the text's own colour; nothing of less than two."""
    if len(losses) < 2:
        return ""
    every = -(-len(losses) // LINE_POINTS)
    heights = np.log(np.maximum([*losses[:-1:every], losses[-1]], 1e-9))
    x = np.linspace(1, LINE_SIZE[0] - 1, len(heights))
    y = 2 + (LINE_SIZE[1] - 4) * (heights.max() - heights) / max(float(np.ptp(heights)), 1e-9)
    dots = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    said = f"from {losses[0]:.3g} to {losses[-1]:.3g}"
    return (
        f'<svg width="{LINE_SIZE[0]}" height="{LINE_SIZE[1]}" role="img" style="vertical-align: middle">'
        f'<title>{said}</title><polyline points="{dots}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    )


def html_of(figure: Figure, said: str) -> str:
    """Return a figure as an element of a page, with words for those who cannot see it."""
    return picture(png_of(figure), said, f"width: 100%; max-width: {figure.get_figwidth() * 100:.0f}px")


def picture(data: bytes, said: str, style: str = "max-width: 100%", kind: str = "png") -> str:
    """Return a picture as an element of a page."""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img alt="{escape(said)}" style="{style}" src="{source}">'


def duration(seconds: float) -> str:
    """Write a time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
