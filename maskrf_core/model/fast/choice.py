"""Which way a pass is computed: by native code or kernels, if device, aggregation and what is installed allow it."""

from functools import lru_cache

import torch
from torch import nn

from maskrf_core.model.fast import native_pass
from maskrf_core.model.fast.kernel_launches import Products
from maskrf_core.model.fast.kernel_pass import KernelPass, why_not
from maskrf_core.model.fast.native_pass import NativePass
from maskrf_core.model.fast.pass_variants import check_compiler, in_bfloat16
from maskrf_core.model.renderer import RenderPass
from maskrf_core.settings.sections import Precision
from maskrf_core.support.errors import SettingsError

PRODUCTS: dict[Precision, Products] = {"32-true": "tf32x3", "bf16-mixed": "bf16"}


def chosen(render_pass: RenderPass, precision: Precision, *, twin: bool | None, threads: int = 1) -> nn.Module:
    """Return the pass as it is computed on its device in this precision; say once how, where there was a choice.

    With `twin` it is the plain pass. So it is on a GPU unless `twin` is False: the kernels have not been tried on one,
    and what goes wrong there may end the process. Native code computes it on so many `threads`.
    """
    plain = in_bfloat16(render_pass) if precision == "bf16-mixed" else render_pass
    device = next(render_pass.parameters()).device
    on_cpu = device.type == "cpu"
    if twin or (on_cpu and precision != "32-true"):
        return plain
    if not on_cpu and twin is None:
        say("networks of samples: plain pass (the kernels, twin=false, are untried on a GPU; compile=true is faster)")
        return plain
    reason = native_pass.why_not(render_pass) if on_cpu else why_not(render_pass, device) or _no_compiler(device)
    if reason is not None:
        say(f"networks of samples: plain pass ({reason})")
        return plain
    if on_cpu:
        say("networks of samples: native code for this processor")
        return NativePass(render_pass, threads)
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
