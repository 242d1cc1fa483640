"""Depth maps for scenes without any: a plane sweep for every view; depths that no other view confirms are cut."""

from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float32

from maskrf_core.datasets.depth.depth_passes import DepthPasses, DepthSettings
from maskrf_core.datasets.depth.plane_sweep import SweepView
from maskrf_core.datasets.files.resize import downscale_image, downscale_nearest, scale_intrinsics
from maskrf_core.datasets.scene import Scene
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.progress import tracked
from maskrf_core.support.threads import one_thread


def estimate_depth_maps(
    scene: Scene,
    image_ids: Sequence[str],
    *,
    device: str | torch.device = "auto",
    progress: bool = True,
    settings: DepthSettings | None = None,
) -> dict[str, Float32[np.ndarray, "_height _width"]]:
    """Estimate the z-depth of each view, 0 where no other view confirms it and on the background.

    Only the views of `image_ids` are looked at, so that held-out views stay unseen; the more there are, the better.
    `device` "auto" is a GPU where there is one.

    Raises:
        DatasetError: fewer than two views, or a file of the scene is missing or broken.
    """
    return dict(each_depth_map(scene, image_ids, device=device, progress=progress, settings=settings))


def each_depth_map(
    scene: Scene,
    image_ids: Sequence[str],
    *,
    given: Mapping[str, Float32[np.ndarray, "_height _width"]] | None = None,
    wanted: Sequence[str] | None = None,
    device: str | torch.device = "auto",
    progress: bool = True,
    settings: DepthSettings | None = None,
) -> Iterator[tuple[str, Float32[np.ndarray, "_height _width"]]]:
    """Estimate as `estimate_depth_maps`, and yield each view as it is finished.

    The maps of `wanted` views come out, those of all that are not `given` by default; a part of them later is what it
    would have been with the others. Given maps (0 = unknown) are believed as they are and confirm estimates.
    """
    settings, given = settings or DepthSettings(), given or {}
    if len(image_ids) < 2:
        raise DatasetError(
            f"{scene.name}: depth cannot be estimated from {len(image_ids)} view. Give at least two views of the scene."
        )
    device = chosen_device(device)
    wanted = [image_id for image_id in image_ids if image_id not in given] if wanted is None else wanted
    places = {image_id: place for place, image_id in enumerate(image_ids)}
    with torch.no_grad():
        views = [load_view(scene, image_id, settings, device) for image_id in image_ids]
        passes = DepthPasses(
            views, settings, {places[i]: _fitted(depth, views[places[i]]) for i, depth in given.items()}
        )
    steps = passes.steps(places[image_id] for image_id in wanted)
    shown = tracked(steps, total=len(steps), title=f"depth of {scene.name} (passes)") if progress else steps
    for step, place in shown:
        # A CPU's passes are thousands of small operations, which a second thread made 9 % faster where nothing else
        # ran, and six times slower beside another process.
        with torch.no_grad(), one_thread():
            depth = step(place)
        if step == passes.confirm:
            mask = scene.mask(image_ids[place])
            kept = cv2.resize(depth.cpu().numpy(), mask.shape[::-1], interpolation=cv2.INTER_NEAREST)
            yield image_ids[place], np.where(mask, kept, np.float32(0))


def chosen_device(device: str | torch.device) -> torch.device:
    """Return the device of this name; "auto" is a GPU where torch sees one."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)


def load_view(scene: Scene, image_id: str, settings: DepthSettings, device: str | torch.device) -> SweepView:
    """Load a view at the size its depth is estimated at, on `device`."""
    image, mask = scene.image(image_id), scene.mask(image_id)
    ratio = min(1.0, settings.longest_side / max(mask.shape))
    near, far = scene.depth_range(image_id)
    colours = torch.from_numpy(downscale_image(image, ratio).astype(np.float32) / 255).permute(2, 0, 1)
    return SweepView(
        image=colours.contiguous().to(device),
        mask=torch.from_numpy(downscale_nearest(mask, ratio).copy()).to(device),
        K=torch.tensor(scale_intrinsics(scene.K(image_id), ratio), dtype=torch.float32, device=device),
        w2c=torch.tensor(scene.w2c(image_id), dtype=torch.float32, device=device),
        near=near,
        far=far,
    )


def _fitted(depth: Float32[np.ndarray, "_height _width"], view: SweepView) -> torch.Tensor:
    resized = cv2.resize(depth, tuple(view.mask.shape)[::-1], interpolation=cv2.INTER_NEAREST)
    return torch.from_numpy(resized).to(view.image)
