"""One training step, from a batch to the raw terms of the loss."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskrf_core.datasets.batches.augment import pad_by_reflection
from maskrf_core.datasets.batches.batch import SceneBatch, Views
from maskrf_core.datasets.batches.scene_views import ENCODER_MULTIPLE
from maskrf_core.losses import DepthSupervision, StepResult, raw_terms
from maskrf_core.model.gathering import ReferenceFeatures, query_colours, query_rays, sample_map
from maskrf_core.model.masking.strategies import draw_mask_ratio
from maskrf_core.model.renderer import Renderer, RenderPass
from maskrf_core.model.rendering import Rendering
from maskrf_core.model.sampling import intervals, normalised_inverse_depth
from maskrf_core.model.visibility import SurfaceDistribution, own_hit_probability
from maskrf_core.settings.config import Config
from maskrf_core.settings.sections import HardwareSettings

AGREES_WITHIN = 0.02  # normalised inverse depth up to which a noisy input depth is taken to agree with the truth


class Objective(nn.Module):
    """Everything of a training step that has gradients, behind one `forward`: batch → raw loss terms."""

    def __init__(self, renderer: Renderer, config: Config):
        super().__init__()
        self.renderer, self.config = renderer, config
        self.prepared = as_hardware_says(renderer, config.hardware, config.data.rays)  # the same weights

    def forward(self, batch: SceneBatch, *, generator: torch.Generator) -> dict[str, Tensor]:
        """Render the batch's pixels, masked by a ratio drawn anew, and compute all terms (`losses.TERMS`)."""
        rays, colours = query_rays(batch), query_colours(batch.query, batch.pixels_xy)
        mask_ratio = draw_mask_ratio(self.config.masking, generator=generator)
        features = self.prepared.encode(batch.references, batch.sources)
        rendering = self.prepared.render_rays(features, rays, mask_ratio=mask_ratio, generator=generator)
        depth = None if batch.references.true_depths is None else self._depth(features, generator)
        own = self._own_hits(batch, rendering) if self.config.stage == "per_scene" else (None, None)
        parts = (rendering.coarse, rendering.fine, rendering.masked, colours, depth, *own)
        return raw_terms(StepResult(*parts, mean_over_channels=self.renderer.aggregator.mean_over_channels))

    def _depth(self, features: ReferenceFeatures, generator: torch.Generator) -> DepthSupervision:
        data, passes = self.config.data, (self.renderer.coarse, self.renderer.fine)
        pixels_xy = draw_depth_pixels(features.views, data.depth_pixels, generator=generator)
        counting = {"unknown_is_near": data.unknown_depth_is_near, "where_agreed": data.depth_supervision is None}
        return depth_supervision(*passes, features, pixels_xy, **counting)

    def _own_hits(self, batch: SceneBatch, rendering: Rendering) -> tuple[Tensor, Tensor]:
        """Let the query, a training view with a free map of its own, say where its rays hit."""
        query = pad_by_reflection(batch.query.replace(masks=None), ENCODER_MULTIPLE)
        rays, depth_range = (self.prepared.encode(query), batch.pixels_xy), batch.query.depth_range[0]
        passes = ((self.renderer.coarse, rendering.coarse), (self.renderer.fine, rendering.fine))
        return tuple(self_hit_probability(of, *rays, found.sample_depths, depth_range) for of, found in passes)


def as_hardware_says(renderer: Renderer, hardware: HardwareSettings, rays: int) -> Renderer:
    """Return the renderer, with its weights, as it computes steps of `rays` rays: itself, where nothing is asked."""
    plain = hardware.precision == "32-true" and not hardware.compile and hardware.twin
    if plain and hardware.recomputed_rays is None:
        return renderer
    from maskrf_core.model.fast.pass_variants import prepared_for_training

    return prepared_for_training(renderer, hardware, rays)


def draw_depth_pixels(views: Views, count: int, *, generator: torch.Generator) -> Float[Tensor, "{count} 2"]:
    """Draw pixels (x, y), with replacement, at which all reference views' depths are supervised."""
    height, width = views.image_size
    x, y = torch.rand(count, 2, generator=generator, device=generator.device).unbind(dim=1)
    return torch.stack([x * width, y * height], dim=1).floor().to(views.images.device)


def depth_supervision(
    coarse: RenderPass,
    fine: RenderPass,
    features: ReferenceFeatures,
    pixels_xy: Float[Tensor, "pixel 2"],
    *,
    unknown_is_near: bool,
    where_agreed: bool,
) -> DepthSupervision:
    """Read the first mixture mean of both passes at pixels of the reference views, and the true depths of these.

    `pixels_xy` are whole, and the same in all views. An unknown depth (0) counts as near, as it does in the published
    training, or not at all. With `where_agreed`, only pixels count at which the input depths, which may have been made
    noisy, agree with the truth within 0.02 of normalised inverse depth, and each view alike.
    """
    views = features.views
    height, width = views.image_size
    pixels = pixels_xy.expand(len(views), -1, -1)
    # The decoder's other heads are not asked: they would triple the work.
    predicted = (
        of.distribution_decoder.mean(sample_map(features.ray_features, pixels, height, width))[..., 0]
        for of in (coarse, fine)
    )
    near, far = (bound[:, None] for bound in views.depth_range.unbind(dim=1))
    x, y = pixels_xy.long().unbind(dim=-1)  # read, not interpolated: known must not leak into unknown
    rows, columns = y.clamp(0, height - 1), x.clamp(0, width - 1)

    def read(depths: Float[Tensor, "view 1 height width"]) -> Float[Tensor, "view pixel"]:
        return normalised_inverse_depth(depths[:, 0, rows, columns], near, far).clamp(0, 1)

    truth = views.true_depths
    counts: Bool[Tensor, "view pixel"] | None = None if unknown_is_near else truth[:, 0, rows, columns] > 0
    target = read(truth)
    if where_agreed:
        agrees = (read(views.depths) - target).abs() <= AGREES_WITHIN
        counts = agrees if counts is None else counts & agrees
    return DepthSupervision(*predicted, target, counts, each_view_alike=where_agreed)


def self_hit_probability(
    render_pass: RenderPass,
    features: ReferenceFeatures,
    pixels_xy: Float[Tensor, "ray 2"],
    depths: Float[Tensor, "ray sample"],
    depth_range: Float[Tensor, "2"],
) -> Float[Tensor, "ray sample"]:
    """Return the probability that the surface lies at each sample of a view's own rays, by its own features alone.

    `features` are those of one view, through whose `pixels_xy` the rays go; `depth_range` is its own. After NeuRay
    (arXiv 2107.13421, section 3.5).
    """
    ray_features = sample_map(features.ray_features, pixels_xy[None, :, None], *features.views.image_size)
    of_rays = SurfaceDistribution(*(part[0] for part in render_pass.distribution_decoder(ray_features)))
    position = normalised_inverse_depth(depths, depth_range[0], depth_range[1])
    return own_hit_probability(of_rays, position, intervals(depths, depth_range))
