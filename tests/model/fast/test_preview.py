"""A preview looks at few samples in few views, where the views' depth maps and a wide grid have a surface."""

import torch
from torch.testing import assert_close

from maskrf_core.datasets.batches.batch import Views
from maskrf_core.model.fast.preview import PREVIEW_SETTINGS, samples_around
from maskrf_core.model.fast.surface_views import VIEWS, surface_of, views_that_see, with_few_views
from maskrf_core.model.gathering import query_rays
from maskrf_core.model.rendering import concatenate
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.settings.sections import RenderingSettings
from tests.model.tiny import tiny_batch, tiny_renderer

SIDE, FOCAL, PLANE = 16, 16.0, 4.0


def facing(shifts: list[float], depth: float = PLANE, side: int = SIDE) -> Views:
    """Views of a plane, side by side: half a view further, a plane at depth 4 is 8 pixels to the left."""
    many = len(shifts)
    focal = FOCAL * side / SIDE
    K = torch.tensor([[focal, 0, (side - 1) / 2], [0, focal, (side - 1) / 2], [0, 0, 1]])
    w2c = torch.eye(4)[:3].repeat(many, 1, 1)
    w2c[:, 0, 3] = -torch.tensor(shifts)
    depths = torch.full((many, 1, side, side), depth)
    images = torch.zeros(many, 3, side, side)
    return Views(images, K.expand(many, 3, 3), w2c, torch.tensor([[2.0, 8.0]]).expand(many, 2), depths=depths)


def test_the_surface_is_the_nearest_point_that_any_view_puts_at_a_pixel():
    near, query = facing([2.0], depth=2.0), facing([0.0])  # 16 pixels aside at depth 2: nothing of it is seen
    assert surface_of(near, query).isinf().all()
    views = facing([2.0, -1.0])
    views.depths[1, :, :, :4] = 2.0  # columns 0 to 3, 8 pixels to the left of the query's
    views.depths[1, :, 0] = 0  # unknown
    surface = surface_of(views, query)
    assert (surface[1:, 8:] == PLANE).all()  # of the first view
    assert (surface[1:, :8] == PLANE).all()
    assert surface_of(views.replace(depths=None), query) is None
    one = facing([0.25])  # a pixel aside
    one.depths[0, 0, 3, 5] = 2.0  # two pixels aside
    assert surface_of(one, query)[3, 7] == 2.0
    one.depths[0, 0, 3, 5] = 1.9  # before near
    assert surface_of(one, query)[3, 7] == PLANE


def test_of_large_depth_maps_some_pixels_do():
    large, query = facing([0.0, 0.5], side=64), facing([0.0])
    surface = surface_of(large, query)
    assert (surface == PLANE).all()


def test_half_of_the_new_samples_lie_around_a_depth_that_is_known():
    renderer, batch = tiny_renderer(coarse_samples=9, fine_samples=4), tiny_batch(rays=2)
    rays, surface = query_rays(batch), torch.full((32, 48), torch.inf)
    x, y = batch.pixels_xy[1].round().long().tolist()
    surface[y, x] = 3.0  # halfway from 2 to 6 in inverse depth: that of the middle of nine coarse samples
    coarse, _ = renderer.render_coarse(renderer.encode(batch.references), rays)
    found = samples_around(surface, renderer, coarse, rays, batch.pixels_xy).samples.depths
    assert_close(found[0], renderer.fine_samples(coarse, rays).samples.depths[0])
    interval = (1 / 2 - 1 / 6) / 8
    expected = [1 / (1 / 3 + side * interval / 8) for side in (1, 0, -1)]  # two around the coarse one
    middle = (1 / found[1] - 1 / 3).abs().argsort()[:3].sort().values
    assert_close(found[1, middle], torch.tensor(expected))


