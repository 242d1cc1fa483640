"""What a rendering depends on, as one hash: equal keys mean equal pixels, bit for bit.

All that enters the renderer is hashed, so a key says too much rather than too little: the weights, the settings, the
code, the device, and every tensor of the batch. Whoever changes one of them by one bit gets another key.
"""

import platform
import secrets
from pathlib import Path
from typing import Any

import torch

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.sections import RenderingSettings
from maskrf_core.support.digests import digest

PACKAGE = Path(__file__).resolve().parents[1]
RENDERING_SOURCES = (
    "model/**/*.py",
    "cameras.py",
    "rendering/evaluation.py",
    "rendering/rendered_views.py",
    "rendering/render_keys.py",
    "support/threads.py",
)
OUR_MODULES = ("maskrf_core.model.", "torch.nn.")
"""Networks from elsewhere have code that no digest here knows."""


def source_digest() -> str:
    """Of the source files that decide how pixels are rendered, as they are on disk now."""
    files = sorted(path for pattern in RENDERING_SOURCES for path in PACKAGE.glob(pattern))
    return digest({path.relative_to(PACKAGE).as_posix(): path.read_bytes() for path in files})


SOURCES_AS_IMPORTED = source_digest()


def renderer_digest(renderer: Renderer) -> str:
    """Everything of a rendering but the batch: weights, settings, networks, code, versions and device.

    Where the code that runs is not certain (its files have changed since they were imported, or a network is defined
    elsewhere) the digest is another one each time, so that nothing is taken for the same.
    """
    tensors = dict(renderer.state_dict()) | dict(renderer.named_buffers())
    uncertain = source_digest() != SOURCES_AS_IMPORTED or not all(map(_is_known, renderer.modules()))
    return digest(
        {
            "weights": {name: tensors[name] for name in sorted(tensors)},
            "settings": renderer.settings,
            "networks": repr(renderer),
            "training": renderer.training,
            "sources": SOURCES_AS_IMPORTED,
            "torch": torch.__version__,
            "device": _device(next(renderer.parameters()).device),
            "uncertain": secrets.token_hex() if uncertain else None,
        }
    )


def render_key(of_renderer: str, batch: SceneBatch, rays_per_chunk: int, rendering: RenderingSettings) -> str:
    """Of one rendering: `renderer_digest`, the batch, how it is rendered, and the size of the chunks, which changes
    rounding."""
    return digest({"renderer": of_renderer, "batch": batch, "rays_per_chunk": rays_per_chunk, "rendering": rendering})


def _is_known(module: torch.nn.Module) -> bool:
    return type(module).__module__.startswith(OUR_MODULES)


def _device(device: torch.device) -> list[Any]:
    """What of a device decides how numbers are rounded."""
    precision = [torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()]
    if device.type == "cuda":
        cudnn = torch.backends.cudnn
        return ["cuda", torch.cuda.get_device_name(device), torch.version.cuda, cudnn.version(), *precision,
                torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark]  # fmt: skip
    processor = [platform.machine(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()]
    return [device.type, *processor, *precision]
