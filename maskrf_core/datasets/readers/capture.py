"""One's own photographs: with a transforms.json, with a COLMAP model, or alone."""

from pathlib import Path

from maskrf_core.datasets.captures.capture_preparation import CAPTURES, PreparedCapture, prepare_capture, read_cameras
from maskrf_core.datasets.captures.capture_sources import list_photographs, photograph_folder
from maskrf_core.datasets.files.checked_files import scene_folders
from maskrf_core.datasets.files.image_files import image_size
from maskrf_core.support.errors import DatasetError

LISTED_SIZE = 800


class CaptureScene(PreparedCapture):
    """`capture/<name>/<raw|size>`: `<data root>/captures/<name>` without distortion, its longer side `size` pixels.

    Implements `maskrf_core.datasets.scene.Scene`. Opening it prepares what takes seconds
    (`maskrf_core.datasets.captures.capture_preparation`) and checks that nothing has changed since, which reads every
    photograph. Ids are the photographs' file names without suffix, in their order.

    Raises:
        DatasetError: a file is missing or broken, or the photographs have no cameras yet: `prepare_capture` finds them.
    """

    @staticmethod
    def names(data_root: Path) -> list[str]:
        """All captures below `data_root`, at 800 pixels, or as they are where their first photograph is smaller."""
        names = []
        for folder in scene_folders([Path(data_root) / CAPTURES]):
            if not photograph_folder(folder).is_dir():
                continue
            names.append(f"capture/{folder.name}/{_listed_size(folder)}")
        return names

    def __init__(self, name: str, data_root: Path):
        prepared = prepare_capture(name, data_root, find_cameras=False)
        super().__init__(name, prepared, *read_cameras(prepared))


def _listed_size(folder: Path) -> str:
    try:
        return str(LISTED_SIZE) if max(image_size(list_photographs(folder)[0])) >= LISTED_SIZE else "raw"
    except (DatasetError, IndexError):  # shows when it is opened
        return "raw"
