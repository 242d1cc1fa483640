"""Scenes that `python -m maskrf_core.datasets.procedural` makes below the data root."""

from pathlib import Path

from maskrf_core.datasets.data_set import Frame, NamedScene
from maskrf_core.datasets.files.sheets import read_sheets

KEPT_BACK = range(9_000, 10_000)
"""Numbers of scenes that nothing is trained on unless they are named one by one: to validate and to test on."""

HALF = "procedural_half"  # data set that reads the same files at half the size


def read_procedural_scene(asked: NamedScene) -> list[Frame]:
    """Read a made scene: 24 views of 128×128, z up, in metres; exact depth at the pixels' centres.

    Objects stand on black, cutouts on a plain colour, and their depth ranges enclose all surfaces with 3 % to spare;
    tables and rooms fill the picture, and their ranges enclose what each view sees with as much to spare. Of
    `procedural_half` every second pixel counts: 64×64.
    """
    scene = asked.folder.name
    remedy = f"make it again: python -m maskrf_core.datasets.procedural {scene}"
    return read_sheets(asked.name, asked.folder, remedy, step=2 if asked.data_set.name == HALF else 1)


def half_names(folders: list[Path]) -> list[str]:
    """List what `training_names` does, at half the size."""
    return [name.replace("procedural", HALF, 1) for name in training_names(folders)]


def training_names(folders: list[Path]) -> list[str]:
    """List names of all made scenes but those that are kept back, at their full size."""
    numbers = {folder.name: folder.name.rpartition("_")[2] for folder in folders}
    return [
        f"procedural/{name}" for name, number in numbers.items() if number.isdecimal() and int(number) not in KEPT_BACK
    ]
