"""What training minimises: named raw terms, each weighted once, one sum."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from maskrf_core.datasets.batches.augment import pad_by_reflection
from maskrf_core.datasets.batches.batch import SceneBatch, Views
from maskrf_core.datasets.batches.scene_views import ENCODER_MULTIPLE
from maskrf_core.model.fast.training_modes import prepared_for_training
from maskrf_core.model.free_maps import self_hit_probability
from maskrf_core.model.gathering import ReferenceFeatures, query_rays
from maskrf_core.model.map_sampling import sample_map
from maskrf_core.model.masking.strategies import draw_mask_ratio
from maskrf_core.model.render_pass import RenderPass
from maskrf_core.model.renderer import Renderer
from maskrf_core.model.rendering import MaskedColours, MaskedFeatures, Rendering
from maskrf_core.model.sampling import normalised_inverse_depth
from maskrf_core.settings.config import Config
from maskrf_core.settings.sections import MaskingSettings

AGREES_WITHIN = 0.02
"""Normalised inverse depth up to which a noisy input depth is taken to agree with the truth."""


def query_colours(query: Views, pixels_xy: Float[Tensor, "ray 2"]) -> Float[Tensor, "ray 3"]:
    """True colours of query pixels: bilinear, zero outside the image."""
    return sample_map(query.images, pixels_xy[None], *query.image_size, padding="zeros")[0]


def colour_loss(
    rgb: Float[Tensor, "ray 3"], truth: Float[Tensor, "ray 3"], ray_mask: Bool[Tensor, "ray"]
) -> Float[Tensor, ""]:
    """Squared error summed over channels, averaged over the rays that enough views see."""
    return ((rgb - truth).square().sum(dim=-1) * ray_mask).sum() / (ray_mask.sum() + 1e-3)


def depth_loss(
    render_pass: RenderPass,
    features: ReferenceFeatures,
    true_depths: Float[Tensor, "view 1 height width"],
    pixels_xy: Float[Tensor, "pixel 2"],
    *,
    unknown_is_near: bool = True,
    input_depths: Float[Tensor, "view 1 height width"] | None = None,
) -> Float[Tensor, ""]:
    """Squared error of the first mixture mean of each reference ray, in normalised inverse depth.

    `pixels_xy` are whole, and the same in all views. An unknown depth (0) counts as near, as it does in the published
    training, or not at all. `input_depths` is what the model saw where that was made noisy: only pixels count at which
    it agrees with the truth within 0.02 of normalised inverse depth, averaged over each view, then over the views.
    """
    views = features.views
    height, width = views.image_size
    pixels = pixels_xy.expand(len(views), -1, -1)
    # The decoder's other heads are not asked: they would triple the work.
    predicted = render_pass.distribution_decoder.mean(sample_map(features.ray_features, pixels, height, width))[..., 0]
    near, far = (bound[:, None] for bound in views.depth_range.unbind(dim=1))
    x, y = (
        axis.long() for axis in pixels_xy.unbind(dim=-1)
    )  # read, not interpolated: known must not leak into unknown
    rows, columns = y.clamp(0, height - 1), x.clamp(0, width - 1)
    depth = true_depths[:, 0, rows, columns]
    target = normalised_inverse_depth(depth, near, far).clamp(0, 1)
    error = (predicted - target).square()
    counts = torch.ones_like(depth, dtype=torch.bool) if unknown_is_near else depth > 0
    if input_depths is not None:
        seen = normalised_inverse_depth(input_depths[:, 0, rows, columns], near, far).clamp(0, 1)
        counts &= (seen - target).abs() <= AGREES_WITHIN
        return ((error * counts).sum(dim=1) / (counts.sum(dim=1) + 1e-4)).mean()
    return error.mean() if unknown_is_near else (error * counts).sum() / (counts.sum() + 1e-4)


def draw_depth_pixels(views: Views, count: int, *, generator: torch.Generator) -> Float[Tensor, "{count} 2"]:
    """Random pixels (x, y), with replacement, at which all reference views' depths are supervised."""
    height, width = views.image_size
    size = torch.tensor([width, height], device=generator.device)
    pixels = torch.rand(count, 2, generator=generator, device=generator.device) * size
    return pixels.floor().to(views.images.device)


def consistency_loss(rendered: Float[Tensor, "ray sample"], own: Float[Tensor, "ray sample"]) -> Float[Tensor, ""]:
    """Cross-entropy of the rendered hit probabilities, which get no gradient, and the query view's own ones."""
    hit = rendered.detach()
    return -(hit * torch.log(own + 1e-5) + (1 - hit) * torch.log(1 - own + 1e-5)).mean(dim=1).mean()


