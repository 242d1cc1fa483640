"""Pictures that a hand moves, without a kernel: a wipe between methods, and a camera path under a slider.

They are HTML with pictures inside and one small script, which notebooks that were run here execute and report pages
allow by its hash. Where no script may run, one sentence stands there, and the static figure beside it.
"""

import base64
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from IPython.display import HTML
from jaxtyping import Float, UInt8
from PIL import Image

from maskrf_core.rendering.path_rendering import RenderedPath

HERE = Path(__file__).parent
SCRIPT, STYLE = ((HERE / f"moving_pictures.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
STILL = "This moves in a notebook that was run here and in its report; the figure beside it stands still."
CLASS = "maskrf-pictures"
TRUTH = "truth"
QUALITY, LONGEST_SIDE = 55, 256  # of WebP; pixels of a picture
LARGEST = 2_000_000  # bytes of all pictures: a report's page holds 5 MB
SMALLEST_SCALE = 0.05  # of the error, so that tiny ones are not blown up
ERROR_COLOURS, DEPTH_COLOURS = cv2.COLORMAP_MAGMA, cv2.COLORMAP_VIRIDIS
SHADES = np.arange(256, dtype=np.uint8)[None]
RGBImage = UInt8[np.ndarray, "height width 3"]


class Render(NamedTuple):
    """What a method made of a view: colours, and depth as shades of inverse depth from far (0) to near (255)."""

    colours: RGBImage
    depth: UInt8[np.ndarray, "height width"]


class ComparedView(NamedTuple):
    """A view with its photograph, its depth range, its true depth if that is known (0: not there), and its renders."""

    scene: str
    image_id: str
    truth: RGBImage
    depth_range: tuple[float, float]
    true_depth: Float[np.ndarray, "height width"] | None
    renders: Mapping[str, Render]


def script_source() -> str:
    """Return the script as a source of a content security policy: its hash, so that no other script may run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'"


def compare(views: Sequence[ComparedView]) -> HTML:
    """Show scene, view, and what stands left and right of a wipe as drop-downs; colours, error and depth below.

    Both sides share one scale of the error, and one of the depth. Views beyond 2 MB are left out, which is said.
    """
    errors = [_error(render.colours, view.truth) for view in views for render in view.renders.values()]
    most = max(SMALLEST_SCALE, float(np.quantile(np.concatenate([error.ravel() for error in errors]), 0.99)))
    scenes: dict[str, dict[str, Any]] = {}
    size = 0
    for count, view in enumerate(views):
        shown = _shown(view, most)
        size += len(json.dumps(shown))
        if count and size > LARGEST:
            break
        scenes.setdefault(view.scene, {})[view.image_id] = shown
    there = sum(map(len, scenes.values()))
    note = "" if there == len(views) else f"The first {there} of {len(views)} views: more would be too large."
    panels = [
        {"name": "colour"},
        {"name": "error", "unit": "mean of |difference| of RGB", "shades": _png(SHADES, ERROR_COLOURS)},
        _depth_panel(),
    ]
    return _page({"scenes": scenes, "panels": panels}, note)


def scrub(filmed: RenderedPath, frames_per_second: int) -> HTML:
    """Show the frames of a camera path under a slider, colour beside depth; a button plays them.

    Beyond 2 MB only some of the frames are shown, evenly in time, which is said.
    """
    kinds = {"colour": filmed.frames("colour"), "depth": filmed.frames("depth")}
    pictures = {kind: [np.array(Image.open(file).convert("RGB")) for file in files] for kind, files in kinds.items()}
    near = min(camera.depth_range[0] for camera in filmed.cameras)
    far = max(camera.depth_range[1] for camera in filmed.cameras)
    frames = [{kind: _webp(each[index]) for kind, each in pictures.items()} for index in range(len(filmed.cameras))]
    every = math.ceil(sum(len(part) for frame in frames for part in frame.values()) / LARGEST)
    note = "" if every == 1 else f"One of {every} frames: more would be too large."
    shown = {"frames": frames[::every], "panels": [{"name": "colour"}, _depth_panel()]}
    shown |= {"rate": frames_per_second / every, "size": filmed.cameras[0].size[::-1]}
    return _page(shown | {"marks": {"depth": _depth_marks(near, far)}}, note)


def _shown(view: ComparedView, most: float) -> dict[str, Any]:
    """Return what the script is told of a view; errors are coloured from 0 to `most`."""
    near, far = view.depth_range
    shades = None
    if view.true_depth is not None:
        inverse = 1 / view.true_depth.clip(near, far)
        shades = _bytes((inverse - 1 / far) / (1 / near - 1 / far)) * (view.true_depth > 0)
    every = {TRUTH: (view.truth, shades)} | {name: tuple(render) for name, render in view.renders.items()}
    sources = {}
    for name, (colours, depth) in every.items():
        error = _coloured(_bytes(_error(colours, view.truth) / most), ERROR_COLOURS)
        sources[name] = {"colour": _webp(colours), "error": _webp(error)}
        if depth is not None:  # black: nothing is there
            coloured = _coloured(depth, DEPTH_COLOURS) * (depth > 0)[..., None]
            sources[name]["depth"] = _webp(coloured.astype(np.uint8))
    marks = {"error": ["0", f"{most / 2:.2f}", f"{most:.2f} or more"], "depth": _depth_marks(near, far)}
    return {"size": view.truth.shape[1::-1], "marks": marks, "sources": sources}


def _depth_panel() -> dict[str, str]:
    unit = "z-depth [scene units]; black: nothing"
    return {"name": "depth", "unit": unit, "shades": _png(SHADES[:, ::-1], DEPTH_COLOURS)}


def _depth_marks(near: float, far: float) -> list[str]:
    """Return the depths at the ends and in the middle of the scale, which is even in inverse depth."""
    return [f"{near:.3g}", f"{2 / (1 / near + 1 / far):.3g}", f"{far:.3g}"]


def _error(colours: RGBImage, truth: RGBImage) -> Float[np.ndarray, "height width"]:
    return np.abs(colours / 255 - truth / 255).mean(axis=-1)


def _bytes(values: Float[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width"]:
    return (values.clip(0, 1) * 255).round().astype(np.uint8)


def _coloured(shades: UInt8[np.ndarray, "height width"], colours: int) -> RGBImage:
    return cv2.applyColorMap(shades, colours)[..., ::-1]


def _webp(picture: RGBImage) -> str:
    """Return a picture as small WebP in base64."""
    image, encoded = Image.fromarray(picture), io.BytesIO()
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    image.save(encoded, "webp", quality=QUALITY, method=6, use_sharp_yuv=True)
    return base64.b64encode(encoded.getvalue()).decode()


def _png(shades: UInt8[np.ndarray, "1 shade"], colours: int) -> str:
    encoded = cv2.imencode(".png", cv2.applyColorMap(shades, colours))[1]
    return base64.b64encode(encoded.tobytes()).decode()


def _page(shown: Mapping[str, Any], note: str = "") -> HTML:
    """Return the HTML; names in it are text, whatever they hold."""
    told = json.dumps(shown, separators=(",", ":")).replace("<", r"\u003c")
    return HTML(
        f'<div class="{CLASS}"><style>{STYLE}</style><p class="still">{STILL}</p><p>{note}</p>'
        f'<script type="application/json">{told}</script><script>{SCRIPT}</script></div>'
    )
