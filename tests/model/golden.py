"""What the package makes of the tiny case, kept in tests/data/golden.npz for clones without the reference tensors.

`python -m tests.model.golden` writes the file again. Do so only after the reference tensors are reproduced, and say in
the commit why the numbers changed.
"""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.losses import colour_loss, feature_alignment_loss
from maskrf_core.model import renderer as renderer_module
from maskrf_core.model.aggregators import contract
from maskrf_core.model.gathering import query_colours, query_rays
from maskrf_core.model.renderer import Renderer
from maskrf_core.model.rendering import PassRendering
from maskrf_core.model.sampling import draw_fine_depths
from tests.model.tiny import depth_term, scattered, tiny_batch, tiny_renderer

PATH = Path(__file__).resolve().parents[1] / "data" / "golden.npz"

GRADIENTS_OF = [
    "image_encoder.stem.0.weight",
    "image_encoder.stage3.5.convolution2.weight",
    "visibility_init.depth_skip.0.weight",
    "visibility_init.encoder.stem.0.weight",
    "visibility_encoder.0.weight",
    "coarse.distribution_decoder.mean.0.weight",
    "coarse.aggregation.base.0.weight",
    "fine.distribution_decoder.sharpness.0.weight",
    "fine.aggregation.mask_token",
    "fine.aggregation.ray_attention.query.weight",
    "fine.aggregation.blending.0.weight",
    "masked_modelling.projector.0.weight",
    "masked_modelling.predictor.3.weight",
]


def compute() -> dict[str, Tensor]:
    """Every number that is kept."""
    renderer, batch = tiny_renderer(), tiny_batch()
    with torch.no_grad():
        features = renderer.encode(batch.references)
        rendering = renderer(batch, mask_ratio=0.0)
    return {
        "image_features": features.image_features[:, ::4, ::3, ::3],
        "ray_features": features.ray_features[:, ::4, ::3, ::3],
        **_of_pass("coarse", rendering.coarse),
        **_of_pass("fine", rendering.fine),
        **pretraining_step(renderer.train(), batch),
    }


def _of_pass(name: str, rendered: PassRendering) -> dict[str, Tensor]:
    parts = ("rgb", "depth", "hit_probability", "sample_depths", "ray_mask")
    return {f"{name}_{part}": getattr(rendered, part) for part in parts}


def pretraining_step(renderer: Renderer, batch: SceneBatch) -> dict[str, Tensor]:
    """Features, losses and gradients of a training pass whose mask and new depths are no draws but fixed."""
    shape = (len(batch.references), len(batch.pixels_xy), 18)
    mask = scattered(int(np.prod(shape)), order=1000).view(shape) > 0.3

    def even_depths(*arguments, generator):
        return draw_fine_depths(*arguments)

    features = renderer.encode(batch.references)
    with (
        patch.object(renderer_module, "draw_mask", lambda *arguments, **settings: mask),
        patch.object(contract, "draw_fine_depths", even_depths),
    ):
        rendering = renderer.render_rays(features, query_rays(batch), mask_ratio=0.5, generator=torch.Generator())
    truth = query_colours(batch.query, batch.pixels_xy)
    height, width = batch.references.image_size
    pixels_xy = (((scattered(64, order=2000) + 1) / 2).view(32, 2) * torch.tensor([width - 1, height - 1])).round()
    losses = {
        "colour_coarse": colour_loss(rendering.coarse.rgb, truth, rendering.coarse.ray_mask),
        "colour_fine": colour_loss(rendering.fine.rgb, truth, rendering.fine.ray_mask),
        "depth_coarse": depth_term(renderer.coarse, features, batch.references.depths, pixels_xy),
        "depth_fine": depth_term(renderer.fine, features, batch.references.depths, pixels_xy),
        "feature_alignment": feature_alignment_loss(rendering.masked),
    }
    sum(losses.values()).backward()
    parameters = dict(renderer.named_parameters())
    return {
        "prediction": rendering.masked.prediction.detach()[:, ::3],
        "target": rendering.masked.target[:, ::3],
        **{f"loss_{name}": loss.detach() for name, loss in losses.items()},
        **{f"gradient_{name}": parameters[name].grad.norm() for name in GRADIENTS_OF},
    }


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    np.savez_compressed(PATH, **{name: value.numpy() for name, value in compute().items()})
    print(f"{PATH.name}: {PATH.stat().st_size / 1000:.0f} kB")
