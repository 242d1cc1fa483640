"""Depth maps for scenes without any: by a plane sweep, its depths cut where no other view confirms them.

Or by COLMAP's patch-match stereo (Schönberger et al., ECCV 2016), where pycolmap was built with CUDA.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image

from maskrf_core.datasets.depth.colmap_depth import kept_colmap_depth
from maskrf_core.datasets.depth.depth_passes import DepthPasses, DepthSettings, neighbour_order
from maskrf_core.datasets.depth.plane_sweep import SweepView
from maskrf_core.datasets.files.downscaling import downscale_image, downscale_nearest, scale_intrinsics
from maskrf_core.datasets.scene import Scene
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.importing import import_pycolmap
from maskrf_core.support.machine import one_thread
from maskrf_core.support.progress import tracked

PIXEL_CENTRE = 0.5  # COLMAP's coordinates of the centre of the first pixel; ours are 0


def estimate_depth_maps(
    scene: Scene,
    image_ids: Sequence[str],
    *,
    given: Mapping[str, Float32[np.ndarray, "_height _width"]] | None = None,
    wanted: Sequence[str] | None = None,
    device: str | torch.device = "auto",
    progress: bool = True,
    settings: DepthSettings | None = None,
) -> Iterator[tuple[str, Float32[np.ndarray, "_height _width"]]]:
    """Yield z-depths view by view, 0 where no other view confirms it and on the background; `device` "auto" is a GPU.

    Only the views of `image_ids` are looked at, so that held-out views stay unseen; the more there are, the better.
    The maps of `wanted` views come out, those of all that are not `given` by default; a part of them later is what it
    would have been with the others. Given maps (0 = unknown) are believed as they are and confirm estimates.

    Raises:
        DatasetError: fewer than two views, or a file of the scene is missing or broken.
    """
    settings, given = settings or DepthSettings(), given or {}
    if len(image_ids) < 2:
        raise DatasetError(f"{scene.name}: depth cannot be estimated from {len(image_ids)} view. Give at least two.")
    device = chosen_device(device)
    wanted = [image_id for image_id in image_ids if image_id not in given] if wanted is None else wanted
    places = {image_id: place for place, image_id in enumerate(image_ids)}
    with torch.no_grad():
        views = [load_view(scene, image_id, settings, device) for image_id in image_ids]
        known = {}
        for image_id, depth in given.items():
            view = views[places[image_id]]
            fitted = cv2.resize(depth, tuple(view.mask.shape)[::-1], interpolation=cv2.INTER_NEAREST)
            known[places[image_id]] = torch.from_numpy(fitted).to(view.image)
        passes = DepthPasses(views, settings, known)
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


def patch_match_is_possible(device: str | torch.device) -> bool:
    """Tell whether `device` (or, for "auto", what torch sees) is a GPU and a pycolmap built with CUDA is installed."""
    if chosen_device(device).type != "cuda":
        return False
    try:
        pycolmap = import_pycolmap()
    except ImportError:
        return False
    return bool(pycolmap.has_cuda)


def patch_match_depth_maps(
    scene: Scene, image_ids: Sequence[str], *, wanted: Sequence[str] | None = None, settings: DepthSettings
) -> dict[str, Float32[np.ndarray, "_height _width"]]:
    """Estimate the z-depth of the `wanted` views (all by default), 0 on the background and where COLMAP found none.

    All of `image_ids` are matched, each with the neighbours that the plane sweep would ask for confirmation.
    """
    if len(image_ids) < 2:
        raise DatasetError(f"{scene.name}: depth cannot be estimated from {len(image_ids)} view. Give at least two.")
    pycolmap = import_pycolmap()

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
            path = workspace / "stereo/depth_maps" / f"{index:05d}.png.geometric.bin"
            depth = kept_colmap_depth(path, mask.shape)
            if depth is None:
                raise DatasetError(f"{scene.name}: COLMAP's patch-match wrote no depth map for view {image_id}.")
            maps[image_id] = np.where(mask, depth, np.float32(0))
    return maps


def write_workspace(workspace: Path, scene: Scene, image_ids: Sequence[str], settings: DepthSettings) -> None:
    """Write what patch-match reads: images, cameras as a sparse model without points, and each view's neighbours."""
    pycolmap = import_pycolmap()

    for folder in ("images", "sparse", "stereo/depth_maps", "stereo/normal_maps", "stereo/consistency_graphs"):
        (workspace / folder).mkdir(parents=True)
    names = [f"{index:05d}.png" for index in range(len(image_ids))]  # image ids may hold any sign
    reconstruction = pycolmap.Reconstruction()
    for index, image_id in enumerate(image_ids):
        pixels = scene.image(image_id)
        Image.fromarray(pixels).save(workspace / "images" / names[index])
        (height, width), K, w2c = pixels.shape[:2], scene.K(image_id), scene.w2c(image_id)
        lens = [K[0, 0], K[1, 1], K[0, 2] + PIXEL_CENTRE, K[1, 2] + PIXEL_CENTRE]
        camera = pycolmap.Camera(model="PINHOLE", width=width, height=height, params=lens, camera_id=index + 1)
        reconstruction.add_camera_with_trivial_rig(camera)
        image = pycolmap.Image(name=names[index], camera_id=index + 1, image_id=index + 1)
        rotation = pycolmap.Rotation3d(np.asarray(w2c[:, :3], np.float64))
        pose = pycolmap.Rigid3d(rotation, np.asarray(w2c[:, 3], np.float64))
        reconstruction.add_image_with_trivial_frame(image, pose)
    reconstruction.write_binary(str(workspace / "sparse"))
    views = [load_view(scene, image_id, settings, "cpu") for image_id in image_ids]
    lines = []
    # Named one by one: COLMAP's automatic choice counts shared sparse points, and there are none.
    for index, others in enumerate(neighbour_order(views, settings.best_angle)):
        if others:
            lines += [names[index], ", ".join(names[other] for other in others[: settings.asked_views])]
    (workspace / "stereo/patch-match.cfg").write_text("".join(f"{line}\n" for line in lines))
