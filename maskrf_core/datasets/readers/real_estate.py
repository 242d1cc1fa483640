"""Video frames of RealEstate10K (Zhou et al., SIGGRAPH 2018) with the data set's own camera files."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrf_core.datasets.files.checked_files import check_intrinsics, check_w2c, parse_numbers, read_text
from maskrf_core.datasets.files.image_files import list_images, read_rgb
from maskrf_core.datasets.files.scene_names import misnamed
from maskrf_core.datasets.readers.frames import Frame, NamedScene
from maskrf_core.support.errors import DatasetError

DEPTH_RANGE = (1.0, 100.0)
LARGEST_SIDE = 9999  # frames are brought to any size that is asked for; more pixels would fill the memory
NUMBERS_IN_A_LINE = 19


def read_video(asked: NamedScene) -> list[Frame]:
    """Read `real_estate/<scene>/<height>_<width>`: frames brought to that size by averaging over areas.

    Ids are their timestamps, in their order. Opening reads the camera file and the names of the frames. The camera
    file may list frames that are not there, as the published selection of frames is smaller than its lists.

    Raises:
        DatasetError: the camera file is missing or broken, there are no frames, or a frame has no line in it.
    """
    scene, height, width = asked.words[0], *map(int, asked.words[1:])
    if max(height, width) > LARGEST_SIDE:
        raise misnamed(asked.name, asked.data_set.pattern, asked.data_set.example)
    listing = asked.folder.parents[1] / "cameras" / f"{scene}.txt"
    paths = {path.stem: path for path in list_images(asked.folder)}
    cameras = _read_cameras(listing, set(paths))
    for timestamp, path in paths.items():
        if timestamp not in cameras:
            raise DatasetError(
                f"{path}: {listing.name} has no line for this frame. Unpack the camera files again, or remove the "
                "frame."
            )

    def frame(timestamp: str) -> Frame:
        def image() -> UInt8[np.ndarray, "height width 3"]:
            return cv2.resize(read_rgb(paths[timestamp]), (width, height), interpolation=cv2.INTER_AREA)

        unit_K, w2c = cameras[timestamp]
        return Frame(timestamp, image, np.diag([width, height, 1.0]) @ unit_K, w2c, DEPTH_RANGE, (height, width))

    return [frame(timestamp) for timestamp in sorted(paths, key=int)]


def _read_cameras(path: Path, wanted: set[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read timestamp → (K of an image of unit size, w2c), of the frames wanted. The first line is the video's address.

    A line is: timestamp, fx, fy, cx, cy over the image's size, two ignored numbers, w2c row by row.
    """
    cameras: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for number, line in enumerate(read_text(path).splitlines()[1:], start=2):
        timestamp, *words = line.split() or [""]
        where = f"{path}, line {number}"
        if not timestamp:
            continue
        if not timestamp.isdigit() or len(words) != NUMBERS_IN_A_LINE - 1:
            raise DatasetError(
                f"{where}: a timestamp and {NUMBERS_IN_A_LINE - 1} numbers were expected. Unpack the data set again."
            )
        if timestamp in cameras:
            raise DatasetError(f"{where}: lists the frame {timestamp} twice. Remove one of the two lines.")
        if timestamp in wanted:
            numbers = parse_numbers(words, where)
            fx, fy, cx, cy = numbers[:4]
            K, w2c = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), numbers[6:].reshape(3, 4)
            check_intrinsics(K, where)
            check_w2c(w2c, where)
            cameras[timestamp] = K, w2c
    return cameras
