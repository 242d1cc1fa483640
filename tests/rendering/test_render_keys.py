"""Keys of renderings: one for the same, another for whatever is changed by one bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskrf_core.datasets.batches.batch import SourceViews
from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering import render_keys
from maskrf_core.rendering.render_keys import render_key, renderer_digest
from maskrf_core.settings.sections import ModelSettings, RenderingSettings
from tests.datasets.memory_scene import MemoryScene

SETTINGS = ModelSettings(coarse_samples=5, fine_samples=3)


def new_renderer(settings=SETTINGS):
    torch.manual_seed(0)
    return Renderer(settings).eval()


def new_batch(references=("view_1", "view_2", "view_3"), working_views=3):
    return evaluation_batch(SceneViews(MemoryScene()), "view_0", list(references), working_views)


def by_one_ulp(tensor, *index):
    """A copy with one entry moved to the next number."""
    changed = tensor.clone()
    changed[index] = torch.nextafter(changed[index], torch.tensor(torch.inf))
    assert (changed != tensor).sum() == 1
    return changed


def key_of(batch, rays_per_chunk=64, of_renderer="renderer", **rendering):
    return render_key(of_renderer, batch, rays_per_chunk, RenderingSettings(**rendering))


def test_the_same_has_the_same_key():
    assert renderer_digest(new_renderer()) == renderer_digest(new_renderer())
    assert key_of(new_batch()) == key_of(new_batch())


@pytest.mark.parametrize("part", ["references", "query"])
@pytest.mark.parametrize(
    ("field", "index"),
    [("images", (0, 1, 3, 4)), ("K", (0, 0, 2)), ("w2c", (0, 1, 1)), ("w2c", (0, 0, 3)), ("depth_range", (0, 1))],
)
def test_one_entry_of_a_view_by_one_ulp(part, field, index):
    batch = new_batch()
    views = getattr(batch, part)
    changed = replace(batch, **{part: views.replace(**{field: by_one_ulp(getattr(views, field), *index)})})
    assert key_of(changed) != key_of(batch)


def test_one_depth_by_one_ulp_and_one_training_index():
    batch = new_batch()
    views = batch.references
    depths = views.replace(depths=by_one_ulp(views.depths, 2, 0, 5, 6))
    index = views.replace(training_index=views.training_index + torch.tensor([0, 0, 1]))
    none = views.replace(training_index=None)
    keys = {key_of(replace(batch, references=changed)) for changed in (views, depths, index, none)}
    assert len(keys) == 4


def test_sources_of_cost_volumes_count():
    batch = new_batch()
    sources = SourceViews(batch.references.replace(depths=None), torch.tensor([[1], [2], [0]]))
    others = [
        sources,
        replace(sources, neighbours=torch.tensor([[1], [2], [1]])),
        replace(sources, views=sources.views.replace(images=by_one_ulp(sources.views.images, 0, 0, 0, 0))),
    ]
    assert len({key_of(batch), *(key_of(replace(batch, sources=other)) for other in others)}) == 4


def test_order_and_number_of_references_and_pixels_count():
    batches = [
        new_batch(),
        new_batch(("view_1", "view_2", "view_4")),
        new_batch(("view_1", "view_2"), 2),
        replace(new_batch(), pixels_xy=new_batch().pixels_xy.flip(0)),
        replace(new_batch(), pixels_xy=new_batch().pixels_xy[:-1]),
    ]
    views = SceneViews(MemoryScene())
    batches.append(replace(batches[0], references=views.references(["view_2", "view_1", "view_3"])))
    assert len({key_of(batch) for batch in batches}) == len(batches)


@pytest.mark.parametrize("asked", [{"mode": "adaptive"}, {"precision": "bf16-mixed"}, {"compile": True}])
def test_how_it_is_rendered_counts(asked):
    batch = new_batch()
    assert key_of(batch, **asked) != key_of(batch)


def test_chunks_and_renderer_count():
    batch = new_batch()
    assert len({key_of(batch), key_of(batch, 65), key_of(batch, 64, "another")}) == 3


@pytest.mark.parametrize("name", ["fine.aggregation.density.0.weight", "visibility_encoder.0.weight"])
def test_one_weight_by_one_ulp(name):
    renderer = new_renderer()
    before = renderer_digest(renderer)
    weights = renderer.state_dict()
    assert name in weights
    first = (0,) * weights[name].ndim
    renderer.load_state_dict(weights | {name: by_one_ulp(weights[name], *first)})
    assert renderer_digest(renderer) != before


def test_every_weight_counts():
    renderer = new_renderer()
    digests = {renderer_digest(renderer)}
    tensors = [tensor for tensor in renderer.state_dict().values() if tensor.is_floating_point()]
    for tensor in tensors[:: max(1, len(tensors) // 12)]:
        with torch.no_grad():
            tensor.view(-1)[-1] += 1
        digests.add(renderer_digest(renderer))
    assert len(digests) >= 13


def test_samples_networks_and_mode_count():
    swapped = new_renderer()
    swapped.fine.aggregation.density[1] = torch.nn.ReLU()  # without weights, in place of another activation
    digests = [
        renderer_digest(renderer)
        for renderer in (
            new_renderer(),
            new_renderer(ModelSettings(coarse_samples=6, fine_samples=3)),
            new_renderer(ModelSettings(coarse_samples=5, fine_samples=4)),
            new_renderer().train(),
            new_renderer().double(),
            swapped,
        )
    ]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    ("what", "value"),
    [("torch.__version__", "2.13.1"), ("torch.get_num_threads", lambda: 63), ("platform.machine", lambda: "pdp11")],
)
def test_versions_and_devices_count(monkeypatch, what, value):
    before = renderer_digest(new_renderer())
    monkeypatch.setattr(what, value)
    assert renderer_digest(new_renderer()) != before


def test_the_device_counts():
    on_cpu, elsewhere = (render_keys._device(torch.device(kind)) for kind in ("cpu", "meta"))
    assert on_cpu != elsewhere


def test_the_code_counts(monkeypatch, tmp_path):
    for folder in ("model", "rendering"):
        (tmp_path / folder).mkdir()
    rendering = [f"rendering/{name}.py" for name in ("evaluation", "rendered_views", "render_keys")]
    for name in ("model/a.py", "cameras.py", *rendering, "losses.py"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(render_keys, "PACKAGE", tmp_path)
    digests = [render_keys.source_digest()]
    for name in ("model/a.py", "cameras.py", *rendering[:2], "losses.py"):
        (tmp_path / name).write_text("other")
        digests.append(render_keys.source_digest())
    (tmp_path / "model" / "b.py").touch()
    digests.append(render_keys.source_digest())
    assert digests[-2] == digests[-3]  # losses render nothing
    assert len(set(digests)) == 6


def test_the_sources_are_those_that_render():
    files = {path.name for pattern in render_keys.RENDERING_SOURCES for path in render_keys.PACKAGE.glob(pattern)}
    assert {"renderer.py", "aggregation.py", "sampling.py", "cameras.py", "evaluation.py", "rendered_views.py"} <= files
    assert all(list(render_keys.PACKAGE.glob(pattern)) for pattern in render_keys.RENDERING_SOURCES)


def test_code_that_changed_since_it_was_imported_is_never_taken_for_the_same(monkeypatch):
    renderer = new_renderer()
    monkeypatch.setattr(render_keys, "source_digest", lambda: "edited meanwhile")
    assert renderer_digest(renderer) != renderer_digest(renderer)


def test_networks_from_elsewhere_are_never_taken_for_the_same():
    class Own(torch.nn.ELU):
        pass

    renderer = new_renderer()
    assert renderer_digest(renderer) == renderer_digest(renderer)
    renderer.fine.aggregation.density[1] = Own()
    assert renderer_digest(renderer) != renderer_digest(renderer)


def test_the_renderer_looks_at_nothing_of_the_query_but_its_camera():
    batch, renderer = new_batch(), new_renderer()
    blind = replace(batch, query=batch.query.replace(images=torch.zeros_like(batch.query.images), masks=None))
    np.testing.assert_array_equal(renderer.render(batch).fine.rgb, renderer.render(blind).fine.rgb)
