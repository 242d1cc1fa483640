"""Free maps and the rays of the view that they belong to: by hand, by gradients, at the edges."""

import math
from itertools import pairwise

import pytest
import torch

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.losses import consistency_loss
from maskrf_core.model.gathering import ReferenceFeatures, query_rays
from maskrf_core.model.renderer import Renderer, RenderPass
from maskrf_core.model.sampling import RaySamples, coarse_depths
from maskrf_core.model.visibility import SurfaceDistribution, own_hit_probability
from maskrf_core.model.visibility_init import FreeMaps
from maskrf_core.settings.sections import FreeMapSettings, ModelSettings
from maskrf_core.support.errors import DatasetError
from maskrf_core.training.objective import self_hit_probability
from tests.model.tiny import fill_by_formula, scattered, tiny_batch, tiny_views

VIEWS = 5


@pytest.fixture
def renderer() -> Renderer:
    free = FreeMapSettings(views=VIEWS, height=8, width=12, scene="demo/test_00")
    settings = ModelSettings(visibility_init=None, free_maps=free, coarse_samples=12, fine_samples=6)
    made = Renderer(settings)
    fill_by_formula(made)
    return made.eval()


def indexed(batch: SceneBatch, *places: int) -> SceneBatch:
    references = batch.references.replace(depths=None, training_index=torch.tensor(places))
    return SceneBatch(batch.query, references, batch.pixels_xy)


def test_names_and_zero_maps():
    maps = FreeMaps(FreeMapSettings(views=2, height=3, width=4))
    assert {name: tuple(value.shape) for name, value in maps.state_dict().items()} == {
        "maps.0": (1, 32, 3, 4),
        "maps.1": (1, 32, 3, 4),
    }
    assert all(torch.equal(value, torch.zeros_like(value)) for value in maps.parameters())


def test_views_get_their_own_maps_in_their_order(renderer):
    views = tiny_views([0.0, 0.1, 0.2]).replace(training_index=torch.tensor([3, 0, 3]))
    chosen = renderer.free_maps(views)
    maps = renderer.free_maps.maps
    assert torch.equal(chosen, torch.cat([maps[3], maps[0], maps[3]]))


def test_a_published_checkpoint_may_keep_its_init_network_unused(renderer):
    settings = renderer.settings.model_copy(update={"visibility_init": "depth"})
    with_init = Renderer(settings)
    with_init.load_state_dict(with_init.state_dict() | renderer.state_dict())
    batch = indexed(tiny_batch(), 0, 1, 2, 3)
    assert with_init.visibility_init is not None
    assert renderer.visibility_init is None
    assert not with_init.inputs.depths
    ours, theirs = (each.eval()(batch, mask_ratio=0.0).fine.rgb for each in (renderer, with_init))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("places", [None, (0, 1, 2, -1), (0, 1, 2, VIEWS)])
def test_views_without_a_map_are_refused(renderer, places):
    batch = tiny_batch() if places is None else indexed(tiny_batch(), *places)
    with pytest.raises(DatasetError, match=r"demo/test_00: a view is none of the 5 training views .* take the ref"):
        renderer(batch, mask_ratio=0.0)


def test_views_of_another_size_are_refused(renderer):
    batch = indexed(tiny_batch(height=48), 0, 1, 2, 3)
    with pytest.raises(DatasetError, match=r"for images of 48×32 pixels .*these have 48×48"):
        renderer(batch, mask_ratio=0.0)


def test_interval_ends_of_a_ray_by_hand():
    """One logistic of mean 0.5 and sharpness 4; samples at 0.2, 0.4, 0.8: ends at 0.1, 0.3, 0.6 and 0.8 + 0.3 / 2."""

    def cdf(x):
        return 0.5 + 0.5 * math.tanh((x - 0.5) * 4)

    both = torch.full((1, 1, 2), 0.5, dtype=torch.float64)
    surface = SurfaceDistribution(both, both * 8, both[..., :1])
    position = torch.tensor([[0.2, 0.4, 0.8]], dtype=torch.float64)
    widths = torch.tensor([[0.2, 0.4, 0.3]], dtype=torch.float64)
    ends = [0.1, 0.3, 0.6, 0.95]
    expected = [cdf(end) - cdf(begin) for begin, end in pairwise(ends)]
    assert own_hit_probability(surface, position, widths)[0].tolist() == pytest.approx(expected)
    endless = own_hit_probability(surface, position, torch.tensor([[0.2, 0.4, 1e6]], dtype=torch.float64))
    assert endless.sum().item() == pytest.approx(1 - cdf(0.1))  # all that is not before the first interval


