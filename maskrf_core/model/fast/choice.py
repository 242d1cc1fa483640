"""Which way a pass is computed: by native code or kernels, if device, aggregation and what is installed allow it."""

from functools import lru_cache

import torch
from torch import nn

from maskrf_core.model.fast import native_pass
from maskrf_core.model.fast.kernel_launches import Products
from maskrf_core.model.fast.kernel_pass import KernelPass, why_not
from maskrf_core.model.fast.kernel_trial import Question, verdict_on
from maskrf_core.model.fast.native_pass import NativePass
from maskrf_core.model.fast.pass_variants import check_compiler, in_bfloat16
from maskrf_core.model.renderer import RenderPass
from maskrf_core.settings.sections import Precision
from maskrf_core.support.errors import SettingsError

PRODUCTS: dict[Precision, Products] = {"32-true": "tf32x3", "bf16-mixed": "bf16"}


def chosen(
    render_pass: RenderPass,
    precision: Precision,
    *,
    twin: bool | None,
    threads: int = 1,
    training: bool = False,
    compiled: bool = False,
) -> nn.Module:
    """Return the pass as it is computed on its device in this precision; say once how, where there was a choice.

    With `twin` it is the plain pass. On a GPU kernels compute it where a trial found them right, and faster than the
    plain pass, `compiled` or not; without a trial if `twin` is False. On a CPU native code does, on so many `threads`.
    """
    plain = in_bfloat16(render_pass) if precision == "bf16-mixed" else render_pass
    device = next(render_pass.parameters()).device
    on_cpu = device.type == "cpu"
    if twin or (on_cpu and precision != "32-true"):
        return plain
    times = ""
    reason = native_pass.why_not(render_pass) if on_cpu else why_not(render_pass, device) or _no_compiler(device)
    if reason is None and not on_cpu and twin is None:
        found = verdict_on(Question(PRODUCTS[precision], training, compiled), device)
        if training:  # so that its first validation does not stop for another trial
            verdict_on(Question(PRODUCTS["32-true"], training=False, compiled=False), device)
        reason = found.reason and f"kernels were tried on this GPU: {found.reason}"
        times = f", {found.times_as_fast or 0:.1f} times as fast in a trial"
    if reason is not None:
        say(f"networks of samples: plain pass ({reason})")
        return plain
    if on_cpu:
        say("networks of samples: native code for this processor")
        return NativePass(render_pass, threads)
    say(f"networks of samples: two kernels, products in {PRODUCTS[precision]}{times}")
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
