"""The views of a scene as tensors; batches to evaluate; pixels."""

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import get_worker_info

from maskrf_core.cameras import camera_centres
from maskrf_core.datasets.augment import pad_by_reflection, pad_to_largest
from maskrf_core.datasets.batch import SceneBatch, Views
from maskrf_core.datasets.demo import demo_scene_names
from maskrf_core.datasets.depth_maps import depth_maps
from maskrf_core.datasets.image_cache import ImageCache
from maskrf_core.datasets.scene import Scene, open_scene
from maskrf_core.errors import DatasetError

ENCODER_MULTIPLE = 16
"""Sides of reference images are padded to a multiple of this, which the image encoder needs."""


class SceneViews:
    """The views of one scene as tensors; each image is decoded once while there is room, each depth map prepared once.

    `cache_root` is where estimated depth maps of scenes without any are kept; None estimates them in memory. `images`
    is the memory that decoded images share with other scenes. Where a view is used that has no depth map and was not
    prepared, the maps of all views of `estimated_together` are, so that they confirm each other; on `device`.
    """

    def __init__(
        self,
        scene: Scene,
        cache_root: Path | None = None,
        images: ImageCache | None = None,
        estimated_together: Sequence[str] = (),
        device: str = "auto",
    ):
        self.scene = scene
        self.estimated_together = estimated_together
        self.device = device
        self.cache_root = cache_root
        self.images = images or ImageCache()
        self._depths: Mapping[str, np.ndarray] = ChainMap()
        self._cameras: dict[tuple[str, str], np.ndarray] = {}
        self._training_index = {image_id: index for index, image_id in enumerate(scene.split("train")[0])}

    @property
    def data_set(self) -> str:
        """First word of the scene's name."""
        return self.scene.name.split("/")[0]

    def prepare_depths(self, image_ids: Sequence[str]) -> None:
        """Read or estimate the depth maps of these views; a bar shows what takes long."""
        missing = [image_id for image_id in image_ids if image_id not in self._depths]
        if missing:
            # A data worker is a fork, in which a GPU that the training uses cannot be.
            device = self.device if get_worker_info() is None else "cpu"
            maps = depth_maps(self.scene, missing, cache_root=self.cache_root, device=device)
            self._depths = self._depths.new_child(maps)

    def query(self, image_id: str) -> Views:
        """One view with its mask, to be rendered."""
        return self.load([image_id], masks=True)

    def references(self, image_ids: Sequence[str]) -> Views:
        """Views to render from, with depth maps, padded by reflection to sides that the encoders take."""
        return pad_by_reflection(self.load(image_ids, depths=True), ENCODER_MULTIPLE)

    def load(self, image_ids: Sequence[str], *, masks: bool = False, depths: bool = False) -> Views:
        """Views as they are on disk, with what else is asked for.

        Images of unequal size are filled up at the right and bottom, black, background and of unknown depth.
        """
        images = self._pictures("image", image_ids, self.scene.image)
        parts = {}
        if masks:
            parts["masks"] = torch.from_numpy(self._pictures("mask", image_ids, self.scene.mask))
        if depths:
            depths = self._pictures("depth", image_ids, partial(self._depth, used_with=image_ids))
            parts["depths"] = torch.from_numpy(depths)[:, None]
        return Views(
            images=torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255),
            K=self._stacked_cameras("K", image_ids),
            w2c=self._stacked_cameras("w2c", image_ids),
            depth_range=self._stacked_cameras("depth_range", image_ids),
            training_index=torch.tensor([self._training_index.get(image_id, -1) for image_id in image_ids]),
            **parts,
        )

    def nearest(self, image_id: str, candidates: Sequence[str], count: int) -> list[str]:
        """The `count` candidates whose camera centres are nearest to that of `image_id`, nearest first.

        Raises:
            DatasetError: there are fewer candidates.
        """
        return self.nearest_to(self._stacked_cameras("w2c", [image_id])[0], candidates, count, what=image_id)

    def nearest_to(self, w2c: Float[Tensor, "3 4"], candidates: Sequence[str], count: int, what: str) -> list[str]:
        """As `nearest`, of any camera; `what` is what an error calls it."""
        self.check_enough(what, candidates, count)
        centres = camera_centres(torch.cat([w2c[None], self._stacked_cameras("w2c", candidates)]))
        order = torch.linalg.vector_norm(centres[1:] - centres[0], dim=-1).argsort(stable=True)
        return [candidates[index] for index in order[:count].tolist()]

    def check_enough(self, image_id: str, candidates: Sequence[str], count: int) -> None:
        """Raise `DatasetError` if there are fewer than `count` candidates for the query."""
        if count > len(candidates):
            raise DatasetError(
                f"{self.scene.name}: {count} working views are asked for, but only {len(candidates)} reference views "
                f"are there for {image_id}. Set working_views to {len(candidates)} or less."
            )

    def _depth(self, image_id: str, used_with: Sequence[str]) -> np.ndarray:
        """A prepared depth map, or the scene's own (that of one view: a scene may have hundreds), or an estimate."""
        if image_id not in self._depths:
            own = self.scene.depth(image_id)
            if own is not None:
                return own
            self.prepare_depths(list(dict.fromkeys([*self.estimated_together, *used_with])))
        return self._depths[image_id]

    def _pictures(self, kind: str, image_ids: Sequence[str], read: Callable[[str], np.ndarray]) -> np.ndarray:
        return pad_to_largest(
            [
                self.images.get((self.scene.name, kind, image_id), lambda image_id=image_id: read(image_id))
                for image_id in image_ids
            ]
        )

    def _stacked_cameras(self, part: str, image_ids: Sequence[str]) -> Tensor:
        """K, w2c or depth ranges of these views; each is asked for once."""
        for image_id in image_ids:
            if (part, image_id) not in self._cameras:
                value = getattr(self.scene, part)(image_id)
                self._cameras[part, image_id] = np.asarray(value, dtype=np.float32)
        return torch.from_numpy(np.stack([self._cameras[part, image_id] for image_id in image_ids]))


