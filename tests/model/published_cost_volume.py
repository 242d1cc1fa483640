"""The reference checkpoint with cost volumes as a renderer. Until `load_published` reads such checkpoints itself."""

import re
from pathlib import Path

import torch

from maskrf_core.checkpoints import load_weights, our_name
from maskrf_core.model.renderer import Renderer
from maskrf_core.mvsnet_weights import MVSNET_NAMES
from maskrf_core.settings import ModelSettings

NAMES = [
    (r"^init_net\.mvsnet\.", "visibility_init.mvsnet."),
    (r"^init_net\.(volume|depth|out)_conv(2d)?\.(\d)\.conv\.", r"init_net.\1_conv\2.\3.residual."),
    (r"^init_net\.volume_conv2d\.", "visibility_init.volume_branch."),
    (r"^init_net\.depth_conv\.", "visibility_init.depth_branch."),
    (r"^init_net\.out_conv\.", "visibility_init.head."),
]


def load_published_cost_volume(shared: Path) -> Renderer:
    path = shared / "reference" / "tensors" / "generalization_cost_volume.pth"
    published = torch.load(path, weights_only=True)["network_state_dict"]
    renderer = Renderer(ModelSettings(visibility_init="cost_volume"))
    weights = {}
    for name, value in published.items():
        if name != "sph_fitter.regs":
            weights[_ours(name)] = value.float() if value.is_floating_point() else value
    own = renderer.state_dict()
    for name, value in own.items():
        if name.endswith("mask_token"):
            weights[name] = weights[name].reshape(value.shape)
        if name.endswith("num_batches_tracked") and name not in weights:
            weights[name] = value
    load_weights(renderer, weights, path)
    return renderer.eval()


def _ours(name: str) -> str:
    for pattern, replacement in NAMES + MVSNET_NAMES if name.startswith("init_net.") else []:
        name = re.sub(pattern, replacement, name)
    return name if name.startswith("visibility_init.mvsnet.") else our_name(name)
