"""`python -m maskrf_core.workbook.experiments.study.scoring` scores a finetuned run and adds its row to the table."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import expand_scene_names
from maskrf_core.datasets.inventory import spread
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.rendering.evaluation import load, open_for_evaluation, psnr, resolve_device, ssim
from maskrf_core.rendering.rendered_views import as_picture
from maskrf_core.runs import Run
from maskrf_core.runs.log import latest
from maskrf_core.runs.provenance import code_state, cost, now
from maskrf_core.support.errors import MaskrfError
from maskrf_core.support.machine import tensor_float32
from maskrf_core.training.zero_shot import depth_error, exact_depth, those_there
from maskrf_core.workbook.experiments.study.rows import add_row, score_column

WORKING_VIEWS = (8, 3)
MOST_PIXELS = 2500
ZERO_SHOT = (
    "nerf_synthetic/lego/black_100",
    "nerf_llff/fern/8",
    "nerf_llff/tankard/8",
    "nerf_llff/carton/4",
    "capture/desk/200",
)
"""Scenes of other makings, scored where they are there and a training is whole."""


def scores(run: Run, scenes: Sequence[str]) -> dict[str, float]:
    """Return the mean of each score over the test views of each scene, with 8 and 3 working views, by column.

    The last weights count: no validation chooses among them.
    """
    config, hardware = run.config, run.config.hardware
    renderer = load(run.last_checkpoint).to(resolve_device(hardware.device)).eval()
    found = {}
    for count in WORKING_VIEWS:
        for views in open_for_evaluation(list(scenes), config.data.data_root, "test", count, hardware.device):
            references, queries = views.scene.split("test")
            if renderer.inputs.depths:
                views.prepare_depths(references)
            images = spread(queries, config.evaluation.views_per_scene)
            batches = (evaluation_batch(views, image, references, count, renderer.inputs) for image in images)
            of_views = [
                thinned_scores(renderer, batch, exact_depth(views.scene, image), hardware.rays_per_chunk)
                for image, batch in zip(images, batches, strict=True)
            ]
            mean = pd.DataFrame(of_views).mean()
            found |= {score_column(score, count, views.scene.name): float(mean[score]) for score in mean.index}
    return found


def thinned_scores(
    renderer: Renderer,
    batch: SceneBatch,
    depth: Float32[np.ndarray, "height width"] | None,
    rays_per_chunk: int,
    most_pixels: int = MOST_PIXELS,
) -> dict[str, float]:
    """Return PSNR [dB] and SSIM of a view, and the median error of depth as a share of the true one where there is one,
    of every n-th pixel of every n-th row.

    n is the smallest with which 1 / n² of them are at most `most_pixels`. Their colours are those of the whole picture.
    """
    every = math.ceil(math.sqrt(len(batch.pixels_xy) / most_pixels))
    pixels_xy = batch.pixels_xy.view(*batch.query.image_size, 2)[::every, ::every]
    asked = batch.replace(pixels_xy=pixels_xy.reshape(-1, 2)).to(next(renderer.parameters()).device)
    with tensor_float32(False):
        chunks = [chunk.fine for chunk in ChunkRenderer(renderer, rays_per_chunk=rays_per_chunk)(asked)]
    rgb, found_depth = (
        torch.cat(parts).cpu().unflatten(0, pixels_xy.shape[:2]).numpy()
        for parts in ([chunk.rgb for chunk in chunks], [chunk.depth for chunk in chunks])
    )
    rgb, truth = rgb.clip(0, 1), as_picture(batch.query.images[0])[::every, ::every]
    found = {"psnr": psnr(rgb, truth), "ssim": ssim(rgb, truth)}
    return found if depth is None else found | {"depth error": depth_error(found_depth, depth[::every, ::every])}


def row_of(pretrained: Run, run: Run, about: dict[str, str | int], zero_shot: bool) -> dict[str, str | int | float]:
    """Score a run and return its whole row: what it is, what it cost, what made it, and its scores."""
    masking = pretrained.config.masking.model_dump()
    code = code_state(Path(__file__))
    scenes = expand_scene_names(run.config.evaluation.test_scenes)
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
        add_row(asked.table, row)
    except MaskrfError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
