"""The types that make a data set: its record, rules that split its images, and the frames that its reader returns."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from maskrf_core.datasets.files.image_files import image_size
from maskrf_core.datasets.files.image_folders import list_images
from maskrf_core.settings.sections import ViewChoice
from maskrf_core.support.errors import DatasetError

SplitKind = Literal["train", "validation", "test"]
Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
SplitRule = Callable[[str, Sequence[str], SplitKind], tuple[list[str], list[str]]]
"""(name of the scene, its image ids, kind) → (reference ids, query ids)."""
VALIDATION_NUMBERS = (39, 2, 94, 62, 23, 36)  # frames of NeRF's synthetic scenes that NeuRay's training validates on
Augmentation = Literal["jittered_ranges", "crop_and_flip", "noisy_depth", "estimated_depth"]
"""jittered_ranges: depth ranges are sometimes a little wider; crop_and_flip: views from one side are cropped and
mirrored; noisy_depth: of rendered objects, ranges are tightened and the input depth gets noise; estimated_depth: exact
input depth is often made as poor as an estimated one."""
RayRule = Literal["foreground", "centre"]
"""Where rays are drawn. foreground: half of them in the mask; centre: 90 % in the central 80 % of the picture."""


@dataclass(frozen=True)
class EveryNth:
    """Test and validate on the `queries`, by default every 8th image from the first as NeRF does, from all others.

    Where the slice takes none, the middle image is the query. A training has every image as query and reference, or
    the references alone if `trains_on_all` is False.
    """

    queries: slice = field(default_factory=lambda: slice(None, None, 8))
    trains_on_all: bool = True

    def __call__(self, name: str, image_ids: Sequence[str], kind: SplitKind) -> tuple[list[str], list[str]]:
        """Return (reference ids, query ids)."""
        if kind == "train" and self.trains_on_all:
            return list(image_ids), list(image_ids)
        queries = list(image_ids[self.queries] or image_ids[len(image_ids) // 2 :][:1])
        references = [image_id for image_id in image_ids if image_id not in queries]
        return references, list(references) if kind == "train" else queries


def split_renders(name: str, image_ids: Sequence[str], kind: SplitKind) -> tuple[list[str], list[str]]:
    """Return the train frames as references; validation queries are the published six, as far as they exist."""
    train, queries = ([each for each in image_ids if each.startswith(f"{part}-")] for part in ("train", kind))
    if kind != "validation":
        return train, queries
    wanted = [f"val-r_{number}" for number in VALIDATION_NUMBERS]
    absent = [image_id for image_id in wanted if image_id not in image_ids]
    if absent:
        warnings.warn(
            f"{name}: transforms_val.json does not list the validation frames {', '.join(absent)}; validating on "
            f"{len(wanted) - len(absent)}.",
            stacklevel=3,
        )
    return train, [image_id for image_id in wanted if image_id not in absent]


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
    pattern: str  # form of its scenes' names for `open_scene`
    example: str
    folders: tuple[str, ...]  # below the data root, the first one preferred; none for what comes with the package
    reader: str | Callable
    """`module:function`, or the function itself: `NamedScene` → `Frame`s."""
    title: str = ""
    scenes_in: str = "."  # folder that holds the scenes' folders, below each of `folders`
    listed_size: str = ""  # last word of the names of its scenes where they are listed: the published size, for example
    names: str | Callable = ""  # as `reader`: the scenes' folders → their names, where `listed_size` does not suffice
    split: SplitRule = field(default_factory=EveryNth)

    needed: str = ""  # files without which a scene cannot be opened, relative to its folder
    optional: str = ""
    used_for: str = "your own"
    source: str = ""  # where it can be had: links as Markdown, the download's size as its page states it, a caution
    scenes: int | None = None  # number of scenes that were published, where their publication says so

    weight: float | None = None  # in the published mixture, relative to others; where it is not in it, 1 is taken
    view_choice: ViewChoice = "nearest"  # what nearest means, unless `data.view_choice` says otherwise
    view_pool: NearestViews | FrameWindow | None = None  # none: `data.view_pool` times as many of the nearest
    augmentation: tuple[Augmentation, ...] = ()
    rays: RayRule = "foreground"
    colmap_depth: ColmapDepth | None = None  # none: depth is the frames' own, or none
    exact_depth: bool = False  # its depth supervises a training, unless `data.depth_supervision` says otherwise

    aliases: Mapping[str, str] = field(default_factory=dict)  # other names of its scenes → those of their places
    same_places_as: str | None = None  # data set that shows the same places under the same names
    held_out: tuple[str, ...] = ()  # scenes that are never trained on: published models are tested on what they show
    lists_held_out: bool = True

    also_called: tuple[str, ...] = ()  # names that its folder has in other people's archives
    archive_pattern: str = ""  # file of a scene that tells its archive (a regular expression), `<scene>/` its folder
    archive_rank: int = 0  # lower ones are tried first: scenes of dtu_test look like dtu_train's, not conversely
    checkpoint_folders: tuple[str, ...] = ()  # other names of its folder of per-scene checkpoints, most likely first

    def parents(self, data_root: Path) -> list[Path]:
        """Return the folders that hold its scenes' folders, there or not."""
        return [data_root / folder / self.scenes_in for folder in self.folders]


