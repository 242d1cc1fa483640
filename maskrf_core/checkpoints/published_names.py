"""Names of weights in published checkpoints and here, translated both ways by one table."""

import re
from functools import lru_cache
from typing import Literal

Kind = Literal["depth", "cost_volume", "ibrnet", "nerformer"]  # NeuRay's by what visibility comes from, and others
Table = dict[str, str]  # beginnings of names, published to ours; `#` stands for a number, which stays


def _within(published: str, ours: str, table: Table) -> Table:
    return {published + theirs: ours + own for theirs, own in table.items()}


RESIDUAL_U_NET = {
    "conv1.": "stem.0.",
    "bn1.": "stem.1.",
    "layer#.#.conv#.": "stage#.#.convolution#.",
    "layer#.#.bn#.": "stage#.#.norm#.",
    "layer#.#.downsample.": "stage#.#.skip.",
    **{f"upconv{level + 1}.conv.conv.": f"up{level}.0." for level in (1, 2)},
    **{f"upconv{level + 1}.conv.bn.": f"up{level}.1." for level in (1, 2)},
    **{f"iconv{level + 1}.conv.": f"merge{level}.0." for level in (1, 2)},
    **{f"iconv{level + 1}.bn.": f"merge{level}.1." for level in (1, 2)},
    "out_conv.": "head.",
}
DISTRIBUTION_DECODER = {
    "mean_decoder.": "mean.",
    "var_decoder.": "sharpness.",
    "aw_decoder.": "mixing_weight.",
}
OF_IBRNET = {
    "ray_dir_fc.": "direction.",
    "base_fc.": "base.",
    "vis_fc.": "residual_and_visibility.",
    "vis_fc2.": "visibility.",
    "geometry_fc.": "geometry.",
    "ray_attention.w_qs.": "ray_attention.query.",
    "ray_attention.w_ks.": "ray_attention.key.",
    "ray_attention.w_vs.": "ray_attention.value.",
    "ray_attention.fc.": "ray_attention.output.",
    "ray_attention.layer_norm.": "ray_attention.norm.",
    "out_geometry_fc.": "density.",
    "rgb_fc.": "blending.",
    "mask_token": "mask_token",
}
AGGREGATION = {  # of NeuRay, which IBRNet's code is part of
    "prob_embed.": "ray_embedding.",
    "agg_impl.neuray_fc.": "visibility_weight.",
    **_within("agg_impl.", "", OF_IBRNET),
}
TRANSFORMER = {
    "attn_norm.": "attention_norm.",
    "ff_norm.": "linear_norm.",
    "ff.fc1.": "wide.",
    "ff.fc2.": "narrow.",
    "attn.q_fc.": "query.",
    "attn.k_fc.": "key.",
    "attn.v_fc.": "value.",
    "attn.out_fc.": "output.",
}
OF_NERFORMER = {
    "rgb_fc.": "radiance.",
    "nerformer.mask_token": "mask_token",
    "nerformer.rgbfeat_fc.": "features.",
    "nerformer.color_dir_fc.": "token.",
    "nerformer.positionfeat_fc.": "position.",
    "nerformer.norm.": "norm.",
    "nerformer.view_aggregator.": "view_logit.",
    **_within("nerformer.view_trans.#.", "view_layers.#.", TRANSFORMER),
    **_within("nerformer.ray_trans.#.", "ray_layers.#.", TRANSFORMER),
}
CONVOLUTION_AND_BLOCKS = {"#.conv.": "#.residual.", "#.weight": "#.weight"}
MVSNET = {
    "feature.conv#.conv.": "features.#.0.",
    "feature.conv#.bn.": "features.#.1.",
    "feature.feature.": "features.7.",
    "cost_regularization.conv#.conv.": "regularisation.down#.0.",
    "cost_regularization.conv#.bn.": "regularisation.down#.1.",
    "cost_regularization.conv7.": "regularisation.up0.",
    "cost_regularization.conv9.": "regularisation.up1.",
    "cost_regularization.conv11.": "regularisation.up2.",
    "cost_regularization.prob.": "regularisation.head.",
}
MASKED_MODELLING = {
    "projector.": "masked_modelling.projector.",
    "target_projector.": "masked_modelling.target_projector.",
    "predictor.": "masked_modelling.predictor.",
}
OF_NEURAY = {
    **_within("image_encoder.", "image_encoder.", RESIDUAL_U_NET),
    **_within("vis_encoder.out_conv.", "visibility_encoder.", CONVOLUTION_AND_BLOCKS),
    **_within("dist_decoder.", "coarse.distribution_decoder.", DISTRIBUTION_DECODER),
    **_within("fine_dist_decoder.", "fine.distribution_decoder.", DISTRIBUTION_DECODER),
    **_within("agg_net.", "coarse.aggregation.", AGGREGATION),
    **_within("fine_agg_net.", "fine.aggregation.", AGGREGATION),
    **MASKED_MODELLING,
    "ray_feats.": "free_maps.maps.",
    **_within("init_net.res_net.", "visibility_init.encoder.", RESIDUAL_U_NET),
}
TABLES: dict[Kind, Table] = {
    "depth": {
        **OF_NEURAY,
        "init_net.depth_skip.": "visibility_init.depth_skip.",
        "init_net.conv_out.": "visibility_init.head.",
    },
    "cost_volume": {
        **OF_NEURAY,
        "init_net.imagenet_mean": "visibility_init.imagenet_mean",
        "init_net.imagenet_std": "visibility_init.imagenet_std",
        **_within("init_net.mvsnet.", "visibility_init.mvsnet.", MVSNET),
        **_within("init_net.volume_conv2d.", "visibility_init.volume_branch.", CONVOLUTION_AND_BLOCKS),
        **_within("init_net.depth_conv.", "visibility_init.depth_branch.", CONVOLUTION_AND_BLOCKS),
        **_within("init_net.out_conv.", "visibility_init.head.", CONVOLUTION_AND_BLOCKS),
    },
    "ibrnet": {
        **_within("feature_net.", "image_encoder.", RESIDUAL_U_NET),
        **_within("net_coarse.", "coarse.aggregation.", OF_IBRNET | {"s": "sharpness"}),
        **_within("net_fine.", "fine.aggregation.", OF_IBRNET | {"s": "sharpness"}),
        **MASKED_MODELLING,
    },
    "nerformer": {
        "encoder.model.": "image_encoder.",
        **_within("mlp_coarse.", "coarse.aggregation.", OF_NERFORMER),
        **_within("mlp_fine.", "fine.aggregation.", OF_NERFORMER),
        **MASKED_MODELLING,
    },
}


