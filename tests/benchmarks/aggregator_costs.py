"""Rays a second and operations a ray of every aggregator, in one run (`python -m tests.benchmarks.aggregator_costs`).

At the published samples of each, from 8 references of 400×304 which are encoded before; weights are random.
"""

from functools import partial

import torch

from maskrf_core.model.gathering import query_rays
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.workbook.experiments import measurements as measuring
from maskrf_core.workbook.experiments.measurements import Spread
from tests.benchmarks.measuring import RAYS_PER_CHUNK, add_sizes, batch_of_size, keep, options, rendered

RAYS, COUNTED = 512, 16  # rays that are timed, and of which operations are counted: all have as many
FINE_SAMPLES = {"neuray": 32, "ibrnet": 64, "nerformer": 32}  # as published


def main() -> None:
    """Measure, print, keep it in runs/benchmarks/."""
    parser = options("Compare the costs of the aggregators.")
    add_sizes(parser, RAYS)
    arguments = parser.parse_args()
    batch = batch_of_size(arguments.size, arguments.rays)
    rays, cases, operations, encoding = query_rays(batch), {}, {}, {}
    for name in FINE_SAMPLES:
        torch.manual_seed(0)
        renderer = Renderer(ModelSettings(aggregator=name, fine_samples=FINE_SAMPLES[name])).eval()
        with torch.inference_mode():
            features = renderer.encode(batch.references)
            encoding[name] = measuring.operations_of(partial(renderer.encode, batch.references)) / 1e9
        cases[name] = partial(rendered, renderer, features, rays)
        few = rays._replace(directions=rays.directions[:COUNTED])
        with torch.inference_mode():
            render = partial(renderer.render_rays, features, few, mask_ratio=0.0, generator=None)
            operations[name] = measuring.operations_of(render) / len(few.directions) / 1e6
    measured = measuring.in_turn(cases, arguments.repeats)
    result = {
        "rays": arguments.rays,
        "rays_per_chunk": RAYS_PER_CHUNK,
        "rays_per_second": {name: Spread.of([arguments.rays / each for each in measured[name]]) for name in cases},
        "mflop_per_ray": operations,
        "gflop_of_encoding": encoding,
    }
    keep("aggregator_costs", arguments.repeats, result)


if __name__ == "__main__":
    main()