def evaluation_batch(views: SceneViews, query_id: str, reference_ids: Sequence[str], working_views: int) -> SceneBatch:
    """All pixels of a query, row by row, from its nearest reference views."""
    return batch_of(views, views.query(query_id), views.nearest(query_id, reference_ids, working_views))


def batch_of(views: SceneViews, query: Views, reference_ids: Sequence[str]) -> SceneBatch:
    """All pixels of any query, row by row, from these reference views."""
    return SceneBatch(query, views.references(reference_ids), all_pixels(*query.image_size))


def all_pixels(height: int, width: int) -> Float[Tensor, "pixel 2"]:
    """(x, y) of every pixel, row by row."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2).float()


def draw_pixels(query: Views, count: int, *, generator: np.random.Generator) -> Float[Tensor, "{count} 2"]:
    """Random pixels, half of them on the foreground where the query's mask tells it from a background."""
    height, width = query.image_size
    flat = generator.integers(height * width, size=count)
    foreground = np.zeros(0) if query.masks is None else np.flatnonzero(query.masks[0].numpy())
    if 0 < len(foreground) < height * width:
        flat[: count // 2] = generator.choice(foreground, size=count // 2)
    return torch.from_numpy(np.stack([flat % width, flat // width], axis=-1)).float()


def open_scenes(
    names: Sequence[str],
    data_root: str | Path,
    cache_root: Path | None,
    images: ImageCache | None = None,
    device: str = "auto",
) -> list[SceneViews]:
    """Open scenes by name; `demo/train`, `demo/validation` and `demo/test` stand for all demo scenes of that split."""
    images = images or ImageCache()
    return [
        SceneViews(open_scene(name, data_root), cache_root, images, device=device) for name in expand_scene_names(names)
    ]


def expand_scene_names(names: Sequence[str]) -> list[str]:
    """Replace the names of demo splits by the names of their scenes."""
    splits = {f"demo/{split}": split for split in ("train", "validation", "test")}
    return [scene for name in names for scene in (demo_scene_names(splits[name]) if name in splits else [name])]
