"""From the reference views at a sample to its scene feature, density and colour.

After IBRNet (Wang et al., CVPR 2021, section 3.2), with visibility as NeuRay adds it (arXiv 2107.13421, section 3.2).
"""

import itertools

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from maskrf_core.model.aggregators.contract import Aggregator, Rendered
from maskrf_core.model.gathering import ViewSamples
from maskrf_core.model.layers import ELU, linear_of_shared_and_own, mlp, weighted_mean_and_variance
from maskrf_core.model.rendering import Mask, PointPrediction
from maskrf_core.model.sampling import RaySamples
from maskrf_core.model.visibility import PointVisibility

OfHeads = Float[Tensor, "ray head sample dimension"]


class BlendingAggregator(Aggregator):
    """What NeuRay's and IBRNet's share: the views' colours are blended, the samples of a ray attend to each other."""

    blends_colours = True

    def forward(
        self, views: ViewSamples, visibility: PointVisibility | None, samples: RaySamples, *, mask: Mask | None
    ) -> PointPrediction:
        """Predict every sample.

        Where `mask` is True, the mask token replaces the (view, sample)'s colour and image features; its visibility,
        its direction and the colour to blend stay. None masks nothing. Samples with a weight are predicted as if each
        were there as often as it weighs, and have the density of all these together.
        """
        return self.weighed(views, visibility, samples, mask=mask)[0]

    def _initialise(self, *networks: nn.Sequential) -> None:
        """Draw IBRNet's initial weights, which learn faster than torch's default."""
        for layer in itertools.chain(*networks):
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)

    def _in_light_of_all(
        self,
        statistics: Float[Tensor, "ray sample statistic"],
        own: Float[Tensor, "view ray sample own"],
        weight: Float[Tensor, "view ray sample 1"],
        valid: Bool[Tensor, "view ray sample 1"],
    ) -> tuple[Float[Tensor, "view ray sample 32"], Float[Tensor, "view ray sample 1"]]:
        """Return features of each view in the light of all, and the visibility of the sample in each, in [0, 1]."""
        first, *others = self.base
        x = linear_of_shared_and_own(first, statistics, own)
        for layer in others:
            x = layer(x)
        residual, logit = self.residual_and_visibility(x * weight).split([32, 1], dim=-1)
        x = x + residual
        return x, self.visibility(x * (torch.sigmoid(logit) * valid)) * valid

    def _predicted(
        self,
        x: Float[Tensor, "view ray sample 32"],
        visible: Float[Tensor, "view ray sample 1"],
        views: ViewSamples,
        samples: RaySamples,
    ) -> tuple[PointPrediction, Float[Tensor, "view ray sample"]]:
        """Make one feature a sample, from all views, and then from all samples of its ray; and blend the colours."""
        weight = visible / (visible.sum(dim=0) + 1e-8)
        geometry = self.geometry(torch.cat([*weighted_mean_and_variance(x, weight), weight.mean(dim=0)], dim=-1))
        encoded = geometry + sample_encoding(geometry, samples.index)
        attends = views.valid.sum(dim=0) > 1
        scene_features = self.ray_attention(encoded, attends=attends, weight=samples.weight)
        density = self.density(scene_features)[..., 0] * views.valid.any(dim=0)
        if samples.weight is not None:
            density = density * samples.weight
        weights = blending_weights(
            self.blending(torch.cat([x, visible, views.direction_difference], dim=-1)), views.valid
        )
        # Written out: a compiled sum over few views of three channels starts a CPU's threads anew at every sample.
        colours = sum(weight * colours for weight, colours in zip(weights, views.colours, strict=True))
        return PointPrediction(scene_features, density, colours), weights[..., 0]