def test_views_are_chosen_that_together_see_most():
    query, views = facing([0.0]), facing([-3.0, -2.0, 2.2, 2.1, 9.0])
    surface = torch.full((SIDE, SIDE), PLANE)
    # 12 pixels aside the first view sees 4 columns, the second 8; the third and fourth the 7 or 8 columns opposite.
    assert views_that_see(views, query, surface, 2).tolist() == [1, 3]
    assert views_that_see(views, query, None, 2).tolist() == [1, 3]  # the nearest
    hidden = views.replace(depths=views.depths.clone())
    hidden.depths[3] = 1.0  # something stands before it
    assert views_that_see(hidden, query, surface, 2).tolist() == [1, 2]
    assert views_that_see(hidden, query, surface, 5).tolist() == [0, 1, 2, 3, 4]


def test_a_view_adds_what_the_others_do_not_see():
    views, query, surface = facing([-2.1, -2.0, 2.4]), facing([0.0]), torch.full((SIDE, SIDE), PLANE)
    assert views_that_see(views, query, surface, 2).tolist() == [
        1,
        2,
    ]  # the first sees more than the last, but the same


def test_the_few_views_have_all_their_parts():
    batch = tiny_batch(views=7)
    few = with_few_views(batch, None).references
    assert torch.equal(few.w2c, batch.references.w2c[1:6])  # the query is near the middle of the arc
    assert torch.equal(few.depths, batch.references.depths[1:6])
    assert len(few) == VIEWS
    assert with_few_views(tiny_batch(views=4), None).references.w2c.shape[0] == 4


def test_where_no_depth_map_has_anything_and_the_coarse_pass_is_alike_it_looks_no_further(monkeypatch):
    """Its colours there are the coarse pass's; all others are as they are where nothing counts as empty."""
    renderer, batch = tiny_renderer(24, 12), tiny_batch(views=5)
    pixels = torch.tensor([[2.0 * x, 2.0 * y] for y in range(16) for x in range(24)])
    surface = torch.full((32, 48), torch.inf)
    surface[10:21, 20:41] = 4.0
    make, features = ChunkRenderer(renderer, RenderingSettings(mode="preview"), 64), renderer.encode(batch.references)

    def preview(alike: float) -> tuple[torch.Tensor, torch.Tensor]:
        monkeypatch.setattr("maskrf_core.model.fast.preview.ALIKE_EMPTY", alike)
        chunk = concatenate(list(make.render(features, batch.query, pixels, surface)))
        at_far = (chunk.fine.sample_depths == chunk.coarse.sample_depths[:, -1:]).all(dim=1)
        assert torch.equal(at_far, empty if alike > 0 else torch.zeros_like(empty))
        return chunk.coarse.rgb, chunk.fine.rgb

    x, y = pixels.unbind(dim=1)
    empty = (y < 8) | (y > 22) | (x < 18) | (x > 42)  # two pixels aside there is something
    coarse, everywhere = preview(-1.0)
    _, found = preview(10.0)
    assert_close(found[empty], coarse[empty])
    assert_close(found[~empty], everywhere[~empty], atol=1e-6, rtol=0)
    assert not torch.allclose(coarse[empty], everywhere[empty], atol=1e-3)


def test_a_picture_of_nothing_is_the_coarse_pass(monkeypatch):
    """Also where more samples are asked for than a ray has."""
    monkeypatch.setattr("maskrf_core.model.fast.preview.ALIKE_EMPTY", 10.0)
    renderer, batch = tiny_renderer(24, 12), tiny_batch(views=5)
    make = ChunkRenderer(renderer, RenderingSettings(mode="preview"), 4, (2, 64))
    batch = batch.replace(pixels_xy=2 * (batch.pixels_xy / 2).floor())
    features, nothing = renderer.encode(batch.references), torch.full((32, 48), torch.inf)
    found = concatenate(list(make.render(features, batch.query, batch.pixels_xy, nothing)))
    assert_close(found.fine.rgb, renderer.render(batch).coarse.rgb, atol=1e-5, rtol=0)
    assert found.fine.sample_depths.shape[1] == 36


