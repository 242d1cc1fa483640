import pytest
import torch

from maskrf_core.model.aggregators.neuray import PointPrediction
from maskrf_core.model.renderer import volume_render
from maskrf_core.model.rendering import Rendering, concatenate


def ray(density: list[float]) -> tuple[PointPrediction, torch.Tensor]:
    """One ray of samples at depths 1, 2, … whose red is their index."""
    samples = len(density)
    colours = torch.zeros(1, samples, 3)
    colours[0, :, 0] = torch.arange(samples)
    prediction = PointPrediction(torch.zeros(1, samples, 16), torch.tensor([density]), colours)
    return prediction, torch.arange(1.0, samples + 1)[None]


def test_five_samples_by_hand():
    """Alphas 0, 1/2, 1/2, 1, 1/2: hits 0, 1/2, 1/4, 1/4, 0."""
    half = torch.log(torch.tensor(2.0)).item()
    rendered = volume_render(*ray([0, half, half, 1000, half]), torch.tensor([True]))
    torch.testing.assert_close(rendered.hit_probability, torch.tensor([[0, 0.5, 0.25, 0.25, 0]]))
    torch.testing.assert_close(rendered.rgb, torch.tensor([[0.5 * 1 + 0.25 * 2 + 0.25 * 3, 0, 0]]))
    torch.testing.assert_close(rendered.depth, torch.tensor([0.5 * 2 + 0.25 * 3 + 0.25 * 4]))


def test_volume_rendering_against_a_loop():
    density = torch.rand(12, generator=torch.Generator().manual_seed(0)).tolist()
    rendered = volume_render(*ray(density), torch.tensor([True]))
    passes, depth = 1.0, 0.0
    for index, value in enumerate(density):
        alpha = 1 - torch.exp(torch.tensor(-value)).item()
        assert rendered.hit_probability[0, index].item() == pytest.approx(alpha * passes, rel=1e-4)
        depth += alpha * passes * (index + 1)
        passes *= 1 - alpha
    assert rendered.depth.item() == pytest.approx(depth, rel=1e-4)
    assert 1 - rendered.hit_probability.sum().item() == pytest.approx(passes, rel=1e-3)


def test_empty_and_opaque_rays():
    assert volume_render(*ray([0.0] * 4), torch.tensor([True])).depth.item() == 0
    opaque = volume_render(*ray([1e9] * 4), torch.tensor([True]))
    torch.testing.assert_close(opaque.hit_probability, torch.tensor([[1.0, 0, 0, 0]]), atol=1e-9, rtol=0)


def test_gradient_of_volume_rendering_by_finite_differences():
    density = torch.rand(2, 5, dtype=torch.float64, requires_grad=True)
    colours = torch.rand(2, 5, 3, dtype=torch.float64, requires_grad=True)
    depths = torch.arange(1.0, 6).double().expand(2, 5)

    def render(density, colours):
        prediction = PointPrediction(torch.zeros(2, 5, 16, dtype=torch.float64), density, colours)
        rendered = volume_render(prediction, depths, torch.ones(2, dtype=torch.bool))
        return rendered.rgb, rendered.depth, rendered.hit_probability

    assert torch.autograd.gradcheck(render, (density, colours))


def test_concatenation_keeps_the_order_of_rays():
    one, other = (
        volume_render(*ray(density), torch.tensor([True]), torch.tensor([density[:1] * 3]))
        for density in ([0.1, 0.2], [3.0, 0])
    )
    joined = concatenate([Rendering(one, other), Rendering(other, one)])
    for name, value in vars(joined.coarse).items():
        assert torch.equal(value, torch.cat([getattr(one, name), getattr(other, name)]))
    assert torch.equal(joined.fine.rgb, torch.cat([other.rgb, one.rgb]))


def test_concatenation_of_what_is_not_there():
    one = volume_render(*ray([0.1, 0.2]), torch.tensor([True]))
    joined = concatenate([Rendering(one, one), Rendering(one, one)])
    assert joined.coarse.direct_rgb is None
    assert len(joined.fine.rgb) == 2
