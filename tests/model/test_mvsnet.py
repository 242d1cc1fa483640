"""The frozen network: probabilities, what it never does, and the depth it finds with its published weights."""

import pytest
import torch

from maskrf_core.checkpoints.published_checkpoints import load_mvsnet
from maskrf_core.datasets.batches.batch import SourceViews, Views
from maskrf_core.model.mvsnet import MVSNet, plane_depths
from maskrf_core.model.sampling import depth_from_normalised, normalised_inverse_depth
from maskrf_core.model.visibility_init import IMAGENET_MEAN, IMAGENET_STD, expected_depth
from maskrf_core.settings.sections import DataSettings
from tests.model.source_cases import tiny_sources, without_neighbours


@pytest.fixture(scope="module")
def mvsnet() -> MVSNet:
    torch.manual_seed(0)
    return MVSNet()


@pytest.mark.parametrize(("height", "width"), [(32, 64), (36, 52)])
def test_probabilities_sum_to_one_whatever_the_size(mvsnet, height, width):
    """36×52 is a quarter of 9×13, which no stage halves evenly."""
    probabilities = mvsnet(*tiny_sources(height=height, width=width))
    assert probabilities.shape == (3, 64, height // 4, width // 4)
    assert (probabilities >= 0).all()
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(3, height // 4, width // 4))


def test_features_have_a_quarter_of_the_size(mvsnet):
    assert mvsnet.features(torch.rand(2, 3, 32, 48)).shape == (2, 32, 8, 12)


def test_planes_are_uniform_in_inverse_depth():
    depths = plane_depths(torch.tensor([2.0, 6.0]))
    torch.testing.assert_close(depths[[0, -1]], torch.tensor([2.0, 6.0]))
    torch.testing.assert_close((1 / depths).diff(), torch.full((63,), (1 / 6 - 1 / 2) / 63), atol=1e-6, rtol=0)


def test_a_cost_that_is_no_number_says_nothing(mvsnet, monkeypatch: pytest.MonkeyPatch):
    references, sources = tiny_sources()
    cost = torch.zeros(1, 1, 64, *(side // 4 for side in references.image_size))
    cost[:, :, 1], cost[:, :, 2] = torch.nan, 1
    monkeypatch.setattr(mvsnet.regularisation, "forward", lambda _: cost)
    assert torch.equal(mvsnet(references, sources)[0], cost.nan_to_num()[0, 0].softmax(dim=0))


def test_nothing_of_it_is_trained(mvsnet):
    references, sources = tiny_sources()
    before = {name: value.clone() for name, value in mvsnet.state_dict().items()}
    mvsnet.train()
    assert not any(module.training for module in mvsnet.modules())
    images = references.images.clone().requires_grad_()
    probabilities = mvsnet(references.replace(images=images), sources)
    assert not probabilities.requires_grad
    assert all(torch.equal(before[name], value) for name, value in mvsnet.state_dict().items())
    assert not any(parameter.requires_grad for parameter in mvsnet.parameters())


def test_every_reference_is_answered_for_itself(mvsnet):
    """No view's volume depends on which other references there are."""
    references, sources = tiny_sources()
    every = mvsnet(references, sources)
    only = Views(*(part[1:2] for part in (references.images, references.K, references.w2c, references.depth_range)))
    rest = [0, 2]  # then the two sources: 0, 2, 3, 4 become 1, 2, 3, 4
    others = Views(
        *(
            torch.cat([getattr(references, part)[rest], getattr(sources.views, part)])
            for part in ("images", "K", "w2c", "depth_range")
        )
    )
    assert sources.neighbours[1].tolist() == [2, 3, 4]
    alone = mvsnet(only, SourceViews(others, torch.tensor([[2, 3, 4]])))
    torch.testing.assert_close(alone[0], every[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("neighbours", [0, 1, 2])
def test_few_neighbours(mvsnet, neighbours):
    references, sources = tiny_sources()
    if neighbours == 0:
        sources = without_neighbours(references)
    probabilities = mvsnet(references, SourceViews(sources.views, sources.neighbours[:, :neighbours]))
    assert probabilities.isfinite().all()
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(3, 8, 16))


def plane_views(depth: float, shifts: list[tuple[float, float]], height: int = 128, width: int = 160) -> Views:
    """A textured plane at z = `depth`, seen by cameras that all look along z from (x, y, 0)."""
    K = torch.tensor([[150.0, 0, width / 2], [0, 150, height / 2], [0, 0, 1]])
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = 12 * torch.randn(3, 12, 2, generator=torch.Generator().manual_seed(3))
    images = []
    for shift_x, shift_y in shifts:
        points = torch.stack([(x - width / 2) / 150 * depth + shift_x, (y - height / 2) / 150 * depth + shift_y], -1)
        phases = torch.einsum("hwi,cki->chwk", points, waves) + torch.arange(12.0)
        images.append((0.5 + 0.08 * torch.sin(phases).sum(dim=-1)).clamp(0, 1))
    w2c = torch.eye(3, 4).repeat(len(shifts), 1, 1)
    w2c[:, :2, 3] = -torch.tensor(shifts)
    mean, std = (torch.tensor(part)[:, None, None] for part in (IMAGENET_MEAN, IMAGENET_STD))
    normalised = (torch.stack(images) - mean) / std
    return Views(normalised, K.expand(len(shifts), 3, 3), w2c, torch.tensor([2.0, 6.0]).expand(len(shifts), 2))


@pytest.mark.parametrize("position", [0.3, 0.5, 0.72])
def test_published_weights_find_the_depth_of_a_plane(shared, mvsnet, position):
    """Within a plane's spacing, in the median over the pixels that all views see."""
    published = MVSNet()
    load_mvsnet(published, DataSettings(mvsnet_weights=str(shared / "weights" / "mvsnet_pl.ckpt")))
    near, far = torch.tensor(2.0), torch.tensor(6.0)
    depth = float(depth_from_normalised(torch.tensor(position), near, far))
    views = plane_views(depth, [(0.0, 0.0), (0.5, 0.0), (-0.5, 0.1), (0.0, 0.5)])
    reference = Views(views.images[:1], views.K[:1], views.w2c[:1], views.depth_range[:1])
    others = Views(views.images[1:], views.K[1:], views.w2c[1:], views.depth_range[1:])
    sources = SourceViews(others, torch.tensor([[1, 2, 3]]))
    errors = {}
    for name, network in (("published", published), ("random", mvsnet)):
        found = expected_depth(network(reference, sources), reference.depth_range)[0, 0, 8:-8, 10:-10]
        errors[name] = (normalised_inverse_depth(found, near, far) - position).abs().median()
    assert errors["published"] < 1 / 63 < errors["random"]
