"""Data for notebook 01: unpacked and prepared where asked to, and checked whether cameras, depth and colours agree."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch.nn.functional import grid_sample

from maskrf_core.cameras import back_project, project
from maskrf_core.datasets.archives.archive_plans import UnpackingPlan, find_archives, plan_unpacking
from maskrf_core.datasets.archives.unpacking import unpack
from maskrf_core.datasets.batches.evaluation_batches import warn_of_blind_references
from maskrf_core.datasets.batches.scene_views import SceneViews, expand_scene_names
from maskrf_core.datasets.batches.view_choice import shared_sight, viewing_angles
from maskrf_core.datasets.depth.depth_estimation import estimate_depth_maps
from maskrf_core.datasets.depth.depth_maps import depth_maps
from maskrf_core.datasets.depth.depth_passes import DepthSettings, matching_penalties
from maskrf_core.datasets.inventory import named_scenes, without_root
from maskrf_core.datasets.scene import Scene, open_scene
from maskrf_core.settings.sections import DataSettings, ViewChoice
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.paths import cache_folder
from maskrf_core.support.progress import tracked

CAPTURE = "capture"  # begins the names of one's own photographs, which are made into a scene before they are opened
SAME_SURFACE = 0.02  # relative difference of depth up to which two views are taken to see the same surface


def found_archives(data_root: Path, *, unpack_them: bool) -> pd.DataFrame:
    """List the archives in the data root and its `downloads`, where each belongs and what became of it.

    Nothing is unpacked unless `unpack_them`; a fault of one archive is said in its row and does not stop the others.
    """
    rows = []
    for archive in find_archives(data_root):
        plan = plan_unpacking(archive, data_root)
        folder = "" if plan.destination is None else f"{plan.destination.relative_to(data_root)}/"
        state = plan.fault or (_unpacked(plan) if unpack_them else "set unpack = True to unpack it there")
        rows.append({"archive": archive.name, "belongs in": folder, "state": without_root(state, data_root)})
    return pd.DataFrame(rows, columns=["archive", "belongs in", "state"]).set_index("archive")


def _unpacked(plan: UnpackingPlan) -> str:
    try:
        result = unpack(plan.archive, plan.destination, strip=plan.strip)
    except DatasetError as error:
        return str(error)
    left_out = f", {result.left_out} left out" if result.left_out else ""
    return f"{result.written} files unpacked, {result.already_there} were there{left_out}"


def opened(name: str, data_root: Path) -> Scene:
    """Open a scene by name; photographs of one's own are made into one first, if that has not been done yet.

    Raises:
        DatasetError: as `open_scene`, or the photographs cannot be made into a scene.
    """
    if name.split("/")[0] == CAPTURE:
        import_module("maskrf_core.datasets.captures.capture_preparation").prepare_capture(name, data_root)
    return open_scene(name, data_root)


def matching_views(scene: Scene, image_ids: Sequence[str], count: int | None) -> list[str]:
    """Choose `count` views that confirm each other's depth, in their order: one, and those that match it best.

    All views where there are no more, or no number is given.
    """
    if count is None or count >= len(image_ids):
        return list(image_ids)
    w2c = torch.tensor(np.stack([scene.w2c(name) for name in image_ids]), dtype=torch.float32)
    ranges = [scene.depth_range(name) for name in image_ids]
    penalties = matching_penalties(w2c, ranges, DepthSettings().best_angle)
    found = penalties.sort(dim=1, stable=True)
    best = int(found.values[:, : count - 1].sum(1).argmin())
    return [image_ids[place] for place in sorted([best, *found.indices[best, : count - 1].tolist()])]


def estimates(
    scene: Scene, image_ids: Sequence[str], data_root: Path, *, device: str | torch.device = "auto"
) -> Mapping[str, Float32[np.ndarray, "_height _width"]]:
    """Estimate depth of these views: kept for trainings, or made anew where true depth is there to judge it by."""
    if any(scene.depth(image_id) is not None for image_id in image_ids):
        return dict(estimate_depth_maps(scene, image_ids, device=device))
    return depth_maps(scene, image_ids, cache_root=cache_folder(data_root), device=device)


def prepare_depths(
    names: Iterable[str], data_root: Path, *, device: str = "cpu", estimate: Callable = depth_maps
) -> pd.DataFrame:
    """Estimate and keep the unknown depth of the training views of scenes (or of all scenes of data sets).

    A fault of one scene is said in its row and does not stop the others.

    Raises:
        DatasetError: a name is that of no data set, or of one that is absent.
    """
    scenes, rows = named_scenes(names, data_root), []
    for name in tracked(scenes, total=len(scenes), title="preparing depth"):
        try:
            scene = opened(name, data_root)
            references, _ = scene.split("train")
            maps = estimate(scene, references, cache_root=cache_folder(data_root), device=device)
            known = sum(int((depth > 0).sum()) for depth in maps.values()) / sum(depth.size for depth in maps.values())
            rows.append((name, len(maps), round(100 * known, 1), ""))
        except DatasetError as error:
            rows.append((name, 0, np.nan, without_root(str(error), data_root)))
    return pd.DataFrame(rows, columns=["scene", "views", "known [%]", "fault"]).set_index("scene")


class DepthQuality(NamedTuple):
    """The quality of estimated depth maps."""

    median_error: float  # median of |estimate - truth| / truth over the pixels where both are known
    kept: float  # share of the foreground whose depth is known

    def __str__(self) -> str:
        error = f"median error {self.median_error:.2%} of the depth"
        error = "the truth is not known" if np.isnan(self.median_error) else error
        return f"{self.kept:.1%} of the foreground kept, {error}"


class Carried(NamedTuple):
    """Another view's colours, seen from here."""

    colours: Float[np.ndarray, "height width 3"]
    visible: Bool[np.ndarray, "height width"]  # true where the depth is known and the other view sees the same surface


