"""How good renderings are: every query view of a scene, from its nearest reference views, coarse and fine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from maskrf_core.datasets.batch import SceneBatch
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.datasets.views import SceneViews, evaluation_batch, open_scenes
from maskrf_core.errors import DatasetError, SettingsError
from maskrf_core.files import write_atomically, write_text
from maskrf_core.metrics import lpips_vgg, psnr, ssim
from maskrf_core.model.renderer import Renderer
from maskrf_core.model.rendering import Rendering
from maskrf_core.per_scene import check_scene
from maskrf_core.progress import tracked
from maskrf_core.published_checkpoints import load_renderer
from maskrf_core.runs import Run
from maskrf_core.storage import cache_folder

METRICS = {"psnr": psnr, "ssim": ssim, "lpips": lpips_vgg}


@dataclass(frozen=True)
class RenderedView:
    """Pictures of one query view, [height width ...], in [0, 1]; depths in scene units."""

    scene: str
    image_id: str
    truth: Float[np.ndarray, "height width 3"]
    coarse: Float[np.ndarray, "height width 3"]
    fine: Float[np.ndarray, "height width 3"]
    coarse_depth: Float[np.ndarray, "height width"]
    fine_depth: Float[np.ndarray, "height width"]
    depth_range: tuple[float, float]
    direct: Float[np.ndarray, "height width 3"] | None = None
    """The fine pass's picture by the direct head, where it is on."""


def evaluate(
    source: Run | str | Path | Renderer,
    scenes: Sequence[str],
    *,
    data_root: str | Path = "data",
    split: SplitKind = "test",
    working_views: int = 8,
    views_per_scene: int | None = None,
    rays_per_chunk: int = 1024,
    device: str = "auto",
    pictures: Path | None = None,
) -> pd.DataFrame:
    """Metrics of every query view of `scenes`: one row a view, columns scene, image_id, {coarse,fine}_{metric}.

    `source` is a run (the weights that count), a checkpoint file of ours or a published one, or a renderer. Where
    `pictures` is given, each view's truth, render, error and depth go there as PNG, and the table as metrics.csv.
    Memory is bounded by `rays_per_chunk` whatever the size of the query image.

    Raises:
        CheckpointError, DatasetError: as reading them does, or a scene is not the one that a per-scene renderer is of;
            before anything is rendered.
    """
    opened = open_for_evaluation(scenes, data_root, split, working_views, device)
    renderer = load(source).to(resolve_device(device)).eval()
    for views in opened:
        check_scene(renderer, views)
    rows = []
    for view in rendered_views(renderer, opened, split, working_views, views_per_scene, rays_per_chunk):
        rows.append({"scene": view.scene, "image_id": view.image_id, **view_metrics(view)})
        if pictures is not None:
            write_pictures(view, pictures)
    table = pd.DataFrame(rows)
    if pictures is not None:
        write_text(pictures / "metrics.csv", table.to_csv(index=False))
    return table


