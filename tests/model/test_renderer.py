import pytest
import torch

from maskrf_core.datasets.batches.batch import SceneBatch, Views
from maskrf_core.losses import feature_alignment_loss
from maskrf_core.model import layers
from maskrf_core.model.gathering import gather_samples, query_colours, query_rays
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.errors import DatasetError
from tests.model.tiny import tiny_batch, tiny_renderer, tiny_views


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return tiny_renderer()


def test_gathered_directions_and_positions(renderer: Renderer):
    """Seen from the query's own camera, directions do not differ and positions are those of the query ray."""
    batch = tiny_batch()
    features = renderer.encode(batch.query)
    depths = torch.tensor([[2.0, 3, 6]]).expand(10, 3)
    samples, position = gather_samples(features, query_rays(batch), depths)
    torch.testing.assert_close(position[0], torch.tensor([0, 0.5, 1]).expand(10, 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(samples.direction_difference[0, ..., :3], torch.zeros(10, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(samples.direction_difference[0, ..., 3], torch.ones(10, 3), atol=1e-5, rtol=0)
    truth = query_colours(batch.query, batch.pixels_xy)
    torch.testing.assert_close(samples.colours[0], truth[:, None].expand(10, 3, 3), atol=1e-4, rtol=0)


@torch.no_grad()
def test_direction_difference_of_one_sample(renderer: Renderer):
    """Towards the view minus towards the query, both of length one, and the cosine between them."""
    batch = tiny_batch()
    rays = query_rays(batch)
    samples, _ = gather_samples(renderer.encode(batch.references), rays, torch.full((10, 1), 3.0))
    for view, ray in [(0, 0), (2, 7), (3, 9)]:
        point = rays.origin + 3 * rays.directions[ray]
        w2c = batch.references.w2c[view]
        to_view = -w2c[:, :3].T @ w2c[:, 3] - point
        to_view, to_query = to_view / to_view.norm(), (rays.origin - point) / (rays.origin - point).norm()
        expected = torch.cat([to_view - to_query, (to_view @ to_query)[None]])
        torch.testing.assert_close(samples.direction_difference[view, ray, 0], expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_shapes_and_ranges(renderer: Renderer):
    rendering = renderer(tiny_batch(), mask_ratio=0.0)
    assert rendering.masked is None
    for rendered, samples in ((rendering.coarse, 12), (rendering.fine, 18)):
        assert rendered.rgb.shape == (10, 3)
        assert rendered.hit_probability.shape == rendered.sample_depths.shape == (10, samples)
        assert (rendered.sample_depths.diff(dim=1) >= 0).all()
        assert (rendered.hit_probability >= 0).all()
        assert (rendered.hit_probability.sum(dim=1) <= 1 + 1e-5).all()
        assert ((rendered.rgb >= 0) & (rendered.rgb <= 1)).all()


@torch.no_grad()
def test_order_of_reference_views_does_not_matter(renderer: Renderer):
    batch = tiny_batch()
    references = batch.references
    order = torch.tensor([3, 1, 0, 2])
    turned = Views(
        references.images[order],
        references.K[order],
        references.w2c[order],
        references.depth_range[order],
        depths=references.depths[order],
    )
    # Encoded one by one: rounding in a convolution may depend on the place in its batch.
    features = renderer.encode(references)
    turned_features = type(features).of(turned, features.image_features[order], features.ray_features[order])
    settings = {"mask_ratio": 0.0, "generator": None}
    one = renderer.render_rays(features, query_rays(batch), **settings)
    other = renderer.render_rays(turned_features, query_rays(batch), **settings)
    torch.testing.assert_close(other.fine.rgb, one.fine.rgb, atol=1e-5, rtol=0)
    torch.testing.assert_close(other.fine.depth, one.fine.depth, atol=6e-5, rtol=0)
    encoded = renderer.encode(turned)
    torch.testing.assert_close(encoded.ray_features, turned_features.ray_features, atol=1e-3, rtol=0)


@pytest.mark.parametrize("rays_per_chunk", [1, 3, 10, 99])
def test_chunks_change_nothing(renderer: Renderer, rays_per_chunk: int):
    batch = tiny_batch()
    with torch.no_grad():
        whole = renderer(batch, mask_ratio=0.0)
    parts = renderer.render(batch, rays_per_chunk)
    for ours, theirs in ((parts.coarse, whole.coarse), (parts.fine, whole.fine)):
        for name, value in vars(ours).items():
            torch.testing.assert_close(value, getattr(theirs, name), atol=1e-5, rtol=1e-5)
    assert not parts.fine.rgb.requires_grad
    chunks = renderer.render_chunks(renderer.encode(batch.references), query_rays(batch), rays_per_chunk)
    assert [torch.is_inference_mode_enabled() for _ in chunks] == [False] * -(-10 // rays_per_chunk)


@torch.no_grad()
@pytest.mark.parametrize(("views", "samples", "seen"), [(2, 12, False), (3, 8, False), (3, 9, True), (4, 12, True)])
def test_ray_mask_wants_nine_samples_in_three_views(views: int, samples: int, seen: bool):
    """Query and references coincide, so every sample is in every view."""
    batch = SceneBatch(tiny_views([0.0]), tiny_views([0.0] * views), torch.tensor([[24.0, 16]]))
    rendering = tiny_renderer(coarse_samples=samples, fine_samples=1)(batch, mask_ratio=0.0)
    assert rendering.coarse.ray_mask.tolist() == rendering.fine.ray_mask.tolist() == [seen]


def test_masking_needs_a_generator(renderer: Renderer):
    with pytest.raises(ValueError, match="pass a generator"):
        renderer(tiny_batch(), mask_ratio=0.5)


@torch.no_grad()
def test_generator_decides_depths_and_mask(renderer: Renderer):
    def render(seed: int):
        return renderer(tiny_batch(), mask_ratio=0.5, generator=torch.Generator().manual_seed(seed))

    first, again, other = render(0), render(0), render(1)
    assert torch.equal(first.masked.mask, again.masked.mask)
    assert torch.equal(first.fine.rgb, again.fine.rgb)
    assert not torch.equal(first.masked.mask, other.masked.mask)
    assert not torch.equal(first.fine.sample_depths, other.fine.sample_depths)
    assert torch.equal(first.coarse.rgb, other.coarse.rgb)  # the coarse pass is never masked nor random
    assert torch.equal(first.masked.target, other.masked.target)
    assert (first.masked.mask.any(dim=0).sum(dim=1) == 9).all()


def test_gradients_stop_where_they_should():
    """The target is not trained, and the fine loss does not reach the coarse pass through the new depths."""
    renderer, batch = tiny_renderer().train(), tiny_batch()
    rendering = renderer(batch, mask_ratio=0.5, generator=torch.Generator().manual_seed(0))
    feature_alignment_loss(rendering.masked).backward(retain_graph=True)
    assert all(parameter.grad is None for parameter in renderer.masked_modelling.target_projector.parameters())
    assert all(parameter.grad is None for parameter in renderer.coarse.parameters())
    assert renderer.fine.aggregation.mask_token.grad.abs().max() > 0
    rendering.fine.rgb.sum().backward()  # through the fine pass and the encoders
    assert all(parameter.grad is None for parameter in renderer.coarse.parameters())


def test_prediction_is_read_at_the_coarse_samples():
    """Without a mask token's influence the prediction is that of the fine features at the coarse depths."""
    renderer, batch = tiny_renderer(), tiny_batch()
    kept = {}

    def remember(module, arguments, prediction):
        kept["fine"] = prediction.scene_features

    renderer.fine.aggregation.register_forward_hook(remember)
    with torch.no_grad():
        rendering = renderer(batch, mask_ratio=0.5, generator=torch.Generator().manual_seed(0))
        everywhere = renderer.masked_modelling.predict(kept["fine"])
    for index in range(10):
        for sample, depth in enumerate(rendering.coarse.sample_depths[index]):
            at = (rendering.fine.sample_depths[index] == depth).nonzero()[0, 0]
            assert torch.equal(rendering.masked.prediction[index, sample], everywhere[index, at])


@pytest.mark.parametrize(("height", "width"), [(28, 48), (32, 50), (34, 48), (16, 16)])
def test_unfit_image_sizes_are_refused(renderer: Renderer, height: int, width: int):
    with pytest.raises(DatasetError, match=f"{width}×{height} pixels"):
        renderer.encode(tiny_views([0.0], height, width))


@pytest.mark.parametrize(("height", "width"), [(36, 44), (40, 52)])
@torch.no_grad()
def test_sizes_that_are_no_multiple_of_16_work(renderer: Renderer, height: int, width: int):
    rendering = renderer(tiny_batch(height=height, width=width), mask_ratio=0.0)
    assert rendering.fine.rgb.isfinite().all()


@pytest.mark.parametrize("pixels", [1, 2 * 32 * 48, 10**9])
def test_views_encoded_by_parts_are_those_encoded_together(monkeypatch: pytest.MonkeyPatch, pixels: int):
    torch.manual_seed(0)
    renderer, references = Renderer(), tiny_batch(height=32, width=48).references
    together = renderer.encode(references).maps
    monkeypatch.setattr(layers, "ENCODED_AT_ONCE", pixels)
    with torch.no_grad():
        parts = renderer.encode(references).maps
    assert together.requires_grad
    torch.testing.assert_close(parts, together, atol=1e-4, rtol=1e-4)


def test_settings_are_kept():
    assert Renderer().settings == ModelSettings()
    assert tiny_renderer(5, 3).settings.coarse_samples == 5
