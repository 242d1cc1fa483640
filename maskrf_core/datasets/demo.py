"""The scenes that come with the package: `demo/train_00` and so on, and `photographs/tankard`; no data root and no
download needed.

One folder of sheets a scene; `python -m maskrf_core.datasets.procedural demo` made those of the demo.
"""

from difflib import get_close_matches
from pathlib import Path

from maskrf_core.datasets.data_set import Frame, NamedScene, SplitKind
from maskrf_core.datasets.files.sheets import read_sheets
from maskrf_core.support.errors import DatasetError

DATA_FOLDER = Path(__file__).parent / "demo_scenes"
REMEDY = "it is part of the package. Reinstall it (in a checkout: git checkout -- maskrf_core/datasets/demo_scenes)."
SCENE_COUNTS: dict[SplitKind, int] = {"train": 18, "validation": 2, "test": 4}


def demo_scene_names(split: SplitKind) -> list[str]:
    """List names for `open_scene` of the demo scenes that belong to a split; the splits share no scene."""
    return [f"demo/{split}_{number:02d}" for number in range(SCENE_COUNTS[split])]


def all_demo_scene_names(folders: list[Path]) -> list[str]:
    """List names of all demo scenes; they come with the package, so no folders below the data root matter."""
    return [scene for split in SCENE_COUNTS for scene in demo_scene_names(split)]


def photographed_scene_names(folders: list[Path]) -> list[str]:
    """List names of the scenes of photographs that come with the package."""
    return ["photographs/tankard"]


def read_photographs(asked: NamedScene) -> list[Frame]:
    """Read the eight shipped photographs of a wooden tankard, 216×216, with the cameras that came with them.

    Scene units: the nearest bound of the capture is at 4/3.
    """
    if asked.name not in photographed_scene_names([]):
        raise DatasetError(f"{asked.name}: no such scene. There is {photographed_scene_names([])[0]}.")
    return read_sheets(asked.name, DATA_FOLDER / asked.name.removeprefix("photographs/"), REMEDY, photographs=True)


def read_demo_scene(asked: NamedScene) -> list[Frame]:
    """Read a scene of the shipped data: 20 views of 96×96 on black; any of them has all three splits.

    The world has z up and the scene is about one unit in radius. Depth ranges enclose all surfaces, hidden ones too,
    with 3 % to spare; depth is exact at the pixels' centres (error below 1e-4 of it), and the mask is where a ray
    through the pixel's centre hits a surface.
    """
    known = all_demo_scene_names([])
    if asked.name not in known:
        hint = f" Did you mean {nearest[0]!r}?" if (nearest := get_close_matches(asked.name, known, n=1)) else ""
        ranges = ", ".join(f"demo/{split}_00 to _{count - 1:02d}" for split, count in SCENE_COUNTS.items())
        raise DatasetError(f"{asked.name}: no such demo scene.{hint} There are {ranges}.")
    return read_sheets(asked.name, DATA_FOLDER / asked.name.removeprefix("demo/"), REMEDY)
