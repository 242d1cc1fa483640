"""Native code gives what the plain pass gives."""

import time
from pathlib import Path

import pytest
import torch

from maskrf_core.model.fast import native_library
from maskrf_core.model.fast.adaptive_rendering import AdaptiveSettings, render_chunks_adaptively
from maskrf_core.model.fast.native_pass import NativePass
from tests.model.fast import kernel_cases
from tests.model.fast.kernel_cases import (
    compared,
    features_of,
    mask_of,
    rays_of,
    render_pass,
    samples_of,
    thinned_samples_of,
)
from tests.model.tiny import tiny_batch, tiny_renderer

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_cases, "DEVICE", torch.device("cpu"))


@pytest.mark.parametrize(("views", "rays", "samples"), [(1, 3, 9), (2, 2, 17), (3, 5, 7), (8, 20, 96)])
def test_a_pass_is_the_same(views: int, rays: int, samples: int):
    """Also of samples that some views, or none, see, and of numbers that fill no block."""
    plain = render_pass()
    compared(plain, NativePass(plain), features_of(views), rays_of(rays), samples_of(rays, samples), **CLOSE)


def test_random_weights_are_as_good():
    torch.manual_seed(3)
    plain = kernel_cases.RenderPass()
    compared(plain, NativePass(plain), features_of(8), rays_of(20), samples_of(20, 64), **CLOSE)


def test_samples_that_stand_for_several():
    plain = render_pass()
    compared(plain, NativePass(plain), features_of(3), rays_of(9), thinned_samples_of(9, 21), **CLOSE)


def test_images_of_odd_sides_and_places_that_are_no_numbers():
    plain, rays = render_pass(), rays_of(3, 36, 52)
    rays = rays._replace(directions=rays.directions * torch.tensor([[1.0], [1e20], [1e-20]]))
    compared(plain, NativePass(plain), features_of(3, 36, 52), rays, samples_of(3, 6), **CLOSE)


def test_weights_that_change_are_seen():
    plain = render_pass()
    native, case = NativePass(plain), (features_of(2), rays_of(1), samples_of(1, 9))
    compared(plain, native, *case, **CLOSE)
    with torch.no_grad():
        plain.aggregation.geometry[2].bias += 0.3
    compared(plain, native, *case, **CLOSE)


def test_masks_and_gradients_are_the_plain_pass_s():
    plain = render_pass()
    native, case = NativePass(plain), (features_of(3), rays_of(2), samples_of(2, 9))
    mask = mask_of(3, 2, 9)
    with torch.no_grad():
        assert torch.equal(native(*case, mask=mask).points.density, plain(*case, mask=mask).points.density)
    native(*case, mask=None).points.density.sum().backward()
    assert plain.aggregation.density[0].weight.grad.abs().max() > 0


@pytest.mark.parametrize("mode", ["exact", "adaptive"])
def test_a_renderer_does_not_know_which_pass_it_has(mode: str):
    plain = tiny_renderer(9, 4)
    native = plain.with_passes(NativePass)
    batch = tiny_batch(3, 4)

    def picture(renderer) -> torch.Tensor:
        if mode == "exact":
            return renderer.render(batch).fine.rgb
        with torch.inference_mode():
            features = renderer.encode(batch.references)
        chunks = render_chunks_adaptively(renderer, features, batch.query, batch.pixels_xy, 4, AdaptiveSettings(2, 8))
        return torch.cat([chunk.fine.rgb for chunk in chunks])

    torch.testing.assert_close(picture(native), picture(plain), **CLOSE)


def test_it_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native_library.library.cache_clear()
    native_library.library()
    (made,) = (tmp_path / "maskrf" / "native").iterdir()
    then = made.stat().st_mtime_ns
    time.sleep(0.01)
    native_library.library.cache_clear()
    native_library.library()
    assert [path.stat().st_mtime_ns for path in made.parent.iterdir()] == [then]
