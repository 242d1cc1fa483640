"""From MVSNet's probabilities to raw visibility features: sizes, gradients, and the sizes matched smaller."""

import pytest
import torch

from maskrf_core.datasets.batches.batch import ModelInputs, SceneBatch, SourceViews, Views
from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.model.mvsnet import plane_depths
from maskrf_core.model.renderer import Renderer
from maskrf_core.model.visibility_init import CostVolumeVisibilityInit, expected_depth
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.errors import DatasetError
from tests.datasets.memory_scene import MemoryScene
from tests.model.source_cases import tiny_sources, without_neighbours
from tests.model.tiny import fill_by_formula, tiny_batch, tiny_views

NEEDED = ModelInputs(depths=False, sources=True)


@pytest.fixture
def network() -> CostVolumeVisibilityInit:
    network = CostVolumeVisibilityInit()
    fill_by_formula(network)
    return network


@pytest.fixture
def renderer() -> Renderer:
    renderer = Renderer(ModelSettings(visibility_init="cost_volume", coarse_samples=12, fine_samples=6))
    fill_by_formula(renderer)
    return renderer.eval()


def test_what_the_renderer_needs(renderer):
    assert renderer.inputs == NEEDED


def test_no_depth_maps_are_looked_at(network):
    references, sources = tiny_sources()
    features = network(references, sources)
    assert features.shape == (3, 32, 8, 16)
    depths = torch.full((3, 1, 32, 64), float("nan"))
    assert torch.equal(network(references.replace(depths=depths), sources), features)


def test_without_source_views_it_says_what_is_missing(renderer):
    with pytest.raises(DatasetError, match="no source views"):
        renderer.encode(tiny_batch().references)


@pytest.mark.parametrize("views", [1, 2])
@torch.no_grad()
def test_few_shot_renders(renderer, views):
    """One view in all has no neighbour; of two, each is the other's."""
    references = tiny_views([0.1, -0.1][:views], 32, 64).replace(depths=None)
    sources = without_neighbours(references)
    if views == 2:
        sources = SourceViews(references.none(), torch.tensor([[1], [0]]))
    batch = SceneBatch(tiny_views([0.0], 32, 64), references, tiny_batch(width=64).pixels_xy, sources)
    rendering = renderer(batch, mask_ratio=0.0)
    assert rendering.fine.rgb.isfinite().all()
    assert rendering.fine.depth.isfinite().all()


def test_gradients_reach_the_branches_and_not_mvsnet(network):
    network.train()
    network(*tiny_sources()).square().mean().backward()
    for name, parameter in network.named_parameters():
        if name.startswith("mvsnet."):
            assert parameter.grad is None
        else:
            assert parameter.grad.isfinite().all()
    for branch in (network.encoder, network.volume_branch, network.depth_branch, network.head):
        assert all(parameter.grad.abs().max() > 0 for parameter in branch.parameters() if parameter.ndim == 4)


def test_gradients_are_those_of_finite_differences(network):
    network.double()
    references, sources = tiny_sources()
    references, others = (
        Views(*(part.double() for part in (views.images, views.K, views.w2c, views.depth_range)))
        for views in (references, sources.views)
    )
    sources = SourceViews(others, sources.neighbours)

    def loss() -> torch.Tensor:
        return network(references, sources).square().mean()

    loss().backward()
    for branch in (network.volume_branch, network.depth_branch, network.head):
        weight = branch[0].weight
        direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        slopes, step = [], 1e-7  # a larger one crosses kinks of the ReLUs
        with torch.no_grad():
            weight += step * direction
            slopes.append(loss())
            weight -= 2 * step * direction
            slopes.append(loss())
            weight += step * direction
        difference = (slopes[0] - slopes[1]) / (2 * step)
        torch.testing.assert_close((weight.grad * direction).sum(), difference, rtol=1e-5, atol=1e-9)


