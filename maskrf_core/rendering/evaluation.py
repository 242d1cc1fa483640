"""Evaluation: metrics of every query view of a scene, rendered from its nearest reference views."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from maskrf_core.checkpoints.per_scene_renderer import check_scene
from maskrf_core.checkpoints.published_checkpoints import load_renderer
from maskrf_core.datasets.batches.scene_views import SceneViews, open_scenes
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.metrics import lpips_vgg, psnr, ssim
from maskrf_core.rendering.render_cache import open_render_cache
from maskrf_core.rendering.rendered_views import RenderedView, as_picture, rendered_views, spread, write_pictures
from maskrf_core.runs import Run
from maskrf_core.settings.sections import EXACT, RenderingSettings
from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.errors import DatasetError, SettingsError
from maskrf_core.support.paths import cache_folder

if TYPE_CHECKING:
    import pandas as pd

METRICS = {"psnr": psnr, "ssim": ssim, "lpips": lpips_vgg}


def evaluate(
    source: Run | str | Path | Renderer,
    scenes: Sequence[str],
    *,
    data_root: str | Path = "data",
    split: SplitKind = "test",
    working_views: int = 8,
    views_per_scene: int | None = None,
    rays_per_chunk: int = 256,
    rendering: RenderingSettings = EXACT,
    device: str = "auto",
    pictures: Path | None = None,
    cache: bool = True,
    render_cache_mib: int = 2048,
) -> "pd.DataFrame":
    """Return metrics of every query view of `scenes`: one row a view, columns scene, image_id, {coarse,fine}_{metric}.

    `source` is a run (the weights that count), a checkpoint file of ours or a published one, or a renderer. Where
    `pictures` is given, each view's truth, render, error and depth go there as PNG, and the table as metrics.csv.
    Memory is bounded by `rays_per_chunk` whatever the size of the query image (in adaptive mode, but for a few hundred
    bytes for every fourth pixel). What was rendered before in the same way by the same weights, code and device from
    the same views is read from the data root's cache of up to `render_cache_mib`, unless `cache` is False; the numbers
    are the same to the last bit.

    Raises:
        CheckpointError, DatasetError: as reading them does, or a scene is not the one that a per-scene renderer is of;
            before anything is rendered.
    """
    opened = open_for_evaluation(scenes, data_root, split, working_views, device)
    renderer = load(source).to(resolve_device(device)).eval()
    for views in opened:
        check_scene(renderer, views)
    renders = open_render_cache(data_root, render_cache_mib) if cache else None
    rows = []
    for view in rendered_views(
        renderer, opened, split, working_views, views_per_scene, rays_per_chunk, renders, rendering=rendering
    ):
        rows.append({"scene": view.scene, "image_id": view.image_id, **view_metrics(view)})
        if pictures is not None:
            write_pictures(view, pictures)
    import pandas as pd

    table = pd.DataFrame(rows)
    if pictures is not None:
        write_text(pictures / "metrics.csv", table.to_csv(index=False))
    return table


def open_for_evaluation(
    scenes: Sequence[str], data_root: str | Path, split: SplitKind, working_views: int, device: str = "auto"
) -> list[SceneViews]:
    """Open scenes and check that they can be evaluated; depth that is missing is estimated on `device`.

    Raises:
        DatasetError: a scene is missing or broken, or has no query views or too few reference views.
    """
    opened = open_scenes(scenes, data_root, cache_folder(data_root), device=device)
    for views in opened:
        references, queries = views.scene.split(split)
        if not queries:
            raise DatasetError(f"{views.scene.name}: has no {split} views. Leave this scene out.")
        views.nearest(queries[0], references, working_views)
    return opened


def validate(
    renderer: Renderer,
    scenes: Sequence[SceneViews],
    split: SplitKind = "validation",
    *,
    working_views: int,
    views_per_scene: int,
    rays_per_chunk: int,
    share: tuple[int, int] = (0, 1),
    gathered: Callable[[list[dict]], list[dict]] = list,
    after_each: Callable[[], None] | None = None,
) -> dict[str, float]:
    """Return mean PSNR and SSIM, coarse and fine, over a few validation (or test) views of each scene.

    Of several processes each renders its `share` (number, count) of the views, and `gathered` puts the rows of all into
    the order that they have in one. `after_each` is called after each view; what it raises ends the validation.
    """
    was_training = renderer.training
    renderer.eval()
    views = rendered_views(renderer, scenes, split, working_views, views_per_scene, rays_per_chunk, share=share)
    rows = []
    for view in views:
        rows.append(view_metrics(view, ("psnr", "ssim")))
        if after_each is not None:
            after_each()
    renderer.train(was_training)
    rows = gathered(rows)
    return {name: float(np.mean([row[name] for row in rows])) for name in (rows[0] if rows else ())}


def nearest_view_copy(
    scenes: Sequence[str],
    *,
    data_root: str | Path = "data",
    split: SplitKind = "test",
    views_per_scene: int | None = None,
) -> "pd.DataFrame":
    """Return metrics of a baseline: the photograph of the nearest reference camera in place of a rendering."""
    import pandas as pd

    rows = []
    for views in open_scenes(scenes, data_root, None):
        references, queries = views.scene.split(split)
        for image_id in spread(queries, views_per_scene):
            (nearest,) = views.nearest(image_id, references, 1)
            copy, truth = (as_picture(views.query(name).images[0]) for name in (nearest, image_id))
            scores = {name: metric(copy, truth) for name, metric in METRICS.items()}
            rows.append({"scene": views.scene.name, "image_id": image_id, **scores})
    return pd.DataFrame(rows)


def view_metrics(view: RenderedView, names: Sequence[str] = tuple(METRICS)) -> dict[str, float | None]:
    """Return `coarse_psnr`, `fine_psnr` and so on of one view, `direct_psnr` where there is a direct picture.

    LPIPS is None where it cannot be computed.
    """
    pictures = {"coarse": view.coarse, "fine": view.fine} | ({} if view.direct is None else {"direct": view.direct})
    return {
        f"{which}_{name}": METRICS[name](picture, view.truth) for which, picture in pictures.items() for name in names
    }


def load(source: Run | str | Path | Renderer) -> Renderer:
    """Return the renderer of a run (its best weights) or of a checkpoint file; a renderer is returned as it is."""
    if isinstance(source, Renderer):
        return source
    return load_renderer(source.weights if isinstance(source, Run) else source)


def resolve_device(device: str) -> torch.device:
    """Return the device of that name; `auto` is the first GPU if there is one, else the CPU.

    Raises:
        SettingsError: a GPU is asked for where there is none.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("device='cuda': torch sees no GPU here. Use auto or cpu, or install torch's CUDA build")
    return torch.device(device)
