"""One pretraining pass, to look at its mask."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from maskrf_core.config import Config
from maskrf_core.datasets.mixture import Mixture
from maskrf_core.datasets.training_views import draw_from_scene
from maskrf_core.storage import cache_folder
from maskrf_core.training import initial_renderer
from maskrf_core.training_scenes import training_inputs


class RayMask(NamedTuple):
    """The mask of one ray, and its fine samples' z-depths."""

    mask: Bool[np.ndarray, "view sample"]
    depths: Float[np.ndarray, "sample"]


def mask_of_one_ray(config: Config, ray: int = 0) -> RayMask:
    """What a training step masks on a ray of its first scene; the weights it begins with place the samples."""
    inputs = training_inputs(config)
    mixture = Mixture(config.data, cache_folder(config.data.data_root), inputs=inputs)
    views = mixture.first_scenes()[0]
    if inputs.depths:
        views.prepare_depths(views.scene.split("train")[0])
    batch = draw_from_scene(views, config.data, inputs, generator=np.random.default_rng(config.training.seed)).batch
    generator = torch.Generator().manual_seed(config.training.seed)
    with torch.no_grad():
        rendering = initial_renderer(config)(batch, mask_ratio=config.masking.mask_ratio, generator=generator)
    depths = rendering.fine.sample_depths[ray].numpy()
    if rendering.masked is None:  # mask_ratio is 0
        return RayMask(np.zeros((len(batch.references), len(depths)), dtype=bool), depths)
    return RayMask(rendering.masked.mask[:, ray].numpy(), depths)
