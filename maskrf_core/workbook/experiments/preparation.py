"""What the data doctor does to data: unpacks archives, prepares captures, and keeps depth maps. Only where asked to."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32

from maskrf_core.datasets.archives.archive_plans import UnpackingPlan, find_archives, plan_unpacking
from maskrf_core.datasets.archives.unpacking import unpack
from maskrf_core.datasets.depth.depth_estimation import estimate_depth_maps
from maskrf_core.datasets.depth.depth_maps import depth_maps
from maskrf_core.datasets.inventory import named_scenes, without_root
from maskrf_core.datasets.scene import Scene, open_scene
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.paths import cache_folder
from maskrf_core.support.progress import tracked

CAPTURE = "capture"
"""First word of the names of one's own photographs, which are made into a scene before they can be opened."""


def found_archives(data_root: Path, *, unpack_them: bool) -> pd.DataFrame:
    """The archives in the data root and its `downloads`, where each belongs and what became of it.

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
    """A scene by name; photographs of one's own are made into one first, if that has not been done yet.

    Raises:
        DatasetError: as `open_scene`, or the photographs cannot be made into a scene.
    """
    if name.split("/")[0] == CAPTURE:
        import_module("maskrf_core.datasets.captures.capture_preparation").prepare_capture(name, data_root)
    return open_scene(name, data_root)


def estimates(
    scene: Scene, image_ids: Sequence[str], data_root: Path, *, device: str | torch.device = "auto"
) -> Mapping[str, Float32[np.ndarray, "_height _width"]]:
    """Estimated depth of these views: kept for trainings, or made anew where the true depth is there to judge it by."""
    if any(scene.depth(image_id) is not None for image_id in image_ids):
        return dict(estimate_depth_maps(scene, image_ids, device=device))
    return depth_maps(scene, image_ids, cache_root=cache_folder(data_root), device=device)


def prepare_depths(
    names: Iterable[str], data_root: Path, *, device: str = "cpu", estimate: Callable = depth_maps
) -> pd.DataFrame:
    """Estimate and keep the depth of the training views of scenes (or of all scenes of data sets), where it is unknown.

    A fault of one scene is said in its row and does not stop the others.

    Raises:
        DatasetError: a name is that of no data set, or of one that is absent.
    """
    scenes = named_scenes(names, data_root)
    rows = [
        _prepared(name, data_root, device, estimate)
        for name in tracked(scenes, total=len(scenes), title="preparing depth")
    ]
    return pd.DataFrame(rows, columns=["scene", "views", "known [%]", "fault"]).set_index("scene")


def _prepared(name: str, data_root: Path, device: str, estimate: Callable) -> dict:
    try:
        scene = opened(name, data_root)
        references, _ = scene.split("train")
        maps = estimate(scene, references, cache_root=cache_folder(data_root), device=device)
        known = sum(int((depth > 0).sum()) for depth in maps.values()) / sum(depth.size for depth in maps.values())
    except DatasetError as error:
        return {"scene": name, "views": 0, "known [%]": float("nan"), "fault": without_root(str(error), data_root)}
    return {"scene": name, "views": len(maps), "known [%]": round(100 * known, 1), "fault": ""}


def listed(text: str | None) -> Sequence[str]:
    """Names in one text, separated by commas."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]
