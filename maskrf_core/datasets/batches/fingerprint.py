"""Fingerprints of what a run is trained on: whether it is still the same data, told in seconds."""

from collections.abc import Iterable, Mapping

import numpy as np

from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.datasets.batches.one_scene import OneScene
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.scene import Scene
from maskrf_core.support.digests import digest


def scene_fingerprint(scene: Scene) -> str:
    """Hash a scene's name, image ids and all cameras and depth ranges, and its first, middle and last image (SHA-256).

    It does not see the other images, masks, depth maps, or how the views are split.
    """
    ids = scene.image_ids
    looked_at = dict.fromkeys([ids[0], ids[len(ids) // 2], ids[-1]]) if ids else {}
    return digest(
        {
            "name": scene.name,
            "image_ids": ids,
            "K": [np.asarray(scene.K(image_id), np.float64) for image_id in ids],
            "w2c": [np.asarray(scene.w2c(image_id), np.float64) for image_id in ids],
            "depth_ranges": [[float(value) for value in scene.depth_range(image_id)] for image_id in ids],
            "images": {image_id: scene.image(image_id) for image_id in looked_at},
        }
    )


def fingerprints(scenes: Mixture | OneScene, validation_scenes: Iterable[SceneViews]) -> dict[str, str]:
    """Fingerprint every scene, or data set that is named as a whole.

    That of a whole data set is of the names of its scenes and of the first of them; it does not see into the others.

    Raises:
        DatasetError: what is looked at is missing or broken.
    """
    if isinstance(scenes, OneScene):
        singly, whole = [scenes.views], {}
    else:
        singly = scenes.singly.values()
        whole = {group.data_set: sorted(set(group.names) - group.singly) for group in scenes.groups}
    found = {views.scene.name: scene_fingerprint(views.scene) for views in [*singly, *validation_scenes]}
    for data_set, names in whole.items():
        if names:
            found[data_set] = digest({"scenes": names, "first": scene_fingerprint(scenes.open(names[0]).scene)})
    return found


def changed(noted: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names that both have and whose fingerprints differ."""
    return [name for name, fingerprint in now.items() if noted.get(name, fingerprint) != fingerprint]
