"""Where cameras stand and what they see."""

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from maskrf_core.workbook.figures import new_figure


def frustum_corners(
    K: Float[np.ndarray, "3 3"], w2c: Float[np.ndarray, "3 4"], size: tuple[int, int], depth: float
) -> Float[np.ndarray, "4 3"]:
    """World points of the image's corners at a z-depth; `size` is (height, width)."""
    height, width = size
    pixels = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
    in_camera = np.c_[pixels, np.ones(4)] @ np.linalg.inv(K).T * depth
    return (in_camera - w2c[:, 3]) @ w2c[:, :3]


def camera_positions(
    K: Float[np.ndarray, "view 3 3"],
    w2c: Float[np.ndarray, "view 3 4"],
    depth_ranges: Float[np.ndarray, "view 2"],
    size: tuple[int, int],
    queries: set[int],
) -> Figure:
    """All cameras in 3-D, and of a few the space between near and far; queries in another colour."""
    figure = new_figure(6.5, 5.6)
    axes = figure.add_subplot(projection="3d")
    centres = -np.einsum("vji,vj->vi", w2c[:, :, :3], w2c[:, :, 3])
    for index in range(len(K)):
        colour = "tab:orange" if index in queries else "tab:blue"
        near, far = depth_ranges[index]
        corners = frustum_corners(K[index], w2c[index], size, 0.25 * near)
        for corner in corners:
            axes.plot(*np.c_[centres[index], corner], color=colour, linewidth=0.7)
        axes.plot(*np.vstack([corners, corners[:1]]).T, color=colour, linewidth=0.7)
        if index % max(1, len(K) // 2) == 0:
            _draw_range(axes, frustum_corners(K[index], w2c[index], size, near), "near", colour)
            _draw_range(axes, frustum_corners(K[index], w2c[index], size, far), "far", colour)
    for colour, kind in [("tab:blue", "reference"), ("tab:orange", "query")]:
        axes.plot([], [], [], color=colour, label=kind)
    axes.legend(title="views", loc="upper left")
    axes.set(xlabel="x [scene units]", ylabel="y", zlabel="z", aspect="equal")
    near, far = depth_ranges[:, 0].min(), depth_ranges[:, 1].max()
    axes.set_title(f"{len(K)} cameras, {len(queries)} of them queries; depth ranges within {near:.2f} to {far:.2f}")
    return figure


def _draw_range(axes, corners: Float[np.ndarray, "4 3"], label: str, colour: str) -> None:
    axes.plot(*np.vstack([corners, corners[:1]]).T, color=colour, linewidth=0.8, linestyle=":")
    axes.text(*corners[0], label, fontsize=7, color=colour)
