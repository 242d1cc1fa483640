"""The direct head: harmonics by integration, the fit by least squares, opacity by hand, edges and gradients."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from maskrf_core.model.gathering import ViewSamples
from maskrf_core.model.rendering import hit_probability_of
from maskrf_core.model.visibility import (
    RIDGE,
    PointVisibility,
    direct_alpha,
    direct_colours_of_rays,
    fit_weights,
    fitted_colours,
    spherical_harmonics,
)
from tests.model.tiny import samples_with

ALONE = samples_with(torch.ones(1, 1))
"""Samples without weights; the direct head asks nothing else of them."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_case(views: int, rays: int = 4, samples: int = 5, dtype=torch.float64):
    """Colours, weights, directions to the views and to the query."""
    draw = seeded(views)
    colours = torch.rand(views, rays, samples, 3, generator=draw, dtype=dtype)
    weights = torch.rand(views, rays, samples, generator=draw, dtype=dtype) ** 3
    to_views = normalize(torch.randn(views, rays, samples, 3, generator=draw, dtype=dtype), dim=-1)
    to_query = normalize(torch.randn(rays, 1, 3, generator=draw, dtype=dtype), dim=-1)
    return colours, weights, to_views, to_query


def sphere(polar: int = 12, around: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions and weights that integrate polynomials of degree 6 over the sphere exactly (Gauss-Legendre)."""
    heights, weights = np.polynomial.legendre.leggauss(polar)
    angles = 2 * math.pi * (np.arange(around) + 0.5) / around
    z, angle = (grid.ravel() for grid in np.meshgrid(heights, angles, indexing="ij"))
    flat = np.sqrt(1 - z**2)
    directions = np.stack([flat * np.cos(angle), flat * np.sin(angle), z], axis=-1)
    return torch.from_numpy(directions), torch.from_numpy(np.repeat(weights, around) * 2 * math.pi / around)


def test_harmonics_are_orthogonal_over_the_sphere():
    directions, weights = sphere()
    values = spherical_harmonics(directions)
    gram = values.T @ (weights[:, None] * values)
    assert weights.sum().item() == pytest.approx(4 * math.pi)
    torch.testing.assert_close(gram, torch.diag(gram.diagonal()), atol=1e-12, rtol=0)
    assert (gram.diagonal() > 0.1).all()


def test_harmonics_have_the_degree_they_stand_for():
    """In the opposite direction a harmonic of degree l has (-1)^l the value, and rotations mix only within a degree."""
    directions, weights = sphere()
    values = spherical_harmonics(directions)
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=seeded(), dtype=torch.float64)).Q
    turned = spherical_harmonics(directions @ rotation)
    parity = torch.tensor([1.0, *[-1] * 3, *[1] * 5, *[-1] * 7], dtype=torch.float64)
    torch.testing.assert_close(spherical_harmonics(-directions), values * parity)
    degree = torch.tensor([0, *[1] * 3, *[2] * 5, *[3] * 7])
    mixing = values.T @ (weights[:, None] * turned)
    assert mixing[degree[:, None] != degree].abs().max() < 1e-12
    assert mixing[(degree[:, None] == degree) & (degree > 0)].abs().max() > 0.1


def test_harmonics_by_hand():
    """At (0, 0, 1) only those that stand along z are left; at (0.6, 0, 0.8) by arithmetic."""
    up = spherical_harmonics(torch.tensor([0.0, 0, 1]))
    assert up.tolist() == [1, 0, 0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 2, 0, 0, 0]
    aside = spherical_harmonics(torch.tensor([0.6, 0.0, 0.8]))
    expected = [1, 0.6, 0, 0.8, 0, 0, 0.92, 0.48, 0.36, 0, 0, 0, 0.16, 1.32, 0.288, 0.216]
    torch.testing.assert_close(aside, torch.tensor(expected), atol=1e-6, rtol=0)


@pytest.mark.parametrize("views", [1, 3, 8, 20])
def test_fit_against_least_squares_of_stacked_rows(views: int):
    """A second route: rows sqrt(weight) · harmonics and sqrt(ridge) · identity, solved sample by sample by LAPACK."""
    colours, weights, to_views, to_query = random_case(views)
    ours = fitted_colours(colours, weights, to_views, to_query)
    rows, of_query = spherical_harmonics(to_views).numpy(), spherical_harmonics(to_query).numpy()
    penalty = np.diag(np.sqrt(RIDGE))
    for ray in range(4):
        for sample in range(5):
            root = weights[:, ray, sample].sqrt().numpy()[:, None]
            left = np.concatenate([root * rows[:, ray, sample], penalty])
            right = np.concatenate([root * colours[:, ray, sample].numpy(), np.zeros((16, 3))])
            coefficients = np.linalg.lstsq(left, right, rcond=None)[0]
            np.testing.assert_allclose(ours[ray, sample], of_query[ray, 0] @ coefficients, atol=1e-9)


@pytest.mark.parametrize("views", [1, 2, 3, 5, 8, 12])
def test_single_precision_is_enough(views: int):
    """Down to weights of 1e-4 in all, the least that `fit_weights` gives: a fifth of a grey level at the most."""
    colours, weights, *directions = random_case(views, rays=60)
    weights = fit_weights(weights * 1e-3)
    exact = fitted_colours(colours, weights, *directions)
    single = fitted_colours(*(part.float() for part in (colours, weights, *directions)))
    torch.testing.assert_close(single.double(), exact, atol=5e-4, rtol=0)


@pytest.mark.parametrize("views", [1, 2, 5, 8])
def test_views_of_one_colour_give_that_colour(views: int):
    """Wherever the query looks from: no ridge holds the constant down."""
    _, weights, to_views, to_query = random_case(views)
    colour = torch.tensor([0.2, 0.7, 0.4], dtype=torch.float64)
    fitted = fitted_colours(colour.expand(views, 4, 5, 3), weights, to_views, to_query)
    torch.testing.assert_close(fitted, colour.expand(4, 5, 3), atol=1e-9, rtol=0)


def test_one_view_gives_its_own_colour():
    """Of one view, the cheapest fit through a colour is not flat but exact at the view: from there it is the colour."""
    colours, weights, to_views, _ = random_case(1, samples=1)
    fitted = fitted_colours(colours, weights, to_views, to_views[0])
    torch.testing.assert_close(fitted, colours[0], atol=1e-9, rtol=0)


def test_a_view_without_weight_does_not_count():
    colours, weights, to_views, to_query = random_case(6)
    weights[2] = 0
    others = [0, 1, 3, 4, 5]
    fitted = fitted_colours(colours, weights, to_views, to_query)
    without = fitted_colours(colours[others], weights[others], to_views[others], to_query)
    torch.testing.assert_close(fitted, without)


def test_a_twin_is_the_same_as_twice_the_weight():
    colours, weights, to_views, to_query = random_case(4)
    twins = [torch.cat([part, part[1:2]]) for part in (colours, weights, to_views)]
    doubled = weights.clone()
    doubled[1] *= 2
    torch.testing.assert_close(fitted_colours(*twins, to_query), fitted_colours(colours, doubled, to_views, to_query))


def test_fit_weights_by_hand():
    """Shares of (sum + 1e-3); three views that hit nowhere get 1e-4 each; just enough stays as it is."""
    hit = torch.tensor([[[0.3, 0, 2e-7]], [[0.1, 0, 0]], [[0, 0, 0]]])
    weights = fit_weights(hit)
    torch.testing.assert_close(weights[:, 0, 0], torch.tensor([0.3, 0.1, 0]) / 0.401)
    torch.testing.assert_close(weights[:, 0, 1], torch.full((3,), 1e-4))
    torch.testing.assert_close(weights[:, 0, 2], torch.tensor([2e-7 / 1.0002e-3, 0, 0]))
    almost = fit_weights(torch.tensor([[[0.9e-7]], [[0.0]]]))
    torch.testing.assert_close(almost[:, 0, 0], torch.tensor([0.9e-7 / 1.00009e-3 + 1e-4, 1e-4]))


def test_alpha_by_hand():
    """Two views: hit / (vis - hit) is 1 and 1/3, so the logits are 0 and -log 3, blended by 0.4 : 0.8."""
    visibility = PointVisibility(torch.tensor([[[0.4]], [[0.8]]]), torch.tensor([[[0.2]], [[0.2]]]))
    alpha = direct_alpha(visibility, torch.ones(2, 1, 1, dtype=torch.bool))
    blended = -math.log(3) * 0.8 / 1.2
    assert alpha.item() == pytest.approx(1 / (1 + math.exp(-blended)), abs=1e-4)


def test_alpha_of_one_view_is_the_hit_probability_given_that_it_is_seen():
    """And compositing it gives the view's own hit probabilities back, but for the rounding terms of 1e-5."""
    hits = torch.tensor([0.1, 0.25, 0.3, 0.2], dtype=torch.float64)
    seen = 1 - torch.cat([torch.zeros(1), hits.cumsum(0)[:-1]])
    visibility = PointVisibility(seen[None, None], hits[None, None])
    alpha = direct_alpha(visibility, torch.ones(1, 1, 4, dtype=torch.bool))
    torch.testing.assert_close(alpha[0], hits / seen, atol=1e-4, rtol=0)
    torch.testing.assert_close(hit_probability_of(alpha)[0], hits, atol=1e-4, rtol=0)


def test_a_view_that_does_not_see_the_sample_does_not_count():
    both = PointVisibility(torch.tensor([[[0.4]], [[0.0]]]), torch.tensor([[[0.2]], [[0.0]]]))
    alone = PointVisibility(both.visibility[:1], both.hit_probability[:1])
    alpha = direct_alpha(both, torch.tensor([[[True]], [[False]]]))
    torch.testing.assert_close(alpha, direct_alpha(alone, torch.ones(1, 1, 1, dtype=torch.bool)))


def samples_of(colours, to_views, to_query, valid) -> ViewSamples:
    difference = torch.cat([to_views - to_query, (to_views * to_query).sum(dim=-1, keepdim=True)], dim=-1)
    maps = colours.new_zeros(*colours.shape[:3], 32)
    return ViewSamples(colours * valid[..., None], maps, maps, difference, valid)


def test_a_ray_past_all_views_is_black():
    colours, weights, to_views, to_query = random_case(3)
    valid = torch.zeros(3, 4, 5, dtype=torch.bool)
    nothing = PointVisibility(torch.zeros_like(weights), torch.zeros_like(weights))
    rgb = direct_colours_of_rays(samples_of(colours, to_views, to_query, valid), nothing, to_query[:, 0], ALONE)
    assert torch.equal(rgb, torch.zeros(4, 3, dtype=torch.float64))
    assert (direct_alpha(nothing, valid) == 0).all()


def test_an_opaque_wall():
    """Every view says that the surface lies in the third sample: the ray has the colour that fits there."""
    colours, weights, to_views, to_query = random_case(4)
    visible, hit = torch.zeros_like(weights), torch.zeros_like(weights)
    visible[:, :, :3], hit[:, :, 2] = 1, 1
    valid = torch.ones(4, 4, 5, dtype=torch.bool)
    samples = samples_of(colours, to_views, to_query, valid)
    rgb = direct_colours_of_rays(samples, PointVisibility(visible, hit), to_query[:, 0], ALONE)
    there = (part[:, :, 2:3] for part in (colours, torch.full_like(weights, 1 / 4.001), to_views))
    torch.testing.assert_close(rgb, fitted_colours(*there, to_query)[:, 0], atol=1e-3, rtol=0)


@pytest.mark.parametrize("views", [1, 3])
def test_gradients_by_finite_differences(views: int):
    colours, weights, to_views, to_query = random_case(views, rays=2, samples=3)
    valid = torch.ones(views, 2, 3, dtype=torch.bool)
    valid[0, 1, 1] = False

    def render(colours, ratio, visible):
        visible = visible * valid
        samples = samples_of(colours, to_views, to_query, valid)
        return direct_colours_of_rays(samples, PointVisibility(visible, visible * ratio), to_query[:, 0], ALONE)

    ratio, visible = 0.2 + 0.6 * weights, 0.3 + 0.6 * weights.flip(1)
    inputs = [part.detach().requires_grad_() for part in (colours, ratio, visible)]
    assert torch.autograd.gradcheck(render, inputs, eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("views", [1, 2, 4])
@pytest.mark.parametrize("hit", [0.0, 1e-8, 1.0])
@pytest.mark.parametrize("seen", [True, False])
def test_gradients_are_finite_at_the_edges(dtype, views: int, hit: float, seen: bool):
    """No view, one view, no weight, certain hits."""
    colours, weights, to_views, to_query = random_case(views, dtype=dtype)
    valid = torch.full((views, 4, 5), seen)
    visible = torch.full_like(weights, float(seen)).requires_grad_()
    hits = torch.full_like(weights, hit * seen).requires_grad_()
    colours.requires_grad_()
    samples = samples_of(colours, to_views, to_query, valid)
    rgb = direct_colours_of_rays(samples, PointVisibility(visible, hits), to_query[:, 0], ALONE)
    assert rgb.isfinite().all()
    rgb.sum().backward()
    assert all(part.grad.isfinite().all() for part in (visible, hits, colours))


def test_a_pass_that_is_not_finite_says_so_in_its_colours():
    """A breakdown of the factorisation reaches the loss instead of raising an error about matrices."""
    colours, weights, to_views, to_query = random_case(2)
    assert fitted_colours(colours, weights * math.nan, to_views, to_query).isnan().any()
