"""Draw panels of pictures: photographs, depth maps, masks, renders beside the truth, frames of a camera path."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from maskrf_core.rendering.path_rendering import RenderedPath
from maskrf_core.workbook.figures import TEXT, TITLE, draw_picture, new_figure, wrapped

DEPTH_COLOURS = "viridis_r"  # near is bright
KINDS = {"truth": "truth", "fine": "render", "error": "|error|", "depth": "depth (near: bright)"}  # pictures of a view
FRAMES = 5  # of a camera path
THUMBNAIL, LONGEST_NAME = 40, 15  # longest side of a small picture in pixels; letters that fit above it
RGBImage = UInt8[np.ndarray, "_ _ 3"]


def contact_sheet(images: Mapping[str, RGBImage], title: str, columns: int = 8) -> Figure:
    """Draw small pictures with their names."""
    rows = -(-len(images) // columns)
    figure, grid = new_figure(1.1 * columns, 1.3 * rows + 0.4, rows, columns, title)
    for axes in grid.flat:
        axes.axis("off")
    for axes, (name, image) in zip(grid.flat, images.items(), strict=False):
        draw_picture(axes, _thumbnail(image), name if len(name) <= LONGEST_NAME else name.replace("/", "/\n", 1))
    return figure


def overlays(
    images: Mapping[str, RGBImage],
    depths: Mapping[str, Float[np.ndarray, "_ _"]],
    masks: Mapping[str, Bool[np.ndarray, "_ _"]],
) -> Figure:
    """Draw a few views, a column each: with the outline of the mask, and with the depth laid over them."""
    foreground = np.mean([masks[name].mean() for name in images])
    covered = np.mean([(depths[name] > 0)[masks[name]].sum() / max(1, masks[name].sum()) for name in images])
    known = np.concatenate([depth[depth > 0] for depth in depths.values()] or [np.zeros(0)])
    near, far = np.quantile(known, [0.01, 0.99]).tolist() if len(known) else (0.0, 1.0)
    depth = f"{covered:.0%} of it has depth, from {near:.2f} to {far:.2f}" if len(known) else "its depth is unknown"
    shape = next(iter(images.values())).shape
    size = 1.55 * len(images) + 1.0, 2 * min(1.6 * shape[0] / shape[1], 2.0) + 0.7
    figure, grid = new_figure(*size, 2, len(images), f"{foreground:.0%} of the pixels are foreground, {depth}")
    for (name, image), (top, bottom) in zip(images.items(), grid.T, strict=True):
        draw_picture(top, image, name)
        if masks[name].any() and not masks[name].all():
            top.contour(masks[name], levels=[0.5], colors="red", linewidths=1)
        draw_picture(bottom, image.mean(axis=2), cmap="gray", vmin=0, vmax=255)
        picture = _draw_depth(bottom, depths[name], near, far, alpha=0.65)
    for axes, label in zip(grid[:, 0], ["mask's outline", "depth"], strict=True):
        axes.set_ylabel(label, fontsize=TEXT)
    figure.colorbar(picture, ax=grid.ravel().tolist(), label="z-depth [scene units]")
    return figure


def depth_comparison(
    image: RGBImage, estimate: Float[np.ndarray, "_ _"], truth: Float[np.ndarray, "_ _"] | None, title: str
) -> Figure:
    """Draw a photograph, its estimated depth and, if it is known, the true depth and the relative error."""
    columns = 2 if truth is None else 4
    size = 2.5 * columns + 0.6, 2.5 * image.shape[0] / image.shape[1] + 0.7
    figure, (grid,) = new_figure(*size, 1, columns, title)
    draw_picture(grid[0], image, "photograph")
    reference = estimate if truth is None else truth
    known = reference[reference > 0]
    near, far = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    picture = _draw_depth(grid[1], estimate, near, far, "estimated (white: unknown)")
    if truth is not None:
        _draw_depth(grid[2], truth, near, far, "true")
        both = (estimate > 0) & (truth > 0)
        error = np.where(both, np.abs(estimate - truth) / np.where(both, truth, 1), np.nan)
        shown = draw_picture(grid[3], 100 * error, "error", cmap="magma", vmin=0, vmax=5, interpolation="nearest")
        figure.colorbar(shown, ax=grid[3], label="of the depth [%]")
    figure.colorbar(picture, ax=grid[: 2 if truth is None else 3].tolist(), label="z-depth [scene units]")
    return figure


def carried_over(
    here: UInt8[np.ndarray, "height width 3"],
    there: RGBImage,
    carried: Float[np.ndarray, "height width 3"],
    visible: Bool[np.ndarray, "height width"],
) -> Figure:
    """Draw a view, another one, the other's colours carried into the first, and how much they differ there."""
    difference = np.abs(here / 255 - carried).mean(axis=-1)
    title = f"Colours that travel through cameras and depth differ by {difference[visible].mean():.3f}"
    if here.shape == there.shape:
        unmoved = np.abs(here / 255 - there / 255).mean(axis=-1)[visible].mean()
        title += f", {unmoved:.3f} without cameras and depth"
    figure, (grid,) = new_figure(9, 2.1 * here.shape[0] / here.shape[1] + 0.7, 1, 4, title)
    draw_picture(grid[0], here, "a view")
    draw_picture(grid[1], there, "another view")
    draw_picture(grid[2], np.where(visible[..., None], carried, 1), "the other's colours, carried over")
    shown = draw_picture(grid[3], np.where(visible, difference, np.nan), "difference", cmap="magma", vmin=0, vmax=0.5)
    figure.colorbar(shown, ax=grid[3], label="|difference| of RGB")
    return figure


