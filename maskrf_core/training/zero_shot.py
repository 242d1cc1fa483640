"""The zero-shot table: how weights render scenes that nothing was trained or chosen on, beside the simplest methods.

`python -m maskrf_core.training.zero_shot --data-root ../scenes` takes of the list those scenes that are there.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32

from maskrf_core.checkpoints.published_files import file_of
from maskrf_core.datasets.batches.scene_views import SceneViews, open_scenes
from maskrf_core.datasets.inventory import spread
from maskrf_core.datasets.records import record_of
from maskrf_core.datasets.scene import Scene, open_scene
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.evaluation import load, nearest_view_copy, open_for_evaluation, resolve_device, view_metrics
from maskrf_core.rendering.render_cache import RenderCache, renders_folder
from maskrf_core.rendering.rendered_views import RenderedView, rendered_views, write_pictures, write_strip
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.settings.sections import EXACT, ModelSettings, RenderingSettings
from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.errors import DatasetError, MaskrfError
from maskrf_core.support.paths import cache_folder
from maskrf_core.training.trainer import fit

SCENES = (
    "demo/test_00",
    "demo/test_01",
    "demo/test_02",
    "demo/test_03",
    "nerf_synthetic/lego/black_400",
    "dtu_test/scan65/black_400",
    "nerf_llff/fern/8",
    "nerf_llff/tankard/8",
    "nerf_llff/carton/4",
    "capture/desk/raw",
    "capture/fox/raw",
)
ON_SCENES = ("nerf_synthetic/lego/black_400", "nerf_llff/fern/8")  # trained on alone, where that is asked for
WORKING_VIEWS = (8, 3)
NEAREST, UNTRAINED = "nearest view", "untrained"


def zero_shot(
    source: str | Path | Renderer,
    scenes: Sequence[str],
    data_root: str | Path = "data",
    *,
    working_views: Iterable[int] = WORKING_VIEWS,
    views_per_scene: int = 2,
    rays_per_chunk: int = 1024,
    device: str = "auto",
    rendering: RenderingSettings = EXACT,
    pictures: Path | None = None,
    called: str | None = None,
) -> pd.DataFrame:
    """Return a row a scene, number of working views and method: mean PSNR [dB], SSIM and, where depth is exact, the
    median error of depth as a share of it. Pictures of `source` go below `pictures`, a folder a number of views.
    Photographs of one's own are to have been made into scenes. `called` names the method; else its file does.

    Raises:
        CheckpointError, DatasetError: weights or scenes cannot be read.
    """
    trained = load(source).to(resolve_device(device)).eval()
    name = called or ("trained" if isinstance(source, Renderer) else Path(source).stem)
    methods = {UNTRAINED: untrained(trained.settings).to(resolve_device(device)), name: trained}
    renders = RenderCache(renders_folder(cache_folder(data_root)), 2048)
    rows = []
    for scene in scenes:
        copied = nearest_view_copy([scene], data_root=data_root, views_per_scene=views_per_scene)
        rows.append({"scene": scene, "working views": 1, "method": NEAREST, **copied[["psnr", "ssim"]].mean()})
        for count in working_views:
            opened = open_for_evaluation([scene], data_root, "test", count, device)
            asked = ("test", count, views_per_scene, rays_per_chunk, renders)
            for method, renderer in methods.items():
                kept = pictures / f"{count}_views" if pictures and renderer is trained else None
                rendered = rendered_views(renderer, opened, *asked, rendering=rendering)
                rows.append(_row(method, count, opened[0], rendered, kept))
    return pd.DataFrame(rows)


def _row(
    method: str, count: int, views: SceneViews, rendered: Iterable[RenderedView], pictures: Path | None
) -> dict[str, str | int | float]:
    """Return the row of a method with so many working views of a scene; pictures are kept where a folder is given."""
    scores = []
    for view in rendered:
        scores.append(view_scores(view, views))
        if pictures is not None:
            write_pictures(view, pictures)
    mean = pd.DataFrame(scores).mean()
    print(f"{views.scene.name}, {count} views, {method}: {mean['psnr']:.2f} dB", flush=True)
    return {"scene": views.scene.name, "working views": count, "method": method, **mean}


def steps_on_scene(
    source: str | Path,
    scenes: Iterable[str],
    data_root: str | Path,
    steps: int,
    *,
    working_views: int = WORKING_VIEWS[0],
    views_per_scene: int = 2,
    rendering: RenderingSettings = EXACT,
    pictures: Path | None = None,
) -> pd.DataFrame:
    """Return a row as `zero_shot` does for each scene, by weights that went on learning for `steps` on it alone.

    Raises:
        CheckpointError, DatasetError, RunError: as a training.
    """
    of_model = {f"model.{name}": value for name, value in load(source).settings.model_dump().items()}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for scene in scenes:
            asked = of_model | {
                "data.train_scenes": [scene],
                "data.data_root": str(data_root),
                "data.working_views": working_views,
                "evaluation.test_scenes": [scene],
                "training.steps": steps,
                "training.initial_weights": str(file_of(source)),
                "training.validation_views": 1,
            }
            renderer = fit(
                Run.start(Path(folder) / scene.replace("/", "_"), load_config("per_scene", "weights", asked))
            )
            opened = open_for_evaluation([scene], data_root, "test", working_views)
            kept = pictures / f"{steps}_steps" if pictures else None
            asked_of = ("test", working_views, views_per_scene, 1024)
            rendered = rendered_views(renderer, opened, *asked_of, rendering=rendering)
            rows.append(_row(f"{steps} steps on it", working_views, opened[0], rendered, kept))
    return pd.DataFrame(rows)


def untrained(settings: ModelSettings) -> Renderer:
    """Make a renderer of the random weights of seed 0: about the average of the views."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Renderer(settings).eval()