@dataclass(frozen=True)
class NamedScene:
    """A scene that was asked for by name, as its reader gets it."""

    name: str
    data_set: DataSet
    words: tuple[str, ...]
    """Words of the name that fill the placeholders of its data set's pattern; the first one is the scene's own."""
    data_root: Path
    folder: Path  # folder of the scene, which is there; the data root itself where the data set has no folders


@dataclass(frozen=True)
class Frame:
    """One image of a scene, its camera and what is known of its depth.

    Every field but the id may be a function without arguments, which reads the value when it is first asked for; what
    it returns is kept, pictures excepted. Reading raises `DatasetError`, which names the file and a remedy.
    """

    image_id: str
    image: Path | Callable[[], UInt8[np.ndarray, "height width 3"]]
    """RGB; of a file as it is, which must have the frame's size, the path."""
    K: Any  # 3×3 intrinsics of the image as returned, in pixels; the centre of the first pixel is (0, 0)
    w2c: Any  # 3×4 world to camera, OpenCV axes
    depth_range: Any  # (near, far) in scene units, 0 < near < far
    size: Any  # (height, width) of the image as returned
    mask: Callable[[], Bool[np.ndarray, "height width"]] | None = None  # true on the foreground; None: everywhere
    depth: Callable[[], Float32[np.ndarray, "height width"]] | None = None
    """z-depth, 0 where unknown; None: COLMAP's, where the data set's record says where that is kept."""
    file: str = ""  # name of the image's file, where depth maps are called after it
    files: tuple[Path, ...] = ()  # outside the scene's folder, from which functions above read its pictures
    part: Part | None = None  # split that the files list it for; where none has one, the data set's rule splits


def downscale_ratio(name: str, asked: str, native: int) -> float:
    """Return the side that a scene's name asks for over the images' own, in (0, 1]; 1 for `raw`.

    Raises `DatasetError` where more is asked for than there is.
    """
    if asked != "raw" and int(asked) > native:
        raise DatasetError(
            f"{name}: {asked} pixels are asked for, but the images have {native} and are never enlarged. Open "
            f"{name[: -len(asked)]}{native} instead."
        )
    return 1.0 if asked == "raw" else int(asked) / native


def listed_width(images: Path, published: int) -> int:
    """Return the width to list a scene at: the published one, or that of the folder's first image where it is smaller.

    The published one too where no image can be read, which is said when the scene is opened.
    """
    try:
        return min(published, image_size(list_images(images)[0])[1])
    except DatasetError:
        return published
