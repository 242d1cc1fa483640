"""Training batches from many data sets, by weight of the data set, then any scene of it; and fingerprints of scenes."""

import time
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import chain
from operator import attrgetter
from pathlib import Path

import numpy as np
from cachetools import LRUCache
from torch.utils.data import get_worker_info

from maskrf_core.datasets.batches.batch import FROM_DEPTHS, ModelInputs
from maskrf_core.datasets.batches.image_cache import ImageCache
from maskrf_core.datasets.batches.scene_views import SceneViews, expand_scene_names
from maskrf_core.datasets.batches.training_views import OneScene, TrainingDraw, draw_from_scene
from maskrf_core.datasets.records import DATA_SETS, held_out_places, place_of, published_weights
from maskrf_core.datasets.scene import Scene, open_scene, scene_names
from maskrf_core.settings.sections import DataSettings
from maskrf_core.support.digests import digest
from maskrf_core.support.errors import DatasetError, NotPreparedError, SettingsError

NO_DEPTH = (
    "the depth of its training views is not known; notebook 01_data_prep with prepare_depth keeps it for the next start"
)
ATTEMPTS = 100  # draws of each scene of a data set, were all unfit, until it is given up


class NoDepthKeptError(NotPreparedError):
    """Of no scene of a whole data set the depth is known that a training needs."""

    def __init__(self, message: str, data_set: str):
        super().__init__(message)
        self.data_set = data_set


