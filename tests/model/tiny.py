"""A tiny case made by formula alone, so that it is the same everywhere: cameras on an arc, images, depths, weights."""

import math
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from maskrf_core.datasets.batches.batch import SceneBatch, Views
from maskrf_core.losses import TERMS, depth_loss
from maskrf_core.model.renderer import Renderer
from maskrf_core.model.sampling import RaySamples
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.training.objective import depth_supervision

NEAR, FAR = 2.0, 6.0
ADDED_SINCE = ("masked_modelling.colour_head.",)


def look_at_origin(angle: float, distance: float = 4.0) -> Tensor:
    """w2c of a camera on a horizontal circle around the origin, looking at it."""
    sine, cosine = math.sin(angle), math.cos(angle)
    rotation = torch.tensor([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    return torch.cat([rotation, torch.tensor([[0.0], [0.0], [distance]])], dim=1)


def tiny_views(angles: list[float], height: int = 32, width: int = 48) -> Views:
    """Smooth pictures and bumpy depths around 4, another one in each view."""
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    shift = torch.tensor(angles)[:, None, None, None]
    channel = torch.arange(3.0)[None, :, None, None]
    images = 0.5 + 0.45 * torch.sin(9 * x + 7 * y * (1 + channel) + 5 * shift + channel)
    depths = 4 + 0.6 * torch.cos(6 * x + 5 * shift) * torch.sin(5 * y + 1)
    K = torch.tensor([[1.1 * width, 0, width / 2 - 0.5], [0, 1.1 * width, height / 2 - 0.5], [0, 0, 1]])
    many = len(angles)
    return Views(
        images,
        K.expand(many, 3, 3).clone(),
        torch.stack([look_at_origin(angle) for angle in angles]),
        torch.tensor([NEAR, FAR]).expand(many, 2).clone(),
        depths=depths,
    )


def tiny_batch(views: int = 4, rays: int = 10, height: int = 32, width: int = 48) -> SceneBatch:
    """A query between `views` reference views, and rays spread over its middle."""
    index = torch.arange(rays, dtype=torch.float32)
    golden_ratio = 0.618034
    pixels_xy = torch.stack(
        [width * (0.2 + 0.6 * (index * golden_ratio) % 1), height * (0.2 + 0.6 * (index + 0.5) / rays)], dim=1
    )
    references = tiny_views([0.12 * (index - (views - 1) / 2) for index in range(views)], height, width)
    references = references.replace(true_depths=references.depths)
    return SceneBatch(tiny_views([0.03], height, width), references, pixels_xy)


def tiny_renderer(coarse_samples: int = 12, fine_samples: int = 6) -> Renderer:
    """A renderer whose weights follow from their position alone, in evaluation mode."""
    renderer = Renderer(ModelSettings(coarse_samples=coarse_samples, fine_samples=fine_samples))
    fill_by_formula(renderer)
    renderer.masked_modelling.target_projector.load_state_dict(renderer.masked_modelling.projector.state_dict())
    return renderer.eval()


@torch.no_grad()
def fill_by_formula(module: nn.Module) -> None:
    """Weights of variance 1 / inputs, biases and the rest small; scales of norms near 1.

    What was added to the model since the numbers were kept comes last, so that the other weights stay what they were.
    """

    def place(item: tuple[str, nn.Parameter]) -> tuple[bool, str]:
        return item[0].startswith(ADDED_SINCE), item[0]

    for order, (name, parameter) in enumerate(sorted(module.named_parameters(), key=place)):
        noise = scattered(parameter.numel(), order).view_as(parameter)
        if parameter.ndim > 1:
            parameter.copy_(noise * math.sqrt(3 / parameter[0].numel()))
        else:
            is_scale = name.endswith("weight")
            parameter.copy_(0.2 * noise + (1.0 if is_scale else 0.0))


def scattered(count: int, order: int = 0) -> Tensor:
    """Numbers in [-1, 1) without visible order; the same on every machine, whatever its random generators."""
    index = torch.arange(count, dtype=torch.float64)
    return (2 * ((torch.sin(index * 12.9898 + order * 78.233 + 1) * 43758.5453) % 1) - 1).to(torch.float32)


def depth_term(render_pass, features, depths: Tensor, pixels_xy: Tensor, *, unknown_is_near=True, input_depths=None):
    """The depth loss of one pass; `input_depths` are those that the model saw, where they were made noisy."""
    noisy = input_depths is not None
    features = features._replace(views=features.views.replace(depths=input_depths, true_depths=depths))
    counting = {"unknown_is_near": unknown_is_near, "where_agreed": noisy}
    depth = depth_supervision(render_pass, render_pass, features, pixels_xy, **counting)
    return depth_loss(depth, "fine")


def masked_terms(masked) -> dict[str, Tensor]:
    """The terms of what masked features predict."""
    terms = {name: term.of(SimpleNamespace(masked=masked)) for name, term in TERMS.items() if term.of_masked}
    return {name: term for name, term in terms.items() if term is not None}


def samples_with(intervals: Tensor) -> RaySamples:
    """Samples with these intervals, at depths that play no part."""
    half = intervals / 2
    return RaySamples(intervals, torch.cat([half[:, :1], half[:, :-1]], dim=1), half)
