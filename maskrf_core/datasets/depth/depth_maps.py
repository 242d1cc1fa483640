"""Depth maps of a scene: its own, kept ones, or estimated ones; read when asked for, so that memory stays free."""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from maskrf_core.datasets.depth.kept_estimates import KeptPlaces, any_kept, kept_places
from maskrf_core.datasets.scene import Scene
from maskrf_core.support.atomic_files import write_atomically
from maskrf_core.support.errors import DatasetError


class DepthMaps(Mapping[str, Float32[np.ndarray, "height width"]]):
    """A mapping from image id to z-depth, 0 where unknown; what is not in memory is read anew at each access."""

    def __init__(self, readers: Mapping[str, Callable[[], Float32[np.ndarray, "height width"]]]):
        self._readers = readers

    def __getitem__(self, image_id: str) -> Float32[np.ndarray, "height width"]:
        """Read a map; `DatasetError` where its file is broken or gone, `KeyError` for a view that is not in it."""
        return self._readers[image_id]()

    def __contains__(self, image_id: object) -> bool:
        """Tell whether it is one of these views; what is inherited would read its map."""
        return image_id in self._readers

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
    missing = [image_id for image_id in image_ids if not scene.has_depth(image_id)]
    readers = {image_id: partial(scene.depth, image_id) for image_id in image_ids}
    if not missing:
        return DepthMaps(readers)
    if cache_root is None:
        estimates = _estimates(scene, image_ids, missing, missing, device)
        return DepthMaps(readers | {image_id: partial(np.asarray, depth) for image_id, depth in estimates})
    places = kept_places(scene, image_ids, missing, cache_root)
    wanted = [image_id for image_id in missing if not _is_whole(places, image_id, scene.name)]
    if wanted:
        for image_id, depth in _estimates(scene, image_ids, missing, wanted, device):
            write = partial(np.save, arr=depth, allow_pickle=False)
            write_atomically(places.made(image_id), write)
    return _with_kept(readers, places, scene.name)


def known_depth_maps(
    scene: Scene, image_ids: Sequence[str], *, cache_root: Path | None, until: float = math.inf
) -> DepthMaps | None:
    """Find what `depth_maps` finds without estimating anything; None if the depth of a view is not known.

    An estimate counts if it was kept before the time `until`, in seconds since 1970. It is cheap where the scene's
    files have not changed since the depth was kept or last looked for.

    Raises:
        DatasetError: a file of the scene is missing or broken.
    """
    missing = [image_id for image_id in image_ids if not scene.has_depth(image_id)]
    readers = {image_id: partial(scene.depth, image_id) for image_id in image_ids}
    if not missing:
        return DepthMaps(readers)
    if cache_root is None or not any_kept(scene, cache_root):
        return None
    places = kept_places(scene, image_ids, missing, cache_root)
    for image_id in missing:
        if not _is_whole(places, image_id, scene.name) or places.kept(image_id).stat().st_mtime > until:
            return None
    return _with_kept(readers, places, scene.name)


def _with_kept(readers: Mapping[str, Callable], places: KeptPlaces, scene_name: str) -> DepthMaps:
    kept = {image_id: partial(_read_kept, places.kept(image_id), scene_name) for image_id in places.names}
    return DepthMaps({**readers, **kept})


def _estimates(
    scene: Scene,
    image_ids: Sequence[str],
    missing: Sequence[str],
    wanted: Sequence[str],
    device: str | torch.device,
) -> Iterator[tuple[str, np.ndarray]]:
    """Estimate the `wanted` views of the `missing` ones: by COLMAP's patch-match where it can run, else, or should it
    fail, by the sweep."""
    settings = DepthSettings()
    if patch_match_is_possible(device):
        try:
            yield from patch_match_depth_maps(scene, image_ids, settings=settings, wanted=wanted).items()
            return
        except (RuntimeError, ValueError, DatasetError) as error:
            print(f"{scene.name}: COLMAP's patch-match failed ({error}); depth is estimated by a plane sweep instead.")
    own = {image_id: scene.depth(image_id) for image_id in image_ids if image_id not in missing}
    yield from estimate_depth_maps(scene, image_ids, given=own, wanted=wanted, device=device, settings=settings)


def _is_whole(places: KeptPlaces, image_id: str, scene_name: str) -> bool:
    """Tell whether an earlier estimate is there, of the type, size and length that it should have."""
    path = places.kept(image_id)
    if not path.is_file():
        return False
    try:
        kept = np.load(path, mmap_mode="r", allow_pickle=False)  # reads the header, and compares the length
    except (OSError, ValueError, EOFError):
        kept = None
    if kept is None or kept.dtype != np.float32 or kept.shape != places.shapes[image_id]:
        warnings.warn(f"{path}: is damaged, so the depth of {scene_name} is to be estimated again.", stacklevel=3)
        return False
    return True


def _read_kept(path: Path, scene_name: str) -> Float32[np.ndarray, "height width"]:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        message = f"{path}: the kept depth of {scene_name} cannot be read ({error}). Delete the file and open it again."
        raise DatasetError(message) from error