class Mixture:
    """Scenes to train on, and the draws from them, which have what `inputs` says.

    Scenes that are named singly are opened at once and stay open; those of whole data sets, which may be thousands,
    when they are drawn, and `open_mib` of them stay open: their lists and cameras, not their images. A scene of a whole
    data set that has too few views, or none of whose depth is known where `inputs` want it, is passed over, and the
    first data worker says so in a line. So what is drawn depends on which depth is there as the training begins: of
    estimates kept later nothing is seen, so that all workers see the same.

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
        open_mib: float = 256.0,
    ):
        self._begun = time.time()
        self.settings, self.inputs, self.device = settings, inputs, device
        self.cache_root, self.images = cache_root, images or ImageCache()
        for data_set in settings.data_set_weights:
            if data_set not in DATA_SETS:
                nearest = get_close_matches(data_set, DATA_SETS, n=1)
                hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(DATA_SETS)}"
                raise SettingsError(f"data.data_set_weights.{data_set}: unknown data set; {hint}")
        self.groups, absent = find_groups(settings)
        self.notices = []
        if absent:
            self.notices.append(
                f"{', '.join(absent)}: absent (no scenes below {settings.data_root}); left out, weights are "
                f"renormalised over {', '.join(self.groups)}"
            )
        asked = published_weights() | settings.data_set_weights
        drawn = np.array([asked.get(data_set, 1.0) for data_set in self.groups])
        self.probabilities = drawn / drawn.sum()
        singly = [name for scenes in self.groups.values() for name, singly in scenes.items() if singly]
        self.singly = {name: self._opened(name) for name in singly}
        self._lately: LRUCache[str, SceneViews] = LRUCache(open_mib * 2**20, getsizeof=attrgetter("bytes"))
        self._faults: dict[str, str] = {}  # of scenes of whole data sets that were opened; empty if they are fit
        self._said: set[str] = set()

    @property
    def names(self) -> list[str]:
        """Return names of all scenes, group by group."""
        return list(chain.from_iterable(self.groups.values()))

    def first_scenes(self) -> list[SceneViews]:
        """Open all scenes named singly, and the first of each whole data set that is fit.

        Raises:
            DatasetError: none of a data set is.
        """
        found = []
        for data_set, scenes in self.groups.items():
            found += [self.singly[name] for name in scenes if name in self.singly]
            whole = [name for name in scenes if name not in self.singly]
            fit = (self.open(name) for name in whole if not self._fault(name))
            if whole and (first := next(fit, None)) is None:
                raise self._nothing_fit(data_set)
            found += [first] if whole else []
        return found

    def open(self, name: str) -> SceneViews:
        """Open the scene of that name, which then stays open for a while."""
        if name in self.singly:
            return self.singly[name]
        views = self._lately.get(name)
        if views is None:
            views = self._opened(name)
            self._faults[name] = self._fault_of(views)
            if views.bytes <= self._lately.maxsize:
                self._lately[name] = views
        return views

    def draw(self, generator: np.random.Generator) -> TrainingDraw:
        """Draw a batch: data set by weight, any of its scenes, any query, its working views, augmentation, rays.

        Raises:
            DatasetError: a file of the scene is missing or broken, or no scene of the data set is fit.
        """
        drawn = generator.choice(len(self.groups), p=self.probabilities) if len(self.groups) > 1 else 0
        data_set = list(self.groups)[drawn]
        names = list(self.groups[data_set])
        for _ in range(ATTEMPTS * len(names)):
            name = names[generator.integers(len(names))]
            if not (fault := self._fault(name)):
                return draw_from_scene(self.open(name), self.settings, self.inputs, generator=generator)
            self._say(f"{name}: passed over, {fault}")
        raise self._nothing_fit(data_set)

    def _opened(self, name: str) -> SceneViews:
        scene = open_scene(name, self.settings.data_root)
        together = scene.split("train")[0]
        return SceneViews(scene, self.cache_root, self.images, together, self.device, self.settings.view_choice)

    def _fault(self, name: str) -> str:
        """Say why a scene of a whole data set is not fit; nothing of one that is, or is named singly."""
        if name not in self.singly and name not in self._faults:
            self.open(name)
        return self._faults.get(name, "")

    def _fault_of(self, views: SceneViews) -> str:
        references, queries = views.scene.split("train")
        needed = self.settings.working_views
        if not queries or len(references) <= needed:
            return f"its {len(references)} training views are too few for {needed} working views and a query"
        if self.inputs.depths and not views.find_depths(references, until=self._begun):
            return NO_DEPTH
        return ""

    def _say(self, line: str) -> None:
        """Print a line once, in the first of the data workers."""
        worker = get_worker_info()
        if line not in self._said and (worker is None or worker.id == 0):
            self._said.add(line)
            print(line, flush=True)

    def _nothing_fit(self, data_set: str) -> DatasetError:
        faults = [(name, self._faults[name]) for name in self.groups[data_set] if self._faults.get(name)]
        message = (
            f"{data_set}: none of its {len(faults)} scenes can be trained on. {faults[0][0]}: {faults[0][1]}. Set "
            f"working_views lower where views are too few, or leave the data set out."
        )
        without_depth = all(fault == NO_DEPTH for _, fault in faults)
        return NoDepthKeptError(message, data_set) if without_depth else DatasetError(message)


def find_groups(settings: DataSettings) -> tuple[dict[str, dict[str, bool]], list[str]]:
    """Find the scenes that `train_scenes` names: (data set → scene → whether it is named singly, absent data sets).

    Scenes that are held out for tests, or validated on, are not among those of a whole data set.
    """
    groups: dict[str, dict[str, bool]] = {}
    absent = []
    held_out = held_out_places() | {place_of(name) for name in expand_scene_names(settings.validation_scenes)}
    for entry in expand_scene_names(settings.train_scenes):
        data_set, _, scene = entry.partition("/")
        found = [entry]
        if not scene:
            found = [each for each in scene_names(data_set, settings.data_root) if place_of(each) not in held_out]
        if not found:
            absent.append(data_set)
            continue
        scenes = groups.setdefault(data_set, {})
        scenes.update({name: scenes.get(name, False) or bool(scene) for name in found})
    if not groups:
        raise DatasetError(
            f"nothing to train on: {', '.join(absent)} are not below {settings.data_root}. Notebook 01_data_prep says "
            "where to get each data set and where it belongs; or name other scenes in data.train_scenes."
        )
    return groups, absent


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
    """
    alone = isinstance(scenes, OneScene)
    singly = [scenes.views] if alone else scenes.singly.values()
    found = {views.scene.name: scene_fingerprint(views.scene) for views in [*singly, *validation_scenes]}
    for data_set, group in ({} if alone else scenes.groups).items():
        if names := sorted(name for name, named_singly in group.items() if not named_singly):
            found[data_set] = digest({"scenes": names, "first": scene_fingerprint(scenes.open(names[0]).scene)})
    return found
