"""Filming a scene: every camera of a path rendered from the photographs nearest to it, as pictures and as mp4."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskrf_core.checkpoints.per_scene_renderer import check_scene
from maskrf_core.datasets.batches.batch import ModelInputs, SceneBatch, Views
from maskrf_core.datasets.batches.evaluation_batches import batch_of
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.scene import open_scene
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.camera_paths.path import CameraPath, PathCamera, camera_path
from maskrf_core.rendering.camera_paths.rig import rig_of
from maskrf_core.rendering.evaluation import load, resolve_device
from maskrf_core.rendering.path_frames import as_bytes, depth_colours, read_frame, remove_frames_from, write_frame
from maskrf_core.rendering.rendered_views import PixelRenderer
from maskrf_core.rendering.videos import write_video
from maskrf_core.runs import Run
from maskrf_core.settings.sections import EXACT, PathKind, PathSettings, RenderingSettings
from maskrf_core.support.atomic_files import write_json
from maskrf_core.support.digests import digest
from maskrf_core.support.paths import cache_folder
from maskrf_core.support.progress import tracked

KINDS = ("colour", "depth")
FORMAT = "maskrf path 1"
"""Part of every frame's key: to be changed with how frames are coloured and written."""


@dataclass(frozen=True)
class RenderedPath:
    """A path that was filmed; `rendered` of its frames were not there before."""

    scene: str
    kind: PathKind
    cameras: list[PathCamera]
    folder: Path
    rendered: int

    def frames(self, kind: str) -> list[Path]:
        """PNG files of `colour` or `depth`, in order."""
        return [frame_path(self.folder, kind, index) for index in range(len(self.cameras))]

    def video(self, kind: str) -> Path:
        """mp4 of `colour` or `depth`."""
        return self.folder / f"{kind}.mp4"


def render_path(
    source: Run | str | Path | Renderer,
    scene: str,
    *,
    path: PathSettings,
    data_root: str | Path = "data",
    working_views: int = 8,
    rays_per_chunk: int = 256,
    rendering: RenderingSettings = EXACT,
    device: str = "auto",
    folder: Path,
) -> RenderedPath:
    """Film a scene: `colour_0000.png`, `depth_0000.png` and so on, `colour.mp4`, `depth.mp4` and `path.json`.

    The references of the test split are what is rendered from, for every frame those whose cameras are nearest. Depth
    is coloured in one range over all frames. Frames that are there and show just this (same weights, views, camera,
    code and device) are kept, so an interrupted call goes on where it was.

    Raises:
        CheckpointError, DatasetError, SettingsError: the source, the scene or the path cannot be had as asked.
    """
    views = SceneViews(open_scene(scene, data_root), cache_folder(data_root), device=device)
    references, _ = views.scene.split("test")
    film = camera_path(rig_of(views.scene, references), path)
    views.check_enough("a camera path", references, working_views)
    renderer = load(source).to(resolve_device(device)).eval()
    check_scene(renderer, views)
    render = PixelRenderer(renderer, rays_per_chunk, rendering=rendering)
    if renderer.inputs.depths:
        views.prepare_depths(references)
    near = min(camera.depth_range[0] for camera in film.cameras)
    far = max(camera.depth_range[1] for camera in film.cameras)
    keys, rendered = [], 0
    for index, camera in tracked(list(enumerate(film.cameras)), total=len(film.cameras), title="camera path"):
        batch = path_batch(views, camera, references, working_views, renderer.inputs)
        keys.append(digest([FORMAT, render.key(batch), near, far]))
        paths = [frame_path(folder, kind, index) for kind in KINDS]
        if any(read_frame(path, keys[-1]) is None for path in paths):
            pictures = render(batch)
            write_frame(paths[0], as_bytes(pictures["fine"]), keys[-1])
            write_frame(paths[1], depth_colours(pictures["fine_depth"], near, far), keys[-1])
            rendered += 1
    remove_frames_from(folder, KINDS, len(keys))
    result = RenderedPath(scene, film.kind, film.cameras, folder, rendered)
    _write_videos(result, film, keys, path.frames_per_second)
    return result


def path_batch(
    views: SceneViews, camera: PathCamera, references: Sequence[str], working_views: int, inputs: ModelInputs
) -> SceneBatch:
    """All pixels of a camera that took no photograph, from the reference views nearest to it."""
    K, w2c, depth_range = (
        torch.from_numpy(np.asarray(part, dtype=np.float32)) for part in (camera.K, camera.w2c, camera.depth_range)
    )
    query = Views(
        images=torch.zeros(1, 3, *camera.size),
        K=K[None],
        w2c=w2c[None],
        depth_range=depth_range[None],
        training_index=torch.tensor([-1]),
    )
    nearest = views.nearest_to(w2c, references, working_views, "a camera path")
    return batch_of(views, query, nearest, references, inputs)


def frame_path(folder: Path, kind: str, index: int) -> Path:
    """Where a frame is kept."""
    return folder / f"{kind}_{index:04d}.png"


def _write_videos(result: RenderedPath, film: CameraPath, keys: list[str], frames_per_second: int) -> None:
    """Both videos and, after them, what they show; nothing where that is what is there already."""
    about = result.folder / "path.json"
    key = digest([FORMAT, keys, frames_per_second])
    if _read(about).get("videos") == {"key": key, **{kind: _sha256(result.video(kind)) for kind in KINDS}}:
        return
    for kind in KINDS:
        frames = (read_frame(*frame) for frame in zip(result.frames(kind), keys, strict=True))
        write_video(result.video(kind), frames, frames_per_second)
    cameras = [
        {"K": camera.K.tolist(), "w2c": camera.w2c.tolist(), "depth_range": camera.depth_range, "size": camera.size}
        for camera in film.cameras
    ]
    videos = {"key": key, **{kind: _sha256(result.video(kind)) for kind in KINDS}}
    write_json(about, {"scene": result.scene, "kind": film.kind, "videos": videos, "cameras": cameras})


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
