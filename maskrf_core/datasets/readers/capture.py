"""One's own photographs: with a transforms.json, with a COLMAP model, or alone."""

from functools import partial
from pathlib import Path

from maskrf_core.datasets.captures.capture_preparation import prepare_capture
from maskrf_core.datasets.captures.capture_sources import list_photographs, photograph_folder
from maskrf_core.datasets.captures.prepared_capture import PreparedCapture, read_cameras
from maskrf_core.datasets.files.image_files import image_size
from maskrf_core.datasets.readers.frames import Frame, NamedScene
from maskrf_core.support.errors import DatasetError

LISTED_SIZE = 800


def read_capture(asked: NamedScene) -> list[Frame]:
    """Read `capture/<name>/<raw|size>`: `<data root>/captures/<name>` without distortion, its longer side `size`.

    Opening prepares what takes seconds (`maskrf_core.datasets.captures.capture_preparation`) and checks that nothing
    has changed since, which reads every photograph. Ids are the photographs' file names without suffix, in their order.

    Raises:
        DatasetError: a file is missing or broken, or the photographs have no cameras yet: `prepare_capture` finds them.
    """
    folder = prepare_capture(asked.name, asked.data_root, find_cameras=False)
    size, views = read_cameras(folder)
    image = PreparedCapture(asked.name, folder, size, views).image
    return [
        Frame(view.image_id, partial(image, view.image_id), view.K, view.w2c, view.depth_range, size) for view in views
    ]


def capture_names(folders: list[Path]) -> list[str]:
    """List captures at 800 pixels, or as they are where their first photograph is smaller."""
    return [f"capture/{path.name}/{_listed_size(path)}" for path in folders if photograph_folder(path).is_dir()]


def _listed_size(folder: Path) -> str:
    try:
        return str(LISTED_SIZE) if max(image_size(list_photographs(folder)[0])) >= LISTED_SIZE else "raw"
    except (DatasetError, IndexError):  # shows when it is opened
        return "raw"
