"""Query views rendered pixel by pixel, as pictures; read from a cache where nothing has changed."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.rendering.render_cache import RenderCache, render_key, renderer_digest
from maskrf_core.settings.sections import EXACT, RenderingSettings
from maskrf_core.support.atomic_files import write_atomically
from maskrf_core.support.progress import tracked


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


class PixelRenderer:
    """A function that renders all pixels of a batch with one renderer, or reads them from a cache.

    The renderer must not change while this is in use: its weights are hashed once.
    """

    def __init__(
        self,
        renderer: Renderer,
        rays_per_chunk: int,
        cache: RenderCache | None = None,
        rendering: RenderingSettings = EXACT,
    ):
        self.renderer = renderer
        self.rendered_chunks = ChunkRenderer(renderer, rendering, rays_per_chunk)
        self.rendering = rendering
        self.rays_per_chunk = rays_per_chunk
        self.cache = cache
        self._digest: str | None = None

    def key(self, batch: SceneBatch) -> str:
        """Return the hash of everything that the batch's pixels depend on."""
        if self._digest is None:
            self._digest = renderer_digest(self.renderer)
        return render_key(self._digest, batch, self.rays_per_chunk, self.rendering)

    def __call__(self, batch: SceneBatch) -> dict[str, Float32[np.ndarray, "height width *channel"]]:
        """Return pictures of the batch's query by name: coarse and fine colours and depths, and `direct` colours where
        the direct head is on, as the renderer gives them.

        `batch.pixels_xy` are all pixels of the query, row by row.
        """
        if self.cache is None:
            return self._render(batch)
        key = self.key(batch)
        pictures = self.cache.get(key)
        if pictures is None:
            pictures = self._render(batch)
            self.cache.put(key, pictures)
        return pictures

    def _render(self, batch: SceneBatch) -> dict[str, Float32[np.ndarray, "height width *channel"]]:
        with closing(self.rendered_chunks(batch.to(self.device))) as chunks:
            parts = [
                {
                    "coarse": chunk.coarse.rgb,
                    "fine": chunk.fine.rgb,
                    "coarse_depth": chunk.coarse.depth,
                    "fine_depth": chunk.fine.depth,
                    **({} if chunk.fine.direct_rgb is None else {"direct": chunk.fine.direct_rgb}),
                }
                for chunk in chunks
            ]
        columns = {name: torch.cat([part[name] for part in parts]).float().cpu().numpy() for name in parts[0]}
        return {name: column.reshape(*batch.query.image_size, *column.shape[1:]) for name, column in columns.items()}

    @property
    def device(self) -> torch.device:
        """Return the device of the renderer's weights."""
        return next(self.renderer.parameters()).device


def rendered_views(
    renderer: Renderer,
    scenes: Sequence[SceneViews],
    split: SplitKind,
    working_views: int,
    views_per_scene: int | None,
    rays_per_chunk: int,
    cache: RenderCache | None = None,
    share: tuple[int, int] = (0, 1),
    rendering: RenderingSettings = EXACT,
) -> Iterator[RenderedView]:
    """Render query views one after the other, or read them from `cache`, with a progress bar.

    Process `share[0]` of `share[1]` renders every `share[1]`-th view only.
    """
    render = PixelRenderer(renderer, rays_per_chunk, cache, rendering)
    todo = []
    for views in scenes:
        references, queries = views.scene.split(split)
        if renderer.inputs.depths:
            views.prepare_depths(references)  # all at once: an estimated depth is confirmed by other references
        todo += [(views, references, image_id) for image_id in spread(queries, views_per_scene)]
    todo = todo[share[0] :: share[1]]
    for views, references, image_id in tracked(todo, total=len(todo), title="rendering"):
        batch = evaluation_batch(views, image_id, references, working_views, renderer.inputs)
        yield render_view(render, batch, views.scene.name, image_id)


def render_view(render: PixelRenderer, batch: SceneBatch, scene: str, image_id: str) -> RenderedView:
    """Render all pixels of a batch's query; the result holds the photograph as well."""
    pictures = render(batch)
    near, far = batch.query.depth_range[0].tolist()
    return RenderedView(
        scene,
        image_id,
        as_picture(batch.query.images[0]),
        pictures["coarse"].clip(0, 1),
        pictures["fine"].clip(0, 1),
        pictures["coarse_depth"],
        pictures["fine_depth"],
        (near, far),
        pictures["direct"].clip(0, 1) if "direct" in pictures else None,
    )


def write_pictures(view: RenderedView, folder: Path) -> None:
    """Write truth, fine, coarse, error and depth as `<scene>/<image>_<kind>.png` below `folder`."""
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


def spread(items: Sequence[str], count: int | None) -> list[str]:
    """Return `count` items evenly spread over a list, the first always among them; all of them for None."""
    if count is None or count >= len(items):
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


def as_picture(image: torch.Tensor) -> Float[np.ndarray, "height width 3"]:
    """Convert a [3 height width] tensor to a picture."""
    return image.permute(1, 2, 0).cpu().numpy()
