"""What every method made of the test views, gathered for a comparison by hand."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from maskrf_core.datasets.scene import Scene, open_scene
from maskrf_core.workbook.experiments.comparison import folder_name
from maskrf_core.workbook.figures.moving_pictures import ComparedView, Render
from maskrf_core.workbook.figures.panels import read_pictures


def compared_views(table: pd.DataFrame, methods: Sequence[str], pictures: Path, data_root: str) -> list[ComparedView]:
    """Read the pictures of all views that `comparison.compare` left below `pictures`, by those `methods` that render.

    `table` is what it returned. The first view of each scene comes first.
    """
    views = table[["scene", "image_id"]].drop_duplicates()
    order = views.groupby("scene", sort=False).cumcount().sort_values(kind="stable").index
    scenes = {name: open_scene(name, data_root) for name in views["scene"].unique()}
    return [_compared_view(scenes[row.scene], row.image_id, methods, pictures) for row in views.loc[order].itertuples()]


def _compared_view(scene: Scene, image_id: str, methods: Sequence[str], pictures: Path) -> ComparedView:
    made = {name: read_pictures(pictures / folder_name(name), scene.name, image_id) for name in methods}
    renders = {name: Render(kinds["fine"], kinds["depth"][..., 0]) for name, kinds in made.items()}
    truth = next(iter(made.values()))["truth"]
    return ComparedView(scene.name, image_id, truth, scene.depth_range(image_id), scene.depth(image_id), renders)