class AggregationNetwork(BlendingAggregator):
    """Aggregates the views at each sample, lets the samples of a ray attend to each other, and predicts.

    The learned mask token stands in for [colour, image features] of a view at a sample (MRVM-NeRF, arXiv 2304.04962).
    """

    needs_visibility = True

    def __init__(self, rendered: Rendered = "coarse"):
        super().__init__(rendered)
        self.mask_token = nn.Parameter(torch.empty(35))
        self.ray_embedding = mlp([34, 32, 32], nn.ReLU)
        self.direction = mlp([4, 16, 35], ELU, ELU)
        self.visibility_weight = mlp([32, 8, 1], ELU, nn.Sigmoid)
        self.base = mlp([4 * 35 + 35 + 32, 64, 32], ELU, ELU)
        self.residual_and_visibility = mlp([32, 32, 33], ELU, ELU)
        self.visibility = mlp([32, 32, 1], ELU, nn.Sigmoid)
        self.geometry = mlp([65, 64, 16], ELU, ELU)
        self.ray_attention = RayAttention()
        self.density = mlp([16, 16, 1], ELU, nn.ReLU)
        self.blending = mlp([32 + 1 + 4, 16, 8, 1], ELU)
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        networks = (self.visibility_weight, self.base, self.residual_and_visibility)
        self._initialise(*networks, self.visibility, self.geometry, self.blending)

    def weighed(
        self, views: ViewSamples, visibility: PointVisibility, samples: RaySamples, *, mask: Mask | None
    ) -> tuple[PointPrediction, Float[Tensor, "view ray sample"]]:
        """Predict as `forward`, and return the share of each view's colour in that of each sample."""
        features = torch.cat([views.colours, views.image_features], dim=-1) + self.direction(views.direction_difference)
        features = self.masked(features, mask)
        seen = (2 * (part - 0.5)[..., None] for part in (visibility.hit_probability, visibility.visibility))
        embedding = self.ray_embedding(torch.cat([views.ray_features, *seen], dim=-1))
        x, visible = self._aggregate(features, embedding, views.valid[..., None])
        return self._predicted(x, visible, views, samples)

    def _aggregate(
        self,
        features: Float[Tensor, "view ray sample 35"],
        embedding: Float[Tensor, "view ray sample 32"],
        valid: Bool[Tensor, "view ray sample 1"],
    ) -> tuple[Float[Tensor, "view ray sample 32"], Float[Tensor, "view ray sample 1"]]:
        """Return as `_in_light_of_all`, by two statistics over views.

        The first trusts the views by their visibility (its weights do not sum to one), the second equally.
        """
        weight = valid / (valid.sum(dim=0) + 1e-8)
        trusted = weighted_mean_and_variance(features, self.visibility_weight(embedding) * weight)
        statistics = torch.cat([*trusted, *weighted_mean_and_variance(features, weight)], dim=-1)
        return self._in_light_of_all(statistics, torch.cat([features, embedding], dim=-1), weight, valid)


def blending_weights(
    logits: Float[Tensor, "view ray sample 1"], valid: Bool[Tensor, "view ray sample"]
) -> Float[Tensor, "view ray sample 1"]:
    """Return the share of each view's colour in that of a sample: they sum to 1 over views; 0 where it is not valid."""
    least = torch.finfo(logits.dtype).min  # finite in 16 bits too, and 0 after the softmax
    return torch.softmax(logits.masked_fill(~valid[..., None], least), dim=0)


class RayAttention(nn.Module):
    """Self-attention of the samples of one ray: 4 heads of 4 dimensions, no dropout, LayerNorm after the skip."""

    def __init__(self, channels: int = 16, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(channels, channels, bias=False) for _ in range(4))
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(
        self,
        x: Float[Tensor, "ray sample channel"],
        *,
        attends: Bool[Tensor, "ray sample"],
        weight: Float[Tensor, "ray sample"] | None = None,
    ) -> Float[Tensor, "ray sample channel"]:
        """Attend to all samples of the ray; uniformly where `attends` is False. All stay visible to the others.

        A sample of weight m is attended to like m equal ones: exp(score + log m) = m exp(score).
        """
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        query = query * attends[:, None, :, None]  # 0 has the score 0 for every key
        logarithm = None if weight is None else weight.log()[:, None, None, :].to(query.dtype)
        attended = self._attended(query, key, value, logarithm)
        return self.norm(self.output(attended.transpose(1, 2).flatten(-2)) + x)

    def _attended(
        self, query: OfHeads, key: OfHeads, value: OfHeads, added: Float[Tensor, "ray 1 1 sample"] | None
    ) -> OfHeads:
        """Weight the values by the softmax of query · key / √dimension + `added`."""
        if query.device.type != "cpu":
            return functional.scaled_dot_product_attention(query, key, value, attn_mask=added)
        # In 16 bits, torch's backward pass on a CPU takes over ten times as long, and its forward pass no less.
        with torch.autocast("cpu", enabled=False):
            kind = torch.promote_types(value.dtype, torch.float32)
            wide = (None if part is None else part.to(kind) for part in (query, key, value, added))
            return functional.scaled_dot_product_attention(*wide).to(value.dtype)


def sample_encoding(
    features: Float[Tensor, "ray sample channel"], index: Int64[Tensor, "ray sample"] | None = None
) -> Float[Tensor, "*ray sample channel"]:
    """Encode the sample's index by sinusoids, in the kind of `features` (as in IBRNet's ray transformer).

    Channel j of sample i is the sine (even j) or cosine (odd j) of i / 10000^(2⌊j/2⌋ / channels). Without `index`, the
    samples are all there are, on every ray.
    """
    samples, channels = features.shape[1:]
    if index is None:
        index = torch.arange(samples, device=features.device)
    channel = torch.arange(channels, device=features.device)
    angle = index[..., None].double() / 10_000 ** (2 * (channel // 2) / channels)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos()).to(features.dtype)
