"""A masked training step at the published size against a straightforward one (`python -m
tests.benchmarks.training_step`).

512 rays, 8 references of 400×304, 64 + 32 samples: encoding, both passes, all losses (feature alignment counts),
backward pass, optimiser. In turn with the straightforward version, whose operations are counted, and matrix products.
"""

from collections.abc import Callable
from functools import partial

import torch

from maskrf_core.config import Config, load_config
from maskrf_core.datasets.batch import SceneBatch
from maskrf_core.losses import Objective, weighted_sum
from maskrf_core.measuring import (
    PRODUCT,
    arithmetic,
    comparison,
    in_turn,
    matrix_products,
    operations_of,
    spread,
    timed,
)
from maskrf_core.model.renderer import Renderer
from tests.benchmarks.measuring import keep, options
from tests.benchmarks.published_size import add_sizes, batch_of_size, twins

RAYS = 512


def steps(batch: SceneBatch, **overrides: object) -> dict[str, Callable[[], object]]:
    """A training step, here and straightforward: the same weights, batch and draws."""
    config = load_config("pretrain", "paper", overrides)
    return {name: step_of(one, config, batch) for name, one in twins(config.model, config.masking).items()}


def step_of(renderer: Renderer, config: Config, batch: SceneBatch) -> Callable[[], object]:
    """One optimiser step as the trainer does it, where the masked terms have their full weight."""
    objective = Objective(renderer.train(), config)
    optimiser = torch.optim.Adam(objective.parameters(), lr=config.training.learning_rate)
    late = config.masking.start_step + config.masking.warmup_steps

    def step() -> None:
        terms = objective(batch, generator=torch.Generator().manual_seed(0))
        optimiser.zero_grad()
        weighted_sum(terms, config.masking, late).backward()
        optimiser.step()
        renderer.masked_modelling.update_target()

    return step


def main() -> None:
    """Measure, print, keep it in runs/benchmarks/."""
    parser = options("Time a masked training step at the published size.")
    add_sizes(parser, RAYS)
    arguments = parser.parse_args()
    both = steps(batch_of_size(arguments.size, arguments.rays))
    gflop = operations_of(both["straightforward"]) / 1e9
    cases = {name: partial(timed, step) for name, step in both.items()}
    measured = in_turn(cases | matrix_products(precisions=["float32"]), arguments.repeats)
    ceiling = measured[PRODUCT.format("float32")]
    result = {
        "rays": arguments.rays,
        "seconds_per_step": {name: spread(measured[name]) for name in both},
        "comparisons": {"training step": comparison("s", measured["here"], measured["straightforward"])},
        "arithmetic": {
            "training step, float32": arithmetic(gflop, measured["here"], ceiling, "float32"),
            "training step, straightforward": arithmetic(gflop, measured["straightforward"], ceiling, "float32"),
        },
    }
    keep("training_step", arguments.repeats, result)


if __name__ == "__main__":
    main()
