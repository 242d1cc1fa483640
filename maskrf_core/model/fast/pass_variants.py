"""The same pass computed otherwise: compiled, in fewer bits, or once more in the backward pass instead of remembered.

Each has the weights of the pass that it is made of, and gives what that one gives but for rounding.
"""

import copy
import os
import shutil
import sys
import sysconfig
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch._C._dynamo.eval_frame import _set_lru_cache
from torch.utils.checkpoint import checkpoint as recompute

from maskrf_core.model.aggregators.neuray import PointPrediction
from maskrf_core.model.fast.thinning import ThinnedSamples
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures
from maskrf_core.model.render_pass import PassPrediction, RenderPass
from maskrf_core.support.errors import SettingsError

MOST_COMPILATIONS = 64
"""That torch keeps of one function, before it silently computes it uncompiled: of either pass, masked and not,
for each size of the pictures and number of views."""


class CompiledPass(nn.Module):
    """A pass compiled for exactly `rays` rays at once, to which fewer are filled up.

    The first call takes a minute, and so does that with reference views of another size or number. Made `for_threads`,
    it calls its kernels from C++, during which Python can run other threads; one of them must come first, and alone.
    """

    def __init__(self, render_pass: RenderPass, rays: int, *, for_threads: bool = False):
        super().__init__()
        self.rays = rays
        options = {"cpp_wrapper": True} if for_threads else None
        if for_threads:
            # What was compiled is looked for in a list. Each find goes to its front, behind the back of another
            # thread that is looking, which would not find it and compile it again.
            _set_lru_cache(False)
        self.compiled = torch.compile(render_pass, dynamic=False, options=options)

    def forward(
        self,
        features: ReferenceFeatures,
        rays: QueryRays,
        depths: Float[Tensor, "ray sample"],
        *,
        mask: Bool[Tensor, "view ray sample"] | None,
        chosen: ThinnedSamples | None = None,
    ) -> PassPrediction:
        """As `RenderPass`, of at most `self.rays` rays.

        Raises:
            ValueError: there are more rays.
        """
        count = len(depths)
        if count > self.rays:
            raise ValueError(f"{count} rays, but the pass is compiled for {self.rays}")

        def filled(part: Tensor, ray_dimension: int = 0) -> Tensor:
            shape = list(part.shape)
            shape[ray_dimension] = self.rays - count
            return torch.cat([part, part.narrow(ray_dimension, count - 1, 1).expand(shape)], dim=ray_dimension)

        # Always, also where nothing is filled up: what lies otherwise in memory would be compiled anew.
        rays, depths = rays._replace(directions=filled(rays.directions)), filled(depths)
        mask = None if mask is None else filled(mask, ray_dimension=1)
        chosen = None if chosen is None else ThinnedSamples(*map(filled, chosen))
        with torch._dynamo.config.patch(recompile_limit=MOST_COMPILATIONS):
            prediction = self.compiled(features, rays, depths, mask=mask, chosen=chosen)
        return first_rays(prediction, count)


def check_compiler(device: torch.device, setting: str) -> None:
    """Raise `SettingsError` where torch would not find what it needs for `setting`: a compiler and Python's headers."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if device.type != "cpu":
        compiler = os.environ.get("CC", "gcc")
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    missing = [f"the compiler {compiler}"] if shutil.which(compiler) is None else []
    missing += [] if headers.is_file() else [f"Python's headers ({headers.name})"]
    if missing:
        raise SettingsError(
            f"{setting}=true needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not "
            "here. Install them (Debian, Ubuntu: apt install g++ python3-dev), name another compiler by CXX (on a GPU: "
            f"CC) in the environment, or leave {setting}=false."
        )


def first_rays(prediction: PassPrediction, count: int) -> PassPrediction:
    """What a pass said of its first rays."""
    valid, points, direct = prediction
    return PassPrediction(
        valid[:, :count],
        PointPrediction(*(part[:count] for part in points)),
        None if direct is None else direct[:count],
    )


class RecomputedPass(nn.Module):
    """A pass that remembers little: `rays` rays at a time, its networks run once more in the backward pass."""

    def __init__(self, render_pass: RenderPass, rays: int):
        super().__init__()
        self.rays = rays
        self.render_pass = render_pass

    def forward(
        self,
        features: ReferenceFeatures,
        rays: QueryRays,
        depths: Float[Tensor, "ray sample"],
        *,
        mask: Bool[Tensor, "view ray sample"] | None,
    ) -> PassPrediction:
        """As `RenderPass`."""
        directions, depths = rays.directions.split(self.rays), depths.split(self.rays)
        masks = [None] * len(depths) if mask is None else mask.split(self.rays, dim=1)
        parts = zip(directions, depths, masks, strict=True)
        recomputed = partial(recompute, self.render_pass, features, use_reentrant=False, preserve_rng_state=False)
        return joined([
            recomputed(rays._replace(directions=some), at, mask=of_some) for some, at, of_some in parts
        ])  # fmt: skip


def joined(predictions: list[PassPrediction]) -> PassPrediction:
    """What a pass said of all rays, from what it said of some after the others."""
    valid, points, direct = zip(*predictions, strict=True)
    return PassPrediction(
        torch.cat(valid, dim=1),
        PointPrediction(*map(torch.cat, zip(*points, strict=True))),
        None if direct[0] is None else torch.cat(direct),
    )


def in_bfloat16(render_pass: RenderPass) -> RenderPass:
    """A pass whose networks multiply in bfloat16; what is known of cameras and depths stays float32."""
    variant = copy.copy(render_pass)
    variant.network_precision = torch.bfloat16
    return variant
