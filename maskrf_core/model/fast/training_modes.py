"""Training as `HardwareSettings` say: what is remembered, in which precision, compiled or not."""

import torch
from torch import Tensor, nn

from maskrf_core.model.fast.pass_variants import CompiledPass, RecomputedPass, check_compiler, in_bfloat16
from maskrf_core.model.layers import with_modules
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.sections import HardwareSettings


def prepared_for_training(renderer: Renderer, hardware: HardwareSettings, rays: int) -> Renderer:
    """The renderer, with its weights, as it computes steps of at most `rays` rays: itself, if nothing is asked for.

    Raises:
        SettingsError: it is to be compiled, and there is no compiler.
    """
    rounded, recomputed = hardware.precision == "bf16-mixed", hardware.recomputed_rays
    if not (rounded or hardware.compile or recomputed):
        return renderer
    if hardware.compile:
        check_compiler(next(renderer.parameters()).device, "hardware.compile")

    def variant(render_pass: nn.Module) -> nn.Module:
        made = in_bfloat16(render_pass) if rounded else render_pass
        made = CompiledPass(made, min(rays, recomputed or rays)) if hardware.compile else made
        return RecomputedPass(made, recomputed) if recomputed else made

    return (encoding_in_bfloat16(renderer) if rounded else renderer).with_passes(variant)


def encoding_in_bfloat16(renderer: Renderer) -> Renderer:
    """A renderer whose encoders multiply in bfloat16. What is known of cameras and depths, the few layers beside the
    encoder of visibility, and a matching network that is not trained, stay float32."""
    encoders = {name: InBfloat16(getattr(renderer, name)) for name in ("image_encoder", "visibility_encoder")}
    init = renderer.visibility_init
    if init is not None:
        encoders["visibility_init"] = with_modules(init, encoder=InBfloat16(init.encoder))
    return with_modules(renderer, **encoders)


class InBfloat16(nn.Module):
    """A network that multiplies in bfloat16. What goes in and comes out is float32, and so are its weights."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, cache_enabled=False):
            return self.network(x).to(x.dtype)
