"""One ray of a query, step by step: where its samples are seen, which views made its colour, what a mask changes."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from maskrf_core.cameras import project
from maskrf_core.datasets.batches.batch import SceneBatch, Views
from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews, expand_scene_names, open_scenes
from maskrf_core.losses import feature_distance
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures, ViewSamples, query_colours, rays_of
from maskrf_core.model.masking.strategies import draw_mask
from maskrf_core.model.renderer import Renderer, hits_at
from maskrf_core.model.rendering import PassRendering, PointPrediction
from maskrf_core.model.sampling import MergedSamples
from maskrf_core.model.visibility import PointVisibility
from maskrf_core.settings.config import Config
from maskrf_core.support.paths import cache_folder


class FineSamples(NamedTuple):
    """What the fine pass looks at on some rays, before anything is masked, and the coarse pass before it."""

    coarse: PassRendering
    coarse_points: PointPrediction
    merged: MergedSamples
    views: ViewSamples
    visibility: PointVisibility | None


class RayLook(NamedTuple):
    """One ray as a renderer sees it; its samples are those of the fine pass, near to far."""

    pixels_xy: Float[Tensor, "view sample 2"]  # where the samples are in the reference views
    depths: Float[Tensor, "sample"]
    visibility: Float[Tensor, "view sample"]  # without visibility: the view's weight in what is predicted
    view_hits: Float[Tensor, "view sample"]  # each view's own hit probability; or its weight times the rendered one
    hits: Float[Tensor, "sample"]  # rendered hit probability, nothing masked
    rgb: Float[Tensor, "3"]  # nothing masked
    shares: Float[Tensor, "view"]  # of each view's photograph in the colour; they sum to the sum of the hits
    mask: Bool[Tensor, "view sample"]  # True where masked
    masked_hits: Float[Tensor, "sample"]
    masked_rgb: Float[Tensor, "3"]
    coarse_positions: Int64[Tensor, "coarse_sample"]  # among the samples
    distances: Float[Tensor, "coarse_sample"] | None
    """Of prediction and target: 2 - 2 cos; None where nothing is masked or other things are predicted."""
    shown: Literal["visibility", "weight"] = "visibility"  # what `visibility` is
    blends: bool = True  # the photographs' colours; else colours are predicted, and `shares` are of the scene features


def fine_samples(renderer: Renderer, features: ReferenceFeatures, rays: QueryRays) -> FineSamples:
    """Render the coarse pass, draw the fine depths as evaluations do, and look at all samples in every view."""
    coarse, points = renderer.render_coarse(features, rays)
    merged = renderer.fine_samples(coarse, rays)
    return FineSamples(coarse, points, merged, *renderer.fine.look(features, rays, merged.samples))


def draw_mask_on(fine: FineSamples, strategy: str, mask_ratio: float, seed: int) -> Bool[Tensor, "view ray sample"]:
    """Draw a mask of the fine samples as a training step does."""
    shape = tuple(fine.views.valid.shape)
    hits = hits_at(fine.coarse.hit_probability, fine.merged.coarse_positions, shape[-1])
    generator = torch.Generator().manual_seed(seed)
    return draw_mask(strategy, *shape, mask_ratio, generator=generator, hit_probability=hits.cpu()).to(hits.device)


@torch.inference_mode()
def look_along(
    renderer: Renderer,
    features: ReferenceFeatures,
    rays: QueryRays,
    *,
    mask_ratio: float = 0.0,
    strategy: str = "ray_and_view",
    seed: int = 0,
) -> RayLook:
    """Look at the first of the rays, rendered as it is and with fine features masked."""
    rays = rays._replace(directions=rays.directions[:1])
    fine = fine_samples(renderer, features, rays)
    samples, coarse_positions = fine.merged
    points, weights = renderer.fine.aggregation.weighed(fine.views, fine.visibility, samples, mask=None)
    rendering = renderer.composite(points, samples.depths, fine.coarse.ray_mask)
    mask, hidden, distances = torch.zeros_like(fine.views.valid), rendering, None
    if mask_ratio > 0:
        mask = draw_mask_on(fine, strategy, mask_ratio, seed)
        masked_points = renderer.fine.aggregation(fine.views, fine.visibility, samples, mask=mask)
        hidden = renderer.composite(masked_points, samples.depths, fine.coarse.ray_mask)
        predicted = renderer.masked_modelling(mask, masked_points, fine.coarse_points, coarse_positions)
        distances = feature_distance(predicted)[0] if predicted.of == "scene_feature" else None
    seen, view_hits = fine.visibility or (weights, weights * rendering.hit_probability)
    return RayLook(
        pixels_xy=projections(features.views, rays, samples.depths)[:, 0],
        depths=samples.depths[0],
        visibility=seen[:, 0],
        view_hits=view_hits[:, 0],
        hits=rendering.hit_probability[0],
        rgb=rendering.rgb[0],
        shares=(weights[:, 0] * rendering.hit_probability[0]).sum(dim=-1),
        mask=mask[:, 0],
        masked_hits=hidden.hit_probability[0],
        masked_rgb=hidden.rgb[0],
        coarse_positions=coarse_positions[0],
        distances=distances,
        shown="weight" if fine.visibility is None else "visibility",
        blends=renderer.aggregator.blends_colours,
    )


def projections(
    views: Views, rays: QueryRays, depths: Float[Tensor, "ray sample"]
) -> Float[Tensor, "view ray sample 2"]:
    """Return where the samples of rays are in each reference view, in pixels (x, y); NaN where they are outside."""
    points = rays.origin + depths[..., None] * rays.directions[:, None]
    projection = project(views.K, views.w2c, points, *views.image_size)
    return projection.pixels_xy.masked_fill(~projection.valid[..., None], torch.nan)


class Inspection:
    """A query view of a scene under several renderers; each encodes its reference views once, when first asked."""

    def __init__(
        self,
        views: SceneViews,
        renderers: Mapping[str, Renderer],
        working_views: int,
        split: Literal["validation", "test"] = "test",
    ):
        self.renderers, self._views, self._count = dict(renderers), views, working_views
        self._references, queries = views.scene.split(split)
        views.check_enough(queries[0], self._references, working_views)
        self.query_id = queries[0]
        self._encoded: dict[str, tuple[SceneBatch, ReferenceFeatures]] = {}

    @torch.inference_mode()
    def encoded(self, name: str) -> tuple[SceneBatch, ReferenceFeatures]:
        """Return the query with its nearest reference views, and their features."""
        if name not in self._encoded:
            renderer = self.renderers[name].eval()
            batch = evaluation_batch(self._views, self.query_id, self._references, self._count, renderer.inputs)
            batch = batch.to(next(renderer.parameters()).device)
            self._encoded[name] = batch, renderer.encode(batch.references, batch.sources)
        return self._encoded[name]

    def look(self, name: str, xy: tuple[float, float], **masking: float | int | str) -> RayLook:
        """Look along the ray through a pixel with a renderer; `masking` as in `look_along`."""
        batch, features = self.encoded(name)
        return look_along(self.renderers[name], features, rays_of(batch.query, _pixel(batch, xy)), **masking)

    def truth(self, name: str, xy: tuple[float, float]) -> Float[Tensor, "3"]:
        """Return the true colour of the pixel."""
        batch, _ = self.encoded(name)
        return query_colours(batch.query, _pixel(batch, xy))[0]


def inspection_of(
    config: Config, renderers: Mapping[str, Renderer], scene: str, split: Literal["validation", "test"] = "test"
) -> Inspection:
    """Inspect the first query of a scene, or of the first one of a data set, from as many views as the config says.

    Raises:
        DatasetError: the scene is missing or broken, or has too few views.
    """
    data = config.data
    name = expand_scene_names([scene])[0]
    cache = cache_folder(data.data_root)
    (views,) = open_scenes([name], data.data_root, cache, device=config.hardware.device, view_choice=data.view_choice)
    return Inspection(views, renderers, data.working_views, split)


def _pixel(batch: SceneBatch, xy: tuple[float, float]) -> Float[Tensor, "1 2"]:
    return torch.tensor([xy], dtype=torch.float32, device=batch.pixels_xy.device)
