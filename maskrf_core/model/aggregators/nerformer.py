"""NeRFormer (Reizenstein et al., ICCV 2021) as the authors of MRVM-NeRF (arXiv 2304.04962) build it into a pixelNeRF.

Near and far bound the z-depth, as everywhere here, so that a picture's corners reach as deep as its middle; where rays
are unit vectors, that is the distance of the authors. Samples stand uniformly between them.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from maskrf_core.cameras import camera_centres
from maskrf_core.model.aggregators.contract import Aggregator, Heads, Rendered
from maskrf_core.model.aggregators.ibrnet import direction_difference, drawn
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures, sample_map
from maskrf_core.model.rendering import Mask, PointPrediction
from maskrf_core.model.resnet import ResNet34Stages
from maskrf_core.model.sampling import RaySamples

CHANNELS, HEADS, LAYERS = 128, 4, {"coarse": 4, "fine": 5}
FREQUENCIES = [1.5 * 2**k for k in range(6)]
DROPOUT = 0.1
NOISE = 0.01  # scene units around the expected distance, a standard deviation


class NeRFormerSamples(NamedTuple):
    """What the views hold at the samples, and where these are."""

    colours: Float[Tensor, "view ray sample 3"]
    image_features: Float[Tensor, "view ray sample 512"]
    direction_difference: Float[Tensor, "view ray sample 4"]
    valid: Bool[Tensor, "view ray sample"]  # all: nothing is asked of where a sample projects to
    position: Float[Tensor, "ray sample 78"]  # encoding of the point in the world, and of the ray's direction
    interval: Float[Tensor, "ray sample"]  # distance to the next sample, of the last one to far


class NeRFormer(Aggregator):
    """Tokens of views attend to each other at each sample, then along the ray, in turn; colours are predicted."""

    heads = Heads(features=CHANNELS, hidden=CHANNELS, projected=64)
    counts_in_more_views_than = counts_at_more_samples_than = 0  # all rays
    background = 1.0
    mean_over_channels = True
    uses_dropout = True

    def __init__(self, rendered: Rendered = "coarse"):
        super().__init__(rendered)
        self.mask_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(CHANNELS), std=0.02))
        self.features = nn.Linear(512, CHANNELS)
        self.token = nn.Linear(CHANNELS + 7, CHANNELS)
        self.position = nn.Sequential(nn.Linear(78, CHANNELS), nn.ReLU(), nn.Linear(CHANNELS, CHANNELS))
        self.view_layers, self.ray_layers = (
            nn.ModuleList([TransformerLayer() for _ in range(LAYERS[rendered])]) for _ in range(2)
        )
        self.norm = nn.LayerNorm(CHANNELS)
        self.view_logit = nn.Linear(CHANNELS, 1)
        self.radiance = nn.Sequential(nn.Linear(CHANNELS, 64), nn.ReLU(), nn.Linear(64, 4))

    @classmethod
    def image_encoder(cls) -> nn.Module:
        """Make the ResNet-34 of images in [0, 1]: 512 channels at half the resolution."""
        return ResNet34Stages()

    @classmethod
    def coarse_depths(
        cls, rays: QueryRays, samples: int, generator: torch.Generator | None
    ) -> Float[Tensor, "ray {samples}"]:
        """Return a depth in each of equal strata: its middle, or anywhere in it with a generator."""
        like = rays.directions.new_empty(len(rays.directions), 0)
        share = like.new_full((len(like), samples), 0.5) if generator is None else drawn(like, samples, generator)
        return depths_in_strata(rays, share)

    @classmethod
    def new_depths(
        cls,
        rays: QueryRays,
        depths: Float[Tensor, "ray sample"],
        hit_probability: Float[Tensor, "ray sample"],
        samples: int,
        generator: torch.Generator | None,
    ) -> Float[Tensor, "ray {samples}"]:
        """Return half of the depths in strata by their hit probability, and half around the expected distance."""
        at_hits, around = samples - samples // 2, samples // 2
        if generator is not None:
            u, share = (drawn(depths, at_hits, generator) for _ in range(2))
            normal = {"dtype": depths.dtype, "device": generator.device, "generator": generator}
            noise = torch.randn(len(depths), around, **normal).to(depths.device)
        else:
            u, quantiles = (
                ((torch.arange(count, dtype=depths.dtype, device=depths.device) + 0.5) / count).expand(len(depths), -1)
                for count in (at_hits, around)
            )
            share, noise = None, torch.special.ndtri(quantiles)
        parts = (depths_at_hits(rays, hit_probability, u, share), depths_around(rays, depths, hit_probability, noise))
        return torch.cat(parts, dim=1)

    def look(self, features: ReferenceFeatures, rays: QueryRays, samples: RaySamples) -> tuple[NeRFormerSamples, None]:
        """Look up features and colours at the border where outside. No visibility is asked for.

        Colours are read up to a pixel too far right and down, as checkpoints were trained.
        """
        views, (rows, columns) = features.views, features.maps.shape[-2:]
        height, width = views.image_size
        points = rays.origin + samples.depths[..., None] * rays.directions[:, None]
        in_map = project_anywhere(views.K, views.w2c, points) * points.new_tensor([columns / width, rows / height])
        in_image = in_map * points.new_tensor([(width - 1) / (columns - 1), (height - 1) / (rows - 1)])
        found = sample_map(features.maps, in_map, rows, columns)
        colours = sample_map(views.images, in_image, height, width)
        ray = _unit(rays.directions)[:, None].expand_as(points)
        difference = direction_difference(_unit(ray), _unit(points - camera_centres(views.w2c)[:, None, None]))
        position = torch.cat([encoding(points), encoding(ray)], dim=-1)
        valid = torch.ones_like(found[..., 0], dtype=torch.bool)
        return NeRFormerSamples(colours, found, difference, valid, position, _intervals(rays, samples)), None

    def forward(
        self, views: NeRFormerSamples, visibility: None, samples: RaySamples, *, mask: Mask | None
    ) -> PointPrediction:
        """Predict every sample; where `mask` is True, the mask token replaces all of a view but the position."""
        return self.weighed(views, visibility, samples, mask=mask)[0]

    def weighed(
        self, views: NeRFormerSamples, visibility: None, samples: RaySamples, *, mask: Mask | None
    ) -> tuple[PointPrediction, Float[Tensor, "view ray sample"]]:
        """Predict as `forward`, and return each view's weight in the scene feature."""
        beside = torch.cat([views.direction_difference, 2 * views.colours - 1], dim=-1)
        tokens = self.masked(self.token(torch.cat([self.features(views.image_features), beside], dim=-1)), mask)
        x = tokens + self.position(views.position)
        logarithm = None if samples.weight is None else samples.weight.log()[:, None, None, :]
        for of_views, of_rays in zip(self.view_layers, self.ray_layers, strict=True):
            x = of_views(x.permute(1, 2, 0, 3)).permute(2, 0, 1, 3)
            x = of_rays(x, logarithm)
        x = self.norm(x)
        weight = torch.softmax(self.view_logit(x), dim=0)
        scene_features = (x * weight).sum(dim=0)
        *colours, density = self.radiance(scene_features).unbind(dim=-1)
        density = functional.relu(density) * views.interval
        return PointPrediction(scene_features, density, torch.stack(colours, dim=-1).sigmoid()), weight[..., 0]


