"""One's own photographs: with a transforms.json, with a COLMAP model, or alone."""

from contextlib import suppress
from pathlib import Path

from maskrf_core.datasets.captures.capture_contents import list_photographs
from maskrf_core.datasets.captures.capture_preparation import prepare_capture, read_prepared
from maskrf_core.datasets.data_set import Frame, NamedScene
from maskrf_core.datasets.files.image_files import image_size
from maskrf_core.support.errors import DatasetError

LISTED_SIZE = 800


def read_capture(asked: NamedScene) -> list[Frame]:
    """Read `capture/<name>/<raw|size>`: `<data root>/captures/<name>` without distortion, its longer side `size`.

    Opening prepares what takes seconds (`maskrf_core.datasets.captures.capture_preparation`) and checks that nothing
    has changed since, which reads every photograph. Ids are the photographs' file names without suffix, in their order.
    """
    return read_prepared(prepare_capture(asked.name, asked.data_root, find_cameras=False), asked.name)


def capture_names(folders: list[Path]) -> list[str]:
    """List captures at 800 pixels, or as they are where their first photograph is smaller or cannot be read."""
    names = []
    for folder in folders:
        size = "raw"
        with suppress(DatasetError, IndexError):  # which shows when it is opened
            size = str(LISTED_SIZE) if max(image_size(list_photographs(folder)[0])) >= LISTED_SIZE else "raw"
        names.append(f"capture/{folder.name}/{size}")
    return names