class StackedCameras(NamedTuple):
    """Cameras of some views as arrays; `size` is (height, width) of the first one's image."""

    K: Float[np.ndarray, "view 3 3"]
    w2c: Float[np.ndarray, "view 3 4"]
    depth_ranges: Float[np.ndarray, "view 2"]
    size: tuple[int, int]


def first_photographs(names: Sequence[str]) -> dict[str, UInt8[np.ndarray, "height width 3"]]:
    """Read the first image of each demo scene, by its name; `demo/train` and the like stand for all of their scenes."""
    opened = [open_scene(name) for name in expand_scene_names(names)]
    return {scene.name: scene.image(scene.image_ids[0]) for scene in opened}


def stacked_cameras(scene: Scene, image_ids: Sequence[str]) -> StackedCameras:
    """Stack the cameras of these views."""
    parts = (np.stack([np.asarray(read(name)) for name in image_ids]) for read in (scene.K, scene.w2c))
    ranges = np.array([scene.depth_range(name) for name in image_ids])
    return StackedCameras(*parts, ranges, scene.image(image_ids[0]).shape[:2])


class ChosenViews(NamedTuple):
    """The reference views of a query, by the rule that chose them, and how they look at what it looks at."""

    query: str
    references: list[str]
    rule: ViewChoice
    angles: Float[np.ndarray, "reference"]  # between viewing directions, in degrees
    shares: Float[np.ndarray, "reference"]  # of what the query sees between near and far

    def __str__(self) -> str:
        by = f"{self.query} is rendered from {', '.join(self.references)} (data.view_choice={self.rule})"
        turned = f"turned by {self.angles.min():.0f}° to {self.angles.max():.0f}°"
        return f"{by}: {turned}, each sees {self.shares.min():.0%} to {self.shares.max():.0%} of its sight"


