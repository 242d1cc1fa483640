"""PSNR and SSIM by hand; LPIPS only where its weights are."""

import numpy as np
import pytest
import torch

from maskrf_core.rendering import evaluation
from maskrf_core.rendering.evaluation import lpips_vgg, psnr, ssim, why_no_lpips


def test_psnr_of_a_known_error():
    truth = np.zeros((4, 5, 3))
    assert psnr(truth + 0.1, truth) == pytest.approx(20.0)
    assert psnr(truth, truth) == np.inf


def test_ssim_of_one_window_by_hand():
    """A 7×7 picture is one window: SSIM is then its closed form, with sample (co)variances."""
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 7, 7, 3)).astype(np.float32)
    c1, c2 = 0.01**2, 0.03**2
    expected = []
    for channel in range(3):
        a, b = x[..., channel].ravel().astype(float), y[..., channel].ravel().astype(float)
        covariance = np.cov(a, b)
        luminance = (2 * a.mean() * b.mean() + c1) / (a.mean() ** 2 + b.mean() ** 2 + c1)
        structure = (2 * covariance[0, 1] + c2) / (covariance[0, 0] + covariance[1, 1] + c2)
        expected.append(luminance * structure)
    assert ssim(x, y) == pytest.approx(np.mean(expected), abs=1e-5)


def test_no_weights_no_number(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    why_no_lpips.cache_clear()
    picture = np.zeros((32, 32, 3))
    assert lpips_vgg(picture, picture) is None
    assert evaluation.LPIPS_BACKBONE in why_no_lpips()
    why_no_lpips.cache_clear()


def test_torchvision_loads_beside_any_build_of_torch():
    """Its networks are what LPIPS needs; a random one must run."""
    network = evaluation.import_torchvision().models.squeezenet1_1(weights=None).eval()
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)