def read_pictures(folder: Path, scene: str, image_id: str) -> dict[str, RGBImage]:
    """Read what `evaluation.write_pictures` left of one view, by kind."""
    view = f"{scene.replace('/', '_')}/{image_id.replace('/', '_')}"
    return {kind: _read(folder / f"{view}_{kind}.png") for kind in KINDS}


def render_rows(rows: Mapping[str, Mapping[str, RGBImage]], title: str) -> Figure:
    """Draw truth, render, error and depth, one row a view or method; a truth that several rows share is drawn once."""
    shapes = [next(iter(row.values())).shape for row in rows.values()]
    width = 1.9 if shapes[0][1] <= 128 else 2.6
    height = max(shape[0] / shape[1] for shape in shapes)
    size = width * len(KINDS) + 0.4, width * height * len(rows) + 0.6
    headed = {name: {heading: row[kind] for kind, heading in KINDS.items()} for name, row in rows.items()}
    return _headed_rows(headed, size, title)


def frame_strip(filmed: RenderedPath) -> Figure:
    """Draw up to 5 frames evenly spread over a path, colour over depth."""
    count = len(filmed.cameras)
    indices = [number * count // min(FRAMES, count) for number in range(min(FRAMES, count))]
    height, width = filmed.cameras[0].size
    size = 1.15 * max(4, len(indices)) + 0.4, 2.3 * height / width + 0.7
    files = {kind: filmed.frames(kind) for kind in ("colour", "depth")}
    rows = {kind: {f"frame {index + 1}": _read(files[kind][index]) for index in indices} for kind in files}
    return _headed_rows(rows, size, f"{filmed.kind} through {filmed.scene}: {count} views")


def mask_on_ray(mask: Bool[np.ndarray, "view sample"], depths: Float[np.ndarray, "sample"]) -> Figure:
    """Draw the mask of one ray as view × sample, True (dark) = masked; samples stand in their order, near to far."""
    views, samples = mask.shape
    figure, [[axes]] = new_figure(9, 0.32 * views + 1.5)
    _draw_mask(axes, mask)
    shown = np.linspace(0, samples - 1, min(samples, 8)).round().astype(int)
    axes.set_xticks(shown, [f"{index}\nz={depths[index]:.2f}" for index in shown], fontsize=TEXT)
    axes.set(xlabel="fine sample on the ray, and its z-depth [scene units]", ylabel="reference view")
    axes.set_title(_what_is_masked(mask), fontsize=TITLE)
    return figure


def masks_beside_each_other(masks: Mapping[str, Bool[np.ndarray, "view sample"]]) -> Figure:
    """Draw masks of one ray, each as `mask_on_ray` does and headed by its name and what it masks."""
    shares = [f"{share:.0%}" for share in sorted({mask.mean() for mask in masks.values()})]
    shares = " to ".join(dict.fromkeys([shares[0], shares[-1]]))
    columns, views = min(2, len(masks)), max(len(mask) for mask in masks.values())
    rows = -(-len(masks) // columns)
    size = 5.5 * columns, rows * (0.2 * views + 1.3)
    figure, grid = new_figure(*size, rows, columns, f"Masked on this ray: {shares} of its features")
    for axes, (name, mask) in zip(grid.flat, masks.items(), strict=False):
        _draw_mask(axes, mask)
        axes.set_title(wrapped(f"{name}: {_what_is_masked(mask)}", 5), fontsize=TEXT)
    for axes in grid.flat[len(masks) :]:
        axes.axis("off")
    figure.supxlabel("fine sample on the ray, near to far", fontsize=TEXT)
    figure.supylabel("reference view", fontsize=TEXT)
    return figure


def _headed_rows(rows: Mapping[str, Mapping[str, RGBImage]], size: tuple[float, float], title: str) -> Figure:
    """Draw named rows of pictures, with their headings above the first row."""
    figure, grid = new_figure(*size, len(rows), len(next(iter(rows.values()))), title)
    above = None
    for row, (name, pictures) in enumerate(rows.items()):
        for axes, (heading, picture) in zip(grid[row], pictures.items(), strict=True):
            if axes is grid[row, 0] and above is not None and np.array_equal(picture, above):
                axes.set(xticks=[], yticks=[], frame_on=False)
            else:
                draw_picture(axes, picture, "" if row else heading)
        above = next(iter(pictures.values()))
        grid[row, 0].set_ylabel(fill(name, 20), fontsize=TEXT)
    return figure


def _thumbnail(image: RGBImage) -> RGBImage:
    scale = THUMBNAIL / max(image.shape[:2])
    return image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _read(file: Path) -> RGBImage:
    return cv2.imread(str(file), cv2.IMREAD_COLOR)[..., ::-1]


def _draw_depth(
    axes: Axes, depth: Float[np.ndarray, "_ _"], near: float, far: float, title: str = "", alpha: float = 1.0
) -> AxesImage:
    """Draw a depth map; nothing where it is unknown."""
    options = {"cmap": DEPTH_COLOURS, "vmin": near, "vmax": far, "interpolation": "nearest", "alpha": alpha}
    return draw_picture(axes, np.where(depth > 0, depth, np.nan), title, **options)


def _draw_mask(axes: Axes, mask: Bool[np.ndarray, "view sample"]) -> None:
    views, samples = mask.shape
    axes.imshow(mask, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set_xticks(np.arange(samples + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(views + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="lightgray", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    axes.set_yticks(range(views))


def _what_is_masked(mask: Bool[np.ndarray, "view sample"]) -> str:
    """Return in words how many samples are masked, in how many views, and how much that is."""
    in_views = mask.sum(axis=0)
    in_views = in_views[in_views > 0]
    if not len(in_views):
        return "nothing is masked"
    between = " to ".join(map(str, dict.fromkeys([in_views.min(), in_views.max()])))
    samples = f"{len(in_views)} of {mask.shape[1]} samples are masked"
    return f"{samples}, each in {between} of {len(mask)} views: {mask.mean():.0%} of all features"
