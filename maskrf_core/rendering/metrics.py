"""PSNR, SSIM and LPIPS of pictures in [0, 1]. Higher is better, except for LPIPS."""

import importlib.util
import math
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from skimage.metrics import structural_similarity
from torch import library

LPIPS_BACKBONE = "vgg16-397923af.pth"
_kept_alive = []


def psnr(rgb: Float[np.ndarray, "height width 3"], truth: Float[np.ndarray, "height width 3"]) -> float:
    """Return the peak signal-to-noise ratio in dB for a data range of 1; infinite for equal pictures."""
    error = float(np.mean(np.square(rgb.astype(np.float64) - truth)))
    return -10 * math.log10(error) if error > 0 else math.inf


def ssim(rgb: Float[np.ndarray, "height width 3"], truth: Float[np.ndarray, "height width 3"]) -> float:
    """Return the structural similarity (SSIM) with scikit-image's defaults (7×7 uniform window), data range 1."""
    return float(structural_similarity(rgb, truth, channel_axis=-1, data_range=1.0))


def lpips_vgg(rgb: Float[np.ndarray, "height width 3"], truth: Float[np.ndarray, "height width 3"]) -> float | None:
    """Return LPIPS with the VGG backbone, or None where `why_no_lpips` has a reason. Sides are at least 32 pixels."""
    if why_no_lpips() is not None:
        return None
    pictures = [torch.from_numpy(2 * image.astype(np.float32) - 1).permute(2, 0, 1)[None] for image in (rgb, truth)]
    with torch.inference_mode():
        return float(_lpips_model()(*pictures))


@lru_cache(1)
def why_no_lpips() -> str | None:
    """Return the reason why LPIPS cannot be computed here, or None. Nothing is ever downloaded by us."""
    if importlib.util.find_spec("lpips") is None:
        return "the package lpips is not installed"
    weights = Path(torch.hub.get_dir()) / "checkpoints" / LPIPS_BACKBONE
    if not weights.is_file():
        return (
            f"the weights of its VGG backbone are not on this machine: put {LPIPS_BACKBONE} (torchvision's VGG16, "
            "IMAGENET1K_V1) into the folder checkpoints of torch.hub.get_dir()"
        )
    try:
        import_torchvision()
    except (ImportError, RuntimeError) as error:
        return f"torchvision cannot be loaded here: {error}"
    return None


@lru_cache(1)
def _lpips_model() -> torch.nn.Module:
    import_torchvision()
    import lpips

    return lpips.LPIPS(net="vgg", verbose=False).eval()


def import_torchvision():
    """Import torchvision, also beside a build of torch that its compiled operators do not fit.

    Two of its operators are then unknown to torch, and registering their shape rules fails the import. Declaring them
    lets the pure Python parts load (the networks are among them); calling such an operator still raises.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        declarations = library.Library("torchvision", "DEF")
        _kept_alive.append(declarations)  # they vanish with it
        for operator in ("nms", "qnms"):
            declarations.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision
