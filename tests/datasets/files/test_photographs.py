import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrf_core.datasets.files import image_files
from maskrf_core.datasets.files.image_files import image_size, read_image, save_upright
from maskrf_core.support.errors import DatasetError


def jpeg_with_exif(path: Path, exif: bytes) -> np.ndarray:
    """A JPEG with this after the mark of EXIF; its pixels as they are stored."""
    y, x = np.mgrid[:24, :40]
    assert cv2.imwrite(str(path), np.stack([5 * x, 7 * y, 3 * x + y], -1).astype(np.uint8))
    data = path.read_bytes()
    segment = b"Exif\0\0" + exif
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:])
    return cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)[..., ::-1]


def entries(*entries: tuple[int, int, int, bytes]) -> bytes:
    """A block of EXIF of (tag, type, count, four bytes)."""
    body = b"".join(struct.pack(">HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return b"MM\0*" + struct.pack(">IH", 8, len(entries)) + body + bytes(4)


UPSIDE_DOWN = (0x0112, 3, 1, b"\0\3\0\0")


@pytest.mark.parametrize(
    ("exif", "turned"),
    [
        (entries(UPSIDE_DOWN), True),
        (entries((0x010F, 5, 1, b"\0\0\0\x40"), UPSIDE_DOWN), False),  # beyond the end, where Pillow stops
        (entries((0x010E, 3, 1, b"\0\7\0\0"), UPSIDE_DOWN), True),  # a description that is a number
        (entries((0x8769, 2, 4, b"abc\0"), UPSIDE_DOWN), True),  # a folder that is a text
        (entries((0x011A, 5, 0, bytes(4)), (0x0128, 3, 1, b"\0\2\0\0")), False),  # a resolution of no numbers
        (entries((0x0112, 2, 4, b"abc\0")), False),
        (entries((0x0112, 3, 1, b"\0\x63\0\0")), False),
        (entries(UPSIDE_DOWN)[:16], False),
        (b"nonsense", False),
        (b"", False),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_is_no_hindrance(tmp_path: Path, exif: bytes, turned: bool):
    path = tmp_path / "x.jpg"
    stored = jpeg_with_exif(path, exif)
    assert image_size(path, upright=True) == (24, 40)
    assert np.abs(read_image(path).astype(int) - stored).max() <= 2
    upright = stored[::-1, ::-1] if turned else stored
    assert np.abs(read_image(path, upright=True).astype(int) - upright).max() <= 2
    save_upright(path, tmp_path / "copy.jpg")
    assert (tmp_path / "copy.jpg").is_symlink() != turned
    assert np.abs(read_image(tmp_path / "copy.jpg").astype(int) - upright).mean() < 4


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(kind=st.sampled_from(["jpg", "png"]), changes=st.lists(st.tuples(st.integers(0, 199), st.integers(0, 255))))
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_any_damage_to_exif_leaves_the_pixels(tmp_path: Path, kind: str, changes: list[tuple[int, int]]):
    exif, path = Image.Exif(), tmp_path / f"x.{kind}"
    exif[0x0112], exif[0x010F], exif[0x011A], exif[0x0128] = 3, "maker", 72.0, 2
    exif.get_ifd(0x8769)[0x829A] = 0.01
    damaged = bytearray(exif.tobytes()[6:])
    for place, value in changes:
        damaged[place % len(damaged)] = value
    Image.fromarray(np.full((6, 8, 3), 90, np.uint8)).save(path, exif=b"Exif\0\0" + bytes(damaged))
    for upright in (False, True):
        assert (read_image(path, upright=upright) == 90).all()
        assert sorted(image_size(path, upright=upright)) == [6, 8]


def header_of(width: int, height: int) -> bytes:
    """A PNG that says it has that size, without its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_large_photographs_up_to_a_limit(tmp_path: Path):
    """108 and 200 million pixels, as telephones make; then what would fill the memory or cannot be resampled."""
    path = tmp_path / "x.png"
    for width, height in ((12000, 9000), (16320, 12240)):
        path.write_bytes(header_of(width, height))
        assert image_size(path) == (height, width)
    for width, height in ((21000, 20000), (120_000, 120_000), (40_000, 10)):
        path.write_bytes(header_of(width, height))
        with pytest.raises(DatasetError, match=r"more than 400 million pixels, or .*\. Downscale"):
            image_size(path)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(
    ("size", "enough", "part"),
    [
        ((240, 320), (15, 20), 8),
        ((240, 320), (16, 20), 4),
        ((240, 320), (15, 41), 2),
        ((240, 320), (61, 20), 1),
        ((242, 322), (15, 20), 2),
        ((241, 320), (15, 20), 1),
    ],
)
def test_very_large_jpegs_are_decoded_smaller_with_every_place_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], enough: tuple[int, int], part: int,
    orientation: int,
):  # fmt: skip
    """A spot's centre is where the pixel centres of a division by `part` put it; nothing changes below the limit."""
    y, x = np.mgrid[: size[0], : size[1]]
    place = np.array([203.0, 151.0])
    spot = (250 * np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 800)).astype(np.uint8)
    exif, path = Image.Exif(), tmp_path / "x.jpg"
    exif[0x0112] = orientation
    stored = np.rot90(spot) if orientation == 6 else spot
    Image.fromarray(np.ascontiguousarray(stored)).save(path, quality=97, exif=exif)
    assert read_image(path, upright=True, enough=enough).shape == (*size, 3)
    monkeypatch.setattr(image_files, "ALWAYS_WHOLE", size[0] * size[1] - 1)
    image = read_image(path, upright=True, enough=enough)[..., 0].astype(float)
    assert image.shape == (size[0] // part, size[1] // part)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    weights = np.where(image > 20, image, 0)
    centre = np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()
    np.testing.assert_allclose((centre + 0.5) * part - 0.5, place, atol=0.1)
    assert read_image(path, upright=True).shape == (*size, 3)
