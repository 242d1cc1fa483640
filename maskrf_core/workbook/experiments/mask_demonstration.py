"""One pretraining pass, to look at its mask."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.datasets.batches.training_views import draw_from_scene
from maskrf_core.model.masking.strategies import STRATEGIES, draw_mask_ratio, masked_count, unit_of
from maskrf_core.settings.config import Config
from maskrf_core.support.paths import cache_folder
from maskrf_core.training.preflight import training_inputs
from maskrf_core.training.saved_states import initial_renderer


class RayMask(NamedTuple):
    """The mask of one ray, the z-depths of its fine samples, and the ratio that was asked for."""

    mask: Bool[np.ndarray, "view sample"]
    depths: Float[np.ndarray, "sample"]
    ratio: float


def mask_of_one_ray(config: Config, ray: int = 0) -> RayMask:
    """Draw what a training step masks on a ray of its first scene; the weights it begins with place the samples."""
    inputs = training_inputs(config)
    mixture = Mixture(config.data, cache_folder(config.data.data_root), inputs=inputs)
    views = mixture.first_scenes()[0]
    if inputs.depths:
        views.prepare_depths(views.scene.split("train")[0])
    batch = draw_from_scene(views, config.data, inputs, generator=np.random.default_rng(config.training.seed)).batch
    generator = torch.Generator().manual_seed(config.training.seed)
    ratio = draw_mask_ratio(config.masking, generator=generator)
    with torch.no_grad():
        rendering = initial_renderer(config)(batch, mask_ratio=ratio, generator=generator)
    depths = rendering.fine.sample_depths[ray].numpy()
    if rendering.masked is None:  # mask_ratio is 0
        return RayMask(np.zeros((len(batch.references), len(depths)), dtype=bool), depths, ratio)
    return RayMask(rendering.masked.mask[:, ray].numpy(), depths, ratio)


def masks_of_strategies(config: Config, ray: int = 0) -> dict[str, RayMask]:
    """Draw what each strategy would mask on the same ray, by name."""
    masks = {}
    for strategy in STRATEGIES:
        masking = config.masking.model_copy(update={"strategy": strategy})
        masks[strategy] = mask_of_one_ray(config.model_copy(update={"masking": masking}), ray)
    return masks


def has_its_share(ray: RayMask, strategy: str) -> bool:
    """Tell whether as many samples or views of the ray are masked as the ratio asks for.

    Of a strategy that does not say which it counts: whether anything is masked.
    """
    views, samples = ray.mask.shape
    expected = masked_count(strategy, views, samples, ray.ratio)
    found = ray.mask.any(axis=1 if unit_of(strategy) == "view" else 0).sum()
    return bool(found > 0 if expected is None else found == expected)
