"""IBRNet's aggregation (Wang et al., CVPR 2021, arXiv 2102.13090): no visibility, no depth of the views.

It is trained and masked as NeuRay's, which it is the ancestor of; its authors masked nothing.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskrf_core.cameras import camera_centres
from maskrf_core.datasets.batches.batch import Views
from maskrf_core.model.aggregators.contract import Rendered
from maskrf_core.model.aggregators.neuray import BlendingAggregator, RayAttention
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures, ViewSamples, sample_map
from maskrf_core.model.layers import ELU, ResidualUNet, mlp, weighted_mean_and_variance
from maskrf_core.model.rendering import Mask, PointPrediction
from maskrf_core.model.sampling import RaySamples, coarse_depths, inverse_transform_sample

FEATURES = 32  # of each pass; the encoder makes those of both
LARGEST_PIXEL = 1e6  # positions are clamped to it, so that what is behind a camera is outside


class IBRNet(BlendingAggregator):
    """Weighs the views by how near their direction is to the query's, then as NeuRay's network."""

    counts_in_more_views_than = 1
    fine_rays_count_apart = True
    mean_over_channels = True

    def __init__(self, rendered: Rendered = "coarse"):
        super().__init__(rendered)
        self.sharpness = nn.Parameter(torch.tensor(0.2))
        self.direction = mlp([4, 16, 35], ELU, ELU)
        self.base = mlp([2 * 35 + 35, 64, 32], ELU, ELU)
        self.residual_and_visibility = mlp([32, 32, 33], ELU, ELU)
        self.visibility = mlp([32, 32, 1], ELU, nn.Sigmoid)
        self.geometry = mlp([65, 64, 16], ELU, ELU)
        self.ray_attention = RayAttention()
        self.density = mlp([16, 16, 1], ELU, nn.ReLU)
        self.blending = mlp([32 + 1 + 4, 16, 8, 1], ELU)
        self._initialise(self.base, self.residual_and_visibility, self.visibility, self.geometry, self.blending)
        self.mask_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(35), std=0.02)) if rendered == "fine" else None

    @classmethod
    def image_encoder(cls) -> nn.Module:
        """Make the larger residual U-Net: 32 channels for the coarse pass, 32 for the fine one."""
        return ResidualUNet(3, stem_channels=64, stem_size=7, stem_padding=3, blocks=(3, 4, 6), width=64)

    @classmethod
    def coarse_depths(
        cls, rays: QueryRays, samples: int, generator: torch.Generator | None
    ) -> Float[Tensor, "ray {samples}"]:
        """Return depths uniform in inverse depth; in training, each anywhere up to halfway to its neighbours."""
        depths = coarse_depths(rays.depth_range, len(rays.directions), samples)
        return depths if generator is None else jittered(depths, drawn(depths, samples, generator))

    @classmethod
    def new_depths(
        cls,
        rays: QueryRays,
        depths: Float[Tensor, "ray sample"],
        hit_probability: Float[Tensor, "ray sample"],
        samples: int,
        generator: torch.Generator | None,
    ) -> Float[Tensor, "ray {samples}"]:
        """Return depths where the coarse pass hit; in evaluation evenly spread, both ends included."""
        if generator is None:
            u = torch.linspace(0, 1, samples, dtype=depths.dtype, device=depths.device).expand(len(depths), samples)
        else:
            u = drawn(depths, samples, generator)
        return depths_at_hits(depths, hit_probability, u)

    def look(self, features: ReferenceFeatures, rays: QueryRays, samples: RaySamples) -> tuple[ViewSamples, None]:
        """Look up colours and this pass's features; zeros outside a view. No visibility is asked for."""
        views, (rows, columns) = features.views, features.maps.shape[-2:]
        height, width = views.image_size
        points = rays.origin + samples.depths[..., None] * rays.directions[:, None]
        pixels_xy, valid = project_before(views, points)
        x, y = pixels_xy.unbind(dim=-1)
        scaled = torch.stack([x * ((columns - 1) / (width - 1)), y * ((rows - 1) / (height - 1))], dim=-1)
        colours = sample_map(views.images, pixels_xy, height, width, padding="zeros")
        own = features.maps[:, :FEATURES] if self.rendered == "coarse" else features.maps[:, FEATURES:]
        found = sample_map(own, scaled, rows, columns, padding="zeros")
        difference = direction_difference(
            _unit(rays.origin - points), _unit(camera_centres(views.w2c)[:, None, None] - points)
        )
        return ViewSamples(colours, found, found[..., :0], difference, valid), None

    def weighed(
        self, views: ViewSamples, visibility: None, samples: RaySamples, *, mask: Mask | None
    ) -> tuple[PointPrediction, Float[Tensor, "view ray sample"]]:
        """Predict as `forward`, and return the share of each view's colour in that of each sample."""
        features = torch.cat([views.colours, views.image_features], dim=-1) + self.direction(views.direction_difference)
        features, valid = self.masked(features, mask), views.valid[..., None]
        weight = self._pooling_weight(views.direction_difference[..., 3:].contiguous(), valid)
        statistics = torch.cat(weighted_mean_and_variance(features, weight), dim=-1)
        return self._predicted(*self._in_light_of_all(statistics, features, weight, valid), views, samples)

    def _pooling_weight(
        self, cosine: Float[Tensor, "view ray sample 1"], valid: Bool[Tensor, "view ray sample 1"]
    ) -> Float[Tensor, "view ray sample 1"]:
        """Weigh views by how near they look from where the query does: the farthest, valid or not, has none."""
        near = torch.exp(self.sharpness.abs() * (cosine - 1))
        weight = (near - near.min(dim=0).values) * valid
        return weight / (weight.sum(dim=0) + 1e-8)


