"""What benchmarks share: their options, where results are kept, and renderers and batches of the published size.

8 references, 64 + 32 samples. The views are a demo scene's, enlarged; weights are random, which changes no timing.
"""

import argparse
from collections.abc import Collection, Iterable

import torch
from pydantic_core import to_jsonable_python
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
from maskrf_core.support.atomic_files import write_json
from maskrf_core.support.paths import RUNS
from maskrf_core.workbook.experiments.measurements import made_here
from tests.reference import ReferenceRenderer

SIZE, VIEWS, RAYS_PER_CHUNK = "400x304", 8, 256
KINDS = {"here": Renderer, "straightforward": ReferenceRenderer}


def options(description: str, parts: Collection[str] = ()) -> argparse.ArgumentParser:
    """Make a command line that takes how often everything is measured, and which parts if there are any."""

    def known(part: str) -> str:
        if part not in parts:
            raise argparse.ArgumentTypeError(f"unknown part {part!r}; known: {', '.join(parts)}")
        return part

    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each case")
    if parts:
        about = f"of {', '.join(parts)}; default: all"
        parser.add_argument("parts", nargs="*", type=known, default=list(parts), metavar="PART", help=about)
    return parser


def image_size(text: str) -> tuple[int, int]:
    """Read `400x304` as (width, height)."""
    width, height = map(int, text.split("x"))
    return width, height


def add_sizes(parser: argparse.ArgumentParser, rays: int | None, size: str | None = SIZE) -> None:
    """Add options that make a batch smaller, to see whether everything runs."""
    parser.add_argument("--rays", type=int, default=rays)
    parser.add_argument("--size", type=image_size, default=size, help="of reference images: width x height")


def keep(name: str, repeats: int, measured: dict) -> None:
    """Write what was measured, with where and when, to runs/benchmarks/ under its name, and print it."""
    result = to_jsonable_python({**made_here(repeats), **measured})
    write_json(RUNS / "benchmarks" / f"{name}.json", result)
    print(f"== {name}")
    print_medians(result)


def print_medians(part: dict, indent: str = "") -> None:
    """Print the medians, with the smallest and largest where there are several."""
    for name, value in part.items():
        if isinstance(value, dict) and "median" in value:
            print(f"{indent}{name:<36} {value['median']:.4g}  ({min(value['all']):.4g} to {max(value['all']):.4g})")
        elif isinstance(value, dict):
            print(f"{indent}{name}")
            print_medians(value, f"{indent}  ")
        else:
            print(f"{indent}{name:<36} {value:.4g}" if isinstance(value, float) else f"{indent}{name:<36} {value}")


def twins(settings: ModelSettings, masking: MaskingSettings | None = None) -> dict[str, Renderer]:
    """Make our renderer and the straightforward one, with the same random weights."""
    torch.manual_seed(0)
    renderers = {name: kind(settings, masking) for name, kind in KINDS.items()}
    renderers["straightforward"].load_state_dict(renderers["here"].state_dict())
    return renderers


def batch_of_size(size: tuple[int, int], rays: int, inputs: ModelInputs = FROM_DEPTHS) -> SceneBatch:
    """Enlarge a demo batch to `size` (width, height), with rays spread over the whole query, row by row."""
    width, height = size
    views = SceneViews(open_scene("demo/test_00"))
    references, queries = views.scene.split("test")
    batch = evaluation_batch(views, queries[0], references, VIEWS, inputs)

    def enlarged(views: Views) -> Views:
        before = views.image_size
        scale = torch.tensor([width / before[1], height / before[0], 1.0])
        parts = {"images": functional.interpolate(views.images, (height, width), mode="bilinear")}
        for name in ("depths", "true_depths", "masks"):
            if (part := getattr(views, name)) is not None:
                maps = part if part.ndim == 4 else part[:, None].float()
                maps = functional.interpolate(maps, (height, width), mode="nearest")
                parts[name] = maps if part.ndim == 4 else maps[:, 0] > 0
        return views.replace(K=views.K * scale[:, None], **parts)

    places = (torch.arange(rays) * (width * height / rays)).long()
    pixels_xy = torch.stack([places % width, places // width], dim=-1).float()
    sources = batch.sources and batch.sources.replace(views=enlarged(batch.sources.views))
    references = enlarged(batch.references)
    references = references.replace(true_depths=references.depths)  # so that depth supervises, as it is
    return SceneBatch(enlarged(batch.query), references, pixels_xy, sources)


def rendered(renderer: Renderer, features: ReferenceFeatures, rays: QueryRays) -> Tensor:
    """Render fine colours of the rays (ray, 3), one chunk after the other."""
    return colours(renderer.render_chunks(features, rays, RAYS_PER_CHUNK))


def colours(chunks: Iterable[Rendering]) -> Tensor:
    """Join the fine colours of chunks (ray, 3)."""
    return torch.cat([chunk.fine.rgb for chunk in chunks])
