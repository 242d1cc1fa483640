"""Evaluation: PSNR, SSIM and LPIPS of every query view of a scene, rendered from its nearest reference views."""

import importlib.util
import math
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from skimage.metrics import structural_similarity

from maskrf_core.checkpoints.per_scene_renderer import check_scene
from maskrf_core.checkpoints.published_checkpoints import load_renderer
from maskrf_core.datasets.batches.evaluation_batches import warn_of_blind_references
from maskrf_core.datasets.batches.scene_views import SceneViews, open_scenes
from maskrf_core.datasets.inventory import spread
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.render_cache import RenderCache, renders_folder
from maskrf_core.rendering.rendered_views import RenderedView, as_picture, rendered_views, write_pictures
from maskrf_core.runs import Run
from maskrf_core.settings.sections import EXACT, RenderingSettings, ViewChoice
from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.errors import DatasetError, SettingsError
from maskrf_core.support.paths import cache_folder

if TYPE_CHECKING:
    import pandas as pd

LPIPS_BACKBONE = "vgg16-397923af.pth"
_kept_alive = []


def psnr(rgb: Float[np.ndarray, "height width 3"], truth: Float[np.ndarray, "height width 3"]) -> float:
    """Return the peak signal-to-noise ratio in dB for a data range of 1; infinite for equal pictures."""
    error = float(np.mean(np.square(rgb.astype(np.float64) - truth)))
    return -10 * math.log10(error) if error > 0 else math.inf


def ssim(rgb: Float[np.ndarray, "height width 3"], truth: Float[np.ndarray, "height width 3"]) -> float:
    """Return the structural similarity (SSIM) with scikit-image's defaults (7×7 uniform window), data range 1."""
    return float(structural_similarity(rgb, truth, channel_axis=-1, data_range=1.0))


def lpips_vgg(rgb: Float[np.ndarray, "height width 3"], truth: Float[np.ndarray, "height width 3"]) -> float | None:
    """Return LPIPS with the VGG backbone, or None where `why_no_lpips` has a reason. Sides are at least 32 pixels."""
    if why_no_lpips():
        return None
    pictures = [torch.from_numpy(2 * image.astype(np.float32) - 1).permute(2, 0, 1)[None] for image in (rgb, truth)]
    with torch.inference_mode():
        return float(_lpips_model()(*pictures))


@lru_cache(1)
def why_no_lpips() -> str | None:
    """Return the reason why LPIPS cannot be computed here, or None. Nothing is ever downloaded by us."""
    if importlib.util.find_spec("lpips") is None:
        return "the package lpips is not installed"
    weights = Path(torch.hub.get_dir()) / "checkpoints" / LPIPS_BACKBONE
    if not weights.is_file():
        return f"its backbone is not here: put torchvision's {LPIPS_BACKBONE} into torch.hub.get_dir()/checkpoints"
    try:
        import_torchvision()
    except (ImportError, RuntimeError) as error:
        return f"torchvision cannot be loaded here: {error}"
    return None


@lru_cache(1)
def _lpips_model() -> torch.nn.Module:
    import lpips

    return lpips.LPIPS(net="vgg", verbose=False).eval()


