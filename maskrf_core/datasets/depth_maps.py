"""Depth maps of a scene: its own, kept ones, or estimated ones."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from maskrf_core.datasets.depth_estimation import DepthSettings, estimate_depth_maps
from maskrf_core.datasets.scene import Scene
from maskrf_core.files import write_atomically

ESTIMATOR_VERSION = 1
"""To be raised with every change of the estimator that changes its maps: older kept ones are then not used."""


def depth_maps(
    scene: Scene, image_ids: Sequence[str], *, cache_root: Path | None, device: str | torch.device = "cpu"
) -> dict[str, Float32[np.ndarray, "height width"]]:
    """z-depth of each view, 0 where unknown: the scene's own depth, else a kept estimate, else a new one.

    Estimates are kept below `<cache_root>/depth`, under a fingerprint of the cameras, images and settings they were
    made from; None keeps none. Views are estimated together, because they confirm each other.

    Raises:
        DatasetError: a file of the scene is missing or broken, or there are too few views to estimate from.
    """
    maps = {image_id: depth for image_id in image_ids if (depth := scene.depth(image_id)) is not None}
    missing = [image_id for image_id in image_ids if image_id not in maps]
    if not missing:
        return maps
    settings = DepthSettings()
    folder = None
    if cache_root is not None:
        folder = Path(cache_root) / "depth" / f"{scene.name.replace('/', '_')}_{_fingerprint(scene, missing, settings)}"
        kept = _read_kept(folder, scene, missing)
        if kept is not None:
            return maps | kept
    estimated = estimate_depth_maps(scene, missing, device=device, settings=settings)
    if folder is not None:
        for image_id, depth in estimated.items():
            path = folder / _file_name(image_id)
            write_atomically(path, lambda file, depth=depth: np.save(file, depth, allow_pickle=False))
    return maps | estimated


def _fingerprint(scene: Scene, image_ids: Sequence[str], settings: DepthSettings) -> str:
    """Changes with anything that an estimate is made from."""
    digest = hashlib.sha256(f"{ESTIMATOR_VERSION} {asdict(settings)}".encode())
    for image_id in image_ids:
        digest.update(image_id.encode())
        for part in (scene.K(image_id), scene.w2c(image_id), scene.depth_range(image_id)):
            digest.update(np.asarray(part, dtype=np.float64).tobytes())
        digest.update(np.ascontiguousarray(scene.image(image_id)).tobytes())
        digest.update(np.ascontiguousarray(scene.mask(image_id)).tobytes())
    return digest.hexdigest()[:16]


def _read_kept(folder: Path, scene: Scene, image_ids: Sequence[str]) -> dict[str, np.ndarray] | None:
    """The estimates of an earlier time, if all of them are there and whole."""
    kept = {}
    for image_id in image_ids:
        path = folder / _file_name(image_id)
        if not path.is_file():
            return None
        try:
            depth = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            depth = None
        if depth is None or depth.dtype != np.float32 or depth.shape != scene.mask(image_id).shape:
            warnings.warn(f"{path}: is damaged, so the depth of {scene.name} is estimated again.", stacklevel=3)
            return None
        kept[image_id] = depth
    return kept


def _file_name(image_id: str) -> str:
    """A file name of its own for every image id, whatever signs it has."""
    readable = "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in image_id)[:80]
    return f"{readable}_{hashlib.sha256(image_id.encode()).hexdigest()[:8]}.npy"
