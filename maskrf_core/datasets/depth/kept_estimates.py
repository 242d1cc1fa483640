"""Where estimated depth maps are kept: under a fingerprint of all that they are made from.

The fingerprint reads every picture. It is written down beside the estimates, under a digest of the cameras and of the
sizes and times of the scene's files, so that a scene whose files have not changed is known without reading them.
"""

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path

import numpy as np

from maskrf_core.datasets.depth.depth_passes import DepthSettings
from maskrf_core.datasets.scene import Scene
from maskrf_core.support.atomic_files import write_json
from maskrf_core.support.digests import digest
from maskrf_core.support.paths import kept_beside, kept_path, writable_path

DEPTH = "depth"  # folder below the cache folder
ESTIMATOR_VERSION = 3  # to be raised with every change of the estimator that changes its maps
SHORTENED = 16  # signs of a digest that are part of a name


@dataclass(frozen=True)
class KeptPlaces:
    """View → the name of its estimate's file, there or not, and the (height, width) that it has."""

    cache_root: Path
    folder: str
    names: dict[str, str]
    shapes: dict[str, tuple[int, int]]

    def kept(self, image_id: str) -> Path:
        """Return the file to read the estimate of a view from."""
        return kept_path(self.cache_root, DEPTH, self.folder, self.names[image_id])

    def made(self, image_id: str) -> Path:
        """Return the file to write the estimate of a view to."""
        return writable_path(self.cache_root, DEPTH, self.folder, self.names[image_id])


def any_kept(scene: Scene, cache_root: Path) -> bool:
    """Tell whether there are estimates of a scene of this name at all, whatever they were made from."""
    return bool(kept_beside(Path(cache_root), DEPTH, f"{escape(_name(scene))}_*"))


def kept_places(scene: Scene, image_ids: Sequence[str], missing: Sequence[str], cache_root: Path) -> KeptPlaces:
    """Say where the estimates of the `missing` views belong, which have no depth of their own.

    All of `image_ids` are estimated together, and the scene's own maps of the others take part.

    Raises:
        DatasetError: a file of the scene is missing or broken.
    """
    cache_root = Path(cache_root)
    known = _known_before(scene, image_ids, missing)
    note = known and _read(kept_path(cache_root, DEPTH, known), missing)
    if note is None:
        fingerprint, shapes = _fingerprint(scene, image_ids, missing)
        if known is not None:
            write_json(writable_path(cache_root, DEPTH, known), {"fingerprint": fingerprint, "shapes": shapes})
    else:
        fingerprint, shapes = note
    names = {}
    for image_id in missing:  # a file name of its own for each, whatever signs it has
        readable = "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in image_id)[:80]
        names[image_id] = f"{readable}_{hashlib.sha256(image_id.encode()).hexdigest()[:8]}.npy"
    return KeptPlaces(cache_root, f"{_name(scene)}_{fingerprint}", names, shapes)


def _name(scene: Scene) -> str:
    return scene.name.replace("/", "_")


def _known_before(scene: Scene, image_ids: Sequence[str], missing: Collection[str]) -> str | None:
    """Name the file where the fingerprint of a scene in this state is written down; None if the state is unknown."""
    if (stamp := scene.stamp()) is None:
        return None
    cameras = [[scene.K(each), scene.w2c(each), scene.depth_range(each)] for each in image_ids]
    state = [ESTIMATOR_VERSION, asdict(DepthSettings()), list(image_ids), sorted(missing), cameras, stamp]
    return f"{_name(scene)}_{digest(state)[:SHORTENED]}.json"


def _read(path: Path, missing: Sequence[str]) -> tuple[str, dict[str, tuple[int, int]]] | None:
    """Read a fingerprint and the views' sizes; None if they were not written down, or are damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        note = json.loads(path.read_bytes())
        shapes = {image_id: (int(height), int(width)) for image_id, (height, width) in note["shapes"].items()}
        if shapes.keys() >= set(missing) and re.fullmatch(f"[0-9a-f]{{{SHORTENED}}}", note["fingerprint"]):
            return note["fingerprint"], shapes
    return None


def _fingerprint(
    scene: Scene, image_ids: Sequence[str], missing: Collection[str]
) -> tuple[str, dict[str, tuple[int, int]]]:
    """Digest everything that an estimate is made from, and return the views' sizes, seen on the way."""
    hasher, shapes = hashlib.sha256(f"{ESTIMATOR_VERSION} {asdict(DepthSettings())}".encode()), {}
    for image_id in image_ids:
        hasher.update(image_id.encode())
        for part in (scene.K(image_id), scene.w2c(image_id), scene.depth_range(image_id)):
            hasher.update(np.asarray(part, dtype=np.float64).tobytes())
        mask = scene.mask(image_id)
        hasher.update(np.ascontiguousarray(scene.image(image_id)).tobytes())
        hasher.update(np.ascontiguousarray(mask).tobytes())
        if image_id not in missing:
            hasher.update(np.ascontiguousarray(scene.depth(image_id)).tobytes())
        shapes[image_id] = mask.shape
    return hasher.hexdigest()[:SHORTENED], shapes
