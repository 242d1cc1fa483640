"""Which way a pass is computed, where the kernels are asked for: by them, if device and what is installed allow it."""

from functools import lru_cache

import torch
from torch import nn

from maskrf_core.model.fast.kernel_launches import Products
from maskrf_core.model.fast.kernel_pass import KernelPass, why_not
from maskrf_core.model.fast.pass_variants import check_compiler, in_bfloat16
from maskrf_core.model.renderer import RenderPass
from maskrf_core.settings.sections import Precision
from maskrf_core.support.errors import SettingsError

PRODUCTS: dict[Precision, Products] = {"32-true": "tf32x3", "bf16-mixed": "bf16"}


def chosen(render_pass: RenderPass, precision: Precision, *, twin: bool) -> nn.Module:
    """Return the pass as it is computed on its device: with `twin`, and on a CPU, plain, in this precision.

    On a GPU without `twin`, say once how.
    """
    plain = in_bfloat16(render_pass) if precision == "bf16-mixed" else render_pass
    device = next(render_pass.parameters()).device
    if twin or device.type == "cpu":
        return plain
    reason = why_not(render_pass, device) or _no_compiler(device)
    if reason is not None:
        say(f"networks of samples: plain pass ({reason})")
        return plain
    say(f"networks of samples: two kernels, products in {PRODUCTS[precision]}")
    return KernelPass(render_pass, PRODUCTS[precision])


def _no_compiler(device: torch.device) -> str | None:
    try:
        check_compiler(device, "the kernels")
    except SettingsError:
        return "the kernels need a C compiler and Python's headers"
    return None


@lru_cache(maxsize=64)
def say(line: str) -> None:
    """Print a line, once in a process."""
    print(line, flush=True)
