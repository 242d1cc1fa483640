"""How the cost grows (`python -m tests.benchmarks.growth [PART...]`).

At the demo's size, on the CPU: seconds of a `training` step, and of `rendering` a batch of rays with the encoding of
its views, where rays, views, samples or pixels of the reference images are doubled and doubled again. The exponent is
the slope of the logarithms: 1 where cost grows as the quantity does, less where parts of it do not grow at all.
"""

import tempfile
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path

import torch

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.datasets.batches.training_views import TrainingDraw
from maskrf_core.settings.config import load_config
from maskrf_core.workbook.experiments.measurements import Growth, in_turn
from tests.benchmarks.measuring import keep, options
from tests.benchmarks.training import drawn, take, trainer_of

PARTS = ("training", "rendering")
QUANTITIES = ("rays", "views", "samples", "pixels")
FACTORS = (2, 4)
BASE = "base"


def case(part: str, folder: Path, quantity: str, factor: int, steps: int) -> Callable[[], object]:
    """Make a case of so many training steps, or one that renders so many batches without gradients."""
    trainer = trainer_of(folder, **settings_of(quantity, factor))
    draws = [grown(draw, quantity, factor) for draw in drawn(trainer, steps)]
    if part == "training":
        return partial(take, trainer, draws)
    renderer = trainer.renderer.eval()
    return lambda: [renderer.render(draw.batch) for draw in draws]


def settings_of(quantity: str, factor: int) -> dict[str, int]:
    """Return the settings that make a training so many times as large, where settings do."""
    base = load_config("pretrain", "demo")
    if quantity == "rays":
        return {"data.rays": base.data.rays * factor}
    if quantity == "samples":
        names = ("coarse_samples", "fine_samples")
        return {f"model.{name}": getattr(base.model, name) * factor for name in names}
    return {}


def grown(draw: TrainingDraw, quantity: str, factor: int) -> TrainingDraw:
    """Give a draw so many times the reference views, or their pixels: twice the width, then twice the height too."""
    if quantity not in ("views", "pixels") or factor == 1:
        return draw
    batch, views = draw.batch, draw.batch.references
    parts = {field.name: getattr(views, field.name) for field in fields(views)}
    if quantity == "views":
        more = {name: torch.cat([part] * factor) for name, part in parts.items() if part is not None}
    else:
        more = {name: parts[name].repeat(1, 1, factor // 2, 2) for name in ("images", "depths")}
    return TrainingDraw(SceneBatch(batch.query, views.replace(**more), batch.pixels_xy), draw.origin)


def growth(part: str, folder: Path, steps: int, repeats: int) -> dict:
    """Measure the seconds of a step by quantity and factor, all in turn, so that all cases see the same machine."""
    cases = {(name, factor): f"{name} ×{factor}" for name in QUANTITIES for factor in FACTORS}
    measures = {name: case(part, folder / name, *key, steps) for key, name in cases.items()}
    measured = in_turn({BASE: case(part, folder / BASE, QUANTITIES[0], 1, steps)} | measures, repeats)
    seconds = {name: [each / steps for each in values] for name, values in measured.items()}
    return {
        name: Growth.of({1: seconds[BASE]} | {factor: seconds[cases[name, factor]] for factor in FACTORS})
        for name in QUANTITIES
    }


def main() -> None:
    """Measure, print, keep each part in runs/benchmarks/."""
    parser = options("Measure how the cost grows.", PARTS)
    parser.add_argument("--steps", type=int, default=4, help="of each measurement")
    arguments = parser.parse_args()
    config = load_config("pretrain", "demo")
    samples = f"{config.model.coarse_samples} + {config.model.fine_samples}"
    base = {"rays": config.data.rays, "views": config.data.working_views, "samples": samples}
    for name in arguments.parts:
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            measured = growth(name, Path(folder), arguments.steps, arguments.repeats)
        keep(f"growth_{name}", arguments.repeats, {"base": base, "growth": measured})


if __name__ == "__main__":
    main()
