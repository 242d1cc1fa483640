"""Films of scenes: every camera of a path rendered from the photographs nearest to it, as PNG frames and as mp4."""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from maskrf_core.checkpoints.per_scene_renderer import check_scene
from maskrf_core.datasets.batches.batch import ModelInputs, SceneBatch, Views
from maskrf_core.datasets.batches.evaluation_batches import batch_of, warn_of_blind_references
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.datasets.batches.view_choice import Camera
from maskrf_core.datasets.scene import open_scene
from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.camera_paths.rig import rig_of
from maskrf_core.rendering.camera_paths.trajectories import PathCamera, camera_path
from maskrf_core.rendering.evaluation import load, resolve_device
from maskrf_core.rendering.rendered_views import PixelRenderer, as_bytes
from maskrf_core.runs import Run
from maskrf_core.settings.sections import EXACT, PathKind, PathSettings, RenderingSettings, ViewChoice
from maskrf_core.support.atomic_files import beside_name, write_atomically, write_text
from maskrf_core.support.digests import digest
from maskrf_core.support.paths import cache_folder
from maskrf_core.support.progress import tracked

KINDS = ("colour", "depth")
FORMAT = "maskrf path 1"  # part of every frame's key: to be changed with how frames are coloured and written
NOTE = "maskrf"  # name of the text in a PNG file that holds the frame's key and a hash of its pixels


@dataclass(frozen=True)
class RenderedPath:
    """A path that was filmed; `rendered` of its frames were not there before."""

    scene: str
    kind: PathKind
    cameras: list[PathCamera]
    folder: Path
    rendered: int = 0

    def frames(self, kind: str) -> list[Path]:
        """Return the PNG files of `colour` or `depth`, in order."""
        return [self.folder / f"{kind}_{index:04d}.png" for index in range(len(self.cameras))]

    def video(self, kind: str) -> Path:
        """Return the mp4 file of `colour` or `depth`."""
        return self.folder / f"{kind}.mp4"


def render_path(
    source: Run | str | Path | Renderer,
    scene: str,
    *,
    path: PathSettings,
    data_root: str | Path = "data",
    working_views: int = 8,
    view_choice: ViewChoice | None = None,
    rays_per_chunk: int = 256,
    rendering: RenderingSettings = EXACT,
    device: str = "auto",
    folder: Path,
) -> RenderedPath:
    """Film a scene: `colour_0000.png`, `depth_0000.png` and so on, `colour.mp4`, `depth.mp4` and `path.json`.

    Each frame is rendered from the nearest references of the test split, by the rule `view_choice`; a warning tells
    where they share no sight with it. Depth is coloured in one range over all frames. Frames that are there and show
    just this (same weights, views, camera, code and device) are kept, so an interrupted call goes on where it was.

    Raises:
        CheckpointError, DatasetError, SettingsError: the source, the scene or the path cannot be had as asked.
    """
    views = SceneViews(open_scene(scene, data_root), cache_folder(data_root), device=device, view_choice=view_choice)
    references, _ = views.scene.split("test")
    film = RenderedPath(scene, *camera_path(rig_of(views.scene, references), path), folder)
    views.check_enough("a camera path", references, working_views)
    frames = {f"frame {index}": query_camera(camera) for index, camera in enumerate(film.cameras)}
    warn_of_blind_references(views, frames, references, working_views)
    renderer = load(source).to(resolve_device(device)).eval()
    check_scene(renderer, views)
    render = PixelRenderer(renderer, rays_per_chunk, None, rendering, sum(prod(camera.size) for camera in film.cameras))
    if renderer.inputs.depths:
        views.prepare_depths(references)
    near = min(camera.depth_range[0] for camera in film.cameras)
    far = max(camera.depth_range[1] for camera in film.cameras)
    keys, rendered = [], 0
    todo = list(zip(film.cameras, *map(film.frames, KINDS), strict=True))
    for camera, colour, depth in tracked(todo, total=len(todo), title="camera path"):
        batch = path_batch(views, camera, references, working_views, renderer.inputs)
        keys.append(digest([FORMAT, render.key(batch), near, far]))
        if any(read_frame(file, keys[-1]) is None for file in (colour, depth)):
            pictures = render(batch)
            write_frame(colour, as_bytes(pictures["fine"]), keys[-1])
            write_frame(depth, depth_colours(pictures["fine_depth"], near, far), keys[-1])
            rendered += 1
    _remove_other_frames(film)
    _write_videos(film, keys, path.frames_per_second)
    return replace(film, rendered=rendered)


def _remove_other_frames(film: RenderedPath) -> None:
    """Delete what is left of a longer path: frames that say so, no other pictures."""
    for kind in KINDS:
        for file in set(film.folder.glob(f"{kind}_[0-9]*.png")) - set(film.frames(kind)):
            if re.fullmatch(rf"{kind}_\d{{4,}}\.png", file.name) and not file.is_symlink() and _is_frame(file):
                with contextlib.suppress(OSError):
                    file.unlink()


