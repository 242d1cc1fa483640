"""Which way a pass is computed: by native code or kernels, if device, aggregation and what is installed allow it."""

from collections.abc import Callable

import torch
from torch import nn

from maskrf_core.model.fast import native_pass
from maskrf_core.model.fast.kernel_launches import Products
from maskrf_core.model.fast.kernel_pass import KernelPass, why_not
from maskrf_core.model.fast.kernel_trial import Question, verdict_on
from maskrf_core.model.fast.native_pass import NativePass
from maskrf_core.model.fast.pass_variants import in_bfloat16, keep_compiled_code_private, missing_for_compiling
from maskrf_core.model.renderer import Renderer, RenderPass
from maskrf_core.settings.sections import Precision, RenderingSettings
from maskrf_core.support.errors import SettingsError
from maskrf_core.support.progress import say_once

PRODUCTS: dict[Precision, Products] = {"32-true": "tf32x3", "bf16-mixed": "bf16"}
RAYS_WORTH_COMPILING = {"cpu": 100_000, "cuda": 12_000_000}
"""From so many rays of one size on, compiling and rendering takes less long than rendering (measured with `ibrnet` on a
CPU, `neuray` on a GPU)."""
WORK_OF_A_RAY = {"exact": 1.0, "adaptive": 0.5, "preview": 0.0}


def chosen(
    render_pass: RenderPass,
    precision: Precision,
    *,
    twin: bool | None,
    threads: int = 1,
    otherwise: Callable[[RenderPass], nn.Module] = lambda plain: plain,
    training: bool = False,
    compiled: bool = False,
) -> nn.Module:
    """Return the pass as it is computed on its device in this precision; say once how, where there was a choice.

    With `twin` it is the plain pass. On a GPU kernels compute it where a trial found them right, and faster than the
    plain pass, `compiled` or not; without a trial if `twin` is False. On a CPU native code does, on so many `threads`.
    What the plain pass computes is prepared by `otherwise`.
    """
    plain = in_bfloat16(render_pass) if precision == "bf16-mixed" else render_pass
    device = next(render_pass.parameters()).device
    on_cpu = device.type == "cpu"
    if twin:
        return otherwise(plain)
    times = ""
    if on_cpu:
        rounded = "native code computes in float32" if precision != "32-true" else None
        reason = rounded or native_pass.why_not(render_pass)
    else:
        missing = missing_for_compiling(device)
        reason = why_not(render_pass, device) or (missing and f"the kernels need {missing}")
    if reason is None and not on_cpu and twin is None:
        found = verdict_on(Question(PRODUCTS[precision], training, compiled), device)
        if training:  # so that its first validation does not stop for another trial
            verdict_on(Question(PRODUCTS["32-true"], training=False, compiled=False), device)
        reason = found.reason and f"kernels were tried on this GPU: {found.reason}"
        times = f", {found.times_as_fast or 0:.1f} times as fast in a trial"
    if reason is not None:
        say_once(f"networks of samples: plain pass ({reason})")
        return otherwise(plain)
    if on_cpu:
        say_once("networks of samples: native code for this processor")
        return NativePass(render_pass, threads)
    say_once(f"networks of samples: two kernels, products in {PRODUCTS[precision]}{times}")
    return KernelPass(render_pass, PRODUCTS[precision])


def compiled_where_it_pays(settings: RenderingSettings, renderer: Renderer, rays: int) -> RenderingSettings:
    """Decide whether passes are compiled, where that was left open, before so many rays of one size are rendered.

    It depends on nothing but what is asked for, so the same pictures come out the same to the last bit.
    """
    if settings.compile is not None:
        return settings
    device = next(renderer.parameters()).device
    native = device.type == "cpu" and settings.precision == "32-true" and native_pass.why_not(renderer.fine) is None
    pays = rays * WORK_OF_A_RAY[settings.mode] >= RAYS_WORTH_COMPILING.get(device.type, float("inf"))
    return settings.model_copy(update={"compile": pays and not settings.twin and not native and _can_compile(device)})


def _can_compile(device: torch.device) -> bool:
    """Tell whether torch has what it needs to compile; one line says what is missing."""
    missing = missing_for_compiling(device)
    try:
        keep_compiled_code_private()
    except SettingsError as error:
        missing = str(error)
    if missing is not None:
        say_once(f"networks of samples: not compiled, which would pay here ({missing})")
    return missing is None