def import_torchvision():
    """Import torchvision, also beside a build of torch that its compiled operators do not fit.

    Two of them are then unknown to torch, which fails the import. Declared, they still raise when they are called, but
    the networks load.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        declarations = torch.library.Library("torchvision", "DEF")
        _kept_alive.append(declarations)  # they vanish with it
        for operator in ("nms", "qnms"):
            declarations.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision


METRICS = {"psnr": psnr, "ssim": ssim, "lpips": lpips_vgg}


def evaluate(
    source: Run | str | Path | Renderer,
    scenes: Sequence[str],
    *,
    data_root: str | Path = "data",
    split: SplitKind = "test",
    working_views: int = 8,
    view_choice: ViewChoice | None = None,
    views_per_scene: int | None = None,
    rays_per_chunk: int = 256,
    rendering: RenderingSettings = EXACT,
    device: str = "auto",
    pictures: Path | None = None,
    render_cache_mib: int = 2048,
) -> "pd.DataFrame":
    """Return metrics of every query view of `scenes`: one row a view, columns scene, image_id, {coarse,fine}_{metric}.

    `source` is a run (its best weights), a checkpoint file, ours or published, or a renderer. Where `pictures` is
    given, each view's truth, render, error and depth go there as PNG, and the table as metrics.csv. Memory is bounded
    by `rays_per_chunk` whatever the size of the query image (in adaptive mode, but for a few hundred bytes for every
    fourth pixel). What was rendered before in the same way is read from the data root's cache of up to
    `render_cache_mib` (0: none); the numbers are the same to the last bit.

    Raises:
        CheckpointError, DatasetError: they cannot be read, or fit not each other; before anything is rendered.
    """
    opened = open_for_evaluation(scenes, data_root, split, working_views, device, view_choice)
    renderer = load(source).to(resolve_device(device)).eval()
    for views in opened:
        check_scene(renderer, views)
    renders = RenderCache(renders_folder(cache_folder(data_root)), render_cache_mib) if render_cache_mib > 0 else None
    asked = (split, working_views, views_per_scene, rays_per_chunk, renders)
    rows = []
    for view in rendered_views(renderer, opened, *asked, rendering=rendering):
        rows.append({"scene": view.scene, "image_id": view.image_id, **view_metrics(view)})
        if pictures is not None:
            write_pictures(view, pictures)
    import pandas as pd

    table = pd.DataFrame(rows)
    if pictures is not None:
        write_text(pictures / "metrics.csv", table.to_csv(index=False))
    return table


def open_for_evaluation(
    scenes: Sequence[str],
    data_root: str | Path,
    split: SplitKind,
    working_views: int,
    device: str = "auto",
    view_choice: ViewChoice | None = None,
) -> list[SceneViews]:
    """Open scenes and check that they can be evaluated; depth that is missing is estimated on `device`.

    A warning tells where reference views share no sight with their query.

    Raises:
        DatasetError: a scene is missing or broken, or has no query views or too few reference views.
    """
    opened = open_scenes(scenes, data_root, cache_folder(data_root), device=device, view_choice=view_choice)
    for views in opened:
        references, queries = views.scene.split(split)
        if not queries:
            raise DatasetError(f"{views.scene.name}: has no {split} views. Leave this scene out.")
        views.check_enough(queries[0], references, working_views)
        warn_of_blind_references(views, {name: views.camera(name) for name in queries}, references, working_views)
    return opened


def validate(
    renderer: Renderer,
    scenes: Sequence[SceneViews],
    split: SplitKind = "validation",
    *,
    working_views: int,
    views_per_scene: int,
    rays_per_chunk: int,
    rendering: RenderingSettings = EXACT,
    share: tuple[int, int] = (0, 1),
    gathered: Callable[[list[dict]], list[dict]] = list,
    after_each: Callable[[RenderedView], None] | None = None,
) -> dict[str, float | dict[str, float]]:
    """Return mean PSNR and SSIM, coarse and fine, over a few validation (or test) views of each scene; and the fine
    PSNR of each scene as `fine_psnr_by_scene`.

    As published, depth ranges of validation views are made consistent as in training, and those of test views are not.
    Of several processes each renders its `share` (number, count) of the views, and `gathered` puts the rows of all into
    the order that they have in one. `after_each` is called with each view; what it raises ends the validation.
    """
    was_training = renderer.training
    renderer.eval()
    asked = (split, working_views, views_per_scene, rays_per_chunk)
    how = {"share": share, "consistent_ranges": split == "validation", "rendering": rendering}
    rows = []
    for view in rendered_views(renderer, scenes, *asked, **how):
        rows.append({"scene": view.scene, **view_metrics(view, ("psnr", "ssim"))})
        if after_each is not None:
            after_each(view)
    renderer.train(was_training)
    rows = gathered(rows)
    if not rows:
        return {}
    of_scenes: dict[str, list[float]] = {}
    for row in rows:
        of_scenes.setdefault(row["scene"], []).append(row["fine_psnr"])
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if name != "scene"}
    return means | {"fine_psnr_by_scene": {scene: float(np.mean(psnrs)) for scene, psnrs in of_scenes.items()}}


def nearest_view_copy(
    scenes: Sequence[str],
    *,
    data_root: str | Path = "data",
    split: SplitKind = "test",
    view_choice: ViewChoice | None = None,
    views_per_scene: int | None = None,
) -> "pd.DataFrame":
    """Return metrics of a baseline: the photograph of the nearest reference camera in place of a rendering."""
    import pandas as pd

    rows = []
    for views in open_scenes(scenes, data_root, None, view_choice=view_choice):
        references, queries = views.scene.split(split)
        for image_id in spread(queries, views_per_scene):
            (nearest,) = views.nearest(image_id, references, 1)
            copy, truth = (as_picture(views.query(name).images[0]) for name in (nearest, image_id))
            scores = {name: metric(copy, truth) for name, metric in METRICS.items()}
            rows.append({"scene": views.scene.name, "image_id": image_id, **scores})
    return pd.DataFrame(rows)


def view_metrics(view: RenderedView, names: Sequence[str] = tuple(METRICS)) -> dict[str, float | None]:
    """Return `coarse_psnr` and so on of coarse, fine and (if there is one) direct picture; LPIPS may be None."""
    pictures = {"coarse": view.coarse, "fine": view.fine} | ({} if view.direct is None else {"direct": view.direct})
    return {f"{which}_{name}": METRICS[name](made, view.truth) for which, made in pictures.items() for name in names}


def load(source: Run | str | Path | Renderer, aggregator: str | None = None) -> Renderer:
    """Return the renderer of a run (its best weights) or of a checkpoint file; a renderer is returned as it is.

    `aggregator` as `load_published` takes it.
    """
    if isinstance(source, Renderer):
        return source
    return load_renderer(source.weights if isinstance(source, Run) else source, aggregator)


def resolve_device(device: str) -> torch.device:
    """Return the device of that name, if it is there; `auto` is the first GPU if there is one, else the CPU."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("device='cuda': torch sees no GPU here. Use auto or cpu, or install torch's CUDA build")
    return torch.device(device)