def test_expected_depth_by_hand():
    ranges = torch.tensor([[2.0, 6.0], [1.0, 3.0]])
    probabilities = torch.zeros(2, 64, 1, 2)
    probabilities[0, 5] = 1
    probabilities[1, 0], probabilities[1, 63] = 0.25, 0.75
    depth = expected_depth(probabilities, ranges)
    torch.testing.assert_close(depth[0, 0, 0], plane_depths(ranges[0])[5].expand(2))
    torch.testing.assert_close(depth[1, 0, 0], torch.tensor([2.5, 2.5]))


class Recording(torch.nn.Module):
    """In MVSNet's place: remembers what it is shown, and is sure of one plane, another in each column."""

    def forward(self, references: Views, sources: SourceViews) -> torch.Tensor:
        self.references, self.sources = references, sources
        height, width = (side // 4 for side in references.image_size)
        plane = torch.arange(width) * 64 // width
        return torch.nn.functional.one_hot(plane, 64).T[None, :, None].float().expand(len(references), 64, height, -1)


@pytest.mark.parametrize(
    ("size", "matched", "scale"),
    [
        ((768, 1024), (576, 768), (0.75, 0.75)),
        ((756, 1008), (576, 768), (0.75, 0.75)),  # LLFF's, padded
        ((800, 800), (640, 640), (0.8, 0.8)),
        ((608, 800), (608, 800), (1, 1)),
        ((1024, 768), (1024, 768), (1, 1)),
    ],
)
@torch.no_grad()
def test_large_images_are_matched_smaller_at_evaluation_only(network, size, matched, scale):
    scene = SceneViews(MemoryScene(4, *size))
    batch = evaluation_batch(scene, "view_0", scene.scene.image_ids[1:], 1, NEEDED)
    network.mvsnet = recording = Recording()
    padded = batch.references.image_size
    for training in (True, False):
        network.train(training)
        probabilities = network.plane_probabilities(batch.references, batch.sources)
        assert probabilities.shape == (1, 64, padded[0] // 4, padded[1] // 4)
        torch.testing.assert_close(probabilities.sum(dim=1), torch.ones_like(probabilities[:, 0]))
        seen = recording.references
        assert seen.image_size == recording.sources.views.image_size == (padded if training else matched)
        expected = batch.references.K.clone()
        if not training:
            expected[:, :2] *= torch.tensor(scale)[:, None]
        torch.testing.assert_close(seen.K, expected)
        # Planes rise from left to right as they do in the answer for the images' own size.
        mean = (probabilities[0, :, 0] * torch.arange(64.0)[:, None]).sum(dim=0)
        ideal = torch.arange(padded[1] // 4) * 64 / (padded[1] // 4) - 0.5
        assert (mean - ideal).abs().max() < 1


@torch.no_grad()
def test_smaller_images_show_the_same_scene(network):
    """An image that is a ramp along x stays that ramp in its own coordinates, up to half a pixel."""
    ramp = torch.arange(800.0) / 800
    images = ramp.expand(1, 3, 800, 800)
    views = tiny_views([0.0], 800, 800).replace(images=images)
    resized = network._prepared(views, (640, 640))
    raw = resized.images * network.imagenet_std + network.imagenet_mean
    at = torch.arange(640.0) / 0.8
    assert (raw[0, 0, 0] - at / 800).abs()[1:-1].max() < 0.5 / 800


def test_mvsnet_sees_normalised_images_and_the_image_branch_raw_ones(network):
    references, sources = tiny_sources()
    network.mvsnet = recording = Recording()
    seen = []
    network.encoder.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    network(references, sources)
    assert torch.equal(seen[0], references.images)
    expected = (references.images[:, 1] - 0.456) / 0.224
    torch.testing.assert_close(recording.references.images[:, 1], expected)
    torch.testing.assert_close(recording.sources.views.images[:, 2], (sources.views.images[:, 2] - 0.406) / 0.225)
