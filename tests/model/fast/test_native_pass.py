"""Native code gives what the plain pass gives."""

from pathlib import Path

import pytest
import torch

from maskrf_core.model.fast import native_library
from maskrf_core.model.fast.adaptive_rendering import AdaptiveSettings, render_chunks_adaptively
from maskrf_core.model.fast.native_pass import NativePass
from tests.model.fast import kernel_cases
from tests.model.fast.kernel_cases import (
    compared,
    compared_gradients,
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


CASES = {  # views, rays, samples, and threads
    "one view": (1, 3, 9, 1),
    "views that do not see": (3, 5, 7, 2),
    "as many as in a training": (8, 6, 40, 2),
    "masked": (4, 3, 21, 1),
    "masked by zeros": (4, 3, 21, 3),
    "samples that stand for several": (3, 4, 18, 2),
    "random weights, masked": (5, 4, 24, 2),
}


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_the_same(case: str):
    views, rays, samples, threads = CASES[case]
    torch.manual_seed(1)
    plain = kernel_cases.RenderPass() if "random" in case else render_pass()
    plain.aggregation.masks_by_zeros = "zeros" in case
    of_samples = (thinned_samples_of if "stand for" in case else samples_of)(rays, samples)
    mask = mask_of(views, rays, samples) if "masked" in case else None
    inputs = (features_of(views), rays_of(rays), of_samples, mask)
    compared(plain, NativePass(plain, threads), *inputs, **CLOSE)
    compared_gradients(plain, NativePass(plain, threads), *inputs)


def test_what_is_no_number_stays_so():
    """Else a training whose weights are lost would go on, and a picture look like one."""
    plain = render_pass()
    with torch.no_grad():
        plain.distribution_decoder.mean[0].bias[3] = torch.nan
        predicted = NativePass(plain)(features_of(2), rays_of(2), samples_of(2, 9), mask=None)
    assert predicted.composited.rgb.isnan().any()


def test_numbers_of_another_kind_are_the_plain_pass_s():
    plain = render_pass().double()
    native, rays, samples = NativePass(plain), rays_of(2), samples_of(2, 9)
    features = features_of(2)._replace(maps=features_of(2).maps.double())
    wide = type(samples)(*(part.double() for part in vars(samples).values()))
    rays = rays._replace(**{name: part.double() for name, part in rays._asdict().items()})
    views = features.views.replace(**{name: getattr(features.views, name).double() for name in
                                      ("images", "K", "w2c", "depth_range")})  # fmt: skip
    features = features._replace(views=views)
    expected = plain(features, rays, wide, mask=None).points.density
    assert torch.equal(native(features, rays, wide, mask=None).points.density, expected)


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


def test_it_is_compiled_once_and_again_where_it_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def found(home: str) -> tuple[Path, int]:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / home))
        native_library._found.cache_clear()
        native_library.compiled_code()
        (made,) = (tmp_path / home / "maskrf" / "native").iterdir()
        return made, made.stat().st_ino

    made, number = found("one")
    assert found("one") == (made, number)
    damaged = tmp_path / "other" / "maskrf" / "native" / made.name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(made.read_bytes()[:100])
    assert found("other")[0].read_bytes() == made.read_bytes()
