"""The scenes of a training, looked at before anything is trained or written."""

from maskrf_core.config import Config
from maskrf_core.datasets.views import SceneViews, expand_scene_names, open_scenes, place_of
from maskrf_core.errors import DatasetError, SettingsError
from maskrf_core.model.renderer import RAY_IS_SEEN_AT_MORE_THAN, RAY_IS_SEEN_BY_MORE_THAN
from maskrf_core.storage import cache_folder


def open_checked_scenes(config: Config) -> tuple[list[SceneViews], list[SceneViews]]:
    """The scenes to train and to validate on, fit for what the config asks.

    Raises:
        SettingsError, DatasetError: as `check_scenes`, or a scene is missing or broken.
    """
    data = config.data
    cache = cache_folder(data.data_root)
    train = open_scenes(data.train_scenes, data.data_root, cache)
    validation = open_scenes(data.validation_scenes, data.data_root, cache)
    check_scenes(train, validation, config)
    return train, validation


def check_scenes(train: list[SceneViews], validation: list[SceneViews], config: Config) -> None:
    """Find what training would stumble over, before it begins.

    Raises:
        SettingsError: so few working views or samples that no ray would ever be supervised.
        DatasetError: a scene has too few views, or is used for more than one of training, validation and test.
    """
    needed = config.data.working_views
    samples = config.model.coarse_samples
    if needed <= RAY_IS_SEEN_BY_MORE_THAN or samples <= RAY_IS_SEEN_AT_MORE_THAN:
        raise SettingsError(
            f"data.working_views={needed}, model.coarse_samples={samples}: training needs more than "
            f"{RAY_IS_SEEN_BY_MORE_THAN} views and {RAY_IS_SEEN_AT_MORE_THAN} samples, because only rays that "
            "so many see are supervised"
        )
    for views, kind in [(v, "train") for v in train] + [(v, "validation") for v in validation]:
        references, queries = views.scene.split(kind)
        if not queries:
            raise DatasetError(f"{views.scene.name}: has no {kind} views. Leave this scene out of {kind}_scenes.")
        if len(set(references) - set(queries[:1])) < needed:
            raise DatasetError(
                f"{views.scene.name}: {needed} working views are asked for, but only {len(references)} reference "
                "views are there. Set working_views lower, or leave this scene out."
            )
    trained, validated = ({place_of(views.scene.name) for views in part} for part in (train, validation))
    tested = {place_of(name) for name in expand_scene_names(config.evaluation.test_scenes)}
    for both, uses in (
        (trained & validated, "trained on and validated on"),
        (trained & tested, "trained on and tested on"),
        (validated & tested, "validated on and tested on"),
    ):
        if both:
            raise DatasetError(f"{', '.join(sorted(both))}: {uses}. Choose different scenes for each.")
