"""Reading and writing weights. The only file that knows the names inside a published checkpoint."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskrf_core.errors import CheckpointError
from maskrf_core.files import write_atomically
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings import ModelSettings

OUR_FORMAT = "maskrf checkpoint 1"

PUBLISHED_NAMES = [
    (r"^image_encoder\.", r"image_encoder."),
    (r"^init_net\.res_net\.", r"visibility_init.encoder."),
    (r"^init_net\.conv_out\.", r"visibility_init.head."),
    (r"^init_net\.", r"visibility_init."),
    (r"^vis_encoder\.out_conv\.(\d)\.conv\.", r"visibility_encoder.\1.residual."),
    (r"^vis_encoder\.out_conv\.", r"visibility_encoder."),
    (r"^(target_projector|projector|predictor)\.", r"masked_modelling.\1."),
    (r"^fine_dist_decoder\.", r"fine.distribution_decoder."),
    (r"^dist_decoder\.", r"coarse.distribution_decoder."),
    (r"^fine_agg_net\.", r"fine.aggregation."),
    (r"^agg_net\.", r"coarse.aggregation."),
    (r"\.(mean)_decoder\.", r".\1."),
    (r"\.var_decoder\.", r".sharpness."),
    (r"\.aw_decoder\.", r".mixing_weight."),
    (r"\.prob_embed\.", r".ray_embedding."),
    (r"\.agg_impl\.", r"."),
    (r"\.ray_dir_fc\.", r".direction."),
    (r"\.base_fc\.", r".base."),
    (r"\.vis_fc\.", r".residual_and_visibility."),
    (r"\.vis_fc2\.", r".visibility."),
    (r"\.out_geometry_fc\.", r".density."),
    (r"\.geometry_fc\.", r".geometry."),
    (r"\.rgb_fc\.", r".blending."),
    (r"\.neuray_fc\.", r".visibility_weight."),
    (r"\.ray_attention\.w_qs\.", r".ray_attention.query."),
    (r"\.ray_attention\.w_ks\.", r".ray_attention.key."),
    (r"\.ray_attention\.w_vs\.", r".ray_attention.value."),
    (r"\.ray_attention\.fc\.", r".ray_attention.output."),
    (r"\.ray_attention\.layer_norm\.", r".ray_attention.norm."),
    (r"\.layer(\d)\.(\d)\.conv(\d)\.", r".stage\1.\2.convolution\3."),
    (r"\.layer(\d)\.(\d)\.bn(\d)\.", r".stage\1.\2.norm\3."),
    (r"\.layer(\d)\.(\d)\.downsample\.", r".stage\1.\2.skip."),
    (r"\.conv1\.", r".stem.0."),
    (r"\.bn1\.", r".stem.1."),
    (r"\.upconv3\.conv\.conv\.", r".up2.0."),
    (r"\.upconv3\.conv\.bn\.", r".up2.1."),
    (r"\.iconv3\.conv\.", r".merge2.0."),
    (r"\.iconv3\.bn\.", r".merge2.1."),
    (r"\.upconv2\.conv\.conv\.", r".up1.0."),
    (r"\.upconv2\.conv\.bn\.", r".up1.1."),
    (r"\.iconv2\.conv\.", r".merge1.0."),
    (r"\.iconv2\.bn\.", r".merge1.1."),
    (r"\.encoder\.out_conv\.|^image_encoder\.out_conv\.", lambda match: match[0].replace("out_conv", "head")),
]
"""Published name → ours, applied in this order: first whose part it is, then which layer of it."""

CONSTANTS_OF_PUBLISHED = {"sph_fitter.regs"}
"""Buffers that hold no learned values: the ridge of the optional direct-rendering head."""

NOT_IN_PUBLISHED = "masked_modelling.colour_head."
"""Our own addition, which starts at zero."""

COST_VOLUME_NAMES = ("init_net.mvsnet.", "init_net.volume_conv2d.")
"""Weights that only checkpoints with cost-volume initialisation have."""


def save_checkpoint(path: Path, renderer: Renderer, step: int, state: dict[str, Any]) -> None:
    """Write weights, their settings, the number of steps done, and what else is needed to continue; atomically."""
    checkpoint = {
        "format": OUR_FORMAT,
        "step": step,
        "model_settings": renderer.settings.model_dump(),
        "weights": renderer.state_dict(),
        "state": state,
    }
    write_atomically(path, lambda file: torch.save(checkpoint, file))


def read_our_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint as `save_checkpoint` wrote it.

    Raises:
        CheckpointError: as `read_checkpoint`, or the file is of another kind.
    """
    checkpoint = read_checkpoint(path)
    if not isinstance(checkpoint, dict) or checkpoint.get("format") != OUR_FORMAT:
        raise CheckpointError(f"{path}: is not a checkpoint that maskrf wrote.")
    return checkpoint


