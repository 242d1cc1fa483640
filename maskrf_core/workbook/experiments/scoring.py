"""Evaluation as a config says it."""

from pathlib import Path
from typing import Literal

import pandas as pd

from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.evaluation import evaluate
from maskrf_core.runs import Run
from maskrf_core.settings.config import Config


def scores(
    source: Run | Path | Renderer, config: Config, split: Literal["validation", "test"], *, pictures: Path | None = None
) -> pd.DataFrame:
    """`evaluate` on the config's validation or test scenes, with its views and sizes.

    In a per-scene training, whose test views are looked at as it goes, on as many of them as there.
    """
    validating = split == "validation"
    in_training = validating or config.stage == "per_scene"
    return evaluate(
        source,
        config.data.validation_scenes if validating else config.evaluation.test_scenes,
        data_root=config.data.data_root,
        split=split,
        working_views=config.data.working_views,
        views_per_scene=config.training.validation_views if in_training else config.evaluation.views_per_scene,
        rays_per_chunk=config.hardware.rays_per_chunk,
        rendering=config.rendering,
        device=config.hardware.device,
        pictures=pictures,
        render_cache_mib=config.hardware.render_cache_mib,
    )
