"""Passes computed otherwise give what they give."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._inductor.runtime.cache_dir_utils import cache_dir, default_cache_dir

from maskrf_core.model.fast.choice import compiled_where_it_pays
from maskrf_core.model.fast.pass_variants import CompiledPass, RecomputedPass
from maskrf_core.model.gathering import query_rays
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.rendering.rendered_views import PixelRenderer
from maskrf_core.settings.sections import MaskingSettings, ModelSettings, RenderingSettings
from maskrf_core.support.errors import SettingsError
from maskrf_core.support.paths import ROOT
from maskrf_core.support.progress import say_once
from tests.model.tiny import tiny_batch

SETTINGS = ModelSettings(coarse_samples=12, fine_samples=6)


def new_renderer(settings: ModelSettings = SETTINGS) -> Renderer:
    torch.manual_seed(0)
    return Renderer(settings, MaskingSettings())


def fine_pictures(renderer: Renderer, rays_per_chunk: int = 1024, **asked) -> torch.Tensor:
    rendering = RenderingSettings(**asked)
    return torch.cat([
        chunk.fine.rgb for chunk in ChunkRenderer(renderer.eval(), rendering, rays_per_chunk)(tiny_batch())
    ])  # fmt: skip


@pytest.mark.parametrize("rays", [1, 3, 10, 99])
@pytest.mark.parametrize("direct_rendering", [False, True])
def test_recomputed_passes_give_the_same_gradients(rays: int, direct_rendering: bool):
    renderer = new_renderer(SETTINGS.model_copy(update={"direct_rendering": direct_rendering})).train()
    gradients = []
    for one in (renderer, renderer.with_passes(lambda of: RecomputedPass(of, rays))):
        renderer.zero_grad()
        rendering = one(tiny_batch(), mask_ratio=0.5, generator=torch.Generator().manual_seed(3))
        loss = rendering.fine.rgb.square().sum() + rendering.coarse.depth.sum() + rendering.masked.prediction.sum()
        if direct_rendering:
            loss = loss + rendering.fine.direct_rgb.square().sum()
        loss.backward()
        gradients.append({name: of.grad for name, of in renderer.named_parameters() if of.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    largest = max(gradient.norm() for gradient in gradients[0].values())
    for name, gradient in gradients[0].items():
        assert (gradient - gradients[1][name]).norm() <= 1e-3 * gradient.norm() + 1e-6 * largest, name


def test_recomputing_remembers_less():
    """What is kept for the backward pass of the passes, apart from the weights and maps that are there anyway."""
    renderer = new_renderer().train()
    batch = tiny_batch()
    features, rays = renderer.encode(batch.references), query_rays(batch)
    kept = []
    for one in (renderer, renderer.with_passes(lambda of: RecomputedPass(of, 2))):
        sizes: list[int] = []

        def keep(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.nelement())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            one.render_rays(features, rays, mask_ratio=0.0, generator=None)
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 10


def test_variants_share_the_weights():
    renderer = new_renderer()
    variant = renderer.with_passes(lambda of: RecomputedPass(of, 2))
    assert isinstance(variant.fine, RecomputedPass)
    assert variant.fine.render_pass is renderer.fine
    assert variant.image_encoder is renderer.image_encoder
    assert not isinstance(renderer.fine, RecomputedPass)


def test_bfloat16_is_close_and_keeps_the_geometry():
    renderer = new_renderer()
    exact, rounded = fine_pictures(renderer), fine_pictures(renderer, precision="bf16-mixed")
    assert rounded.dtype == torch.float32
    assert 0 < (exact - rounded).abs().max() < 0.02
    assert renderer.fine.network_precision is None
    made = ChunkRenderer(renderer, RenderingSettings(precision="bf16-mixed"), 4).renderer
    batch = tiny_batch()
    with torch.no_grad():
        chunk = made.render_rays(made.encode(batch.references), query_rays(batch), mask_ratio=0.0, generator=None)
        same = renderer.render(batch)
    assert torch.equal(chunk.coarse.sample_depths, same.coarse.sample_depths)
    assert chunk.fine.depth.dtype == torch.float32


def test_the_twin_has_the_passes_of_the_renderer():
    renderer = new_renderer()
    made = ChunkRenderer(renderer, RenderingSettings(twin=True), 7).renderer
    assert (made.coarse, made.fine) == (renderer.coarse, renderer.fine)
    assert torch.equal(fine_pictures(renderer, 4, twin=True), renderer.render(tiny_batch(), 4).fine.rgb)


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(SettingsError, match=r"rendering\.compile=true needs the compiler no-such-compiler"):
        ChunkRenderer(new_renderer(), RenderingSettings(compile=True), 7)


@pytest.mark.parametrize(
    ("aggregator", "asked", "rays", "expected"),
    [
        ("ibrnet", {}, 100_000, True),
        ("ibrnet", {}, 99_999, False),
        ("ibrnet", {"mode": "adaptive"}, 199_999, False),
        ("ibrnet", {"mode": "adaptive"}, 200_000, True),
        ("ibrnet", {"mode": "preview"}, 10**9, False),
        ("ibrnet", {"twin": True}, 10**9, False),
        ("ibrnet", {"compile": False}, 10**9, False),
        ("ibrnet", {"compile": True}, 0, True),
        ("neuray", {}, 10**9, False),  # native code
        ("neuray", {"precision": "bf16-mixed"}, 10**9, True),
    ],
)
def test_large_renderings_are_compiled(aggregator: str, asked: dict, rays: int, expected: bool):
    renderer = new_renderer(SETTINGS.model_copy(update={"aggregator": aggregator}))
    decided = compiled_where_it_pays(RenderingSettings(**asked), renderer, rays)
    assert decided == RenderingSettings(**asked | {"compile": expected})


@pytest.mark.parametrize("missing", ["compiler", "folder"])
def test_what_is_missing_to_compile_is_said_and_does_no_harm(missing: str, monkeypatch, tmp_path, capsys):
    say_once.cache_clear()
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    if missing == "compiler":
        monkeypatch.setenv("CXX", "no-such-compiler")
    else:
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    renderer = new_renderer(SETTINGS.model_copy(update={"aggregator": "ibrnet"}))
    assert compiled_where_it_pays(RenderingSettings(), renderer, 10**9).compile is False
    assert "not compiled" in capsys.readouterr().out


def test_what_is_compiled_does_not_hang_on_what_was_rendered_before(tmp_path):
    """So that equal keys of the cache mean equal pixels: it is decided once, by all that is asked for."""
    renderer = new_renderer(SETTINGS.model_copy(update={"aggregator": "ibrnet"})).eval()
    few, many = (PixelRenderer(renderer, 16, rays=rays) for rays in (10, 10**6))
    assert (few.rendering.compile, many.rendering.compile) == (False, True)
    assert few.key(tiny_batch()) != many.key(tiny_batch())


def test_a_pass_that_fails_compiled_is_computed_all_the_same(monkeypatch, capsys):
    say_once.cache_clear()

    def failing(network, **how):
        def compiled(*given, **named):
            raise RuntimeError("no room on the GPU")

        return compiled

    monkeypatch.setattr(torch, "compile", failing)
    renderer = new_renderer().eval()
    plain = fine_pictures(renderer, twin=True)
    torch.testing.assert_close(fine_pictures(renderer, twin=True, compile=True), plain, atol=1e-6, rtol=0)
    assert "no room on the GPU" in capsys.readouterr().out


def test_a_compiled_pass_takes_no_more_rays_than_it_was_made_for():
    renderer, batch = new_renderer().eval(), tiny_batch()
    variant = renderer.with_passes(lambda of: CompiledPass(of, 3))
    with torch.no_grad(), pytest.raises(ValueError, match="10 rays"):
        variant.render_rays(variant.encode(batch.references), query_rays(batch), mask_ratio=0.0, generator=None)


@pytest.mark.parametrize("named", [None, "by torch itself", "by the user"])
def test_compiled_code_is_read_from_a_folder_of_the_user_s_own(tmp_path: Path, monkeypatch, named: str | None):
    """In the temporary folder of the system another user may have put it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    if named:
        mine = tmp_path / "mine"
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(mine) if named == "by the user" else default_cache_dir())
    new_renderer().with_passes(lambda of: CompiledPass(of, 3))
    folder = Path(cache_dir())
    assert folder == mine if named == "by the user" else folder.is_relative_to(tmp_path / "cache")


