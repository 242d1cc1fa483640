"""`python -m maskrf_core.workbook.experiments.study.scoring` scores a finetuned run and adds its row to the table."""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

from maskrf_core.datasets.demo import demo_scene_names
from maskrf_core.rendering.evaluation import load, open_for_evaluation, resolve_device
from maskrf_core.rendering.rendered_views import rendered_views
from maskrf_core.runs import Run
from maskrf_core.runs.log import latest
from maskrf_core.runs.provenance import code_state, cost, now
from maskrf_core.settings.config import Config
from maskrf_core.support.errors import MaskrfError
from maskrf_core.training.zero_shot import those_there, view_scores
from maskrf_core.workbook.experiments.study.rows import SCORES, add_row, score_column

WORKING_VIEWS = (8, 3)
ZERO_SHOT = (
    "nerf_synthetic/lego/black_100",
    "nerf_llff/fern/8",
    "nerf_llff/tankard/8",
    "nerf_llff/carton/4",
    "capture/desk/200",
)
"""Scenes of other makings, scored where they are there and a training is whole."""


def scores(run: Run, scenes: list[str]) -> dict[str, float]:
    """Return the mean of each score over the test views of each scene, with 8 and 3 working views, by column.

    The last weights count: no validation chooses among them.
    """
    config = run.config
    renderer = load(run.last_checkpoint).to(resolve_device(config.hardware.device)).eval()
    found = {}
    for count in WORKING_VIEWS:
        for views in open_for_evaluation(scenes, config.data.data_root, "test", count, config.hardware.device):
            asked = ("test", count, config.evaluation.views_per_scene, config.hardware.rays_per_chunk)
            mean = pd.DataFrame([view_scores(view, views) for view in rendered_views(renderer, [views], *asked)]).mean()
            of_scene = {score_column(name, count, views.scene.name): mean[name] for name in SCORES if name in mean}
            found |= {name: float(value) for name, value in of_scene.items()}
    return found


def test_scenes(config: Config) -> list[str]:
    """Return the test scenes of a config one by one."""
    named = config.evaluation.test_scenes
    return [scene for name in named for scene in (demo_scene_names("test") if name == "demo/test" else [name])]


def row_of(pretrained: Run, run: Run, about: dict[str, str | int], zero_shot: bool) -> dict[str, str | int | float]:
    """Score a run and return its whole row: what it is, what it cost, what made it, and its scores."""
    masking = pretrained.config.masking.model_dump()
    code = code_state(Path(__file__))
    scenes = test_scenes(run.config)
    others = those_there(ZERO_SHOT, run.config.data.data_root) if zero_shot else []
    return {
        **about,
        "masking": json.dumps(masking),
        "validation psnr": latest(run.metrics(), "validation", "fine_psnr"),
        "pretrain seconds": cost(pretrained.folder)["wall_seconds"],
        "seconds": cost(run.folder)["wall_seconds"],
        "memory mib": cost(run.folder)["peak_memory_mib"],
        "commit": code["git_commit"],
        "changes": code["git_changes"],
        "device": str(resolve_device(run.config.hardware.device)),
        "date": now(),
        **scores(run, [*scenes, *others]),
    }


def main(arguments: list[str] | None = None) -> int:
    """Score the run and add its row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pretrained", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--about", type=json.loads, required=True, help="the columns that tell the row from others")
    parser.add_argument("--zero-shot", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        row = row_of(Run.open(asked.pretrained), Run.open(asked.run), asked.about, asked.zero_shot)
        add_row(asked.table, row, asked.pretrained.parent.parent / ".rows.lock")
    except MaskrfError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
