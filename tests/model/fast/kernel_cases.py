"""Small cases for passes that are computed otherwise, and what holds them to the plain one."""

import torch
from torch import nn

from maskrf_core.model.fast.adaptive_rendering import ThinnedSamples
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures
from maskrf_core.model.renderer import RenderPass, volume_render
from maskrf_core.model.rendering import Mask
from maskrf_core.model.sampling import RaySamples, coarse_depths
from tests.model.tiny import FAR, NEAR, fill_by_formula, scattered, tiny_batch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CLOSE = {"atol": 3e-5, "rtol": 3e-5}
SHARP = 1.0  # factor of weights made by formula, which then spread activations widely


def render_pass() -> RenderPass:
    """A pass whose weights follow from their position."""
    made = RenderPass()
    fill_by_formula(made)
    with torch.no_grad():
        made.aggregation.density[2].bias += 0.5  # so that most samples are opaque enough to matter
    return made.to(DEVICE)


def features_of(views: int, height: int = 32, width: int = 48) -> ReferenceFeatures:
    """Maps by formula. Of three views and more, one looks away, and one from aside sees a part only."""
    references = tiny_batch(views, 3, height, width).references
    w2c = references.w2c.clone()
    if views > 2:
        w2c[1] = w2c[1] * torch.tensor([[-1.0], [1.0], [-1.0]])  # behind what it looks away from
        w2c[2, 0, 3] += 1.5
    references = references.replace(w2c=w2c).to(DEVICE)
    maps = scattered(views * 64 * (height // 4) * (width // 4), 5).view(views, 64, height // 4, width // 4).to(DEVICE)
    return ReferenceFeatures.of(references, maps[:, :32], maps[:, 32:])


def rays_of(rays: int, height: int = 32, width: int = 48) -> QueryRays:
    """Rays of a camera at 4 from the middle, some of which leave the reference views."""
    across, down = scattered(rays, 1), scattered(rays, 2)
    directions = torch.stack([0.8 * across, 0.6 * down, torch.ones(rays)], dim=1)
    return QueryRays(
        *(part.to(DEVICE) for part in (torch.tensor([0.1, 0.0, -4.0]), directions, torch.tensor([NEAR, FAR])))
    )


def samples_of(rays: int, samples: int) -> RaySamples:
    """Samples that differ from ray to ray."""
    depths = coarse_depths(torch.tensor([NEAR, FAR]), rays, samples) + 0.02 * scattered(rays * samples, 3).view(
        rays, -1
    )
    return RaySamples.at(depths.sort(dim=1).values.to(DEVICE), torch.tensor([NEAR, FAR], device=DEVICE))


def thinned_samples_of(rays: int, samples: int) -> ThinnedSamples:
    """Samples of which each stands for up to three of a longer list."""
    every = samples_of(rays, samples)
    weight = (scattered(rays * samples, 4).view(rays, samples) * 1.5 + 2.5).floor().to(DEVICE)
    index = (weight.cumsum(dim=1) - 1).long()
    return ThinnedSamples(every.depths, every.half_before, every.half_behind, index, weight)


def mask_of(views: int, rays: int, samples: int) -> torch.Tensor:
    """A third of all is masked."""
    return (scattered(views * rays * samples, 6).view(views, rays, samples) > 0.3).to(DEVICE)


def compared(plain: RenderPass, made: nn.Module, features, rays, samples, mask: Mask | None = None, **close) -> None:
    """Hold every part of what a pass predicts, which is made of the plain one, to what that one predicts."""
    with torch.no_grad():
        expected = plain(features, rays, samples, mask=mask)
        found = made(features, rays, samples, mask=mask)
        whole = volume_render(expected.points, samples.depths, expected.seen_by.sum(1) > 8)
    assert torch.equal(found.seen_by, expected.seen_by)
    for name in expected.points._fields:
        torch.testing.assert_close(getattr(found.points, name), getattr(expected.points, name), **(close or CLOSE))
    for name in found.composited._fields:
        torch.testing.assert_close(getattr(found.composited, name), getattr(whole, name), **(close or CLOSE))


def gradients(plain: RenderPass, computed, features, rays, samples, mask: Mask | None) -> dict[str, torch.Tensor]:
    """Gradients of a loss in which everything that a pass predicts has a part of its own."""
    plain.zero_grad()
    maps = features.maps.detach().clone(memory_format=torch.channels_last).requires_grad_()
    seen_by, points, _, composited = computed(features._replace(maps=maps), rays, samples, mask=mask)
    whole = composited or volume_render(points, samples.depths, seen_by.sum(1) > 8)
    parts = [*points, whole.rgb, whole.depth, whole.hit_probability]
    loss = sum(
        (part * scattered(part.numel(), order).view_as(part).to(DEVICE)).sum() for order, part in enumerate(parts)
    )
    loss.backward()
    found = {name: of.grad.clone() for name, of in plain.named_parameters() if of.grad is not None}
    return found | {"maps": maps.grad}


def compared_gradients(plain: RenderPass, made: nn.Module, *case) -> None:
    """Hold gradients of the weights and maps to those of the plain pass. What that one has none of must be 0."""
    expected, found = (gradients(plain, one, *case) for one in (plain, made))
    assert all(found[name].abs().max() == 0 for name in found.keys() - expected.keys())
    largest = max(gradient.norm() for gradient in expected.values())
    for name, gradient in expected.items():
        assert (gradient - found[name]).norm() <= 2e-4 * gradient.norm() + 1e-6 * largest, name
