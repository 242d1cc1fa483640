"""Depth maps of a scene: its own, kept ones, or estimated ones; read when asked for, so that memory stays free."""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from maskrf_core.datasets.depth.depth_estimation import (
    estimate_depth_maps,
    patch_match_depth_maps,
    patch_match_is_possible,
)
from maskrf_core.datasets.depth.depth_passes import DepthSettings
from maskrf_core.datasets.scene import Scene
from maskrf_core.support.atomic_files import write_atomically
from maskrf_core.support.errors import DatasetError

ESTIMATOR_VERSION = 3  # to be raised with every change of the estimator that changes its maps


class DepthMaps(Mapping[str, Float32[np.ndarray, "height width"]]):
    """A mapping from image id to z-depth, 0 where unknown; what is not in memory is read anew at each access."""

    def __init__(self, readers: Mapping[str, Callable[[], Float32[np.ndarray, "height width"]]]):
        self._readers = readers

    def __getitem__(self, image_id: str) -> Float32[np.ndarray, "height width"]:
        """Read a map; `DatasetError` where its file is broken or gone, `KeyError` for a view that is not in it."""
        return self._readers[image_id]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


def depth_maps(
    scene: Scene, image_ids: Sequence[str], *, cache_root: Path | None, device: str | torch.device = "auto"
) -> DepthMaps:
    """Find the z-depth of each view, 0 where unknown: the scene's own, else a kept estimate, else a new one.

    Estimates are kept below `<cache_root>/depth`, under a fingerprint of the cameras, images and settings they were
    made from, each as soon as it is made: what an interrupted estimation has done is found by the next. None keeps
    them in memory. Views are estimated together, because they confirm each other; the scene's own maps take part.

    Raises:
        DatasetError: a file of the scene is missing or broken, or there are too few views to estimate from.
    """
    missing = [image_id for image_id in image_ids if scene.depth(image_id) is None]
    readers = {image_id: partial(scene.depth, image_id) for image_id in image_ids}
    if not missing:
        return DepthMaps(readers)
    own = {image_id: scene.depth(image_id) for image_id in image_ids if image_id not in missing}
    settings = DepthSettings()
    if cache_root is None:
        estimates = _estimates(scene, image_ids, own, missing, device, settings)
        return DepthMaps(readers | {image_id: partial(np.asarray, depth) for image_id, depth in estimates})
    fingerprint, shapes = _fingerprint(scene, image_ids, own, settings)
    folder = Path(cache_root) / "depth" / f"{scene.name.replace('/', '_')}_{fingerprint}"
    paths = {}
    for image_id in missing:  # a file name of its own for each, whatever signs it has
        readable = "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in image_id)[:80]
        paths[image_id] = folder / f"{readable}_{hashlib.sha256(image_id.encode()).hexdigest()[:8]}.npy"
    wanted = [image_id for image_id, path in paths.items() if not _is_whole(path, shapes[image_id], scene.name)]
    if wanted:
        for image_id, depth in _estimates(scene, image_ids, own, wanted, device, settings):
            write_atomically(paths[image_id], lambda file, depth=depth: np.save(file, depth, allow_pickle=False))
    return DepthMaps(readers | {image_id: partial(_read_kept, path, scene.name) for image_id, path in paths.items()})


def _estimates(
    scene: Scene,
    image_ids: Sequence[str],
    own: Mapping[str, np.ndarray],
    wanted: Sequence[str],
    device: str | torch.device,
    settings: DepthSettings,
) -> Iterator[tuple[str, np.ndarray]]:
    """Estimate the `wanted` views: by COLMAP's patch-match where it can run, else (or should it fail) the sweep."""
    if patch_match_is_possible(device):
        try:
            yield from patch_match_depth_maps(scene, image_ids, settings=settings, wanted=wanted).items()
            return
        except (RuntimeError, ValueError, DatasetError) as error:
            print(f"{scene.name}: COLMAP's patch-match failed ({error}); depth is estimated by a plane sweep instead.")
    yield from estimate_depth_maps(scene, image_ids, given=own, wanted=wanted, device=device, settings=settings)


def _fingerprint(
    scene: Scene, image_ids: Sequence[str], own: Mapping[str, np.ndarray], settings: DepthSettings
) -> tuple[str, dict[str, tuple[int, ...]]]:
    """Digest everything that an estimate is made from, and return the views' sizes, seen on the way."""
    digest, shapes = hashlib.sha256(f"{ESTIMATOR_VERSION} {asdict(settings)}".encode()), {}
    for image_id in image_ids:
        digest.update(image_id.encode())
        for part in (scene.K(image_id), scene.w2c(image_id), scene.depth_range(image_id)):
            digest.update(np.asarray(part, dtype=np.float64).tobytes())
        mask = scene.mask(image_id)
        digest.update(np.ascontiguousarray(scene.image(image_id)).tobytes())
        digest.update(np.ascontiguousarray(mask).tobytes())
        if image_id in own:
            digest.update(np.ascontiguousarray(own[image_id]).tobytes())
        shapes[image_id] = mask.shape
    return digest.hexdigest()[:16], shapes


def _is_whole(path: Path, shape: tuple[int, ...], scene_name: str) -> bool:
    """Tell whether an earlier estimate is there, of the type, size and length that it should have."""
    if not path.is_file():
        return False
    try:
        kept = np.load(path, mmap_mode="r", allow_pickle=False)  # reads the header, and compares the length
    except (OSError, ValueError, EOFError):
        kept = None
    if kept is None or kept.dtype != np.float32 or kept.shape != shape:
        warnings.warn(f"{path}: is damaged, so the depth of {scene_name} is estimated again.", stacklevel=3)
        return False
    return True


def _read_kept(path: Path, scene_name: str) -> Float32[np.ndarray, "height width"]:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        message = f"{path}: the kept depth of {scene_name} cannot be read ({error}). Delete the file and open it again."
        raise DatasetError(message) from error
