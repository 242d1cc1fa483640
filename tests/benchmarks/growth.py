"""How the cost grows (`python -m tests.benchmarks.growth [PART...]`).

At the demo's size, on the CPU: seconds of a `training` step, and of `rendering` a batch of rays with the encoding of
its views, where rays, views, samples or pixels of the reference images are doubled and doubled again. The exponent is
the slope of the logarithms: 1 where cost grows as the quantity does, less where parts of it do not grow at all.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

from maskrf_core.config import load_config
from maskrf_core.datasets.batch import SceneBatch, Views
from maskrf_core.datasets.training_views import TrainingDraw
from tests.benchmarks.measuring import keep, spread, table, timed
from tests.benchmarks.training_steps import bare, drawn, trainer_of

QUANTITIES = ("rays", "views", "samples", "pixels")
FACTORS = (2, 4)


def training(folder: Path, quantity: str, factor: int, steps: int) -> Callable[[], float]:
    """Seconds a step, over so many steps."""
    trainer = trainer_of(folder, **settings_of(quantity, factor))
    draws = [grown(draw, quantity, factor) for draw in drawn(trainer, steps)]
    return lambda: bare(trainer, draws)


def rendering(folder: Path, quantity: str, factor: int, steps: int) -> Callable[[], float]:
    """Seconds of rendering one batch without gradients, over so many batches."""
    trainer = trainer_of(folder, **settings_of(quantity, factor))
    batches = [grown(draw, quantity, factor).batch for draw in drawn(trainer, steps)]
    renderer = trainer.renderer.eval()
    return lambda: timed(lambda: [renderer.render(batch) for batch in batches]) / steps


def settings_of(quantity: str, factor: int) -> dict[str, int]:
    """The settings that make a training so many times as large, where settings do."""
    base = load_config("pretrain", "demo")
    if quantity == "rays":
        return {"data.rays": base.data.rays * factor}
    if quantity == "samples":
        names = ("coarse_samples", "fine_samples")
        return {f"model.{name}": getattr(base.model, name) * factor for name in names}
    return {}


def grown(draw: TrainingDraw, quantity: str, factor: int) -> TrainingDraw:
    """The draw with so many times the views (repeated) or pixels (tiled) for reference."""
    change = {"views": repeated, "pixels": tiled}.get(quantity)
    if change is None or factor == 1:
        return draw
    batch = draw.batch
    return TrainingDraw(SceneBatch(batch.query, change(batch.references, factor), batch.pixels_xy), draw.origin)


def repeated(views: Views, factor: int) -> Views:
    """Each view so many times."""
    parts = {field.name: getattr(views, field.name) for field in fields(views)}
    return views.replace(**{name: torch.cat([part] * factor) for name, part in parts.items() if part is not None})


def tiled(views: Views, factor: int) -> Views:
    """So many times the pixels: twice the width, then twice the height too."""
    tiles = (1, 1, factor // 2, 2)
    return views.replace(images=views.images.repeat(tiles), depths=views.depths.repeat(tiles))


def exponent(factors: Sequence[float], seconds: Sequence[float]) -> float:
    """The slope of the least-squares line through the logarithms."""
    return float(np.polyfit(np.log(factors), np.log(seconds), 1)[0])


def growth(part: Callable, folder: Path, steps: int, repeats: int) -> dict:
    """Medians of measurements in turn, so that all cases see the same machine; and the exponents."""
    cases = {"base": ("rays", 1)} | {f"{name} ×{factor}": (name, factor) for name in QUANTITIES for factor in FACTORS}
    measured = {name: part(folder / name, *case, steps) for name, case in cases.items()}
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for measure in measured.values():  # to warm up
        measure()
    for _ in range(repeats):
        for name, measure in measured.items():
            seconds[name].append(measure())
    medians = {name: float(np.median(all_)) for name, all_ in seconds.items()}
    exponents = {
        name: exponent((1, *FACTORS), [medians["base"], *(medians[f"{name} ×{factor}"] for factor in FACTORS)])
        for name in QUANTITIES
    }
    return {"seconds": {name: spread(all_) for name, all_ in seconds.items()}, "exponents": exponents}


def base() -> dict[str, object]:
    """What is doubled."""
    trained = load_config("pretrain", "demo")
    samples = f"{trained.model.coarse_samples} + {trained.model.fine_samples}"
    return {"rays": trained.data.rays, "views": trained.data.working_views, "samples": samples}


def main() -> None:
    """Measure, print, keep each part in runs/benchmarks/."""
    parts = {"training": training, "rendering": rendering}
    parser = argparse.ArgumentParser(description="Measure how the cost grows.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; default: all")
    parser.add_argument("--steps", type=int, default=4, help="of each measurement")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(parts):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    for name in arguments.parts or parts:
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            measured = growth(parts[name], Path(folder), arguments.steps, arguments.repeats)
        result = keep(f"growth_{name}", arguments.repeats, {"base": base(), **measured})
        print(f"== growth of {name}")
        table(result)


if __name__ == "__main__":
    main()
