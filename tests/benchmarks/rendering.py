"""Rendering at the published size, 8 references of 400×304 (`python -m tests.benchmarks.rendering [PART...]`).

`speed`: rays and encoding, in turn with a straightforward version and matrix products. Operations counted are those of
the straightforward version: `fraction` says how much of the ceiling it would have had to reach to be as fast.
`adaptive`: the adaptive mode and bfloat16 against the exact mode, of the same views: what they lose in PSNR, and how
much faster adaptive is on one block of pixels. It renders an embedded scene with random weights, to see that everything
runs; to measure, say `--checkpoint FILE --scenes nerf_llff/fern/8 ... --data-root FOLDER`.
"""

import argparse
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.datasets.batches.evaluation_batches import all_pixels, evaluation_batch
from maskrf_core.datasets.inventory import spread as spread_over
from maskrf_core.model.fast.adaptive_rendering import ADAPTIVE_SETTINGS, AdaptiveSettings
from maskrf_core.model.fast.surface_views import with_few_views
from maskrf_core.model.gathering import ReferenceFeatures, query_colours, query_rays
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.rendering.evaluation import load, open_for_evaluation
from maskrf_core.settings.sections import ModelSettings, RenderingSettings
from maskrf_core.workbook.experiments import measurements as measuring
from maskrf_core.workbook.experiments.measurements import Arithmetic, Comparison, Spread
from tests.benchmarks.measuring import (
    RAYS_PER_CHUNK,
    VIEWS,
    add_sizes,
    batch_of_size,
    colours,
    keep,
    options,
    rendered,
    twins,
)

RAYS = 4096
COUNTED = 64  # rays whose operations are counted: all have as many
SIDES_FOR_COST_VOLUMES = 32  # there, sides of the views must be multiples of this
SIDE = 96  # of the block of pixels, in the middle of the view, on which the adaptive mode is timed


class Variant(NamedTuple):
    """A way to render the rays, and the precision of the matrix product that is its ceiling."""

    render: Callable[[], Tensor]
    precision: str


def variants(
    renderer: Renderer, features: ReferenceFeatures, batch: SceneBatch, rays_per_chunk: int = RAYS_PER_CHUNK
) -> dict[str, Variant]:
    """Make what is held against the straightforward float32, by name."""

    def variant(multiplied_in: str, **asked: object) -> Variant:
        made = ChunkRenderer(renderer, RenderingSettings(**asked), rays_per_chunk)
        return Variant(lambda: colours(made.render(features, batch.query, batch.pixels_xy)), multiplied_in)

    return {
        "float32": variant("float32"),
        "float32, plain pass": variant("float32", twin=True),
        "float32, plain pass, compiled": variant("float32", twin=True, compile=True),
        "bfloat16, compiled": variant("bfloat16", precision="bf16-mixed", compile=True),
    }


def adaptively(renderer: Renderer, features: ReferenceFeatures, batch: SceneBatch) -> Callable[[], Tensor]:
    """Make a case that renders in the adaptive mode about as many rays, of a square in the middle of the query."""
    made = ChunkRenderer(renderer, RenderingSettings(mode="adaptive"), RAYS_PER_CHUNK)
    pixels = square(batch, math.isqrt(len(batch.pixels_xy)))
    return lambda: colours(made.render(features, batch.query, pixels))