def load_renderer(path: str | Path) -> Renderer:
    """The renderer of any checkpoint, ours or published, in evaluation mode.

    Raises:
        CheckpointError: as `read_checkpoint`, or the weights belong to another model.
    """
    checkpoint = read_checkpoint(path)
    if isinstance(checkpoint, dict) and "network_state_dict" in checkpoint:
        return load_published(path)
    checkpoint = read_our_checkpoint(path)
    renderer = Renderer(ModelSettings.model_validate(checkpoint["model_settings"]))
    load_weights(renderer, checkpoint["weights"], path)
    return renderer.eval()


def load_published(path: str | Path) -> Renderer:
    """The renderer of a published generalisation checkpoint with depth initialisation, in evaluation mode.

    Raises:
        CheckpointError: the file is missing, cut short, holds anything but tensors and plain values, derives visibility
            from cost volumes, or has weights missing, left over or of other shapes; each is named.
    """
    published = _published_weights(path)
    if any(name.startswith(COST_VOLUME_NAMES) for name in published):
        raise CheckpointError(
            f"{path}: derives visibility from cost volumes, which is not supported yet. Use a checkpoint with depth "
            "initialisation."
        )
    weights = {
        our_name(name): value.to(torch.float32) if value.is_floating_point() else value
        for name, value in published.items()
        if name not in CONSTANTS_OF_PUBLISHED
    }
    renderer = Renderer()
    for name, value in renderer.state_dict().items():
        if name.endswith("mask_token") and name in weights and weights[name].numel() == value.numel():
            weights[name] = weights[name].reshape(value.shape)  # published with axes of length one
    for name, value in renderer.state_dict().items():
        if name.startswith(NOT_IN_PUBLISHED):
            weights.setdefault(name, value)
    load_weights(renderer, weights, path)
    return renderer.eval()


def _published_weights(path: str | Path) -> dict[str, Tensor]:
    checkpoint = read_checkpoint(path)
    published = checkpoint.get("network_state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(published, dict):
        raise CheckpointError(f"{path}: has no 'network_state_dict', so it is not a published checkpoint.")
    strange = [str(name) for name, value in published.items() if not isinstance(value, Tensor)]
    if strange:
        raise CheckpointError(f"{path}: 'network_state_dict' holds what is no tensor: {', '.join(strange)}.")
    return published


def our_name(published: str) -> str:
    """Our name of a published weight, e.g. `vis_encoder.out_conv.0.weight` → `visibility_encoder.0.weight`."""
    name = published
    for pattern, replacement in PUBLISHED_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def read_checkpoint(path: str | Path) -> object:
    """What a checkpoint file holds: tensors and plain values only; anything else in it is refused.

    Raises:
        CheckpointError: missing, cut short, or not data.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file. Check the path, or train a model first.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: is cut short or holds more than tensors and plain values, so it was not loaded. Use another copy."
        ) from error
    except Exception as error:  # torch raises many kinds for a damaged archive
        raise CheckpointError(f"{path}: cannot be read as a checkpoint ({error}). Use another copy.") from error


def load_weights(renderer: Renderer, weights: dict[str, Tensor], path: str | Path) -> None:
    """Load all weights or none.

    Raises:
        CheckpointError: some are missing, left over or of another shape; they are listed.
    """
    own = renderer.state_dict()
    faults = {
        "missing": sorted(own.keys() - weights.keys()),
        "left over": sorted(weights.keys() - own.keys()),
        "of another shape": sorted(
            f"{name} {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}"
            for name in own.keys() & weights.keys()
            if weights[name].shape != own[name].shape
        ),
    }
    if any(faults.values()):
        listed = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in faults.items() if names)
        raise CheckpointError(f"{path}: belongs to another model. Weights {listed}.")
    renderer.load_state_dict(weights)
