"""Drawing training batches from many data sets: by weight of the data set, then any scene of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from cachetools import LRUCache

from maskrf_core.datasets.batches.batch import FROM_DEPTHS, ModelInputs
from maskrf_core.datasets.batches.image_cache import ImageCache
from maskrf_core.datasets.batches.scene_views import SceneViews, expand_scene_names
from maskrf_core.datasets.batches.training_views import TrainingDraw, draw_from_scene
from maskrf_core.datasets.records import DATA_SETS, held_out_places, place_of, published_weights
from maskrf_core.datasets.scene import open_scene, scene_names
from maskrf_core.settings.sections import DataSettings
from maskrf_core.support.errors import DatasetError, SettingsError

OPEN_SCENES = 128  # scenes of whole data sets that are kept open: their lists and cameras, not their images
ATTEMPTS = 100  # scenes with too few views that are passed over before the data set is given up
LOOKED_AT_FIRST = 5


@dataclass(frozen=True)
class SceneGroup:
    """Scenes of one data set to train on. Those not in `singly` come from naming the data set as a whole."""

    data_set: str
    names: list[str]
    singly: frozenset[str]


class Mixture:
    """Scenes to train on, and the draws from them, which have what `inputs` says.

    Scenes that are named singly are opened at once and stay open; those of whole data sets, which may be thousands,
    when they are drawn. A scene of a whole data set that has too few views is passed over, with a line that says so.

    Raises:
        SettingsError: a weight is given to an unknown data set.
        DatasetError: a scene that is named singly is missing or broken, or there is nothing to train on.
    """

    def __init__(
        self,
        settings: DataSettings,
        cache_root: Path | None,
        images: ImageCache | None = None,
        device: str = "auto",
        inputs: ModelInputs = FROM_DEPTHS,
    ):
        self.settings = settings
        self.inputs = inputs
        self.cache_root = cache_root
        self.images = images or ImageCache()
        self.device = device
        check_weights(settings)
        self.groups, absent = find_groups(settings)
        self.notices = _absence(absent, self.groups, settings.data_root)
        asked = published_weights() | settings.data_set_weights
        drawn = np.array([asked.get(group.data_set, 1.0) for group in self.groups])
        self.probabilities = drawn / drawn.sum()
        singly = [name for group in self.groups for name in group.names if name in group.singly]
        self.singly = {name: self._opened(name) for name in singly}
        self._lately: LRUCache[str, SceneViews] = LRUCache(OPEN_SCENES)
        self._passed_over: set[str] = set()

    @property
    def names(self) -> list[str]:
        """Return names of all scenes, group by group."""
        return [name for group in self.groups for name in group.names]

    def first_scenes(self) -> list[SceneViews]:
        """Open what is looked at before training: all scenes named singly, and the first that can be used of each whole
        data set.

        Raises:
            DatasetError: a scene is broken, or none of a data set's first scenes has enough views.
        """
        found = []
        for group in self.groups:
            found += [self.singly[name] for name in group.names if name in group.singly]
            whole = [name for name in group.names if name not in group.singly][:LOOKED_AT_FIRST]
            usable = (views for name in whole if self._has_enough_views(views := self.open(name)))
            if whole and (first := next(usable, None)) is None:
                raise self._too_few_views(group, len(whole))
            found += [first] if whole else []
        return found

    def open(self, name: str) -> SceneViews:
        """Open the scene of that name, which then stays open for a while."""
        if name in self.singly:
            return self.singly[name]
        if name not in self._lately:
            self._lately[name] = self._opened(name)
        return self._lately[name]

    def draw(self, generator: np.random.Generator) -> TrainingDraw:
        """Draw a batch: data set by weight, any of its scenes, any query, its working views, augmentation, rays.

        Raises:
            DatasetError: what was drawn is broken.
        """
        group = self.groups[0]
        if len(self.groups) > 1:
            group = self.groups[generator.choice(len(self.groups), p=self.probabilities)]
        for _ in range(ATTEMPTS):
            name = group.names[generator.integers(len(group.names))]
            views = self.open(name)
            if name in group.singly or self._has_enough_views(views):
                return draw_from_scene(views, self.settings, self.inputs, generator=generator)
        raise self._too_few_views(group, ATTEMPTS)

    def _opened(self, name: str) -> SceneViews:
        scene = open_scene(name, self.settings.data_root)
        together = scene.split("train")[0]
        return SceneViews(scene, self.cache_root, self.images, estimated_together=together, device=self.device)

    def _has_enough_views(self, views: SceneViews) -> bool:
        references, queries = views.scene.split("train")
        needed = self.settings.working_views
        enough = bool(queries) and len(references) > needed
        if not enough and views.scene.name not in self._passed_over:
            self._passed_over.add(views.scene.name)
            print(
                f"{views.scene.name}: passed over, its {len(references)} training views are too few for {needed} "
                "working views and a query",
                flush=True,
            )
        return enough

    def _too_few_views(self, group: SceneGroup, looked_at: int) -> DatasetError:
        return DatasetError(
            f"{group.data_set}: {looked_at} scenes were looked at, and none has more than "
            f"{self.settings.working_views} training views. Set working_views lower, or leave the data set out."
        )


def check_weights(settings: DataSettings) -> None:
    """Raise `SettingsError` if a data set that has a weight is unknown."""
    for data_set in settings.data_set_weights:
        if data_set not in DATA_SETS:
            nearest = get_close_matches(data_set, DATA_SETS, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(DATA_SETS)}"
            raise SettingsError(f"data.data_set_weights.{data_set}: unknown data set; {hint}")


def find_groups(settings: DataSettings) -> tuple[list[SceneGroup], list[str]]:
    """Find the scenes that `train_scenes` names, by data set in order of naming, and whole data sets that are absent.

    Scenes that are held out for tests are not among those of a whole data set.

    Raises:
        DatasetError: no data set is there, or a data set is unknown.
    """
    names: dict[str, dict[str, bool]] = {}
    absent, held_out = [], held_out_places()
    for entry in expand_scene_names(settings.train_scenes):
        data_set, _, scene = entry.partition("/")
        listed = [entry] if scene else scene_names(data_set, settings.data_root)
        found = [name for name in listed if scene or place_of(name) not in held_out]
        if not found:
            absent.append(data_set)
            continue
        scenes = names.setdefault(data_set, {})
        for name in found:
            scenes[name] = scenes.get(name, False) or bool(scene)
    if not names:
        raise DatasetError(
            f"nothing to train on: {', '.join(absent)} are not below {settings.data_root}. Notebook 01_data_prep says "
            "where to get each data set and where it belongs; or name other scenes in data.train_scenes."
        )
    groups = [
        SceneGroup(data_set, list(scenes), frozenset(name for name, singly in scenes.items() if singly))
        for data_set, scenes in names.items()
    ]
    return groups, absent


def _absence(absent: Sequence[str], groups: Sequence[SceneGroup], data_root: str) -> list[str]:
    """Say in one line which data sets are not there."""
    if not absent:
        return []
    rest = ", ".join(group.data_set for group in groups)
    return [
        f"{', '.join(absent)}: absent (no scenes below {data_root}); left out, weights are renormalised over {rest}"
    ]
