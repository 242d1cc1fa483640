"""A renderer, its straightforward twin and a batch at the published size: 8 references, 64 + 32 samples.

The views are a demo scene's, enlarged; the weights are random, which changes no timing.
"""

import argparse
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from maskrf_core.datasets.batches.batch import FROM_DEPTHS, ModelInputs, SceneBatch, Views
from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.scene import open_scene
from maskrf_core.model.gathering import QueryRays, ReferenceFeatures
from maskrf_core.model.renderer import Renderer
from maskrf_core.model.rendering import Rendering
from maskrf_core.settings.sections import MaskingSettings, ModelSettings
from tests.reference import ReferenceRenderer

WIDTH, HEIGHT, VIEWS = 400, 304, 8
RAYS_PER_CHUNK = 256
KINDS = {"here": Renderer, "straightforward": ReferenceRenderer}


def image_size(text: str) -> tuple[int, int]:
    """Read `400x304` as (width, height)."""
    width, height = map(int, text.split("x"))
    return width, height


def add_sizes(parser: argparse.ArgumentParser, rays: int, size: str = f"{WIDTH}x{HEIGHT}") -> None:
    """Add options that make a batch smaller, to see whether everything runs."""
    parser.add_argument("--rays", type=int, default=rays)
    parser.add_argument("--size", type=image_size, default=size, help="of reference images: width x height")


def twins(settings: ModelSettings, masking: MaskingSettings | None = None) -> dict[str, Renderer]:
    """Make our renderer and the straightforward one, with the same random weights."""
    torch.manual_seed(0)
    renderers = {name: kind(settings, masking) for name, kind in KINDS.items()}
    renderers["straightforward"].load_state_dict(renderers["here"].state_dict())
    return renderers


def batch_of_size(size: tuple[int, int], rays: int, inputs: ModelInputs = FROM_DEPTHS) -> SceneBatch:
    """Enlarge a demo batch to `size` (width, height), with rays spread over the whole query."""
    views = SceneViews(open_scene("demo/test_00"))
    references, queries = views.scene.split("test")
    batch = evaluation_batch(views, queries[0], references, VIEWS, inputs)

    def grown(part: Views) -> Views:
        return enlarged(part, *size)

    sources = batch.sources and batch.sources.replace(views=grown(batch.sources.views))
    return SceneBatch(grown(batch.query), grown(batch.references), spread_pixels(*size, rays), sources)


def enlarged(views: Views, width: int, height: int) -> Views:
    """Return the same views with more pixels, and cameras that fit them."""
    before = views.image_size
    scale = torch.tensor([width / before[1], height / before[0], 1.0])
    parts = {"images": functional.interpolate(views.images, (height, width), mode="bilinear")}
    for name in ("depths", "true_depths", "masks"):
        if (part := getattr(views, name)) is not None:
            maps = part if part.ndim == 4 else part[:, None].float()
            maps = functional.interpolate(maps, (height, width), mode="nearest")
            parts[name] = maps if part.ndim == 4 else maps[:, 0] > 0
    return views.replace(K=views.K * scale[:, None], **parts)


def spread_pixels(width: int, height: int, count: int) -> Tensor:
    """Return so many pixels (x, y) at equal distances along the rows of an image, row by row."""
    places = (torch.arange(count) * (width * height / count)).long()
    return torch.stack([places % width, places // width], dim=-1).float()


def rendered(
    renderer: Renderer, features: ReferenceFeatures, rays: QueryRays, rays_per_chunk: int = RAYS_PER_CHUNK
) -> Tensor:
    """Render fine colours of the rays (ray, 3), one chunk after the other."""
    return colours(renderer.render_chunks(features, rays, rays_per_chunk))


def colours(chunks: Iterable[Rendering]) -> Tensor:
    """Join the fine colours of chunks (ray, 3)."""
    return torch.cat([chunk.fine.rgb for chunk in chunks])
