"""Depth by COLMAP's patch-match stereo (Schönberger et al., ECCV 2016), where pycolmap was built with CUDA."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image

from maskrf_core.datasets.depth.colmap_depth import kept_colmap_depth
from maskrf_core.datasets.depth.depth_estimation import chosen_device, load_view
from maskrf_core.datasets.depth.depth_passes import DepthSettings, neighbour_order
from maskrf_core.datasets.scene import Scene
from maskrf_core.support.errors import DatasetError

PIXEL_CENTRE = 0.5
"""COLMAP's coordinates of the centre of the first pixel; ours are 0."""


def patch_match_is_possible(device: str | torch.device) -> bool:
    """Tell whether `device` (or, for "auto", what torch sees) is a GPU and a pycolmap built with CUDA is installed."""
    if chosen_device(device).type != "cuda":
        return False
    try:
        import pycolmap  # heavy, and not needed elsewhere
    except ImportError:
        return False
    return bool(pycolmap.has_cuda)


def patch_match_depth_maps(
    scene: Scene, image_ids: Sequence[str], *, wanted: Sequence[str] | None = None, settings: DepthSettings
) -> dict[str, Float32[np.ndarray, "_height _width"]]:
    """Estimate the z-depth of the `wanted` views (all by default), 0 on the background and where COLMAP found none.

    All of `image_ids` are matched, each with the neighbours that the plane sweep would ask for confirmation.

    Raises:
        DatasetError: fewer than two views, a broken scene, or COLMAP wrote no map for a view.
        RuntimeError, ValueError: COLMAP failed.
    """
    if len(image_ids) < 2:
        raise DatasetError(f"{scene.name}: depth cannot be estimated from {len(image_ids)} view. Give at least two.")
    import pycolmap

    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        write_workspace(workspace, scene, image_ids, settings)
        ranges = [scene.depth_range(image_id) for image_id in image_ids]
        options = pycolmap.PatchMatchOptions()
        options.depth_min, options.depth_max = min(near for near, _ in ranges), max(far for _, far in ranges)
        options.geom_consistency = True
        pycolmap.patch_match_stereo(str(workspace), options=options)
        maps = {}
        for index, image_id in enumerate(image_ids):
            if wanted is not None and image_id not in wanted:
                continue
            mask = scene.mask(image_id)
            path = workspace / "stereo" / "depth_maps" / f"{image_name(index)}.geometric.bin"
            depth = kept_colmap_depth(path, mask.shape)
            if depth is None:
                raise DatasetError(f"{scene.name}: COLMAP's patch-match wrote no depth map for view {image_id}.")
            maps[image_id] = np.where(mask, depth, np.float32(0))
    return maps


def write_workspace(workspace: Path, scene: Scene, image_ids: Sequence[str], settings: DepthSettings) -> None:
    """Write what patch-match reads: images, cameras as a sparse model without points, and each view's neighbours."""
    images, model, stereo = (workspace / name for name in ("images", "sparse", "stereo"))
    for folder in (images, model, stereo / "depth_maps", stereo / "normal_maps", stereo / "consistency_graphs"):
        folder.mkdir(parents=True)
    import pycolmap

    reconstruction = pycolmap.Reconstruction()
    for index, image_id in enumerate(image_ids):
        pixels = scene.image(image_id)
        Image.fromarray(pixels).save(images / image_name(index))
        _add_view(reconstruction, index, scene, image_id, pixels.shape[:2])
    reconstruction.write_binary(str(model))
    views = [load_view(scene, image_id, settings, "cpu") for image_id in image_ids]
    lines = []
    # Named one by one: COLMAP's automatic choice counts shared sparse points, and there are none.
    for index, others in enumerate(neighbour_order(views, settings.best_angle)):
        if others:
            lines += [image_name(index), ", ".join(image_name(other) for other in others[: settings.asked_views])]
    (stereo / "patch-match.cfg").write_text("".join(f"{line}\n" for line in lines))


def image_name(index: int) -> str:
    """Name the file of a view by its place, because image ids may hold any sign."""
    return f"{index:05d}.png"


def _add_view(reconstruction: Any, index: int, scene: Scene, image_id: str, size: tuple[int, int]) -> None:
    import pycolmap

    K, w2c = scene.K(image_id), scene.w2c(image_id)
    parameters = [K[0, 0], K[1, 1], K[0, 2] + PIXEL_CENTRE, K[1, 2] + PIXEL_CENTRE]
    camera = pycolmap.Camera(model="PINHOLE", width=size[1], height=size[0], params=parameters, camera_id=index + 1)
    reconstruction.add_camera_with_trivial_rig(camera)
    image = pycolmap.Image(name=image_name(index), camera_id=index + 1, image_id=index + 1)
    pose = pycolmap.Rigid3d(pycolmap.Rotation3d(np.asarray(w2c[:, :3], np.float64)), np.asarray(w2c[:, 3], np.float64))
    reconstruction.add_image_with_trivial_frame(image, pose)
