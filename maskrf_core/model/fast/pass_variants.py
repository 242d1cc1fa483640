"""Passes computed otherwise: compiled, in fewer bits, or once more in the backward pass instead of remembered.

Each has the weights of the pass that it is made of, and gives what that one gives but for rounding.
"""

import copy
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from torch.utils.checkpoint import checkpoint as recompute

from maskrf_core.model.gathering import QueryRays, ReferenceFeatures
from maskrf_core.model.layers import with_modules
from maskrf_core.model.renderer import PassPrediction, Renderer, RenderPass
from maskrf_core.model.rendering import Mask
from maskrf_core.model.sampling import RaySamples
from maskrf_core.settings.sections import HardwareSettings
from maskrf_core.support.errors import SettingsError
from maskrf_core.support.paths import private_folder
from maskrf_core.support.progress import say_once

COMPILED_CODE = "TORCHINDUCTOR_CACHE_DIR"  # torch's variable
MOST_COMPILATIONS = 64
"""That torch keeps of one function, before it silently computes it uncompiled: by image size and number of views."""


class CompiledPass(nn.Module):
    """A pass compiled for exactly `rays` rays at once, to which fewer are filled up.

    The first call takes a minute, and so does that with reference views of another size or number. Made `for_threads`,
    it calls its kernels from C++, during which Python can run other threads; one of them must come first, and alone.
    """

    def __init__(self, render_pass: RenderPass, rays: int, *, for_threads: bool = False):
        super().__init__()
        self.rays, self.render_pass = rays, render_pass
        say_once("networks of samples: compiled first, a minute or two for each size of pictures")
        if for_threads:
            # What was compiled is looked for in a list. Each find goes to its front, behind the back of another
            # thread that is looking, which would not find it and compile it again.
            from torch._C._dynamo.eval_frame import _set_lru_cache

            _set_lru_cache(False)
        options = {"cpp_wrapper": True} if for_threads else None
        self.compute = compiled_or_plain(render_pass, "networks of samples", dynamic=False, options=options)

    def forward(
        self, features: ReferenceFeatures, rays: QueryRays, samples: RaySamples, *, mask: Mask | None
    ) -> PassPrediction:
        """Predict as `RenderPass`, of at most `self.rays` rays."""
        count = len(samples.depths)
        if count > self.rays:
            raise ValueError(f"{count} rays, but the pass is compiled for {self.rays}")

        def filled(part: Tensor, ray_dimension: int = 0) -> Tensor:
            shape = list(part.shape)
            shape[ray_dimension] = self.rays - count
            return torch.cat([part, part.narrow(ray_dimension, count - 1, 1).expand(shape)], dim=ray_dimension)

        # Always, also where nothing is filled up: what lies otherwise in memory would be compiled anew.
        rays = rays._replace(directions=filled(rays.directions))
        samples = type(samples)(*map(filled, vars(samples).values()))
        mask = None if mask is None else filled(mask, ray_dimension=1)
        prediction = self.compute(features, rays, samples, mask=mask)
        return tree_map(lambda part: None if part is None else part[:count], prediction)


class CompiledEncoder(nn.Module):
    """A network from images to maps compiled for their first size, and for all others when these come.

    It is for a GPU, which has many small kernels less to be told of; a CPU would compile for minutes and gain little.
    There the channels of a pixel lie together, as convolutions want them. Uncompiled, each norm and padding would lay
    them out anew.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.compute = compiled_or_plain(network, "encoders")

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda:
            x = x.contiguous(memory_format=torch.channels_last)
        return self.compute(x)


def compiled_or_plain(network: nn.Module, what: str, **how: Any) -> Callable[..., Any]:
    """Return a function that computes a network compiled. Once that fails, it computes it as it is, and one line says
    so of `what`."""
    keep_compiled_code_private()
    compiled, failed = torch.compile(network, **how), False

    def compute(*given: Any, **named: Any) -> Any:
        nonlocal failed
        if failed:
            return network(*given, **named)
        try:
            with torch._dynamo.config.patch(recompile_limit=MOST_COMPILATIONS):
                return compiled(*given, **named)
        except (torch._dynamo.exc.TorchDynamoException, RuntimeError) as error:  # what else is wrong fails below, too
            failed = True
            say_once(f"{what}: not compiled ({next(iter(str(error).splitlines()), type(error).__name__)})")
            return network(*given, **named)

    return compute


def keep_compiled_code_private() -> None:
    """Have torch keep compiled code below the user's own cache, unless the environment names a folder.

    It runs what it finds there. By itself it would look in the system's temporary folder, under a name that anyone can
    take first; that name stands in the environment, too, once torch has looked.

    Raises:
        SettingsError: there is no such folder of the user's own.
    """
    named = os.environ.get(COMPILED_CODE)
    by_itself = Path(tempfile.gettempdir()).resolve()
    if not named or (Path(named).parent.resolve() == by_itself and Path(named).name.startswith("torchinductor_")):
        os.environ[COMPILED_CODE] = str(private_folder("compiled"))


def check_compiler(device: torch.device, setting: str) -> None:
    """Raise `SettingsError` where torch would not find what it needs for `setting`: a compiler and Python's headers."""
    if (missing := missing_for_compiling(device)) is not None:
        raise SettingsError(
            f"{setting}=true needs {missing}, not found. Install it (Debian, Ubuntu: apt install g++ python3-dev), "
            f"name another compiler by CXX (on a GPU: CC) in the environment, or leave {setting}=false."
        )


