"""Scenes that `python -m maskrf_core.datasets.procedural` makes below the data root."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from maskrf_core.datasets.data_set import Frame, NamedScene
from maskrf_core.datasets.files.sheets import read_sheets

KEPT_BACK = range(9_000, 10_000)
"""Numbers of scenes that nothing is trained on unless they are named one by one: to validate and to test on."""

HALF = "procedural_half"  # data set that reads the same files at half the size
PHOTOGRAPHS = "procedural_photographs"  # data set that reads of the same files what photographs would have

SEEN_DEPTHS = (0.5, 92)
"""Percentiles of a photograph's depths between which its range lies: of real ones, what is far beyond has no points."""


def read_procedural_scene(asked: NamedScene) -> list[Frame]:
    """Read a made scene: 24 views of 128×128, z up, in metres; exact depth at the pixels' centres.

    Objects stand on black, cutouts on a plain colour, and their depth ranges enclose all surfaces with 3 % to spare;
    tables and rooms fill the picture, and their ranges enclose what each view sees with as much to spare. Of
    `procedural_half` every second pixel counts: 64×64.
    """
    scene = asked.folder.name
    remedy = f"make it again: python -m maskrf_core.datasets.procedural {scene}"
    return read_sheets(asked.name, asked.folder, remedy, step=2 if asked.data_set.name == HALF else 1)


def read_photographs(asked: NamedScene) -> list[Frame]:
    """Read what photographs of a made scene would have: pictures, cameras, and ranges that leave far surfaces out.

    Masks and depth are unknown, so depth is estimated as that of captures is, with its errors and gaps.
    """

    def photographed(frame: Frame) -> Frame:
        def depth_range() -> tuple[float, float]:
            depth = frame.depth()
            near, far = np.percentile(depth[depth > 0], SEEN_DEPTHS) if depth.any() else (0, 0)
            return (near, far) if near < far else frame.depth_range

        return replace(frame, depth_range=depth_range, mask=None, depth=None)

    return [photographed(frame) for frame in read_procedural_scene(asked)]


def training_names(folders: list[Path], data_set: str = "procedural") -> list[str]:
    """List names of all made scenes but those that are kept back, at their full size."""
    numbers = {folder.name: folder.name.rpartition("_")[2] for folder in folders}
    return [
        f"{data_set}/{name}" for name, number in numbers.items() if number.isdecimal() and int(number) not in KEPT_BACK
    ]


half_names = partial(training_names, data_set=HALF)
photograph_names = partial(training_names, data_set=PHOTOGRAPHS)