def test_self_hit_probability_against_a_loop():
    """Each ray by itself, its feature read from the map by hand; a pixel outside the image takes the border's."""
    torch.manual_seed(0)
    render_pass = RenderPass().double()
    views = tiny_views([0.0], height=8, width=12)
    ray_features = torch.randn(1, 32, 2, 3, dtype=torch.float64)
    features = ReferenceFeatures.of(views, torch.zeros(1, 32, 2, 3), ray_features)
    depths = coarse_depths(torch.tensor([2.0, 6.0], dtype=torch.float64), 3, 5)
    # The map's pixel centres lie at (W - 1) (2 i + 1) / (2 · 3) of the image; far outside is the last one.
    pixels = torch.tensor([[11 * 0.5, 7 * 0.25], [11 * 5 / 6, 7 * 0.75], [90.0, -50.0]], dtype=torch.float64)
    own = self_hit_probability(render_pass, features, pixels, depths, torch.tensor([2.0, 6.0], dtype=torch.float64))
    for ray, (row, column) in enumerate([(0, 1), (1, 2), (0, 2)]):
        surface = render_pass.distribution_decoder(ray_features[0, :, row, column])
        ends = [-1 / 8, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1 + 5e5]
        cdf = [
            sum(
                (weight * (0.5 + 0.5 * math.tanh((end - mean) * sharpness)))
                for weight, mean, sharpness in zip(
                    [surface.mixing_weight.item(), 1 - surface.mixing_weight.item()],
                    surface.means.tolist(),
                    surface.sharpness.tolist(),
                    strict=True,
                )
            )
            for end in ends
        ]
        expected = [after - before for before, after in pairwise(cdf)]
        assert own[ray].tolist() == pytest.approx(expected, abs=1e-12)


def test_only_the_maps_of_views_in_the_batch_get_gradients(renderer):
    renderer.train()(indexed(tiny_batch(), 0, 1, 2, 4), mask_ratio=0.0).fine.rgb.sum().backward()
    moved = [each.grad is not None and bool(each.grad.abs().max() > 0) for each in renderer.free_maps.maps]
    assert moved == [True, True, True, False, True]
    assert renderer.free_maps.maps[3].grad is None


def difference_quotient(function, parameter: torch.Tensor, direction: torch.Tensor, step: float = 1e-7) -> float:
    """The directional derivative by central differences, so close that no ReLU changes sides."""
    with torch.no_grad():
        parameter += step * direction
        ahead = function().item()
        parameter -= 2 * step * direction
        behind = function().item()
        parameter += step * direction
    return (ahead - behind) / (2 * step)


def in_double(batch: SceneBatch) -> SceneBatch:
    query, references = (
        views.replace(
            **{name: getattr(views, name).double() for name in ("images", "K", "w2c", "depth_range")}, depths=None
        )
        for views in (batch.query, batch.references)
    )
    return SceneBatch(query, references, batch.pixels_xy.double())


def test_gradient_of_a_free_map_equals_finite_differences(renderer):
    renderer = renderer.double()
    batch = in_double(indexed(tiny_batch(rays=4), 0, 1, 2, 3))

    def rendered():
        features, depth_range = renderer.encode(batch.references), batch.query.depth_range[0]
        samples = RaySamples.at(coarse_depths(depth_range, 4, 12), depth_range)
        _, visibility = renderer.coarse.look(features, query_rays(batch), samples)
        return features.ray_features.square().mean() + visibility.hit_probability.square().sum()

    free = renderer.free_maps.maps[2]
    rendered().backward()
    direction = scattered(free.numel(), 3).view_as(free).double()
    assert free.grad.isfinite().all()
    expected = difference_quotient(rendered, free, direction)
    assert abs(expected) > 1e-6
    assert (free.grad * direction).sum().item() == pytest.approx(expected, rel=1e-5)


def test_gradient_through_the_consistency_loss_equals_finite_differences(renderer):
    renderer = renderer.double()
    batch = in_double(tiny_batch(rays=4))
    query = batch.query.replace(training_index=torch.tensor([1]))
    depths = coarse_depths(query.depth_range[0], 4, 12)
    rendered = torch.rand(4, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def loss():
        own = self_hit_probability(
            renderer.coarse, renderer.encode(query), batch.pixels_xy, depths, query.depth_range[0]
        )
        return consistency_loss(rendered, own)

    loss().backward()
    free = renderer.free_maps.maps[1]
    direction = scattered(free.numel(), 5).view_as(free).double()
    expected = difference_quotient(loss, free, direction)
    assert abs(expected) > 1e-6
    assert (free.grad * direction).sum().item() == pytest.approx(expected, rel=1e-5)
    assert rendered.grad is None  # what was rendered is taken as it is
    decoder = renderer.coarse.distribution_decoder.mean[0].weight
    assert decoder.grad.isfinite().all()
    assert decoder.grad.abs().max() > 0


def test_one_view_and_rays_that_leave_every_image_stay_finite(renderer):
    """No sample is seen by more than one view, and most by none."""
    alone = tiny_views([0.0]).replace(training_index=torch.tensor([0]), depths=None)
    pixels = torch.tensor([[-400.0, 10], [24, 16], [3000, 3000]])
    batch = SceneBatch(tiny_views([0.03]), alone, pixels)
    rendering = renderer.train()(batch, mask_ratio=0.0)
    rendering.fine.rgb.sum().backward()
    assert rendering.fine.rgb.isfinite().all()
    assert not rendering.fine.ray_mask.any()
    assert all(each.grad is None or each.grad.isfinite().all() for each in renderer.parameters())
