"""The camera path of an evaluation, and what a page shows of it."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from IPython.display import Image, Markdown, Video

from maskrf_core.datasets.batches.scene_views import expand_scene_names
from maskrf_core.rendering.path_rendering import RenderedPath, render_path
from maskrf_core.settings.config import Config
from maskrf_core.support.paths import display_path
from maskrf_core.workbook.experiments.comparison import Method
from maskrf_core.workbook.figures import show
from maskrf_core.workbook.figures.panels import frame_strip

LARGEST_EMBEDDED = 60_000
"""Bytes of a video on a page; larger ones are named only."""
NO_PATH = 'No path is asked for: `path = "none"`, or the preset\'s.'


def film(methods: Sequence[Method], config: Config, folder: Path) -> RenderedPath | None:
    """The config's path through its first test scene with the last method, in a folder below; None for kind `none`."""
    path = config.evaluation.path
    if path.kind == "none":
        return None
    return render_path(
        methods[-1].renderer,
        expand_scene_names(config.evaluation.test_scenes)[0],
        path=path,
        data_root=config.data.data_root,
        working_views=config.data.working_views,
        rays_per_chunk=config.hardware.rays_per_chunk,
        rendering=config.rendering,
        device=config.hardware.device,
        folder=folder / f"path_{path.kind}",
    )


def strip(filmed: RenderedPath | None, path: Path) -> Image | Markdown:
    """The figure of a few frames, saved at `path`; a sentence where nothing was filmed."""
    return Markdown(NO_PATH) if filmed is None else show(frame_strip(filmed), path)


def video(filmed: RenderedPath | None) -> Video | Markdown:
    """The colour video where it is small, else where it is."""
    if filmed is None:
        return Markdown(NO_PATH)
    file = filmed.video("colour")
    if file.stat().st_size >= LARGEST_EMBEDDED:
        return Markdown(f"Too large for this page: `{display_path(file)}`")
    title = escape(f"{filmed.kind} through {filmed.scene}")
    attributes = f'controls loop title="{title}"'
    return Video(data=file.read_bytes(), embed=True, mimetype="video/mp4", width=256, html_attributes=attributes)
