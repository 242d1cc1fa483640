"""Pixels rendered a chunk at a time, by one thread or by several, are the pixels of the renderer."""

import pytest
import torch

from maskrf_core.model.renderer import Renderer
from maskrf_core.model.rendering import Rendering, concatenate
from maskrf_core.rendering import chunk_renderer
from maskrf_core.rendering.chunk_renderer import ChunkRenderer, rays_of_a_thread
from maskrf_core.settings.sections import MaskingSettings, ModelSettings, RenderingSettings
from tests.model.tiny import tiny_batch


@pytest.mark.parametrize(
    ("rays_per_chunk", "samples", "threads", "expected"),
    [
        (256, 96, 2, 64),  # 6144 samples
        (64, 96, 2, 32),
        (256, 96, 16, 16),  # 1536 samples
        (8, 96, 2, 8),  # no more than all together
        (2048, 36, 2, 160),  # 170.7, in vectors of 16
        (2048, 36, 100, 32),  # 42.7
        (2048, 1000, 4, 16),
        (100_000, 1, 2, 6144),
    ],
)
def test_rays_of_a_thread(rays_per_chunk: int, samples: int, threads: int, expected: int):
    assert rays_of_a_thread(rays_per_chunk, samples, threads) == expected


@pytest.fixture
def several_threads(monkeypatch: pytest.MonkeyPatch):
    """Three, each of which may have as few rays as they come to."""
    monkeypatch.setattr(chunk_renderer, "VECTOR", 1)
    monkeypatch.setattr(chunk_renderer, "FEWEST_SAMPLES_OF_A_THREAD", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def rendered(renderer: Renderer, rays_per_chunk: int, **asked: str) -> tuple[ChunkRenderer, Rendering]:
    made = ChunkRenderer(renderer, RenderingSettings(**asked), rays_per_chunk)
    return made, concatenate(list(made(tiny_batch())))


@pytest.mark.parametrize("asked", [{}, {"mode": "adaptive"}, {"precision": "bf16-mixed"}])
@pytest.mark.parametrize("rays_per_chunk", [3, 7, 99])
def test_threads_change_nothing(several_threads, asked: dict, rays_per_chunk: int):
    torch.manual_seed(0)
    settings = ModelSettings(coarse_samples=36, fine_samples=6, direct_rendering=True)
    renderer = Renderer(settings, MaskingSettings()).eval()
    made, parts = rendered(renderer, rays_per_chunk, **asked)
    assert (made.rays_per_chunk, made.threads) == (rays_per_chunk // 3, 3)
    torch.set_num_threads(1)
    alone, whole = rendered(renderer, 10, **asked)
    assert (alone.rays_per_chunk, alone.threads) == (10, 1)
    tolerance = 1e-2 if asked.get("precision") else 1e-5
    for ours, theirs in ((parts.coarse, whole.coarse), (parts.fine, whole.fine)):
        for name, value in vars(ours).items():
            torch.testing.assert_close(value, getattr(theirs, name), atol=tolerance, rtol=tolerance)
    assert not parts.fine.rgb.requires_grad


def test_callers_keep_their_gradients(several_threads):
    chunks = ChunkRenderer(Renderer(ModelSettings(coarse_samples=12, fine_samples=6)).eval(), rays_per_chunk=3)
    seen = [(torch.is_inference_mode_enabled(), torch.is_grad_enabled()) for _ in chunks(tiny_batch())]
    assert seen == [(False, True)] * 10
    assert torch.get_num_threads() == 3


def test_as_many_threads_as_have_something_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    renderer = Renderer()
    assert ChunkRenderer(renderer, rays_per_chunk=64).threads == 4  # 16 rays each: no less is worth it
    for rays in (3, 16, 31):  # not enough for two
        made = ChunkRenderer(renderer, rays_per_chunk=rays)
        assert (made.rays_per_chunk, made.threads) == (rays, 1)
