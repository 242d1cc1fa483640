"""The one scene of a per-scene training, and the draws from it."""

from pathlib import Path

import numpy as np

from maskrf_core.datasets.batches.augment import pad_by_reflection
from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.datasets.batches.image_cache import ImageCache
from maskrf_core.datasets.batches.scene_views import ENCODER_MULTIPLE, SceneViews, draw_pixels, expand_scene_names
from maskrf_core.datasets.batches.training_views import TrainingDraw
from maskrf_core.datasets.batches.view_pools import draw_views_of_one_scene
from maskrf_core.datasets.scene import open_scene
from maskrf_core.settings.sections import DataSettings
from maskrf_core.support.errors import DatasetError


class OneScene:
    """The scene that `train_scenes` names, opened; its test views are never drawn.

    Raises:
        DatasetError: more than one scene is named, or the scene is missing, broken or has too few views.
    """

    notices: tuple[str, ...] = ()
    """Lines to be said before the training, as `Mixture` has."""

    def __init__(
        self,
        settings: DataSettings,
        cache_root: Path | None,
        images: ImageCache | None = None,
        device: str = "auto",
    ):
        names = expand_scene_names(settings.train_scenes)
        if len(names) != 1 or "/" not in names[0]:
            raise DatasetError(
                f"{', '.join(names)}: per-scene training takes one scene, such as nerf_llff/fern/8. Name it alone in "
                "data.train_scenes."
            )
        self.settings = settings
        self.views = SceneViews(open_scene(names[0], settings.data_root), cache_root, images, device=device)
        self.views.estimated_together = self.views.training_ids
        self._check_views()

    @property
    def name(self) -> str:
        """Return the name that `open_scene` was given."""
        return self.views.scene.name

    def draw(self, generator: np.random.Generator) -> TrainingDraw:
        """Draw a batch: any training view as the query, some of its nearest as references, random rays.

        Images stay whole and depth ranges as they are: a free map belongs to all of its image, and what it says is
        relative to its view's range, in training as in evaluation.

        Raises:
            DatasetError: a file is missing or broken.
        """
        settings = self.settings
        query_id, chosen = draw_views_of_one_scene(self.views, settings, generator=generator)
        query = self.views.query(query_id)
        references = self.views.load(chosen, depths=bool(settings.depth_supervision))
        pixels_xy = draw_pixels(query, settings.rays, generator=generator)
        origin = f"scene {self.name}, query {query_id}, references {', '.join(chosen)}"
        return TrainingDraw(SceneBatch(query, pad_by_reflection(references, ENCODER_MULTIPLE), pixels_xy), origin)

    def prepare_depths(self) -> None:
        """Have the depth maps before the first step if they supervise, which is not the published way."""
        if self.settings.depth_supervision:
            self.views.prepare_depths(self.views.training_ids)

    def _check_views(self) -> None:
        seen, tested = self.views.scene.split("test")
        both = [image_id for image_id in tested if image_id in set(seen)]
        needed = self.settings.working_views + 1
        if not tested or both:
            raise DatasetError(
                f"{self.name}: of its {len(tested)} test views, {len(both)} are training views too. A per-scene "
                "training is judged by views that it never sees: take another scene."
            )
        if len(seen) < needed:
            raise DatasetError(
                f"{self.name}: {needed - 1} working views and a query are asked for, but only {len(seen)} training "
                "views are there. Set working_views lower, or take another scene."
            )
