"""The type of a data set's record, which holds all that is said of it; `maskrf_core.datasets.records` has them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from maskrf_core.datasets.files.checked_files import scene_folders
from maskrf_core.datasets.splits import EveryNth, SplitRule

Augmentation = Literal["jittered_ranges", "crop_and_flip", "noisy_depth"]
"""jittered_ranges: depth ranges are sometimes a little wrong; crop_and_flip: views from one side are cropped and
mirrored; noisy_depth: of rendered objects, ranges shrink, the input depth gets noise and the true one supervises."""


@dataclass(frozen=True)
class Source:
    """Place where a data set can be had, in words and as a link."""

    text: str
    link: str


@dataclass(frozen=True)
class NearestViews:
    """Draw working views from the nearest candidates: `times` as many as are drawn, at most `at_most`.

    Of several `times` each step draws one; of none, all candidates are drawn from.
    """

    times: tuple[int, ...] = ()
    at_most: int = 0


@dataclass(frozen=True)
class FrameWindow:
    """Draw working views from the frames of a video at most `frames` away, in a window shifted by up to `shift`.

    `ends` frames at either end are no queries.
    """

    frames: int
    shift: int
    ends: int


@dataclass(frozen=True)
class ColmapDepth:
    """COLMAP's depth maps of a data set: where they are kept and how they are read.

    `files` may hold `{root}` (the data root), `{folder}` (the scene's), `{scene}` and `{size}` (of its name),
    `{image_id}` and `{file}` (the image's file); the first that exists is read.
    """

    files: tuple[str, ...]
    ends_at_far: bool = False  # depth beyond far is put there, as published
    within_mask: bool = False  # depth outside the mask is taken for unknown
    any_shape: bool = False  # the images are stretched themselves, so a map of another shape is too


@dataclass(frozen=True)
class DataSet:
    """All that is said of one data set. A new one needs `name`, `pattern`, `example`, `folders` and `reader`."""

    name: str  # first word of its scenes' names
    pattern: str
    """Form of its scenes' names for `open_scene`; `maskrf_core.datasets.files.scene_names` takes names apart by it."""
    example: str
    folders: tuple[str, ...]  # below the data root, the first one preferred; none for what comes with the package
    reader: str | Callable
    """`module:function`, or the function itself: `NamedScene` → `Frame`s (`maskrf_core.datasets.readers.frames`)."""
    title: str = ""
    scenes_in: str = "."  # folder that holds the scenes' folders, below each of `folders`
    listed_size: str = ""  # last word of the names of its scenes where they are listed: the published size, for example
    names: str | Callable = ""
    """`module:function`, or the function: the scenes' folders → their names, where `listed_size` does not suffice."""
    split: SplitRule = field(default_factory=EveryNth)

    needed: str = ""  # files without which a scene cannot be opened, relative to its folder
    optional: str = ""
    used_for: str = "your own"
    sources: tuple[Source, ...] = ()
    size: str = ""  # size of the download, as its page states it
    scenes: int | None = None  # number of scenes that were published, where their publication says so
    caution: str = ""

    weight: float | None = None
    """Weight in the published mixture, relative to others; where it is not in it, 1 is taken."""
    view_pool: NearestViews | FrameWindow | None = None
    """Published rule for drawing working views; none: `data.view_pool` times as many of the nearest."""
    augmentation: tuple[Augmentation, ...] = ()
    colmap_depth: ColmapDepth | None = None  # none: depth is the frames' own, or none

    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other names of its scenes → the names that tell places apart; a scene's folder may bear either."""
    same_places_as: str | None = None  # data set that shows the same places under the same names
    held_out: tuple[str, ...] = ()  # scenes that are never trained on: published models are tested on what they show
    lists_held_out: bool = True

    also_called: tuple[str, ...] = ()  # names that its folder has in other people's archives
    archive_pattern: str = ""
    """File of a scene that gives the data set away in an archive (a regular expression), `<scene>/` its folder."""
    archive_rank: int = 0
    """Patterns of lower rank are tried first: each scene of dtu_test looks like one of dtu_train, not conversely."""
    checkpoint_folders: tuple[str, ...] = ()
    """Names that its folder of published per-scene checkpoints may have, beside its own name, most likely first."""

    def parents(self, data_root: Path) -> list[Path]:
        """Return the folders that hold its scenes' folders, there or not."""
        return [data_root / folder / self.scenes_in for folder in self.folders]

    def scene_folders(self, data_root: Path) -> list[Path]:
        """Return the folders of its scenes, each name once."""
        found: dict[str, Path] = {}
        for folder in scene_folders(self.parents(data_root)):
            found.setdefault(folder.name, folder)
        return list(found.values())

    def scene_names(self, folders: list[Path]) -> list[str]:
        """Return the names of the scenes in `folders` by `listed_size`, by their alias where they have one."""
        shown = {scene: alias for alias, scene in self.aliases.items()}
        hidden = () if self.lists_held_out else self.held_out
        ending = f"/{self.listed_size}" if self.listed_size else ""
        return [f"{self.name}/{shown.get(path.name, path.name)}{ending}" for path in folders if path.name not in hidden]

    def where(self) -> str:
        """Return the sources as Markdown."""
        return "; ".join(f"[{source.text}]({source.link})" for source in self.sources)