class PooledNeRFormer(NeRFormer):
    """NeRFormer as its authors have it for 128×128 pictures (SRN): a max-pool in the encoder, of the same weights."""

    @classmethod
    def image_encoder(cls) -> nn.Module:
        """Make the ResNet-34 of images in [0, 1], with its max-pool: 512 channels at half the resolution."""
        return ResNet34Stages(pooled=True)


class TransformerLayer(nn.Module):
    """Attention and two linear layers, each after a norm and beside a skip, with dropout."""

    def __init__(self):
        super().__init__()
        self.attention_norm, self.linear_norm = (nn.LayerNorm(CHANNELS, eps=1e-6) for _ in range(2))
        self.query, self.key, self.value = (nn.Linear(CHANNELS, CHANNELS, bias=False) for _ in range(3))
        self.output = nn.Linear(CHANNELS, CHANNELS)
        self.wide, self.narrow = nn.Linear(CHANNELS, 4 * CHANNELS), nn.Linear(4 * CHANNELS, CHANNELS)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(
        self, x: Float[Tensor, "_ _ token 128"], added: Float[Tensor, "_ 1 1 token"] | None = None
    ) -> Float[Tensor, "_ _ token 128"]:
        """Let the tokens attend to each other; `added` to the scores, of which the first axis has one."""
        normed = self.attention_norm(x).flatten(0, 1)  # in five dimensions torch compiles attention wrongly
        query, key, value = (
            layer(normed).unflatten(-1, (HEADS, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        added = None if added is None else added.to(query.dtype).repeat(len(x), 1, 1, 1)
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=added, dropout_p=self.dropout.p if self.training else 0.0
        )
        x = x + self.dropout(self.output(attended.transpose(1, 2).flatten(-2))).view_as(x)
        hidden = self.dropout(functional.relu(self.wide(self.linear_norm(x))))
        return x + self.dropout(self.narrow(hidden))


def project_anywhere(
    K: Float[Tensor, "view 3 3"], w2c: Float[Tensor, "view 3 4"], points: Float[Tensor, "ray sample 3"]
) -> Float[Tensor, "view ray sample 2"]:
    """Return the pixels of points in every view, before it or behind it."""
    in_image = K @ (w2c[:, :, :3] @ points.reshape(-1, 3).T + w2c[:, :, 3:])
    return (in_image[:, :2] / in_image[:, 2:]).transpose(1, 2).reshape(len(K), *points.shape[:-1], 2)


def encoding(vectors: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 39"]:
    """Return the vectors, and sine and cosine of them at six frequencies."""
    waves = [torch.sin(vectors * of + phase) for of in FREQUENCIES for phase in (0.0, math.pi / 2)]
    return torch.cat([vectors, *waves], dim=-1)


def depths_in_strata(rays: QueryRays, share: Float[Tensor, "ray sample"]) -> Float[Tensor, "ray sample"]:
    """Return a depth in each of as many equal strata between near and far, at this share of its length."""
    place = torch.arange(share.shape[1], dtype=share.dtype, device=share.device)
    return _between(rays, (place + share) / share.shape[1])


def depths_at_hits(
    rays: QueryRays,
    hit_probability: Float[Tensor, "ray sample"],
    u: Float[Tensor, "ray new"],
    share: Float[Tensor, "ray new"] | None,
) -> Float[Tensor, "ray new"]:
    """Return depths in the strata where the cumulated hit probabilities reach `u`, at a share of each or just there."""
    density = hit_probability.detach() + 1e-5
    density = density / density.sum(dim=1, keepdim=True)
    cdf = torch.cat([torch.zeros_like(density[:, :1]), density.cumsum(dim=1)], dim=1)
    strata = density.shape[1]
    stratum = (torch.searchsorted(cdf, u.contiguous(), right=True) - 1).clamp(max=strata - 1)
    if share is None:
        share = (u - cdf.gather(1, stratum)) / density.gather(1, stratum)
    return _between(rays, (stratum + share) / strata)


def depths_around(
    rays: QueryRays,
    depths: Float[Tensor, "ray sample"],
    hit_probability: Float[Tensor, "ray sample"],
    noise: Float[Tensor, "ray new"],
) -> Float[Tensor, "ray new"]:
    """Return depths around the expected one, by normal noise of 0.01 scene units along the ray, from near to far."""
    expected = (hit_probability.detach() * depths.detach()).sum(dim=1, keepdim=True)
    moved = NOISE * noise / rays.directions.norm(dim=-1, keepdim=True)
    near, far = rays.depth_range
    return (expected + moved).clamp(near, far)


def _between(rays: QueryRays, share: Float[Tensor, "ray sample"]) -> Float[Tensor, "ray sample"]:
    near, far = rays.depth_range
    return near * (1 - share) + far * share


def _intervals(rays: QueryRays, samples: RaySamples) -> Float[Tensor, "ray sample"]:
    """Return the distance to the next of the samples that are looked at, however few; of the last one to far."""
    last = (rays.depth_range[1] - samples.depths[:, -1:]).clamp(min=0)
    return torch.cat([samples.depths.diff(dim=1), last], dim=1) * rays.directions.norm(dim=-1, keepdim=True)


def _unit(vectors: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 3"]:
    return vectors / (vectors.norm(dim=-1, keepdim=True) + 1e-6)
