"""The views of a scene as tensors, and which of them a query is rendered from."""

import math
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import get_worker_info

from maskrf_core.datasets.batches.augment import fill_up, pad_by_reflection, pad_to_largest
from maskrf_core.datasets.batches.batch import FROM_DEPTHS, ModelInputs, SourceViews, Views
from maskrf_core.datasets.batches.image_cache import ImageCache
from maskrf_core.datasets.batches.view_choice import RULES, Camera
from maskrf_core.datasets.demo import SCENE_COUNTS, demo_scene_names
from maskrf_core.datasets.depth.depth_maps import depth_maps, known_depth_maps
from maskrf_core.datasets.records import record_of
from maskrf_core.datasets.scene import Scene, open_scene
from maskrf_core.settings.sections import ViewChoice
from maskrf_core.support.errors import DatasetError

ENCODER_MULTIPLE = 16  # sides of reference images are padded to a multiple of this, which the image encoder needs
MATCHING_MULTIPLE = 32  # the same where they are matched with source views, for the cost volumes' network
FRAME_BYTES = 5120  # that a view takes beside its pictures, measured with scenes of RealEstate10K
NEIGHBOURS = 3  # views that each reference view is matched with in its cost volume, where there are so many


class SceneViews:
    """The views of one scene as tensors; each image is decoded once while there is room, each depth map prepared once.

    `cache_root` is where estimated depth maps of scenes without any are kept; None estimates them in memory. `images`
    is the memory that decoded images share with other scenes. Where a view is used that has no depth map and was not
    prepared, the maps of all views of `estimated_together` are, so that they confirm each other; on `device`. Views are
    chosen by the rule `view_choice`, by default that of the data set's record.
    """

    def __init__(
        self,
        scene: Scene,
        cache_root: Path | None = None,
        images: ImageCache | None = None,
        estimated_together: Sequence[str] = (),
        device: str = "auto",
        view_choice: ViewChoice | None = None,
    ):
        self.scene, self.cache_root, self.images = scene, cache_root, images or ImageCache()
        self.estimated_together, self.device = estimated_together, device
        self.view_choice: ViewChoice = view_choice or record_of(scene.name).view_choice
        self._depths: Mapping[str, np.ndarray] = ChainMap()
        self._cameras: dict[tuple[str, str], np.ndarray] = {}
        self._training_index = {image_id: index for index, image_id in enumerate(self.training_ids)}

    @property
    def bytes(self) -> int:
        """Estimate how much memory the scene takes beside its pictures: lists, cameras, names of files."""
        return len(self.scene.image_ids) * FRAME_BYTES

    @property
    def training_ids(self) -> list[str]:
        """Return the views that a training of this scene alone may see: the references of its test views."""
        return self.scene.split("test")[0]

    def prepare_depths(self, image_ids: Sequence[str]) -> None:
        """Read or estimate the depth maps of these views; a bar shows what takes long."""
        missing = [image_id for image_id in image_ids if image_id not in self._depths]
        if missing:
            # A data worker is a fork, in which a GPU that the training uses cannot be.
            device = self.device if get_worker_info() is None else "cpu"
            maps = depth_maps(self.scene, missing, cache_root=self.cache_root, device=device)
            self._depths = self._depths.new_child(maps)

    def find_depths(self, image_ids: Sequence[str], until: float = math.inf) -> bool:
        """Take the depth maps of these views as they are or were kept before the time `until`; False if some are not.

        Nothing is estimated.
        """
        maps = known_depth_maps(self.scene, image_ids, cache_root=self.cache_root, until=until)
        if maps is None:
            return False
        self._depths = self._depths.new_child(maps)
        return True

    def query(self, image_id: str) -> Views:
        """Load one view with its mask, to be rendered."""
        return self.load([image_id], masks=True)

    def working_views(
        self, image_ids: Sequence[str], pool: Sequence[str] = (), inputs: ModelInputs = FROM_DEPTHS
    ) -> tuple[Views, SourceViews | None]:
        """Load views to render from with the model's inputs, padded by reflection to sides that it takes.

        `pool` is where their neighbours are sought, beside themselves.
        """
        references = self.load(image_ids, depths=inputs.depths)
        if inputs.shared_range:
            references = self.in_shared_range(references)
        return padded(*self.with_sources(references, image_ids, pool)) if inputs.sources else padded(references, None)

    def load(self, image_ids: Sequence[str], *, masks: bool = False, depths: bool = False) -> Views:
        """Load views as they are on disk, with what else is asked for.

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

    def in_shared_range(self, views: Views) -> Views:
        """Return views with the depth range that all views share where the scene has a model of its own: from the
        smallest near to the largest far of its training views."""
        near, far = self._stacked_cameras("depth_range", self.training_ids).unbind(dim=1)
        return views.replace(depth_range=torch.stack([near.min(), far.max()]).expand(len(views), 2))

    def own_depths(self, image_ids: Sequence[str]) -> Float[Tensor, "view 1 height width"]:
        """Load the scene's own depth maps; 0, unknown, where it has none. Nothing is estimated."""

        def own(image_id: str) -> np.ndarray:
            depth = self.scene.depth(image_id)
            return np.zeros(self.scene.mask(image_id).shape, np.float32) if depth is None else depth

        return torch.from_numpy(self._pictures("own depth", image_ids, own))[:, None]

    def with_sources(
        self, references: Views, image_ids: Sequence[str], pool: Sequence[str]
    ) -> tuple[Views, SourceViews]:
        """Find what cost volumes match the references against: the 3 `nearest` of `pool` and of themselves to each.

        `references` are the views `image_ids`, as they were loaded. All come out in one size. Where there are fewer
        than 4 views, each has fewer neighbours.
        """
        candidates = list(dict.fromkeys([*pool, *image_ids]))
        count = min(NEIGHBOURS, len(candidates) - 1)
        nearest = [self.nearest(own, [other for other in candidates if other != own], count) for own in image_ids]
        order = list(dict.fromkeys([*image_ids, *chain.from_iterable(nearest)]))
        place = {image_id: index for index, image_id in enumerate(order)}
        neighbours = torch.tensor([[place[other] for other in row] for row in nearest], dtype=torch.int64)
        others = order[len(image_ids) :]
        views = self.load(others).replace(training_index=None) if others else references.none()
        height, width = map(max, references.image_size, views.image_size)
        return fill_up(references, height, width), SourceViews(fill_up(views, height, width), neighbours)

    def nearest(self, image_id: str, candidates: Sequence[str], count: int) -> list[str]:
        """Return the `count` candidates that come first by the rule `view_choice`, the first first.

        Raises:
            DatasetError: there are fewer candidates.
        """
        return self.nearest_to(self.camera(image_id), candidates, count, what=image_id)

    def nearest_to(self, camera: Camera, candidates: Sequence[str], count: int, what: str) -> list[str]:
        """Return the first for any camera, as `nearest`; `what` is its name in errors."""
        self.check_enough(what, candidates, count)
        if count == 0:
            return []
        order = RULES[self.view_choice](camera, self._stacked_cameras("w2c", candidates))
        return [candidates[index] for index in order[:count].tolist()]

    def camera(self, image_id: str) -> Camera:
        """Return the camera of a view."""
        return Camera(*(each[0] for each in self.cameras([image_id])))

    def cameras(self, image_ids: Sequence[str]) -> Camera:
        """Return the cameras of views, stacked."""
        return Camera(*(self._stacked_cameras(part, image_ids) for part in Camera._fields))

    def check_enough(self, image_id: str, candidates: Sequence[str], count: int) -> None:
        """Raise `DatasetError` if there are fewer than `count` candidates for the query."""
        if count > len(candidates):
            raise DatasetError(
                f"{self.scene.name}: {count} working views are asked for, but only {len(candidates)} reference views "
                f"are there for {image_id}. Set working_views to {len(candidates)} or less."
            )

    def _depth(self, image_id: str, used_with: Sequence[str]) -> np.ndarray:
        """Return a prepared depth map, or the scene's own (of one view: a scene may have hundreds), or an estimate."""
        if image_id not in self._depths:
            own = self.scene.depth(image_id)
            if own is not None:
                return own
            self.prepare_depths(list(dict.fromkeys([*self.estimated_together, *used_with])))
        return self._depths[image_id]

    def _pictures(self, kind: str, image_ids: Sequence[str], read: Callable[[str], np.ndarray]) -> np.ndarray:
        name = self.scene.name
        return pad_to_largest([self.images.get((name, kind, each), partial(read, each)) for each in image_ids])

    def _stacked_cameras(self, part: str, image_ids: Sequence[str]) -> Tensor:
        """Stack K, w2c or depth ranges of these views; each is asked for once."""
        for image_id in image_ids:
            if (part, image_id) not in self._cameras:
                value = getattr(self.scene, part)(image_id)
                self._cameras[part, image_id] = np.asarray(value, dtype=np.float32)
        return torch.from_numpy(np.stack([self._cameras[part, image_id] for image_id in image_ids]))


