"""Measurements of `make bench`, read again, or a small one made here; as tables and as plain numbers."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pydantic import ValidationError

from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.scene import open_scene
from maskrf_core.model.gathering import query_rays
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.evaluation import resolve_device
from maskrf_core.settings.config import Config, readable
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.errors import RunError
from maskrf_core.support.paths import display_path
from maskrf_core.workbook.experiments import measurements as measuring
from maskrf_core.workbook.experiments.measurements import Arithmetic, Comparison, Growth, Measurement
from maskrf_core.workbook.parameters import PerformanceParameters

SCENE, MOST_RAYS, FACTORS, CHUNKS = "demo/test_00", 128, (1, 2, 4), 4
MATRIX_SIDE = 1024  # for 2 GFLOP, a few hundredths of a second


def measurements_of(parameters: PerformanceParameters) -> list[Measurement]:
    """Read those in the notebook's folder; where there are none and none were asked for, make a small one now.

    Raises:
        RunError: a file is not what a benchmark leaves, or a folder was asked for in which nothing is compared.
    """
    folder = parameters.measurements_folder
    every = [] if folder is None else [_read(path) for path in sorted(folder.glob("*.json"))]
    found = [each for each in every if each.comparisons or each.growth]
    if not found and parameters.measurements is not None:
        raise RunError(f"{display_path(folder)}: nothing is compared in the JSON files there. Fill it by `make bench`.")
    if found:
        print(f"{len(found)} measurements of `make bench` in {display_path(folder)}")
        return found
    print("No measurements of `make bench` are at hand: this is a small one, made here and now.")
    config, device = parameters.config("finetune"), resolve_device(parameters.device)
    return [small_measurement(config, parameters.repeats, device=device)]


def _read(path: Path) -> Measurement:
    """Read one file, or refuse it with the remedy."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it holds no table of numbers")
        return Measurement.model_validate({"name": path.stem, **values})
    except ValidationError as error:
        reason = readable(error, Measurement, noun="number").splitlines()[0]
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error)
    raise RunError(
        f"{display_path(path)}: is not what a benchmark leaves ({reason}). Delete it, or measure it "
        "again by `make bench`."
    )


def parts(measurements: Iterable[Measurement], kind: str) -> dict[str, Any]:
    """Gather all `comparisons` or `arithmetic` by their titles."""
    return {title: part for each in measurements for title, part in getattr(each, kind).items()}


def grown(measurements: Iterable[Measurement]) -> dict[str, dict[str, Growth]]:
    """Gather what was grown → quantity → growth."""
    return {each.name.removeprefix("growth_"): each.growth for each in measurements if each.growth}


def comparisons_table(measurements: Sequence[Measurement]) -> pd.DataFrame:
    """Tabulate a row a comparison: medians with the smallest and largest, and where and when."""
    columns = ["what", "here", "straightforward", "ratio", "runs", "machine", "date"]
    rows = []
    for each in measurements:
        for title, part in each.comparisons.items():
            medians = [f"{spread} {part.unit}" for spread in (part.here, part.straightforward)]
            rows.append([title, *medians, str(part.ratio), len(part.ratio.all), each.machine, each.date])
    return pd.DataFrame(rows, columns=columns).set_index("what")


def fractions(measurements: Iterable[Measurement]) -> pd.Series:
    """Tabulate the median fraction of the ceiling, by title."""
    found = {title: part.fraction.median for title, part in parts(measurements, "arithmetic").items()}
    return pd.Series(found, dtype=float)


def exponents(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """Tabulate the exponent of each quantity (row) of what was grown (column)."""
    every = grown(measurements).items()
    return pd.DataFrame({name: {what: one.exponent for what, one in each.items()} for name, each in every}, dtype=float)


def plain(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """Return the medians, to be recorded."""
    return {
        "measured": {each.name: {"machine": each.machine, "date": each.date} for each in measurements},
        "ratios": {title: part.ratio.median for title, part in parts(measurements, "comparisons").items()},
        "fractions_of_the_ceiling": fractions(measurements).to_dict(),
        "exponents": {name: column.dropna().to_dict() for name, column in exponents(measurements).items()},
    }


def small_measurement(config: Config, repeats: int, *, device: torch.device) -> Measurement:
    """Measure rendering at the config's sizes with random weights, with about a hundred rays of a demo scene."""
    torch.manual_seed(0)
    count, counts = min(config.data.rays, MOST_RAYS), ("coarse_samples", "fine_samples")
    renders = {}
    for factor in FACTORS:
        more = {name: getattr(config.model, name) * factor for name in counts}
        renders[factor] = _renderer(config.model.model_copy(update=more), config.data.working_views, device)
    cases = {
        "once": partial(renders[1], count, chunks=CHUNKS),
        "anew": partial(renders[1], count, chunks=CHUNKS, encode_anew=True),
        **{f"rays ×{factor}": partial(renders[1], count * factor) for factor in FACTORS},
        **{f"samples ×{factor}": partial(render, count) for factor, render in renders.items()},
    }
    measured = measuring.in_turn(cases | measuring.matrix_products(MATRIX_SIDE, ["float32"], device), repeats)
    gflop = measuring.operations_of(cases["rays ×1"]) / 1e9
    title = f"views encoded once, not for each of {CHUNKS} chunks"
    return Measurement(
        name="small rendering",
        **measuring.made_here(repeats),
        comparisons={title: Comparison.of("s", measured["once"], measured["anew"])},
        arithmetic={f"rendering {count} rays": Arithmetic.of(gflop, measured, "rays ×1", "float32", MATRIX_SIDE)},
        growth={
            quantity: Growth.of({factor: measured[f"{quantity} ×{factor}"] for factor in FACTORS})
            for quantity in ("rays", "samples")
        },
    )


def _renderer(settings: ModelSettings, working_views: int, device: torch.device) -> Callable:
    """Make a function that renders so many rays, spread over a query of the demo scene.

    In one chunk the views were encoded before; in several they are encoded first, or anew for each chunk.
    """
    renderer = Renderer(settings).to(device).eval()
    scene_views = SceneViews(open_scene(SCENE))
    references, queries = scene_views.scene.split("test")
    batch = evaluation_batch(scene_views, queries[0], references, working_views, renderer.inputs).to(device)
    rays = query_rays(batch)
    encode = partial(renderer.encode, batch.references, batch.sources)
    with torch.inference_mode():
        encoded = encode()

    def render(count: int, chunks: int = 1, *, encode_anew: bool = False) -> None:
        every = torch.linspace(0, len(batch.pixels_xy) - 1, count).long()
        with torch.inference_mode():
            features = encoded if chunks == 1 else encode()
            for number, directions in enumerate(rays.directions[every].chunk(chunks)):
                if encode_anew and number:
                    features = encode()
                renderer.render_rays(features, rays._replace(directions=directions), mask_ratio=0.0, generator=None)

    return render
