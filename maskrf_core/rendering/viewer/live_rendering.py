"""Pictures of a scene for someone who moves through it: quick ones first, in rows, and given up when they are late."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from threading import Lock
from typing import NamedTuple

import cv2
import numpy as np
import torch
from cachetools import LRUCache
from jaxtyping import Float32

from maskrf_core.checkpoints.per_scene_renderer import check_scene
from maskrf_core.datasets.batches.batch import Views
from maskrf_core.datasets.batches.evaluation_batches import all_pixels
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.model.gathering import ReferenceFeatures
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.camera_paths.rig import rig_of
from maskrf_core.rendering.camera_paths.trajectories import PathCamera
from maskrf_core.rendering.chunk_renderer import ChunkRenderer
from maskrf_core.rendering.path_rendering import query_camera, query_view
from maskrf_core.settings.sections import EXACT, RenderingSettings
from maskrf_core.support.machine import tensor_float32

ENCODED_BYTES = 2 * 2**30  # that the maps of encoded views may take
RAYS_PER_CHUNK = {"cpu": 2048, "cuda": 8192}
PIXELS_OF_A_BAND = {"cpu": 4096, "cuda": 2**17}  # rendered before they are shown; a CPU takes about a second


class Quality(NamedTuple):
    """How a picture is rendered, and from how many views at most."""

    rendering: RenderingSettings = EXACT
    most_views: int | None = None


class LivePicture(NamedTuple):
    """A picture of which the first rows are rendered; below them is what was there before."""

    rgb: Float32[np.ndarray, "height width 3"]  # as the renderer gives it: not clipped
    depth: Float32[np.ndarray, "height width"]  # in scene units
    done: float  # share of the rows


class LiveScene:
    """A scene and a renderer; what reference views are encoded to is kept, of each or of those that go together.

    Several threads may render: bands of their pictures take turns. `DatasetError` if the renderer is that of another
    scene, or there are no reference views.
    """

    def __init__(self, renderer: Renderer, views: SceneViews):
        check_scene(renderer, views)
        self.renderer, self.views = renderer, views
        self.references, _ = views.scene.split("test")
        self.rig = rig_of(views.scene, self.references)
        if renderer.inputs.depths:
            views.prepare_depths(self.references)
        self.sizes = [views.load([image_id]).image_size for image_id in self.references]
        # Depths are compared from view to view, and images filled up to the largest that they go with: else what a view
        # is encoded to depends on no other reference.
        self._one_by_one = len(set(self.sizes)) == 1 and not renderer.inputs.depths
        self.device = next(renderer.parameters()).device
        self._encoded: LRUCache = LRUCache(ENCODED_BYTES, getsizeof=lambda features: features.maps.nbytes)
        self._chunk_renderers: dict[Quality, ChunkRenderer] = {}
        self._turn = Lock()

    def render(
        self,
        camera: PathCamera,
        working_views: int,
        quality: Quality = Quality(),  # noqa: B008 - it cannot change
        given_up: Callable[[], bool] = lambda: False,
        before: LivePicture | None = None,
    ) -> Iterator[LivePicture]:
        """Render a camera, as `path_rendering` does, and return the picture each time that some more rows are there.

        It is asked after each chunk whether the picture is `given_up`: then nothing more comes.
        """
        count = min(working_views, quality.most_views or working_views)
        nearest = self.views.nearest_to(query_camera(camera), self.references, count, "a free camera")
        query = query_view(camera)
        query = (self.views.in_shared_range(query) if self.renderer.inputs.shared_range else query).to(self.device)
        (height, width), rounded = camera.size, quality.rendering.precision == "bf16-mixed"
        rgb, depth = _resized(before, height, width)
        pixels = all_pixels(height, width).to(self.device)
        rows = max(1, PIXELS_OF_A_BAND[self.device.type] // width)
        with self._turn, tensor_float32(False):  # maps are kept for exact pictures, too
            features, render = self._features(nearest), self._chunk_renderer(quality)
            surface = render.surface(features.views, query)
        for first in range(0, height, rows):
            begin, end = first * width, min(first + rows, height) * width
            chunks = closing(render.render(features, query, pixels[begin:end], surface))
            with self._turn, tensor_float32(rounded), chunks as rendered:
                for chunk in rendered:
                    if given_up():
                        return
                    stop = begin + len(chunk.fine.rgb)
                    rgb.reshape(-1, 3)[begin:stop] = chunk.fine.rgb.float().cpu().numpy()
                    depth.reshape(-1)[begin:stop] = chunk.fine.depth.float().cpu().numpy()
                    begin = stop
            yield LivePicture(rgb.copy(), depth.copy(), end / (height * width))

    def _chunk_renderer(self, quality: Quality) -> ChunkRenderer:
        if quality not in self._chunk_renderers:
            rays = RAYS_PER_CHUNK[self.device.type]
            self._chunk_renderers[quality] = ChunkRenderer(self.renderer, quality.rendering, rays)
        return self._chunk_renderers[quality]

    def _features(self, image_ids: Sequence[str]) -> ReferenceFeatures:
        """Return these views with their maps."""
        if not self._one_by_one:
            return self._encode(tuple(sorted(image_ids)))
        each = [self._encode((image_id,)) for image_id in image_ids]
        parts = (torch.cat([getattr(one.views, part) for one in each]) for part in ("K", "w2c", "depth_range"))
        images, maps = (
            torch.cat(maps).contiguous(memory_format=torch.channels_last)
            for maps in ([one.views.images for one in each], [one.maps for one in each])
        )
        return ReferenceFeatures(Views(images, *parts), maps)

    def _encode(self, image_ids: tuple[str, ...]) -> ReferenceFeatures:
        """Encode views together, or take them as they were encoded before."""
        features = self._encoded.get(image_ids)
        if features is None:
            references, sources = self.views.working_views(image_ids, self.references, self.renderer.inputs)
            with torch.inference_mode():
                sources = None if sources is None else sources.to(self.device)
                features = self.renderer.encode(references.to(self.device), sources)
            if features.maps.nbytes <= self._encoded.maxsize:
                self._encoded[image_ids] = features
        return features


def _resized(
    before: LivePicture | None, height: int, width: int
) -> tuple[Float32[np.ndarray, "{height} {width} 3"], Float32[np.ndarray, "{height} {width}"]]:
    """Return colours and depths of another picture in this size, or black and nothing."""
    if before is None:
        return np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    rgb = cv2.resize(before.rgb, (width, height), interpolation=cv2.INTER_LINEAR)
    return rgb, cv2.resize(before.depth, (width, height), interpolation=cv2.INTER_NEAREST)