def padded(references: Views, sources: SourceViews | None) -> tuple[Views, SourceViews | None]:
    """Pad by reflection to sides that the encoders, and with sources the cost volumes' network, take."""
    multiple = ENCODER_MULTIPLE if sources is None else MATCHING_MULTIPLE
    references = pad_by_reflection(references, multiple)
    return references, sources and sources.replace(views=pad_by_reflection(sources.views, multiple))


def open_scenes(
    names: Sequence[str],
    data_root: str | Path,
    cache_root: Path | None,
    images: ImageCache | None = None,
    device: str = "auto",
    view_choice: ViewChoice | None = None,
) -> list[SceneViews]:
    """Open scenes by name; `demo/train`, `demo/validation` and `demo/test` stand for all demo scenes of that split."""
    images = images or ImageCache()
    scenes = [open_scene(name, data_root) for name in expand_scene_names(names)]
    return [SceneViews(scene, cache_root, images, device=device, view_choice=view_choice) for scene in scenes]


def expand_scene_names(names: Sequence[str]) -> list[str]:
    """Replace the names of demo splits by the names of their scenes."""
    splits = {f"demo/{split}": demo_scene_names(split) for split in SCENE_COUNTS}
    return list(chain.from_iterable(splits.get(name, [name]) for name in names))
