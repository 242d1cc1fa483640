import math

import pytest
import torch

from maskrf_core.model.aggregators.neuray import AggregationNetwork, RayAttention, sample_encoding
from maskrf_core.model.gathering import ViewSamples
from maskrf_core.model.visibility import PointVisibility
from tests.model.tiny import fill_by_formula, samples_with

VIEWS, RAYS, SAMPLES = 4, 3, 6
ALONE = samples_with(torch.ones(RAYS, SAMPLES))
"""Samples without weights; the network asks nothing else of them."""


@pytest.fixture
def network() -> AggregationNetwork:
    network = AggregationNetwork().double()
    fill_by_formula(network)
    return network


def inputs(valid: torch.Tensor | None = None) -> tuple[ViewSamples, PointVisibility]:
    generator = torch.Generator().manual_seed(0)

    def draw(*channels: int) -> torch.Tensor:
        return torch.rand(VIEWS, RAYS, SAMPLES, *channels, dtype=torch.float64, generator=generator)

    colours, image_features, ray_features, difference = draw(3), draw(32), draw(32), draw(4) - 0.5
    valid = draw() > 0.25 if valid is None else valid
    seen = valid[..., None]
    samples = ViewSamples(colours * seen, image_features * seen, ray_features * seen, difference, valid)
    return samples, PointVisibility(draw() * valid, draw() * valid)


def slow_point(network: AggregationNetwork, samples: ViewSamples, visibility: PointVisibility, mask, ray: int, at: int):
    """One sample, one view after the other, in the paper's order: its geometry feature before attention, its colour."""
    views = range(VIEWS)
    valid = [float(samples.valid[v, ray, at]) for v in views]
    weight = [value / (sum(valid) + 1e-8) for value in valid]
    features, embedding = [], []
    for v in views:
        own = torch.cat([samples.colours[v, ray, at], samples.image_features[v, ray, at]])
        own = own + network.direction(samples.direction_difference[v, ray, at])
        features.append(network.mask_token if mask is not None and mask[v, ray, at] else own)
        hit, visible = visibility.hit_probability[v, ray, at], visibility.visibility[v, ray, at]
        scaled = torch.stack([2 * (hit - 0.5), 2 * (visible - 0.5)])
        embedding.append(network.ray_embedding(torch.cat([samples.ray_features[v, ray, at], scaled])))

    def statistics(values, weights):
        mean = sum(w * value for w, value in zip(weights, values, strict=True))
        return [mean, sum(w * (value - mean) ** 2 for w, value in zip(weights, values, strict=True))]

    weight0 = [network.visibility_weight(embedding[v]) * weight[v] for v in views]
    shared = [*statistics(features, weight0), *statistics(features, weight)]
    x, seen = [], []
    for v in views:
        own = network.base(torch.cat([*shared, features[v], embedding[v]]))
        both = network.residual_and_visibility(own * weight[v])
        own = own + both[:32]
        x.append(own)
        seen.append(network.visibility(own * torch.sigmoid(both[32]) * valid[v]) * valid[v])
    weight = [value / (sum(seen) + 1e-8) for value in seen]
    geometry = network.geometry(torch.cat([*statistics(x, weight), sum(weight) / VIEWS]))

    logits = [
        network.blending(torch.cat([x[v], seen[v], samples.direction_difference[v, ray, at]])) if valid[v] else None
        for v in views
    ]
    shares = {v: torch.exp(logit) for v, logit in enumerate(logits) if logit is not None}
    colour = sum((s * samples.colours[v, ray, at] for v, s in shares.items()), torch.zeros(3, dtype=torch.float64))
    return geometry, colour / sum(shares.values()) if shares else colour