def open_for_evaluation(
    scenes: Sequence[str], data_root: str | Path, split: SplitKind, working_views: int, device: str = "auto"
) -> list[SceneViews]:
    """Open scenes, and find what evaluating them would stumble over; depth that is missing is estimated on `device`.

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
) -> dict[str, float]:
    """Mean PSNR and SSIM, coarse and fine, over a few validation (or test) views of each scene."""
    was_training = renderer.training
    renderer.eval()
    views = rendered_views(renderer, scenes, split, working_views, views_per_scene, rays_per_chunk)
    rows = pd.DataFrame([view_metrics(view, ("psnr", "ssim")) for view in views])
    renderer.train(was_training)
    return {name: float(value) for name, value in rows.mean().items()}


def nearest_view_copy(
    scenes: Sequence[str],
    *,
    data_root: str | Path = "data",
    split: SplitKind = "test",
    views_per_scene: int | None = None,
) -> pd.DataFrame:
    """Metrics of the laziest method, to be beaten: the photograph of the nearest reference camera as it is."""
    rows = []
    for views in open_scenes(scenes, data_root, None):
        references, queries = views.scene.split(split)
        for image_id in spread(queries, views_per_scene):
            (nearest,) = views.nearest(image_id, references, 1)
            copy, truth = (as_picture(views.query(name).images[0]) for name in (nearest, image_id))
            scores = {name: metric(copy, truth) for name, metric in METRICS.items()}
            rows.append({"scene": views.scene.name, "image_id": image_id, **scores})
    return pd.DataFrame(rows)


def rendered_views(
    renderer: Renderer,
    scenes: Sequence[SceneViews],
    split: SplitKind,
    working_views: int,
    views_per_scene: int | None,
    rays_per_chunk: int,
) -> Iterator[RenderedView]:
    """Render query views one after the other; a bar shows how far it is."""
    device = next(renderer.parameters()).device
    todo = []
    for views in scenes:
        references, queries = views.scene.split(split)
        if renderer.inputs.depths:
            views.prepare_depths(references)  # all at once: an estimated depth is confirmed by other references
        todo += [(views, references, image_id) for image_id in spread(queries, views_per_scene)]
    for views, references, image_id in tracked(todo, total=len(todo), title="rendering"):
        batch = evaluation_batch(views, image_id, references, working_views, renderer.inputs)
        yield render_view(renderer, batch.to(device), rays_per_chunk, views.scene.name, image_id)


def render_view(renderer: Renderer, batch: SceneBatch, rays_per_chunk: int, scene: str, image_id: str) -> RenderedView:
    """Render all pixels of a batch's query and put them back into pictures."""
    height, width = batch.query.image_size
    parts = [
        (chunk.coarse.rgb, chunk.fine.rgb, chunk.coarse.depth, chunk.fine.depth, *_direct(chunk))
        for chunk in renderer.render_chunks(batch, rays_per_chunk)
    ]
    coarse, fine, coarse_depth, fine_depth, *direct = (
        torch.cat(column).float().cpu().numpy().reshape(height, width, *column[0].shape[1:])
        for column in zip(*parts, strict=True)
    )
    near, far = batch.query.depth_range[0].tolist()
    return RenderedView(
        scene,
        image_id,
        as_picture(batch.query.images[0]),
        coarse.clip(0, 1),
        fine.clip(0, 1),
        coarse_depth,
        fine_depth,
        (near, far),
        *(picture.clip(0, 1) for picture in direct),
    )


def _direct(chunk: Rendering) -> list[torch.Tensor]:
    """What the direct head made of the rays: one picture or none."""
    return [] if chunk.fine.direct_rgb is None else [chunk.fine.direct_rgb]


def view_metrics(view: RenderedView, names: Sequence[str] = tuple(METRICS)) -> dict[str, float | None]:
    """`coarse_psnr`, `fine_psnr` and so on of one view, `direct_psnr` where there is a direct picture; None where LPIPS
    cannot be had."""
    pictures = {"coarse": view.coarse, "fine": view.fine} | ({} if view.direct is None else {"direct": view.direct})
    return {
        f"{which}_{name}": METRICS[name](picture, view.truth) for which, picture in pictures.items() for name in names
    }


def write_pictures(view: RenderedView, folder: Path) -> None:
    """truth, fine, coarse, error and depth as `<scene>/<image>_<kind>.png` below `folder`."""
    near, far = view.depth_range
    inverse = (1 / near - 1 / view.fine_depth.clip(near, far)) / (1 / near - 1 / far)
    pictures = {
        "truth": view.truth,
        "fine": view.fine,
        "coarse": view.coarse,
        "error": np.abs(view.fine - view.truth),
        "depth": np.repeat(1 - inverse[..., None], 3, axis=-1) * (view.fine_depth > 0)[..., None],
    }
    stem = folder / view.scene.replace("/", "_") / view.image_id.replace("/", "_")
    for kind, picture in pictures.items():
        data = cv2.imencode(".png", (picture[..., ::-1] * 255).round().astype(np.uint8))[1].tobytes()
        write_atomically(stem.with_name(f"{stem.name}_{kind}.png"), lambda file, data=data: file.write(data))


def load(source: Run | str | Path | Renderer) -> Renderer:
    """The renderer that is meant by a run, a checkpoint file or itself."""
    if isinstance(source, Renderer):
        return source
    return load_renderer(source.weights if isinstance(source, Run) else source)


def resolve_device(device: str) -> torch.device:
    """`auto` is the first GPU if there is one, else the CPU.

    Raises:
        SettingsError: a GPU is asked for where there is none.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("device='cuda': torch sees no GPU here. Use auto or cpu, or install torch's CUDA build")
    return torch.device(device)


def spread(items: Sequence[str], count: int | None) -> list[str]:
    """`count` items evenly spread over a list, the first always among them; all of them for None."""
    if count is None or count >= len(items):
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


def as_picture(image: torch.Tensor) -> Float[np.ndarray, "height width 3"]:
    """[3 height width] tensor → picture."""
    return image.permute(1, 2, 0).cpu().numpy()