COMPILED = """
import torch
from torch._dynamo.utils import counters
from maskrf_core.rendering import chunk_renderer
from maskrf_core.model.renderer import Renderer
from maskrf_core.model.rendering import concatenate
from maskrf_core.settings.sections import ModelSettings, RenderingSettings
from tests.model.tiny import tiny_batch

chunk_renderer.VECTOR = chunk_renderer.FEWEST_SAMPLES_OF_A_THREAD = 1
torch.set_num_threads(threads)
torch.manual_seed(0)
renderer = Renderer(ModelSettings(coarse_samples=12, fine_samples=6)).eval()
for mode, graphs in modes:
    plain, compiled = (
        chunk_renderer.ChunkRenderer(renderer, RenderingSettings(mode=mode, compile=asked, twin=True), 2 * threads)
        for asked in (False, True)
    )
    assert (compiled.rays_per_chunk, compiled.threads) == (2, threads)
    for _ in range(5):
        expected, found = (concatenate(list(made(tiny_batch()))).fine for made in (plain, compiled))
        assert len(found.rgb) == 10
        torch.testing.assert_close(found.rgb, expected.rgb, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found.depth, expected.depth, atol=1e-4, rtol=1e-4)
    assert counters["stats"]["unique_graphs"] == graphs, counters
"""


EXACT, BOTH = [("exact", 2)], [("exact", 2), ("adaptive", 4)]  # and how many graphs are compiled until then


@pytest.mark.parametrize(
    ("threads", "modes"), [(2, EXACT), *(pytest.param(threads, BOTH, marks=pytest.mark.long) for threads in (1, 2))]
)
def test_compiled_is_the_same(threads: int, modes: list[tuple[str, int]]):
    """In each mode, of several pictures; what was compiled is found again.

    In a process of its own: the checks of shapes that tests have around every function are nothing to compile.
    """
    done = subprocess.run(
        [sys.executable, "-c", f"threads, modes = {threads}, {modes}\n{COMPILED}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