def slow_attention(attention: RayAttention, x: torch.Tensor, attends: torch.Tensor) -> torch.Tensor:
    """One ray: every head of every sample by itself."""
    query, key, value = attention.query(x), attention.key(x), attention.value(x)
    rows = []
    for i in range(len(x)):
        heads = []
        for head in range(4):
            part = slice(4 * head, 4 * head + 4)
            scores = [float(query[i, part] @ key[j, part]) / 2 if attends[i] else 0.0 for j in range(len(x))]
            total = sum(math.exp(score) for score in scores)
            heads.append(sum(math.exp(score) / total * value[j, part] for j, score in enumerate(scores)))
        rows.append(attention.output(torch.cat(heads)) + x[i])
    rows = torch.stack(rows)
    centred = rows - rows.mean(dim=1, keepdim=True)
    normal = centred / (centred.square().mean(dim=1, keepdim=True) + 1e-6).sqrt()
    return normal * attention.norm.weight + attention.norm.bias


@pytest.mark.parametrize("masked", [False, True])
@torch.no_grad()
def test_against_a_loop_over_samples_and_views(network: AggregationNetwork, masked: bool):
    valid = torch.rand(VIEWS, RAYS, SAMPLES, generator=torch.Generator().manual_seed(5)) > 0.4
    valid[:, 0, 0] = False  # no view
    valid[:, 0, 1] = torch.tensor([False, True, False, False])  # one view
    samples, visibility = inputs(valid)
    mask = torch.rand(valid.shape, generator=torch.Generator().manual_seed(6)) > 0.5 if masked else None
    prediction = network(samples, visibility, ALONE, mask=mask)
    for ray in range(RAYS):
        points = [slow_point(network, samples, visibility, mask, ray, at) for at in range(SAMPLES)]
        encoded = torch.stack([geometry for geometry, _ in points]) + sample_encoding(prediction.scene_features)
        scene = slow_attention(network.ray_attention, encoded, valid[:, ray].sum(dim=0) > 1)
        torch.testing.assert_close(prediction.scene_features[ray], scene)
        torch.testing.assert_close(prediction.colours[ray], torch.stack([colour for _, colour in points]))
        density = network.density(scene)[:, 0] * valid[:, ray].any(dim=0)
        torch.testing.assert_close(prediction.density[ray], density)


@torch.no_grad()
def test_order_of_views_does_not_matter(network: AggregationNetwork):
    samples, visibility = inputs()
    mask = torch.rand(samples.valid.shape, generator=torch.Generator().manual_seed(1)) > 0.5
    order = torch.tensor([2, 0, 3, 1])
    turned_samples = ViewSamples(*(part[order] for part in samples))
    turned_visibility = PointVisibility(*(part[order] for part in visibility))
    turned = network(turned_samples, turned_visibility, ALONE, mask=mask[order])
    for ours, theirs in zip(network(samples, visibility, ALONE, mask=mask), turned, strict=True):
        torch.testing.assert_close(ours, theirs)


@torch.no_grad()
def test_what_a_masked_view_says_is_not_read(network: AggregationNetwork):
    """Image features under the mask change nothing; colours still are blended; without the mask, features matter."""
    samples, visibility = inputs(torch.ones(VIEWS, RAYS, SAMPLES, dtype=torch.bool))
    mask = torch.zeros(VIEWS, RAYS, SAMPLES, dtype=torch.bool)
    mask[1, :, 2] = True
    other = samples.image_features.clone()
    other[1, :, 2] += 1
    changed = samples._replace(image_features=other)
    masked, masked_changed = (network(some, visibility, ALONE, mask=mask) for some in (samples, changed))
    assert all(torch.equal(*parts) for parts in zip(masked, masked_changed, strict=True))
    assert not torch.equal(
        network(changed, visibility, ALONE, mask=None)[0], network(samples, visibility, ALONE, mask=None)[0]
    )

    colours = samples.colours.clone()
    colours[1, :, 2] = 1 - colours[1, :, 2]
    recoloured = network(samples._replace(colours=colours), visibility, ALONE, mask=mask)
    assert torch.equal(recoloured.scene_features, masked.scene_features)
    assert not torch.equal(recoloured.colours[:, 2], masked.colours[:, 2])
    assert torch.equal(recoloured.colours[:, 3], masked.colours[:, 3])


