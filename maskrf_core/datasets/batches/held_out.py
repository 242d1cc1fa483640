"""Scenes to validate on that are held out of the data sets that a training takes as a whole."""

from collections.abc import Iterator

from maskrf_core.datasets.batches.mixture import find_groups
from maskrf_core.datasets.batches.scene_views import open_scenes
from maskrf_core.settings.sections import DataSettings
from maskrf_core.support.digests import digest
from maskrf_core.support.errors import DatasetError

LOOKED_AT = 5  # scenes of a data set, before it is left without one


def held_out_scenes(data: DataSettings) -> list[str]:
    """Choose a scene of each whole data set that is there, by a digest of its name; none of a set of one scene.

    It depends on names alone, so that every training on the same data holds out the same scenes.
    """
    groups, _ = find_groups(data)
    wholes = [[name for name, singly in scenes.items() if not singly] for scenes in groups.values()]
    chosen = (next(_fit_to_validate(sorted(names, key=digest), data), None) for names in wholes if len(names) > 1)
    return [name for name in chosen if name is not None]


def _fit_to_validate(names: list[str], data: DataSettings) -> Iterator[str]:
    """Yield those of the first few that have queries, and references enough to render them from."""
    for name in names[:LOOKED_AT]:
        try:
            (views,) = open_scenes([name], data.data_root, None)
            references, queries = views.scene.split("validation")
        except DatasetError:  # the training passes it over, or says so, in its turn
            continue
        if queries and len(set(references) - set(queries[:1])) >= data.working_views:
            yield name