def test_a_preview_is_every_pixel_from_few_samples(monkeypatch):
    monkeypatch.setattr("maskrf_core.model.fast.preview.ALIKE", -1.0)  # nothing is interpolated
    renderer, batch = tiny_renderer(24, 12), tiny_batch(views=7)
    many = []
    renderer.fine.register_forward_pre_hook(lambda _, given: many.append(len(given[2].depths)))
    chunks = list(ChunkRenderer(renderer, RenderingSettings(mode="preview", twin=True), 4)(batch))
    assert max(many) == 4
    preview = torch.cat([chunk.fine.rgb for chunk in chunks])
    assert preview.shape == (len(batch.pixels_xy), 3)
    assert {chunk.fine.sample_depths.shape[1] for chunk in chunks} == {PREVIEW_SETTINGS.samples}
    assert PREVIEW_SETTINGS.samples <= 10


def test_a_preview_that_leaves_no_sample_out_is_the_exact_rendering_but_for_what_depth_maps_add():
    renderer, batch = tiny_renderer(24, 12), tiny_batch(views=5)
    preview = ChunkRenderer(renderer, RenderingSettings(mode="preview"), 4, (1, 36))
    batch = batch.replace(pixels_xy=2 * (batch.pixels_xy / 2).floor())  # of the lattice that is rendered first
    exact = renderer.render(batch).fine.rgb
    features = renderer.encode(batch.references)
    alone = preview.render(features, batch.query, batch.pixels_xy)
    assert_close(torch.cat([chunk.fine.rgb for chunk in alone]), exact, atol=2e-4, rtol=0)
    told = torch.cat([chunk.fine.rgb for chunk in preview(batch)])
    assert not torch.allclose(told, exact, atol=2e-4)


def test_the_preview_of_a_batch_is_from_the_views_that_see_most():
    renderer, batch = tiny_renderer(24, 12), tiny_batch(views=8)
    hidden = batch.references.depths.clone()
    hidden[3] = 2.5  # what the nearest view shows stands before all others, and none of them sees it
    batch = batch.replace(references=batch.references.replace(depths=hidden))
    surface = surface_of(batch.references, batch.query)
    few = with_few_views(batch, surface)
    assert not torch.equal(few.references.w2c, with_few_views(batch, None).references.w2c)
    preview = ChunkRenderer(renderer, RenderingSettings(mode="preview"), 4)
    expected = preview.render(renderer.encode(few.references), batch.query, batch.pixels_xy, surface)
    ours, theirs = (torch.cat([chunk.fine.rgb for chunk in chunks]) for chunks in (preview(batch), expected))
    assert torch.equal(ours, theirs)


def test_between_pixels_of_the_lattice_that_came_out_alike_it_interpolates_and_renders_the_others(monkeypatch):
    renderer, batch = tiny_renderer(24, 12), tiny_batch(views=5)
    rows, columns = 5, 7
    pixels = torch.tensor([[x + 10.0, y + 8.0] for y in range(rows) for x in range(columns)])
    batch = batch.replace(pixels_xy=pixels)
    make = ChunkRenderer(renderer, RenderingSettings(mode="preview"), 4)

    def preview(alike: float) -> torch.Tensor:
        monkeypatch.setattr("maskrf_core.model.fast.preview.ALIKE", alike)
        return torch.cat([chunk.fine.rgb for chunk in make(batch)]).view(rows, columns, 3)

    rendered = preview(-1.0)
    ranges, means = torch.zeros(rows, columns), rendered.clone()
    for y in range(rows):
        for x in range(columns):
            around = [rendered[v, u] for v in {y - y % 2, y + y % 2} for u in {x - x % 2, x + x % 2}]
            means[y, x] = sum(around) / len(around)
            ranges[y, x] = max(float(a[c] - b[c]) for a in around for b in around for c in range(3))
    limit = float(ranges[ranges > 0].median())
    alike = (ranges <= limit)[..., None]
    assert 0.2 < alike.float().mean() < 0.9
    assert_close(preview(limit), torch.where(alike, means, rendered), atol=1e-5, rtol=0)
    assert not torch.allclose(means, rendered, atol=1e-4)