@torch.no_grad()
def test_masking_nothing_is_no_mask(network: AggregationNetwork):
    samples, visibility = inputs()
    none = network(samples, visibility, ALONE, mask=torch.zeros_like(samples.valid))
    assert all(torch.equal(*parts) for parts in zip(none, network(samples, visibility, ALONE, mask=None), strict=True))


@pytest.mark.parametrize(("masked", "has_gradient"), [(None, False), (0.0, False), (1.0, True)])
def test_mask_token_learns_only_where_it_stands(network: AggregationNetwork, masked, has_gradient: bool):
    samples, visibility = inputs()
    mask = None if masked is None else torch.full(samples.valid.shape, bool(masked))
    sum(part.sum() for part in network(samples, visibility, ALONE, mask=mask)).backward()
    gradient = network.mask_token.grad
    assert (gradient is not None and bool(gradient.abs().max() > 0)) == has_gradient


@pytest.mark.parametrize("valid_views", [0, 1, VIEWS])
@pytest.mark.parametrize("all_masked", [False, True])
def test_edges_are_finite_forward_and_backward(valid_views: int, all_masked: bool):
    network = AggregationNetwork()
    valid = torch.zeros(VIEWS, RAYS, SAMPLES, dtype=torch.bool)
    valid[:valid_views] = True
    samples, visibility = inputs(valid)
    samples = ViewSamples(*(part.float() for part in samples[:4]), valid)
    samples.ray_features.requires_grad_()
    visibility = PointVisibility(*(part.float().requires_grad_() for part in visibility))
    prediction = network(samples, visibility, ALONE, mask=valid | True if all_masked else None)
    if valid_views == 0:
        assert (prediction.density == 0).all()
        assert (prediction.colours == 0).all()
    assert all(part.isfinite().all() for part in prediction)
    sum(part.square().sum() for part in prediction).backward()
    leaves = [*network.parameters(), samples.ray_features, *visibility]
    assert all(leaf.grad.isfinite().all() for leaf in leaves if leaf.grad is not None)


def test_gradients_of_attention_by_finite_differences():
    attention = RayAttention().double()
    fill_by_formula(attention)
    x = torch.rand(1, 4, 16, dtype=torch.float64, requires_grad=True)
    attends = torch.tensor([[True, True, False, True]])
    assert torch.autograd.gradcheck(lambda features: attention(features, attends=attends), (x,))


def test_sample_encoding_by_hand():
    encoding = sample_encoding(torch.zeros(1, 3, 16, dtype=torch.float64))
    assert encoding[0].tolist() == [0.0, 1.0] * 8
    assert encoding[2, 0].item() == pytest.approx(math.sin(2))
    assert encoding[2, 1].item() == pytest.approx(math.cos(2))
    assert encoding[2, 5].item() == pytest.approx(math.cos(2 / 10_000 ** (4 / 16)))


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_16_bit_precision_is_finite(precision: torch.dtype):
    network = AggregationNetwork()
    samples, visibility = inputs()
    samples = ViewSamples(*(part.float() for part in samples[:4]), samples.valid)
    visibility = PointVisibility(*(part.float() for part in visibility))
    with torch.autocast("cpu", precision):
        prediction = network(samples, visibility, ALONE, mask=~samples.valid)
    exact = network(samples, visibility, ALONE, mask=~samples.valid)
    for rough, fine in zip(prediction, exact, strict=True):
        torch.testing.assert_close(rough.float(), fine, atol=0.1, rtol=0.1)


def test_initial_weights_keep_the_scale_of_features():
    """Kaiming normal: the variance of a layer's weights is 2 / inputs, and biases are zero."""
    torch.manual_seed(0)
    layer = AggregationNetwork().base[0]
    assert layer.weight.var().item() == pytest.approx(2 / layer.in_features, rel=0.05)
    assert (layer.bias == 0).all()
