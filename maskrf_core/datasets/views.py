"""From scenes to batches: which reference views a query is rendered from, and which of its pixels."""

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from maskrf_core.cameras import camera_centres
from maskrf_core.config import DataSettings
from maskrf_core.datasets.batch import SceneBatch, Views
from maskrf_core.datasets.demo import demo_scene_names
from maskrf_core.datasets.depth_maps import depth_maps
from maskrf_core.datasets.scene import Scene, open_scene
from maskrf_core.errors import DatasetError

ENCODER_MULTIPLE = 16
"""Sides of reference images are padded to a multiple of this, which the image encoder needs."""
CACHED_VIEWS = 2048
"""Decoded images that a scene keeps, as bytes."""


class SceneViews:
    """The views of one scene as tensors; each image is decoded once, each depth map prepared once.

    `cache_root` is where estimated depth maps of scenes without any are kept; None estimates them in memory.
    """

    def __init__(self, scene: Scene, cache_root: Path | None = None):
        self.scene = scene
        self.cache_root = cache_root
        self.depths: dict[str, np.ndarray] = {}
        self._image = lru_cache(CACHED_VIEWS)(scene.image)
        self._mask = lru_cache(CACHED_VIEWS)(scene.mask)

    def prepare_depths(self, image_ids: Sequence[str]) -> None:
        """Read or estimate the depth maps of these views; a bar shows what takes long."""
        missing = [image_id for image_id in image_ids if image_id not in self.depths]
        if missing:
            self.depths |= depth_maps(self.scene, missing, cache_root=self.cache_root)

    def query(self, image_id: str) -> Views:
        """One view with its mask, to be rendered."""
        return self._stack([image_id], masks=torch.from_numpy(self._mask(image_id))[None])

    def references(self, image_ids: Sequence[str]) -> Views:
        """Views to render from, with depth maps, padded by reflection to sides that the encoders take."""
        self.prepare_depths(image_ids)
        depths = torch.from_numpy(np.stack([self.depths[image_id] for image_id in image_ids]))[:, None]
        return pad_by_reflection(self._stack(image_ids, depths=depths), ENCODER_MULTIPLE)

    def nearest(self, image_id: str, candidates: Sequence[str], count: int) -> list[str]:
        """The `count` candidates whose camera centres are nearest to that of `image_id`, nearest first.

        Raises:
            DatasetError: there are fewer candidates.
        """
        if count > len(candidates):
            raise DatasetError(
                f"{self.scene.name}: {count} working views are asked for, but only {len(candidates)} reference views "
                f"are there for {image_id}. Set working_views to {len(candidates)} or less."
            )
        centres = camera_centres(self._stack_arrays(self.scene.w2c, [image_id, *candidates]))
        order = torch.linalg.vector_norm(centres[1:] - centres[0], dim=-1).argsort(stable=True)
        return [candidates[index] for index in order[:count].tolist()]

    def _stack(self, image_ids: Sequence[str], **parts: Tensor) -> Views:
        images = [self._image(image_id) for image_id in image_ids]
        sizes = {image.shape for image in images}
        if len(sizes) > 1:
            raise DatasetError(f"{self.scene.name}: images of unequal size {sorted(sizes)} cannot be used together.")
        return Views(
            images=torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255,
            K=self._stack_arrays(self.scene.K, image_ids),
            w2c=self._stack_arrays(self.scene.w2c, image_ids),
            depth_range=self._stack_arrays(self.scene.depth_range, image_ids),
            **parts,
        )

    @staticmethod
    def _stack_arrays(read, image_ids: Sequence[str]) -> Tensor:
        return torch.from_numpy(np.stack([np.asarray(read(image_id), dtype=np.float32) for image_id in image_ids]))


class TrainingDraw(NamedTuple):
    """A training batch and what it is made of, to be named if something goes wrong with it."""

    batch: SceneBatch
    origin: str


def draw_training_batch(
    scenes: Sequence[SceneViews], settings: DataSettings, *, generator: np.random.Generator
) -> TrainingDraw:
    """A random scene, a random query, random working views from a nearer pool, random rays."""
    views = scenes[generator.integers(len(scenes))]
    pool, queries = views.scene.split("train")
    query_id = queries[generator.integers(len(queries))]
    others = [image_id for image_id in pool if image_id != query_id]
    candidates = [query_id, *others] if generator.random() < settings.query_kept else others
    wanted = max(settings.working_views, math.ceil(settings.working_views * settings.view_pool))
    nearer = views.nearest(query_id, candidates, max(settings.working_views, min(wanted, len(candidates))))
    chosen = [nearer[index] for index in generator.permutation(len(nearer))[: settings.working_views]]

    query, references = widen_depth_ranges(views.query(query_id), views.references(chosen))
    pixels_xy = draw_pixels(query, settings.rays, generator=generator)
    origin = f"scene {views.scene.name}, query {query_id}, references {', '.join(chosen)}"
    return TrainingDraw(SceneBatch(query, references, pixels_xy), origin)


def evaluation_batch(views: SceneViews, query_id: str, reference_ids: Sequence[str], working_views: int) -> SceneBatch:
    """All pixels of a query, row by row, from its nearest reference views."""
    query = views.query(query_id)
    nearest = views.nearest(query_id, reference_ids, working_views)
    return SceneBatch(query, views.references(nearest), all_pixels(*query.image_size))


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


def widen_depth_ranges(query: Views, references: Views) -> tuple[Views, Views]:
    """Give all views of a batch depth ranges of one length: the longest, around each one's centre.

    Near does not go below half of what it was.
    """
    ranges = torch.cat([query.depth_range, references.depth_range])
    half = (ranges[:, 1] - ranges[:, 0]).max() / 2
    centre = ranges.mean(dim=1)
    widened = torch.stack([torch.maximum(centre - half, ranges[:, 0] / 2), centre + half], dim=1)
    return query.replace(depth_range=widened[:1]), references.replace(depth_range=widened[1:])


def pad_by_reflection(views: Views, multiple: int) -> Views:
    """Pad images and depths at the right and bottom to sides that are multiples; cameras stay as they are."""
    height, width = views.image_size
    padding = (0, -width % multiple, 0, -height % multiple)
    if not any(padding):
        return views
    if min(height, width) < multiple:
        raise DatasetError(
            f"images of {width}×{height} are too small: both sides must have at least {multiple} pixels."
        )
    depths = None if views.depths is None else functional.pad(views.depths, padding, mode="reflect")
    return views.replace(images=functional.pad(views.images, padding, mode="reflect"), depths=depths)


def open_scenes(names: Sequence[str], data_root: str | Path, cache_root: Path | None) -> list[SceneViews]:
    """Open scenes by name; `demo/train`, `demo/validation` and `demo/test` stand for all demo scenes of that split."""
    return [SceneViews(open_scene(name, data_root), cache_root) for name in expand_scene_names(names)]


def place_of(name: str) -> str:
    """What is in the pictures of a scene, whatever their size or background: `nerf_synthetic/lego/black_400` → its
    first two words."""
    return "/".join(name.split("/")[:2])


def expand_scene_names(names: Sequence[str]) -> list[str]:
    """Replace the names of demo splits by the names of their scenes."""
    splits = {f"demo/{split}": split for split in ("train", "validation", "test")}
    return [scene for name in names for scene in (demo_scene_names(splits[name]) if name in splits else [name])]
