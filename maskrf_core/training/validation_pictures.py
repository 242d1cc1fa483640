"""A small picture of the first view of each validation, which people watch grow sharper."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from maskrf_core.rendering.rendered_views import RenderedView, as_bytes
from maskrf_core.runs import Run
from maskrf_core.support.atomic_files import write_atomically

LONGER_SIDE = 192  # pixels that are enough to watch
TRUTH = "truth"


@dataclass
class ValidationPictures:
    """The pictures that the validations of a run leave. A full disk stops no training by this."""

    run: Run
    _newest: int = -1  # the step whose validation has left its picture

    def keep_first(self, step: int, view: RenderedView) -> None:
        """Write fine picture and truth of a view as it is rendered at a step, if it is the first that is."""
        if step != self._newest:
            self._newest = step
            for name, picture in ((f"step_{step:07d}", view.fine), (TRUTH, view.truth)):
                _write_small(picture, _folder(self.run) / f"{name}.jpg")


def kept_pictures(run: Run) -> dict[str, Path]:
    """Return the pictures of the validations that were logged, by "step 20" and so on, in order; last the "truth"."""
    logged = sorted({int(row["step"]) for row in run.metric_rows() if row["phase"] != "train"})
    paths = {f"step {step}": _folder(run) / f"step_{step:07d}.jpg" for step in logged}
    paths[TRUTH] = _folder(run) / f"{TRUTH}.jpg"
    return {name: path for name, path in paths.items() if path.is_file()}


def _folder(run: Run) -> Path:
    return run.renders / "while_training"


def _write_small(picture: Float[np.ndarray, "height width 3"], path: Path) -> None:
    height, width = picture.shape[:2]
    scale = min(1.0, LONGER_SIDE / max(height, width))
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    small = cv2.resize(as_bytes(picture), size, interpolation=cv2.INTER_AREA)[..., ::-1]
    data = cv2.imencode(".jpg", np.ascontiguousarray(small), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    with contextlib.suppress(OSError):
        write_atomically(path, lambda file: file.write(data), durable=False)
