"""A masked training step of 512 rays against a straightforward one (`python -m tests.benchmarks.training_step`).

Encoding, both passes, all losses (feature alignment counts), backward pass, optimiser; in turn with the straightforward
version, whose operations are counted, and matrix products. A step that is measured follows another of its kind, as in a
training: it is compiled, and finds its memory as that one left it.
"""

from collections.abc import Callable, Mapping

import torch

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.losses import weighted_sum
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.config import Config, load_config
from maskrf_core.training.objective import Objective
from maskrf_core.training.optimiser import adam
from maskrf_core.training.schedules import masking_schedule
from maskrf_core.workbook.experiments import measurements as measuring
from maskrf_core.workbook.experiments.measurements import Arithmetic, Comparison, Spread
from tests.benchmarks.measuring import add_sizes, batch_of_size, keep, options, twins

RAYS = 512
PLAIN_PASS = {"hardware.twin": True}
COMPILED = PLAIN_PASS | {"hardware.compile": True}
ROUNDED = COMPILED | {"hardware.precision": "bf16-mixed"}
LEAN = ROUNDED | {"hardware.recomputed_rays": 128}
WAYS = {  # to take it, and their settings
    "training step": {},
    "training step, plain pass": PLAIN_PASS,
    "training step, plain pass, compiled": COMPILED,
    "training step, compiled, bfloat16": ROUNDED,
    "training step, compiled, bfloat16, recomputed": LEAN,
}
PLAIN = "training step, straightforward"


def steps(batch: SceneBatch, overrides: Mapping[str, object] | None = None) -> dict[str, Callable[[], object]]:
    """Make a training step, here and straightforward: the same weights, batch and draws."""
    config = load_config("pretrain", "paper", {"data.rays": len(batch.pixels_xy), **(overrides or {})})
    return {name: step_of(one, config, batch) for name, one in twins(config.model, config.masking).items()}


def step_of(renderer: Renderer, config: Config, batch: SceneBatch) -> Callable[[], object]:
    """Make an optimiser step as the trainer does it, where the masked terms have their full weight."""
    objective = Objective(renderer.train(), config)
    optimiser = adam(renderer.parameters(), config.training.learning_rate)
    schedule = masking_schedule(config)

    def step() -> None:
        terms = objective(batch, generator=torch.Generator(batch.pixels_xy.device).manual_seed(0))
        optimiser.zero_grad()
        weighted_sum(terms, schedule.weight).backward()
        torch.stack(list(terms.values())).tolist()  # a GPU is waited for, once
        optimiser.step()
        renderer.masked_modelling.update_target(schedule.decay)

    return step


def main() -> None:
    """Measure, print, keep it in runs/benchmarks/."""
    parser = options("Time a masked training step at the published size.")
    add_sizes(parser, RAYS)
    arguments = parser.parse_args()
    batch = batch_of_size(arguments.size, arguments.rays)
    every = {name: steps(batch, asked)["here"] for name, asked in WAYS.items()}
    every[PLAIN] = steps(batch)["straightforward"]
    gflop = measuring.operations_of(every[PLAIN]) / 1e9
    measured = measuring.in_turn(every | measuring.matrix_products(), arguments.repeats)
    products = {name: "bfloat16" if "bfloat16" in name else "float32" for name in every}
    result = {
        "rays": arguments.rays,
        "seconds_per_step": {name: Spread.of(measured[name]) for name in every},
        "comparisons": {name: Comparison.of("s", measured[name], measured[PLAIN]) for name in WAYS},
        "arithmetic": {name: Arithmetic.of(gflop, measured, name, precision) for name, precision in products.items()},
    }
    keep("training_step", arguments.repeats, result)


if __name__ == "__main__":
    main()