def our_name(published: str, kind: Kind = "depth") -> str:
    """Return our name of a published weight, e.g. `vis_encoder.out_conv.0.weight` → `visibility_encoder.0.weight`.

    A name that no published checkpoint has is returned as it is.
    """
    return _translated(published, _rules(kind))


def published_name(ours: str, kind: Kind = "depth") -> str:
    """Return the published name of a weight of ours: the inverse of `our_name`."""
    return _translated(ours, _rules(kind, backwards=True))


def _translated(name: str, rules: list[tuple[re.Pattern, str]]) -> str:
    for pattern, replacement in rules:
        if found := pattern.match(name):
            numbers = iter(found.groups())
            return re.sub("#", lambda _, numbers=numbers: next(numbers), replacement) + name[found.end() :]
    return name


@lru_cache
def _rules(kind: Kind, backwards: bool = False) -> list[tuple[re.Pattern, str]]:
    """Return patterns and their replacements; a longer beginning comes first, and a number before any number."""
    pairs = [pair[::-1] if backwards else pair for pair in TABLES[kind].items()]
    pairs.sort(key=lambda pair: (-len(pair[0]), pair[0].count("#")))
    return [(re.compile(re.escape(given).replace(r"\#", r"(\d+)")), wanted) for given, wanted in pairs]