def missing_for_compiling(device: torch.device) -> str | None:
    """Name a compiler or Python's headers where torch would not find them; None where both are there."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if device.type != "cpu":
        compiler = os.environ.get("CC", "gcc")
    if shutil.which(compiler) is None:
        return f"the compiler {compiler}"
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return None if headers.is_file() else f"Python's headers ({headers.name})"


class RecomputedPass(nn.Module):
    """A pass that remembers little: `rays` rays at a time, its networks run once more in the backward pass."""

    def __init__(self, render_pass: RenderPass, rays: int, *, keeps_random_state: bool = False):
        super().__init__()
        self.rays, self.keeps_random_state = rays, keeps_random_state
        self.render_pass = render_pass

    def forward(
        self, features: ReferenceFeatures, rays: QueryRays, samples: RaySamples, *, mask: Mask | None
    ) -> PassPrediction:
        """Predict as `RenderPass`."""
        directions = rays.directions.split(self.rays)
        parts = zip(*(part.split(self.rays) for part in vars(samples).values()), strict=True)
        masks = [None] * len(directions) if mask is None else mask.split(self.rays, dim=1)
        # Only dropout draws in a pass, and must then draw the same again.
        again = {"use_reentrant": False, "preserve_rng_state": self.keeps_random_state}
        recomputed = partial(recompute, self.render_pass, features, **again)
        predictions = [
            recomputed(rays._replace(directions=some), type(samples)(*of_some), mask=hidden)
            for some, of_some, hidden in zip(directions, parts, masks, strict=True)
        ]
        return tree_map(lambda *of_rays: None if of_rays[0] is None else torch.cat(of_rays), *predictions)


def in_bfloat16(render_pass: RenderPass) -> RenderPass:
    """Copy a pass so that its networks multiply in bfloat16; what is known of cameras and depths stays float32."""
    variant = copy.copy(render_pass)
    variant.network_precision = torch.bfloat16
    return variant


def prepared_for_training(renderer: Renderer, hardware: HardwareSettings, rays: int) -> Renderer:
    """Return the renderer, with its weights, as the settings have it compute training steps of at most `rays` rays.

    Raises:
        SettingsError: it is to be compiled, and there is no compiler.
    """
    from maskrf_core.model.fast.choice import chosen

    rounded, recomputed = hardware.precision == "bf16-mixed", hardware.recomputed_rays
    device = next(renderer.parameters()).device
    if hardware.compile:
        check_compiler(device, "hardware.compile")
    wanted = hardware.compile or (hardware.compile is None and not hardware.twin)
    encoders_too = device.type == "cuda" and wanted and missing_for_compiling(device) is None

    def plainly(render_pass: nn.Module) -> nn.Module:  # native code and kernels remember little as they are
        made = CompiledPass(render_pass, min(rays, recomputed or rays)) if hardware.compile else render_pass
        dropout = renderer.aggregator.uses_dropout
        return RecomputedPass(made, recomputed, keeps_random_state=dropout) if recomputed else made

    def variant(render_pass: nn.Module) -> nn.Module:
        how = {"threads": torch.get_num_threads(), "training": True, "compiled": bool(hardware.compile)}
        return chosen(render_pass, hardware.precision, twin=hardware.twin, otherwise=plainly, **how)

    def encoder_variant(network: nn.Module) -> nn.Module:
        made = InBfloat16(network) if rounded else network
        return CompiledEncoder(made) if encoders_too else made

    # The few layers beside the encoder of visibility, and a frozen matching network, stay what they are.
    encoders = {name: getattr(renderer, name) for name in ("image_encoder", "visibility_encoder")}
    encoders = {name: encoder_variant(network) for name, network in encoders.items() if network is not None}
    if (init := renderer.visibility_init) is not None:
        encoders["visibility_init"] = with_modules(init, encoder=encoder_variant(init.encoder))
    return with_modules(renderer, **encoders).with_passes(variant)


class InBfloat16(nn.Module):
    """A network that multiplies in bfloat16. What goes in and comes out is float32, and so are its weights."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, cache_enabled=False):
            return self.network(x).to(x.dtype)
