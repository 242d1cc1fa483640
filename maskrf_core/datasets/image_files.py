"""Reading PNG and JPEG files strictly: what is cut short or mistaken is an error, never a partly grey picture."""

import struct
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrf_core.datasets.files import read_bytes
from maskrf_core.errors import DatasetError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_START, JPEG_END, JPEG_SCAN = b"\xff\xd8", b"\xff\xd9", 0xDA
JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers, which carry the size; C4, C8 and CC are tables (ITU-T T.81, table B.1)."""


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) from the header alone, so that a whole scene is checked without decoding it.

    Raises:
        DatasetError: the file is missing, or is neither PNG nor JPEG, or ends within its header.
    """
    with _open(path) as file:
        head = file.read(1 << 16)
        size = _size_in_header(head)
        if size is None and head.startswith(JPEG_START):  # a long thumbnail or colour profile may come first
            size = _size_in_header(head + file.read())
    if size is None:
        raise DatasetError(f"{path}: not a PNG or JPEG image, or cut short. {_remedy()}")
    return size


def read_image(path: Path) -> UInt8[np.ndarray, "height width channel"]:
    """Decode an 8-bit image as RGB (channel = 3) or, where the file has alpha, as RGBA (channel = 4).

    Raises:
        DatasetError: the file is missing, cut short, damaged, not PNG or JPEG, or not 8 bits deep.
    """
    data = read_bytes(path)
    size = _size_in_header(data)
    if size is None:
        raise DatasetError(f"{path}: not a PNG or JPEG image, or cut short. {_remedy()}")
    if data.startswith(JPEG_START) and data.find(JPEG_END, _jpeg_scan_start(data)) < 0:
        # The decoder would only warn and fill the rest with grey.
        raise DatasetError(f"{path}: the JPEG data ends too early. {_remedy()}")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.shape[:2] != size:
        raise DatasetError(f"{path}: the image is damaged and cannot be decoded. {_remedy()}")
    if image.dtype != np.uint8:
        raise DatasetError(f"{path}: the image has {image.dtype} values, 8 bits a channel are expected. Convert it.")
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    return np.ascontiguousarray(image[..., [2, 1, 0, 3][: image.shape[2]]])


def shared_image_size(paths: list[Path]) -> tuple[int, int]:
    """(height, width) of all the images, which must agree.

    Raises:
        DatasetError: an image cannot be read, or its size differs from the first one's.
    """
    first = image_size(paths[0])
    for path in paths[1:]:
        if (size := image_size(path)) != first:
            raise DatasetError(
                f"{path}: the image is {size[1]}×{size[0]}, but {paths[0].name} is {first[1]}×{first[0]}; "
                "all images of this layout have one size. Restore the originals, or remove the strays."
            )
    return first


def _open(path: Path):
    try:
        return path.open("rb")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}). {_remedy()}") from error


def _remedy() -> str:
    return "Download or unpack the data set again."


def _size_in_header(data: bytes) -> tuple[int, int] | None:
    if data.startswith(PNG_SIGNATURE) and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
    elif data.startswith(JPEG_START) and (frame := _jpeg_segment(data, JPEG_FRAME_MARKERS)) + 9 <= len(data):
        height, width = struct.unpack(">HH", data[frame + 5 : frame + 9])
    else:
        return None
    return (height, width) if height > 0 and width > 0 else None


def _jpeg_scan_start(data: bytes) -> int:
    return _jpeg_segment(data, frozenset({JPEG_SCAN}))


def _jpeg_segment(data: bytes, markers: frozenset[int]) -> int:
    """Offset of the first segment with one of the markers; the length of the data if there is none."""
    position = len(JPEG_START)
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in markers:
            return position
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return len(data)