def square(batch: SceneBatch, side: int) -> Tensor:
    """Return the pixels of a square in the middle of the query."""
    height, width = batch.query.image_size
    rows, columns = min(side, height), min(side, width)
    return all_pixels(rows, columns) + torch.tensor([(width - columns) // 2, (height - rows) // 2])


def speed(arguments: argparse.Namespace) -> dict:
    """Measure rays and encoding, each against the straightforward version; what is compiled is compiled before."""
    batch = batch_of_size(arguments.size, arguments.rays)
    both, rays = {name: one.eval() for name, one in twins(ModelSettings()).items()}, query_rays(batch)
    with torch.inference_mode():
        features = {name: renderer.encode(batch.references) for name, renderer in both.items()}
    ours = variants(both["here"], features["here"], batch)
    plainly = partial(rendered, both["straightforward"], features["straightforward"])
    every = ours | {"straightforward": Variant(partial(plainly, rays), "float32")}
    truth = every["straightforward"].render()
    differences = {name: float((variant.render() - truth).abs().max()) for name, variant in ours.items()}
    every["float32, adaptive"] = Variant(adaptively(both["here"], features["here"], batch), "float32")
    works, names = {name: variant.render for name, variant in every.items()}, [*ours, "float32, adaptive"]
    works |= {f"encoding, {name}": encoding(renderer, batch) for name, renderer in both.items()}
    measured = measuring.in_turn(works | measuring.matrix_products(), arguments.repeats)
    few, count = rays._replace(directions=rays.directions[:COUNTED]), len(rays.directions)
    each = measuring.operations_of(partial(plainly, few)) / len(few.directions)
    plain, gflop = measured["straightforward"], count * each / 1e9
    return {
        "rays": count,
        "rays_per_chunk": RAYS_PER_CHUNK,
        "mflop_per_ray": each / 1e6,
        "rays_per_second": {name: Spread.of([count / seconds for seconds in measured[name]]) for name in every},
        "largest_difference_of_colours": differences,
        "comparisons": {f"rendering, {name}": Comparison.of("s", measured[name], plain) for name in names}
        | {"encoding": Comparison.of("s", measured["encoding, here"], measured["encoding, straightforward"])},
        "arithmetic": {
            f"rendering, {name}": Arithmetic.of(gflop, measured, name, variant.precision)
            for name, variant in (ours | {"straightforward": every["straightforward"]}).items()
        },
        "encoding_with_cost_volumes": with_cost_volumes(arguments.size, arguments.repeats),
    }


def encoding(renderer: Renderer, batch: SceneBatch) -> Callable[[], object]:
    """Make a case that encodes the references of the batch, with what it needs of other views."""
    return torch.inference_mode()(partial(renderer.encode, batch.references, batch.sources))


def with_cost_volumes(size: tuple[int, int], repeats: int) -> dict:
    """Measure encoding where visibility comes from cost volumes, and count the source views beside the others."""
    renderer = Renderer(ModelSettings(visibility_init="cost_volume")).eval()
    width, height = (-(-side // SIDES_FOR_COST_VOLUMES) * SIDES_FOR_COST_VOLUMES for side in size)
    batch = batch_of_size((width, height), 1, renderer.inputs)
    measured = measuring.in_turn({"seconds": encoding(renderer, batch)}, repeats)
    return {"seconds": Spread.of(measured["seconds"]), "source_views": len(batch.sources.views)}


def psnr(colours: Tensor, truth: Tensor) -> float:
    """Compute the PSNR of colours clipped to [0, 1], in dB."""
    return float(-10 * (colours.clamp(0, 1) - truth).square().mean().log10())


def modes_of(
    renderer: Renderer, batch: SceneBatch, rays_per_chunk: int, saving: AdaptiveSettings
) -> dict[str, Callable[[Tensor], Tensor]]:
    """Make functions that render colours (ray, 3) of pixels in each mode, from references that are encoded once."""
    preview = ChunkRenderer(renderer, RenderingSettings(mode="preview"), rays_per_chunk)
    surface = preview.surface(batch.references, batch.query)
    few = with_few_views(batch, surface)
    with torch.inference_mode():
        features, of_few = (renderer.encode(each.references, each.sources) for each in (batch, few))

    def mode(of: ReferenceFeatures, **asked: str) -> Callable:
        made = ChunkRenderer(renderer, RenderingSettings(**asked), rays_per_chunk, saving)
        return lambda pixels_xy: colours(made.render(of, batch.query, pixels_xy))

    def look_around(pixels_xy: Tensor) -> Tensor:
        surface = preview.surface(batch.references, batch.query)  # of the whole picture, for each one
        with_few_views(batch, surface)
        return colours(preview.render(of_few, batch.query, pixels_xy, surface))

    return {
        "exact": mode(features),
        "adaptive": mode(features, mode="adaptive"),
        "bfloat16": mode(features, precision="bf16-mixed"),
        "preview": look_around,
        f"exact, {len(few.references)} views": mode(of_few),
    }


def judged(renderer: Renderer, scene: str, arguments: argparse.Namespace, saving: AdaptiveSettings) -> dict:
    """Measure PSNR of every `rows`-th row in every mode over the test views of a scene (or group of scenes), how much
    less than the exact one's and how near to it; and the speed in the first view."""
    rows, speeds = {}, {}
    for opened in open_for_evaluation([scene], arguments.data_root, "test", VIEWS):
        references, queries = opened.scene.split("test")
        if renderer.inputs.depths:
            opened.prepare_depths(references)
        for image_id in spread_over(queries, arguments.views):
            batch = evaluation_batch(opened, image_id, references, VIEWS, renderer.inputs)
            modes = modes_of(renderer, batch, arguments.rays_per_chunk, saving)
            name = f"{opened.scene.name}, {image_id}"
            pixels = batch.pixels_xy[batch.pixels_xy[:, 1] % arguments.rows == 0]
            truth = query_colours(batch.query, pixels)
            exact, *others = ((mode, render(pixels)) for mode, render in modes.items())
            rows[name] = {"psnr_exact": psnr(exact[1], truth)}
            for mode, found in others:
                rows[name][f"psnr_{mode}"] = psnr(found, truth)
                rows[name][f"lost_db_{mode}"] = rows[name]["psnr_exact"] - psnr(found, truth)
                rows[name][f"psnr_of_{mode}_to_exact"] = psnr(found, exact[1].clamp(0, 1))
            speeds = speeds or timed(modes, batch, arguments)
            print(f"{name}: {rows[name]}", flush=True)
    names = list(next(iter(rows.values())))
    means = {name: sum(row[name] for row in rows.values()) / len(rows) for name in names}
    return {"mean": means, "views": rows} | speeds


def timed(modes: dict[str, Callable[[Tensor], Tensor]], batch: SceneBatch, arguments: argparse.Namespace) -> dict:
    """Time the exact, the adaptive and the preview mode in turn, on a square of pixels in the middle of the view."""
    pixels = square(batch, arguments.side)
    cases = {name: partial(modes[name], pixels) for name in ("exact", "adaptive", "preview")}
    seconds = measuring.in_turn(cases, arguments.repeats)
    return {
        "rays": len(pixels),
        "rays_per_second": {name: Spread.of([len(pixels) / each for each in of]) for name, of in seconds.items()},
        "comparison": Comparison.of("s", seconds["adaptive"], seconds["exact"]),
    }


def adaptive(arguments: argparse.Namespace) -> dict:
    """Judge every scene with the weights that are asked for, at the samples that these were trained with."""
    torch.manual_seed(0)
    renderer = load(arguments.checkpoint) if arguments.checkpoint else Renderer()
    saving = AdaptiveSettings(arguments.grid, arguments.samples)
    scenes = {scene: judged(renderer.eval(), scene, arguments, saving) for scene in arguments.scenes}
    return {
        "checkpoint": arguments.checkpoint.name if arguments.checkpoint else "random weights",
        "rays_per_chunk": arguments.rays_per_chunk,
        "rows": arguments.rows,
        "samples_a_ray": [renderer.settings.coarse_samples, renderer.settings.fine_samples],
        **saving._asdict(),
        "comparisons": {f"adaptive rendering, {name}": part.pop("comparison") for name, part in scenes.items()},
        "scenes": scenes,
    }


def main() -> None:
    """Measure, print, keep each part in runs/benchmarks/."""
    parser = options("Time rendering at the published size, and judge the adaptive mode.", ("speed", "adaptive"))
    add_sizes(parser, RAYS)
    parser.add_argument("--checkpoint", type=Path, help="weights, ours or published; default: random ones")
    parser.add_argument("--scenes", nargs="+", default=["demo/test_00"])
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--views", type=int, default=1, help="test views of each scene")
    parser.add_argument("--rows", type=int, default=1, help="judge every so many-th row of a view, to save time")
    parser.add_argument("--rays-per-chunk", type=int, default=RAYS_PER_CHUNK)
    parser.add_argument("--side", type=int, default=SIDE, help="of the block of pixels that is timed")
    parser.add_argument("--grid", type=int, default=ADAPTIVE_SETTINGS.grid)
    parser.add_argument("--samples", type=int, default=ADAPTIVE_SETTINGS.samples, help="of the thinned fine pass")
    arguments = parser.parse_args()
    for part in arguments.parts:
        measured = speed(arguments) if part == "speed" else adaptive(arguments)
        keep("rendering" if part == "speed" else "adaptive", arguments.repeats, measured)


if __name__ == "__main__":
    main()
