"""Rendering at the published size against a straightforward version (`python -m tests.benchmarks.rendering`).

8 references of 400×304, 64 + 32 samples. Rays and the encoding of the references are measured apart, in turn with the
straightforward version and with matrix products; networks are compiled before anything is measured. The operations are
those of the straightforward version, whatever the other leaves out: `fraction` says how much of the ceiling it would
have had to reach to be as fast.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.model.gathering import ReferenceFeatures, query_rays
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.settings.sections import ModelSettings, RenderingSettings
from maskrf_core.workbook.experiments.measurements import (
    Arithmetic,
    Comparison,
    Spread,
    in_turn,
    matrix_products,
    operations_of,
)
from tests.benchmarks.measuring import keep, options
from tests.benchmarks.published_size import RAYS_PER_CHUNK, add_sizes, batch_of_size, colours, rendered, twins

RAYS = 4096
COUNTED = 64
"""Rays whose operations are counted: all have as many."""
SIDES_FOR_COST_VOLUMES = 32
"""Sides of the views must be multiples of this there."""


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
        "float32, compiled": variant("float32", compile=True),
        "bfloat16": variant("bfloat16", precision="bf16-mixed"),
        "bfloat16, compiled": variant("bfloat16", precision="bf16-mixed", compile=True),
    }


def compared(batch: SceneBatch, repeats: int) -> dict:
    """Measure rays and encoding, each against the straightforward version."""
    both, rays = {name: one.eval() for name, one in twins(ModelSettings()).items()}, query_rays(batch)
    with torch.inference_mode():
        features = {name: renderer.encode(batch.references) for name, renderer in both.items()}
    ours = variants(both["here"], features["here"], batch)
    plainly = partial(rendered, both["straightforward"], features["straightforward"], rays)
    every = ours | {"straightforward": Variant(plainly, "float32")}
    truth = every["straightforward"].render()
    differences = {name: float((variant.render() - truth).abs().max()) for name, variant in ours.items()}
    works = {name: variant.render for name, variant in every.items()}
    works |= {f"encoding, {name}": encoding(renderer, batch) for name, renderer in both.items()}
    measured = in_turn(works | matrix_products(), repeats)

    few = rays._replace(directions=rays.directions[:COUNTED])
    counted = operations_of(lambda: rendered(both["straightforward"], features["straightforward"], few))
    count, each = len(rays.directions), counted / len(few.directions)
    plain, gflop = measured["straightforward"], count * each / 1e9
    return {
        "rays": count,
        "rays_per_chunk": RAYS_PER_CHUNK,
        "mflop_per_ray": each / 1e6,
        "rays_per_second": {name: Spread.of([count / seconds for seconds in measured[name]]) for name in every},
        "largest_difference_of_colours": differences,
        "comparisons": {f"rendering, {name}": Comparison.of("s", measured[name], plain) for name in ours}
        | {"encoding": Comparison.of("s", measured["encoding, here"], measured["encoding, straightforward"])},
        "arithmetic": {
            f"rendering, {name}": Arithmetic.of(gflop, measured, name, variant.precision)
            for name, variant in every.items()
        },
    }


def encoding(renderer: Renderer, batch: SceneBatch) -> Callable[[], object]:
    """Make a case that encodes the references of the batch, with what it needs of other views."""

    def encode() -> None:
        with torch.inference_mode():
            renderer.encode(batch.references, batch.sources)

    return encode


def with_cost_volumes(size: tuple[int, int], repeats: int) -> dict:
    """Measure encoding where visibility comes from cost volumes, and count the source views beside the others."""
    renderer = Renderer(ModelSettings(visibility_init="cost_volume")).eval()
    width, height = (-(-side // SIDES_FOR_COST_VOLUMES) * SIDES_FOR_COST_VOLUMES for side in size)
    batch = batch_of_size((width, height), 1, renderer.inputs)
    measured = in_turn({"seconds": encoding(renderer, batch)}, repeats)
    return {"seconds": Spread.of(measured["seconds"]), "source_views": len(batch.sources.views)}


def main() -> None:
    """Measure, print, keep it in runs/benchmarks/."""
    parser = options("Time rendering at the published size.")
    add_sizes(parser, RAYS)
    arguments = parser.parse_args()
    result = compared(batch_of_size(arguments.size, arguments.rays), arguments.repeats)
    result["encoding_with_cost_volumes"] = with_cost_volumes(arguments.size, arguments.repeats)
    keep("rendering", arguments.repeats, result)


if __name__ == "__main__":
    main()