def _is_frame(path: Path) -> bool:
    """Tell whether a file begins as `write_frame` writes them, whole or not."""
    with contextlib.suppress(Exception), Image.open(path, formats=["PNG"]) as image:
        return NOTE in image.info
    return False


def path_batch(
    views: SceneViews, camera: PathCamera, references: Sequence[str], working_views: int, inputs: ModelInputs
) -> SceneBatch:
    """Make a batch of all pixels of a camera that took no photograph, from the reference views nearest to it."""
    nearest = views.nearest_to(query_camera(camera), references, working_views, "a camera path")
    return batch_of(views, query_view(camera), nearest, references, inputs)


def query_view(camera: PathCamera) -> Views:
    """Return a camera that took no photograph as a view: its image is black."""
    nothing, unseen = torch.zeros(1, 3, *camera.size), torch.tensor([-1])
    return Views(nothing, *(part[None] for part in query_camera(camera)), training_index=unseen)


def query_camera(camera: PathCamera) -> Camera:
    """Return a path's camera as tensors."""
    return Camera(*(torch.as_tensor(part, dtype=torch.float32) for part in camera[:3]))


def depth_colours(
    depth: Float[np.ndarray, "height width"], near: float, far: float
) -> UInt8[np.ndarray, "height width 3"]:
    """Colour depths by viridis over inverse depth, from near (bright) to far.

    Black where the expected depth is below near: such a ray hits nothing (0) or hardly anything.
    """
    inverse = 1 / depth.clip(near, far)
    shade = (inverse - 1 / far) / (1 / near - 1 / far)
    colours = cv2.applyColorMap((shade * 255).round().astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]
    return np.where(depth[..., None] >= near, colours, 0).astype(np.uint8)


def write_frame(path: Path, picture: UInt8[np.ndarray, "height width 3"], key: str) -> None:
    """Write a frame atomically, with the key of its rendering inside, so that no frame is taken for another."""
    note = PngInfo()
    note.add_text(NOTE, f"{key} {digest(picture)}")
    write_atomically(path, lambda file: Image.fromarray(picture).save(file, "png", pnginfo=note))


def read_frame(path: Path, key: str) -> UInt8[np.ndarray, "height width 3"] | None:
    """Read the frame of that key; None where the file is missing, damaged, of another key, or was changed since."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            note, picture = image.info.get(NOTE), np.array(image.convert("RGB"))
    except Exception:  # a missing file is one kind, damage shows as many
        return None
    return picture if note == f"{key} {digest(picture)}" else None


def write_video(path: Path, frames: Iterable[UInt8[np.ndarray, "height width 3"]], frames_per_second: int) -> None:
    """Write RGB frames of one size as an mp4 that every browser plays: H.264, 4:2:0, the index in front.

    One frame is in memory at a time. A reader sees the old file or the whole new one. 4:2:0 needs even sides: an odd
    one is filled up with a copy of its last row or column.
    """
    import imageio  # takes a tenth of a second

    beside = path.with_name(beside_name(path).name + path.suffix)  # which tells ffmpeg the format
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        writer = imageio.get_writer(
            beside,
            format="FFMPEG",
            mode="I",
            fps=frames_per_second,
            codec="libx264",
            pixelformat="yuv420p",
            macro_block_size=2,  # the sides are multiples of it already: nothing is resized
            ffmpeg_log_level="error",
            output_params=["-movflags", "+faststart", "-fflags", "+bitexact", "-flags:v", "+bitexact"],
        )
        with contextlib.closing(writer):  # as a context of its own it leaves ffmpeg running after an error
            for frame in frames:
                odd = [side % 2 for side in frame.shape[:2]]
                writer.append_data(np.pad(frame, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge"))
        beside.replace(path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _write_videos(film: RenderedPath, keys: list[str], frames_per_second: int) -> None:
    """Write both videos and, after them, path.json, which names their content; keep them where it names this one."""
    key, about = digest([FORMAT, keys, frames_per_second]), film.folder / "path.json"
    cameras = [
        {"K": camera.K.tolist(), "w2c": camera.w2c.tolist(), "depth_range": camera.depth_range, "size": camera.size}
        for camera in film.cameras
    ]

    def described() -> str:
        files = {kind: film.video(kind) for kind in KINDS if film.video(kind).is_file()}
        hashes = {kind: hashlib.sha256(file.read_bytes()).hexdigest() for kind, file in files.items()}
        videos = {"key": key, **hashes}
        about_it = {"scene": film.scene, "kind": film.kind, "videos": videos, "cameras": cameras}
        return json.dumps(about_it, indent=2) + "\n"

    if about.is_file() and about.read_bytes() == described().encode():
        return
    for kind in KINDS:
        frames = (read_frame(*frame) for frame in zip(film.frames(kind), keys, strict=True))
        write_video(film.video(kind), frames, frames_per_second)
    write_text(about, described())