def feature_alignment_loss(masked: MaskedFeatures) -> Float[Tensor, ""]:
    """Mean of 2 - 2 cos(target, prediction) over all coarse samples: 0 if aligned, 4 if opposed."""
    return (2 - 2 * functional.cosine_similarity(masked.prediction, masked.target, dim=-1)).mean()


def masked_colour_loss(masked: MaskedColours) -> Float[Tensor, ""]:
    """Squared error summed over channels, averaged over all coarse samples."""
    return (masked.prediction - masked.target).square().sum(dim=-1).mean()


def masked_terms(masked: MaskedFeatures | MaskedColours | None) -> dict[str, Float[Tensor, ""]]:
    """The term of what masked features predict, by its name; none where nothing was masked."""
    if masked is None:
        return {}
    if isinstance(masked, MaskedColours):
        return {"masked_colour": masked_colour_loss(masked)}
    return {"feature_alignment": feature_alignment_loss(masked)}


def ramp(step: int, *, start: int, warmup: int) -> float:
    """0 before `start`, then linear to 1 over `warmup` steps."""
    if step < start:
        return 0.0
    return min(1.0, (step - start) / warmup) if warmup > 0 else 1.0


class Objective(nn.Module):
    """Everything of a training step that has gradients, behind one `forward`: batch → raw loss terms.

    Raises:
        SettingsError: it is to be compiled, and there is no compiler.
    """

    def __init__(self, renderer: Renderer, config: Config):
        super().__init__()
        self.renderer = renderer
        self.prepared = prepared_for_training(renderer, config.hardware, config.data.rays)
        """The renderer as it computes a step: the same weights."""
        self.config = config

    def forward(self, batch: SceneBatch, *, generator: torch.Generator) -> dict[str, Tensor]:
        """Raw terms of both passes: colour, depth where it is supervised, what masked features predict, and how far
        the query's own visibility agrees where it is a training view of the one scene."""
        features = self.prepared.encode(batch.references, batch.sources)
        rays = query_rays(batch)
        mask_ratio = draw_mask_ratio(self.config.masking, generator=generator)
        rendering = self.prepared.render_rays(features, rays, mask_ratio=mask_ratio, generator=generator)
        terms = self._colour_terms(batch, rendering)
        if self.config.supervises_depth:
            terms |= self._depth_terms(features, generator=generator)
        if self.config.stage == "per_scene":
            terms |= self._consistency_terms(batch, rendering)
        return terms | masked_terms(rendering.masked)

    def _colour_terms(self, batch: SceneBatch, rendering: Rendering) -> dict[str, Tensor]:
        truth = query_colours(batch.query, batch.pixels_xy)
        passes = {"coarse": rendering.coarse, "fine": rendering.fine}
        terms = {f"colour_{name}": colour_loss(part.rgb, truth, part.ray_mask) for name, part in passes.items()}
        for name, part in passes.items():
            if part.direct_rgb is not None:
                terms[f"colour_direct_{name}"] = colour_loss(part.direct_rgb, truth, part.ray_mask)
        return terms

    def _consistency_terms(self, batch: SceneBatch, rendering: Rendering) -> dict[str, Tensor]:
        """The query, a training view, has a free map of its own: its rays are held to what was rendered for them."""
        query = pad_by_reflection(batch.query.replace(masks=None), ENCODER_MULTIPLE)
        features = self.prepared.encode(query)
        passes = {
            "consistency_coarse": (self.renderer.coarse, rendering.coarse),
            "consistency_fine": (self.renderer.fine, rendering.fine),
        }
        return {
            name: consistency_loss(
                rendered.hit_probability,
                self_hit_probability(
                    networks, features, batch.pixels_xy, rendered.sample_depths, batch.query.depth_range[0]
                ),
            )
            for name, (networks, rendered) in passes.items()
        }

    def _depth_terms(self, features: ReferenceFeatures, *, generator: torch.Generator) -> dict[str, Tensor]:
        """Both passes are held to the true depths where the views have them, else to the input depths."""
        views, data = features.views, self.config.data
        noisy = views.true_depths is not None
        supervision = {
            "features": features,
            "true_depths": views.true_depths if noisy else views.depths,
            "input_depths": views.depths if noisy else None,
            "pixels_xy": draw_depth_pixels(views, data.depth_pixels, generator=generator),
            "unknown_is_near": data.unknown_depth_is_near,
        }
        return {
            "depth_coarse": depth_loss(self.renderer.coarse, **supervision),
            "depth_fine": depth_loss(self.renderer.fine, **supervision),
        }


def weighted_sum(terms: dict[str, Float[Tensor, ""]], masking: MaskingSettings, step: int) -> Float[Tensor, ""]:
    """What is minimised: every term with weight 1, what masked features predict with its λ and ramp."""
    of_masked = masking.weight * ramp(step, start=masking.start_step, warmup=masking.warmup_steps)
    return sum((of_masked if name == masking.term else 1.0) * term for name, term in terms.items())
