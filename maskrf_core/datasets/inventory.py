"""Inventory of the data root: every data set, scene by scene, and the first thing that is wrong with each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from maskrf_core.datasets.batches.scene_views import expand_scene_names
from maskrf_core.datasets.files.checked_files import check_depth_range, check_intrinsics, check_w2c
from maskrf_core.datasets.records import DATA_SETS, record_of
from maskrf_core.datasets.scene import Scene, open_scene, scene_names
from maskrf_core.support.errors import DatasetError, NotPreparedError
from maskrf_core.support.progress import tracked

State = Literal["absent", "complete", "broken", "part", "to prepare"]
Thoroughness = Literal["quick", "thorough"]
QUICK_LIMIT = 200  # scenes of a data set that a quick look opens by default, spread over all of them


@dataclass(frozen=True)
class SceneReport:
    """One scene as it was found."""

    name: str
    images: int
    looked_at: int  # images that were decoded
    with_depth: int  # those of them whose depth is known: the data set's own, or COLMAP's where it is kept
    fault: str | None = None  # the first thing that is wrong: which file, what was found and what to do
    unprepared: bool = False  # nothing is wrong but that it was not prepared yet

    @property
    def state(self) -> str:
        """Return `whole`, `to prepare` or `broken`."""
        return "whole" if self.fault is None else "to prepare" if self.unprepared else "broken"


@dataclass(frozen=True)
class DataSetReport:
    """One data set as it was found. `found` counts scene folders, of which `scenes` were looked at."""

    data_set: str
    found: int
    scenes: tuple[SceneReport, ...]
    fault: str | None = None  # reason that kept the scenes from being listed

    @property
    def state(self) -> State:
        """Return `broken` if anything is, `part` if all is whole but fewer scenes are there than were published;
        `to prepare` where photographs have no cameras yet."""
        if self.first_fault is not None:
            faulty = [scene.unprepared for scene in self.scenes if scene.fault is not None]
            return "to prepare" if self.fault is None and all(faulty) else "broken"
        if not self.found:
            return "absent"
        return "part" if self.found < (record_of(self.data_set).scenes or 0) else "complete"

    @property
    def whole(self) -> int:
        """Count the scenes looked at in which nothing was wrong."""
        return sum(scene.fault is None for scene in self.scenes)

    def total(self, field: str) -> int:
        """Add up `images`, `looked_at` or `with_depth` of the scenes that were looked at."""
        return sum(getattr(scene, field) for scene in self.scenes)

    @property
    def test_scenes_found(self) -> list[str]:
        """List scenes that show what a test set shows, though the data set is trained on."""
        held_out = record_of(self.data_set).held_out
        return [scene.name for scene in self.scenes if scene.name.split("/")[1] in held_out]

    @property
    def first_fault(self) -> str | None:
        """Return the first thing that is wrong."""
        return self.fault or next((scene.fault for scene in self.scenes if scene.fault is not None), None)


def inspect(data_root: str | Path, data_sets: Iterable[str] | None = None) -> list[DataSetReport]:
    """Look at every data set (or those named) below `data_root`; what is wrong is reported, never raised.

    At most `QUICK_LIMIT` scenes of a data set are opened, evenly spread, and the first image of each is decoded.
    """
    listed: dict[str, list[str]] = {}
    faults: dict[str, str] = {}
    for data_set in DATA_SETS if data_sets is None else data_sets:
        try:
            listed[data_set] = scene_names(data_set, data_root)
        except Exception as error:
            listed[data_set], faults[data_set] = [], _fault(error, data_root)
    chosen = {data_set: spread(names, QUICK_LIMIT) for data_set, names in listed.items()}
    looked = iter(inspect_scenes(list(chain.from_iterable(chosen.values())), data_root, "quick"))
    return [
        DataSetReport(data_set, len(names), tuple(islice(looked, len(chosen[data_set]))), faults.get(data_set))
        for data_set, names in listed.items()
    ]


def inspect_scenes(names: Sequence[str], data_root: str | Path, depth: Thoroughness = "thorough") -> list[SceneReport]:
    """Look at scenes by name; a bar shows how far."""
    progress = tracked(names, total=len(names), title="looking at scenes")
    return [inspect_scene(name, data_root, depth) for name in progress]


def inspect_scene(name: str, data_root: str | Path, depth: Thoroughness = "thorough") -> SceneReport:
    """Open one scene and read its first image, or all of them, with cameras, mask and depth; no fault is raised."""
    images = looked_at = with_depth = 0
    try:
        scene = open_scene(name, data_root)
        images = len(scene.image_ids)
        for image_id in scene.image_ids if depth == "thorough" else scene.image_ids[:1]:
            with_depth += read_view(scene, image_id)
            looked_at += 1
    except Exception as error:  # one broken scene stops no check
        unprepared = isinstance(error, NotPreparedError)
        return SceneReport(name, images, looked_at, with_depth, _fault(error, data_root), unprepared)
    return SceneReport(name, images, looked_at, with_depth)


def read_view(scene: Scene, image_id: str) -> bool:
    """Read all that is known of one view and hold it together; returns whether its depth is known.

    Raises:
        DatasetError: a file is missing or broken, a camera is none, or photograph, mask and depth differ in size.
    """
    where = f"{scene.name}, {image_id}"
    check_w2c(scene.w2c(image_id), where)
    check_depth_range(*scene.depth_range(image_id), where)
    check_intrinsics(scene.K(image_id), where)
    size = scene.image(image_id).shape[:2]
    depth = scene.depth(image_id)
    for kind, array in [("mask", scene.mask(image_id)), ("depth map", depth)]:
        if array is not None and array.shape != size:
            raise DatasetError(
                f"{where}: the {kind} is {array.shape[1]}×{array.shape[0]}, the photograph {size[1]}×{size[0]}. "
                "Unpack the data set again."
            )
    return depth is not None


def named_scenes(names: Iterable[str], data_root: str | Path) -> list[str]:
    """List scenes by name; the name of a data set stands for all of its scenes, `demo/train` for those of its own.

    Raises:
        DatasetError: no such data set, or none of its scenes is there.
    """
    scenes: list[str] = []
    for name in names:
        found = scene_names(name, data_root) if "/" not in name else expand_scene_names([name])
        if not found:
            folders = " or ".join(record_of(name).folders) or name
            raise DatasetError(f"{name}: no scenes in {folders} below {data_root}. Unpack the data set there.")
        scenes += found
    return list(dict.fromkeys(scenes))


def spread(names: Sequence[str], limit: int | None) -> list[str]:
    """Return at most `limit` of the names, evenly spread, the first one always among them."""
    if limit is None or len(names) <= limit:
        return list(names)
    return [names[index * len(names) // limit] for index in range(limit)]


def without_root(message: str, data_root: str | Path) -> str:
    """Return a message with its paths as they are below the data root."""
    for root in {str(data_root), str(Path(data_root).resolve())}:
        message = message.replace(f"{root}/", "")
    return message


def _fault(error: Exception, data_root: str | Path) -> str:
    """Say what went wrong; a fault that the reader does not know by name is ours to mend, and no reason to stop."""
    if isinstance(error, DatasetError):
        return without_root(str(error), data_root)
    message = without_root(f"{type(error).__name__}: {error}", data_root)
    return f"{message} (unforeseen by the reader; please report it)"