def chosen_views(scene: Scene, settings: DataSettings) -> ChosenViews:
    """Choose the reference views of the middle test query, as evaluations do; of fewer views all.

    A warning tells where references share no sight with any of the test queries.
    """
    references, queries = scene.split("test")
    views = SceneViews(scene, view_choice=settings.view_choice)
    warn_of_blind_references(views, {name: views.camera(name) for name in queries}, references, settings.working_views)
    query = queries[len(queries) // 2]
    chosen = views.nearest(query, references, min(settings.working_views, len(references)))
    own, others = views.camera(query), views.cameras(chosen)
    angles = torch.rad2deg(viewing_angles(own.w2c, others.w2c)).numpy()
    return ChosenViews(query, chosen, views.view_choice, angles, shared_sight(own, others).numpy())


def nearest_views(scene: Scene, image_id: str, candidates: Sequence[str], count: int = 1) -> list[str]:
    """Choose up to `count` candidates, other than the view itself, that are nearest by the data set's rule."""
    others = [name for name in candidates if name != image_id]
    return SceneViews(scene).nearest(image_id, others, min(count, len(others)))


def depth_quality(
    estimates: Mapping[str, Float[np.ndarray, "height width"]],
    truths: Mapping[str, Float[np.ndarray, "height width"]],
    masks: Mapping[str, Bool[np.ndarray, "height width"]],
) -> DepthQuality:
    """Measure error and coverage over all views; the error is NaN where no truth is given."""
    errors = [np.zeros(0, np.float32)]
    for image_id, truth in truths.items():
        estimate = estimates[image_id]
        both = (estimate > 0) & (truth > 0)
        errors.append(np.abs(estimate[both] - truth[both]) / truth[both])
    pooled = np.concatenate(errors)
    known = sum(int((estimates[image_id] > 0)[mask].sum()) for image_id, mask in masks.items())
    foreground = sum(int(mask.sum()) for mask in masks.values())
    return DepthQuality(float(np.median(pooled)) if len(pooled) else np.nan, known / max(1, foreground))


def carry_colours(
    scene: Scene, here: str, there: str, depths: Mapping[str, Float[np.ndarray, "height width"]]
) -> Carried:
    """Look up every pixel of view `here` in view `there`, through its depth and both cameras."""
    points = back_project(_tensor(scene.K(here)), _tensor(scene.w2c(here)), _tensor(depths[here]))[0]
    there_image, there_depth = _tensor(scene.image(there)) / 255, _tensor(depths[there])
    height, width = there_depth.shape[1:]
    projection = project(_tensor(scene.K(there)), _tensor(scene.w2c(there)), points, height, width)
    xy = projection.pixels_xy[0]
    normalised = 2 * xy / torch.tensor([width - 1, height - 1]) - 1
    colours = grid_sample(there_image.permute(0, 3, 1, 2), normalised[None], align_corners=True)[0].permute(1, 2, 0)
    column, row = xy[..., 0].round().long().clamp(0, width - 1), xy[..., 1].round().long().clamp(0, height - 1)
    seen = there_depth[0, row, column]
    same = (projection.depth[0] - seen).abs() <= SAME_SURFACE * seen
    visible = projection.valid[0] & same & (seen > 0) & torch.from_numpy(depths[here] > 0)
    return Carried(colours.numpy(), visible.numpy())


def colour_differences(scene: Scene, here: str, there: str, carried: Carried) -> tuple[float, float]:
    """Average |difference| of RGB in [0, 1] where both views see a surface: carried over, and as both views are."""
    image = scene.image(here) / 255
    through = np.abs(image - carried.colours)[carried.visible].mean()
    unmoved = np.abs(image - scene.image(there) / 255)[carried.visible].mean()
    return float(through), float(unmoved)


def _tensor(array: np.ndarray) -> torch.Tensor:
    """Make one view of float32."""
    return torch.from_numpy(np.asarray(array, dtype=np.float32))[None]