def view_scores(view: RenderedView, views: SceneViews) -> dict[str, float]:
    """Return PSNR [dB] and SSIM of a view of a scene and, where depth is exact, its median error as a share of it."""
    scores = {name: view_metrics(view, [name])[f"fine_{name}"] for name in ("psnr", "ssim")}
    if (truth := exact_depth(views.scene, view.image_id)) is not None:
        scores["depth error"] = depth_error(view.fine_depth, truth)
    return scores


def exact_depth(scene: Scene, image_id: str) -> Float32[np.ndarray, "height width"] | None:
    """Return a view's depth where it is known exactly, 0 where nothing is."""
    return scene.depth(image_id) if record_of(scene.name).exact_depth else None


def depth_error(depth: Float[np.ndarray, "_ _"], truth: Float[np.ndarray, "height width"]) -> float:
    """Return the median error as a share of the true depth; `depth` may have a margin to the right and below."""
    height, width = truth.shape
    known = truth > 0
    return float(np.median(np.abs(depth[:height, :width] / np.where(known, truth, 1) - 1)[known]))


def markdown(table: pd.DataFrame) -> str:
    """Return the table for a page: a row a scene, and PSNR / SSIM of each method with each number of views."""
    columns = list(dict.fromkeys(zip(table["method"], table["working views"], strict=True)))
    lines = [
        "| scene | " + " | ".join(f"{method}, {count}" for method, count in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for scene, of_scene in table.groupby("scene", sort=False):
        cells = []
        for method, count in columns:
            found = of_scene[(of_scene["method"] == method) & (of_scene["working views"] == count)]
            if found.empty:
                cells.append("")
                continue
            cells.append(written_scores(found.iloc[0]))
        lines.append(f"| {scene} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def written_scores(row: pd.Series) -> str:
    """Write PSNR / SSIM, and the error of depth where there is one."""
    depth = row.get("depth error", np.nan)
    return f"{row['psnr']:.2f} / {row['ssim']:.3f}" + (f" / {100 * depth:.1f} %" if pd.notna(depth) else "")


def those_there(scenes: Iterable[str], data_root: str | Path) -> list[str]:
    """Return the scenes that are below the data root."""
    found = []
    for scene in scenes:
        try:
            open_scenes([scene], data_root, None)
        except DatasetError as error:
            print(f"left out: {error}", flush=True)
        else:
            found.append(scene)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print the table and write it with the pictures."""
    asked = _parser().parse_args(arguments)
    rendering = RenderingSettings(compile=asked.compile or None)
    try:
        if not (scenes := those_there(asked.scenes, asked.data_root)):
            raise DatasetError(f"{asked.data_root}: none of these scenes is there. Name others by --scenes.")
        table = zero_shot(
            asked.checkpoint,
            scenes,
            asked.data_root,
            working_views=asked.working_views,
            views_per_scene=asked.views,
            rendering=rendering,
            pictures=asked.output,
        )
        if asked.steps_on_scene:
            if not (alone := [scene for scene in ON_SCENES if scene in scenes]):
                raise DatasetError(f"--steps-on-scene: none of {', '.join(ON_SCENES)} is among the scenes.")
            more = steps_on_scene(
                asked.checkpoint, alone, asked.data_root, asked.steps_on_scene, working_views=asked.working_views[0],
                views_per_scene=asked.views, rendering=rendering, pictures=asked.output,
            )  # fmt: skip
            table = pd.concat([table, more])
    except MaskrfError as error:
        print(error, file=sys.stderr)
        return 1
    write_text(asked.output / "table.csv", table.to_csv(index=False))
    firsts = {scene: spread(open_scene(scene, asked.data_root).split("test")[1], asked.views)[0] for scene in scenes}
    write_strip(asked.output / "strip.webp", asked.output / f"{asked.working_views[0]}_views", firsts)
    print(f"PSNR [dB] / SSIM / median error of depth, method and working views:\n\n{markdown(table)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m maskrf_core.training.zero_shot", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--checkpoint", default="maskrf", help="weights: a shipped name or a file (maskrf)")
    parser.add_argument("--data-root", default="data", help="folder of the data sets (data)")
    parser.add_argument("--scenes", nargs="+", default=SCENES, help="default: the list, as far as it is there")
    parser.add_argument("--working-views", nargs="+", type=int, default=WORKING_VIEWS, help="numbers of them (8 3)")
    parser.add_argument("--views", type=int, default=2, help="test views of each scene (2)")
    parser.add_argument("--steps-on-scene", type=int, default=0, help="of training on lego, fern alone, too (0: none)")
    parser.add_argument("--compile", action="store_true", help="faster after minutes; equal but for rounding")
    parser.add_argument("--output", type=Path, default=Path("runs/zero_shot"), help="folder for table and pictures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
