"""Names of weights in published checkpoints and here, translated both ways by one table."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

from maskrf_core.settings.sections import VisibilityInit


class Renamed(NamedTuple):
    """The beginning of a name, published and ours; `#` stands for a number, which stays."""

    published: str
    ours: str


def _within(published: str, ours: str, parts: Iterable[Renamed]) -> list[Renamed]:
    return [Renamed(published + part.published, ours + part.ours) for part in parts]


RESIDUAL_U_NET = [
    Renamed("conv1.", "stem.0."),
    Renamed("bn1.", "stem.1."),
    Renamed("layer#.#.conv#.", "stage#.#.convolution#."),
    Renamed("layer#.#.bn#.", "stage#.#.norm#."),
    Renamed("layer#.#.downsample.", "stage#.#.skip."),
    Renamed("upconv3.conv.conv.", "up2.0."),
    Renamed("upconv3.conv.bn.", "up2.1."),
    Renamed("iconv3.conv.", "merge2.0."),
    Renamed("iconv3.bn.", "merge2.1."),
    Renamed("upconv2.conv.conv.", "up1.0."),
    Renamed("upconv2.conv.bn.", "up1.1."),
    Renamed("iconv2.conv.", "merge1.0."),
    Renamed("iconv2.bn.", "merge1.1."),
    Renamed("out_conv.", "head."),
]
DISTRIBUTION_DECODER = [
    Renamed("mean_decoder.", "mean."),
    Renamed("var_decoder.", "sharpness."),
    Renamed("aw_decoder.", "mixing_weight."),
]
AGGREGATION = [
    Renamed("agg_impl.mask_token", "mask_token"),
    Renamed("prob_embed.", "ray_embedding."),
    Renamed("agg_impl.ray_dir_fc.", "direction."),
    Renamed("agg_impl.neuray_fc.", "visibility_weight."),
    Renamed("agg_impl.base_fc.", "base."),
    Renamed("agg_impl.vis_fc.", "residual_and_visibility."),
    Renamed("agg_impl.vis_fc2.", "visibility."),
    Renamed("agg_impl.geometry_fc.", "geometry."),
    Renamed("agg_impl.ray_attention.w_qs.", "ray_attention.query."),
    Renamed("agg_impl.ray_attention.w_ks.", "ray_attention.key."),
    Renamed("agg_impl.ray_attention.w_vs.", "ray_attention.value."),
    Renamed("agg_impl.ray_attention.fc.", "ray_attention.output."),
    Renamed("agg_impl.ray_attention.layer_norm.", "ray_attention.norm."),
    Renamed("agg_impl.out_geometry_fc.", "density."),
    Renamed("agg_impl.rgb_fc.", "blending."),
]
CONVOLUTION_AND_BLOCKS = [Renamed("#.conv.", "#.residual."), Renamed("#.weight", "#.weight")]
MVSNET = [
    Renamed("feature.conv#.conv.", "features.#.0."),
    Renamed("feature.conv#.bn.", "features.#.1."),
    Renamed("feature.feature.", "features.7."),
    Renamed("cost_regularization.conv#.conv.", "regularisation.down#.0."),
    Renamed("cost_regularization.conv#.bn.", "regularisation.down#.1."),
    Renamed("cost_regularization.conv7.", "regularisation.up0."),
    Renamed("cost_regularization.conv9.", "regularisation.up1."),
    Renamed("cost_regularization.conv11.", "regularisation.up2."),
    Renamed("cost_regularization.prob.", "regularisation.head."),
]
COMMON = [
    *_within("image_encoder.", "image_encoder.", RESIDUAL_U_NET),
    *_within("vis_encoder.out_conv.", "visibility_encoder.", CONVOLUTION_AND_BLOCKS),
    *_within("dist_decoder.", "coarse.distribution_decoder.", DISTRIBUTION_DECODER),
    *_within("fine_dist_decoder.", "fine.distribution_decoder.", DISTRIBUTION_DECODER),
    *_within("agg_net.", "coarse.aggregation.", AGGREGATION),
    *_within("fine_agg_net.", "fine.aggregation.", AGGREGATION),
    Renamed("projector.", "masked_modelling.projector."),
    Renamed("target_projector.", "masked_modelling.target_projector."),
    Renamed("predictor.", "masked_modelling.predictor."),
    Renamed("ray_feats.", "free_maps.maps."),
    *_within("init_net.res_net.", "visibility_init.encoder.", RESIDUAL_U_NET),
]
OF_INIT: dict[VisibilityInit, list[Renamed]] = {
    "depth": [
        Renamed("init_net.depth_skip.", "visibility_init.depth_skip."),
        Renamed("init_net.conv_out.", "visibility_init.head."),
    ],
    "cost_volume": [
        Renamed("init_net.imagenet_mean", "visibility_init.imagenet_mean"),
        Renamed("init_net.imagenet_std", "visibility_init.imagenet_std"),
        *_within("init_net.mvsnet.", "visibility_init.mvsnet.", MVSNET),
        *_within("init_net.volume_conv2d.", "visibility_init.volume_branch.", CONVOLUTION_AND_BLOCKS),
        *_within("init_net.depth_conv.", "visibility_init.depth_branch.", CONVOLUTION_AND_BLOCKS),
        *_within("init_net.out_conv.", "visibility_init.head.", CONVOLUTION_AND_BLOCKS),
    ],
}
Language = Literal["published", "ours"]


def our_name(published: str, visibility_init: VisibilityInit = "depth") -> str:
    """Return our name of a published weight, e.g. `vis_encoder.out_conv.0.weight` → `visibility_encoder.0.weight`.

    A name that no published checkpoint has is returned as it is.
    """
    return _translated(published, visibility_init, "published")


def published_name(ours: str, visibility_init: VisibilityInit = "depth") -> str:
    """Return the published name of a weight of ours: the inverse of `our_name`."""
    return _translated(ours, visibility_init, "ours")


def _translated(name: str, visibility_init: VisibilityInit, given_in: Language) -> str:
    for pattern, replacement in _rules(visibility_init, given_in):
        if found := pattern.match(name):
            numbers = iter(found.groups())
            return re.sub("#", lambda _, numbers=numbers: next(numbers), replacement) + name[found.end() :]
    return name


@lru_cache
def _rules(visibility_init: VisibilityInit, given_in: Language) -> list[tuple[re.Pattern, str]]:
    """Return patterns and their replacements; a longer beginning comes first, and a number before any number."""
    pairs = [*COMMON, *OF_INIT[visibility_init]]
    if given_in == "ours":
        pairs = [Renamed(ours, published) for published, ours in pairs]
    pairs.sort(key=lambda pair: (-len(pair.published), pair.published.count("#")))
    return [(re.compile(re.escape(given).replace(r"\#", r"(\d+)")), wanted) for given, wanted in pairs]
