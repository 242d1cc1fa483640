"""A few seconds of measuring, where nobody has run the benchmarks: rendering a few rays of a demo scene."""

from functools import partial

import torch

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.scene import open_scene
from maskrf_core.model.gathering import QueryRays, query_rays
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.config import Config
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.measuring import (
    PRODUCT,
    arithmetic,
    comparison,
    growth,
    in_turn,
    made_here,
    matrix_products,
    operations_of,
    timed,
)

NAME = "small rendering"
SCENE = "demo/test_00"
MOST_RAYS = 128
FACTORS = (1, 2, 4)
CHUNKS = 4
MATRIX_SIDE = 1024
"""For 2 GFLOP, a few hundredths of a second."""


class RayRenderer:
    """Random weights and the views of a demo scene: renders its rays, with the views encoded before or anew."""

    def __init__(self, settings: ModelSettings, working_views: int, device: torch.device):
        self.renderer = Renderer(settings).to(device).eval()
        views = SceneViews(open_scene(SCENE))
        references, queries = views.scene.split("test")
        batch = evaluation_batch(views, queries[0], references, working_views, self.renderer.inputs)
        self.batch: SceneBatch = batch.to(device)
        with torch.inference_mode():
            self.features = self._encoded()

    def _encoded(self):
        return self.renderer.encode(self.batch.references, self.batch.sources)

    def rays(self, count: int) -> QueryRays:
        """So many, spread over the query."""
        every = torch.linspace(0, len(self.batch.pixels_xy) - 1, count).long()
        rays = query_rays(self.batch)
        return rays._replace(directions=rays.directions[every])

    def render(self, rays: QueryRays) -> None:
        """With the views encoded before."""
        with torch.inference_mode():
            self.renderer.render_rays(self.features, rays, mask_ratio=0.0, generator=None)

    def render_chunks(self, rays: QueryRays, *, encode_anew: bool) -> None:
        """In a few chunks, the views encoded once or for each of them."""
        with torch.inference_mode():
            features = self._encoded()
            for number, directions in enumerate(rays.directions.chunk(CHUNKS)):
                if encode_anew and number:
                    features = self._encoded()
                chunk = rays._replace(directions=directions)
                self.renderer.render_rays(features, chunk, mask_ratio=0.0, generator=None)


def small_measurement(config: Config, repeats: int, *, device: torch.device) -> dict:
    """What a benchmark leaves, at the config's sizes, with rays in the order of a hundred."""
    torch.manual_seed(0)
    count, views = min(config.data.rays, MOST_RAYS), config.data.working_views
    by_samples = {factor: RayRenderer(_with_samples(config.model, factor), views, device) for factor in FACTORS}
    base = by_samples[1]
    cases = {
        "once": partial(base.render_chunks, base.rays(count), encode_anew=False),
        "anew": partial(base.render_chunks, base.rays(count), encode_anew=True),
        **{f"rays ×{factor}": partial(base.render, base.rays(count * factor)) for factor in FACTORS},
        **{f"samples ×{factor}": partial(one.render, base.rays(count)) for factor, one in by_samples.items()},
    }
    timings = {name: partial(timed, work) for name, work in cases.items()}
    measured = in_turn(timings | matrix_products(MATRIX_SIDE, ["float32"], device), repeats)
    gflop = operations_of(cases["rays ×1"]) / 1e9
    ceiling = measured[PRODUCT.format("float32")]
    return {
        "name": NAME,
        **made_here(repeats),
        "comparisons": {
            f"views encoded once, not for each of {CHUNKS} chunks": comparison("s", measured["once"], measured["anew"])
        },
        "arithmetic": {f"rendering {count} rays": arithmetic(gflop, measured["rays ×1"], ceiling, "float32")},
        "growth": {
            quantity: growth({factor: measured[f"{quantity} ×{factor}"] for factor in FACTORS})
            for quantity in ("rays", "samples")
        },
    }


def _with_samples(settings: ModelSettings, factor: int) -> ModelSettings:
    names = ("coarse_samples", "fine_samples")
    return settings.model_copy(update={name: getattr(settings, name) * factor for name in names})