def project_before(
    views: Views, points: Float[Tensor, "ray sample 3"]
) -> tuple[Float[Tensor, "view ray sample 2"], Bool[Tensor, "view ray sample"]]:
    """Return the pixels of points in every view, and whether they are before its camera and within its image."""
    height, width = views.image_size
    in_image = views.K @ (views.w2c[:, :, :3] @ points.reshape(-1, 3).T + views.w2c[:, :, 3:])
    depth = in_image[:, 2]
    x, y = (in_image[:, :2] / depth.clamp(min=1e-8)[:, None]).clamp(-LARGEST_PIXEL, LARGEST_PIXEL).unbind(dim=1)
    valid = (depth > 0) & (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    shape = (len(views), *points.shape[:-1])
    return torch.stack([x, y], dim=-1).view(*shape, 2), valid.view(shape)


def direction_difference(
    a: Float[Tensor, "*#view ray sample 3"], b: Float[Tensor, "view ray sample 3"]
) -> Float[Tensor, "view ray sample 4"]:
    """Return the direction of a - b, and a · b, of (nearly) unit vectors."""
    difference = a - b
    length = difference.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    return torch.cat([difference / length, (a * b).sum(dim=-1, keepdim=True)], dim=-1)


def _unit(vectors: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 3"]:
    return vectors / (vectors.norm(dim=-1, keepdim=True) + 1e-6)


def drawn(depths: Float[Tensor, "ray _"], samples: int, generator: torch.Generator) -> Float[Tensor, "ray {samples}"]:
    """Draw uniform numbers in [0, 1), on the device of the generator, for the rays of `depths`."""
    found = torch.rand(len(depths), samples, dtype=depths.dtype, device=generator.device, generator=generator)
    return found.to(depths.device)


def jittered(depths: Float[Tensor, "ray sample"], share: Float[Tensor, "ray sample"]) -> Float[Tensor, "ray sample"]:
    """Move each depth to this share of the way between the midpoints to its neighbours; the ends have one each."""
    middle = (depths[:, 1:] + depths[:, :-1]) / 2
    lower, upper = torch.cat([depths[:, :1], middle], dim=1), torch.cat([middle, depths[:, -1:]], dim=1)
    return lower + (upper - lower) * share


def depths_at_hits(
    depths: Float[Tensor, "ray sample"], hit_probability: Float[Tensor, "ray sample"], u: Float[Tensor, "ray new"]
) -> Float[Tensor, "ray new"]:
    """Return where the hit probabilities, but for the first and the last, reach `u`: in inverse depth, far first."""
    inverse = 1 / depths
    edges = ((inverse[:, 1:] + inverse[:, :-1]) / 2).flip(1)
    return 1 / inverse_transform_sample(edges, hit_probability.detach()[:, 1:-1].flip(1), u)
