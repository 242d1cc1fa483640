"""Query views rendered pixel by pixel, as pictures; read from a cache where nothing has changed."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.datasets.batches.evaluation_batches import evaluation_batch, in_consistent_ranges
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.inventory import spread
from maskrf_core.datasets.scene import SplitKind
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.rendering.render_cache import RenderCache, render_key, renderer_digest
from maskrf_core.settings.sections import EXACT, RenderingSettings
from maskrf_core.support.atomic_files import write_atomically
from maskrf_core.support.digests import digest
from maskrf_core.support.machine import tensor_float32
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
    direct: Float[np.ndarray, "height width 3"] | None = None  # fine colours by the direct head, where it is on


class PixelRenderer:
    """A function that renders all pixels of a batch with one renderer, or reads them from a cache.

    The renderer must not change while this is in use: its weights are hashed once. So many `rays` of one size, in all,
    decide whether its passes are compiled, where the settings leave that open.
    """

    def __init__(
        self,
        renderer: Renderer,
        rays_per_chunk: int,
        cache: RenderCache | None = None,
        rendering: RenderingSettings = EXACT,
        rays: int = 0,
    ):
        from maskrf_core.model.fast.choice import compiled_where_it_pays

        self.renderer, self.rays_per_chunk, self.cache = renderer, rays_per_chunk, cache
        self.rendering = compiled_where_it_pays(rendering, renderer, rays)
        self.render_chunks = ChunkRenderer(renderer, self.rendering, rays_per_chunk)

    @cached_property
    def _digest(self) -> str:
        return digest([renderer_digest(self.renderer), self.render_chunks.passes])

    def key(self, batch: SceneBatch) -> str:
        """Return the hash of everything that the batch's pixels depend on."""
        return render_key(self._digest, batch, self.rays_per_chunk, self.rendering)

    def __call__(self, batch: SceneBatch) -> dict[str, Float32[np.ndarray, "height width *channel"]]:
        """Return pictures of the batch's query by name: coarse and fine colours and depths, and `direct` colours where
        the direct head is on, as the renderer gives them.

        `batch.pixels_xy` are all pixels of the query, row by row.
        """
        key = "" if self.cache is None else self.key(batch)
        pictures = None if self.cache is None else self.cache.get(key)
        if pictures is None:
            pictures = self._render(batch)
            if self.cache is not None:
                self.cache.put(key, pictures)
        return pictures

    def _render(self, batch: SceneBatch) -> dict[str, Float32[np.ndarray, "height width *channel"]]:
        device = next(self.renderer.parameters()).device
        columns = defaultdict(list)
        rounded = tensor_float32(self.rendering.precision == "bf16-mixed")
        with rounded, closing(self.render_chunks(batch.to(device))) as chunks:
            for chunk in chunks:
                columns["coarse"].append(chunk.coarse.rgb)
                columns["fine"].append(chunk.fine.rgb)
                columns["coarse_depth"].append(chunk.coarse.depth)
                columns["fine_depth"].append(chunk.fine.depth)
                if chunk.fine.direct_rgb is not None:
                    columns["direct"].append(chunk.fine.direct_rgb)
        whole = {name: torch.cat(parts).float().cpu().numpy() for name, parts in columns.items()}
        return {name: column.reshape(*batch.query.image_size, *column.shape[1:]) for name, column in whole.items()}


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
    consistent_ranges: bool = False,
) -> Iterator[RenderedView]:
    """Render query views one after the other, or read them from `cache`, with a progress bar.

    Process `share[0]` of `share[1]` renders every `share[1]`-th view only. Depth ranges are the views' own, or
    consistent as in training batches.
    """
    todo = []
    for views in scenes:
        references, queries = views.scene.split(split)
        if renderer.inputs.depths:
            views.prepare_depths(references)  # all at once: an estimated depth is confirmed by other references
        todo += [(views, references, image_id) for image_id in spread(queries, views_per_scene)]
    sizes = Counter()
    for views, _, image_id in todo:
        middle = tuple(views.scene.K(image_id)[:2, 2])  # a quarter of the picture lies before it
        sizes[middle] += round(4 * middle[0] * middle[1])
    render = PixelRenderer(renderer, rays_per_chunk, cache, rendering, max(sizes.values(), default=0))
    todo = todo[share[0] :: share[1]]
    for views, references, image_id in tracked(todo, total=len(todo), title="rendering"):
        batch = evaluation_batch(views, image_id, references, working_views, renderer.inputs)
        batch = in_consistent_ranges(batch) if consistent_ranges else batch
        yield render_view(render, batch, views.scene.name, image_id)


def render_view(render: PixelRenderer, batch: SceneBatch, scene: str, image_id: str) -> RenderedView:
    """Render all pixels of a batch's query; the result holds the photograph as well."""
    pictures = {name: part if "depth" in name else part.clip(0, 1) for name, part in render(batch).items()}
    near, far = batch.query.depth_range[0].tolist()
    return RenderedView(scene, image_id, as_picture(batch.query.images[0]), depth_range=(near, far), **pictures)


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
    for kind, picture in pictures.items():
        data = cv2.imencode(".png", as_bytes(picture)[..., ::-1])[1].tobytes()
        path = picture_path(folder, view.scene, view.image_id, kind)
        write_atomically(path, lambda file, data=data: file.write(data))


def picture_path(folder: Path, scene: str, image_id: str, kind: str) -> Path:
    """Return where `write_pictures` puts a picture of a view."""
    return folder / scene.replace("/", "_") / f"{image_id.replace('/', '_')}_{kind}.png"


def write_strip(path: Path, folder: Path, views: Mapping[str, str], height: int = 200) -> Path:
    """Write truth, render, error and depth of a view of each scene (its name → the id of an image), as one picture."""
    rows = []
    for scene, image_id in views.items():
        files = [picture_path(folder, scene, image_id, kind) for kind in ("truth", "fine", "error", "depth")]
        tiles = [cv2.imread(str(file)) for file in files]
        width = round(height * tiles[0].shape[1] / tiles[0].shape[0])
        rows.append(np.hstack([cv2.resize(tile, (width, height), interpolation=cv2.INTER_AREA) for tile in tiles]))
    width = max(row.shape[1] for row in rows)
    wide = [cv2.copyMakeBorder(row, 0, 0, 0, width - row.shape[1], cv2.BORDER_CONSTANT) for row in rows]
    encoded = cv2.imencode(".webp", np.vstack(wide), [cv2.IMWRITE_WEBP_QUALITY, 85])[1].tobytes()
    write_atomically(path, lambda file: file.write(encoded))
    return path


def as_picture(image: torch.Tensor) -> Float[np.ndarray, "height width 3"]:
    """Convert a [3 height width] tensor to a picture."""
    return image.permute(1, 2, 0).cpu().numpy()


def as_bytes(picture: Float[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 3"]:
    """Convert colours to bytes, clipped to [0, 1]."""
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)
