from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrf_core.datasets.files.image_files import (
    alpha_mask,
    image_size,
    read_image,
    read_mask,
    read_rgb,
    read_sixteen_bits,
    shared_image_size,
)
from maskrf_core.support.errors import DatasetError


def write(path: Path, height: int = 24, width: int = 40, channels: int = 3) -> np.ndarray:
    """A smooth picture, RGB(A)."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([(5 * x) % 256, (7 * y) % 256, (3 * x + y) % 256, 255 - y][:channels], -1).astype(np.uint8)
    assert cv2.imwrite(str(path), image[..., [2, 1, 0, 3][:channels]])
    return image


@pytest.mark.parametrize("channels", [3, 4])
def test_png_comes_back_as_it_was(tmp_path: Path, channels: int):
    image = write(tmp_path / "x.png", channels=channels)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), image)
    assert image_size(tmp_path / "x.png") == (24, 40)


def test_jpeg_and_grey_images(tmp_path: Path):
    image = write(tmp_path / "x.jpg")
    assert np.abs(read_image(tmp_path / "x.jpg").astype(int) - image).mean() < 25
    assert image_size(tmp_path / "x.jpg") == (24, 40)
    cv2.imwrite(str(tmp_path / "grey.png"), image[..., 0])
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.stack([image[..., 0]] * 3, -1))


def test_size_behind_a_long_jpeg_comment(tmp_path: Path):
    write(tmp_path / "x.jpg")
    data = (tmp_path / "x.jpg").read_bytes()
    comment = b"\xff\xfe\xff\xff" + b"\xff\xd9" * 32766 + b"x"  # 65535 bytes, full of end markers
    (tmp_path / "x.jpg").write_bytes(data[:2] + 2 * comment + data[2:])
    assert image_size(tmp_path / "x.jpg") == (24, 40)
    assert read_image(tmp_path / "x.jpg").shape == (24, 40, 3)
    (tmp_path / "x.jpg").write_bytes(data[:2] + 2 * comment + data[2:-40])
    with pytest.raises(DatasetError, match="cut short or damaged"):
        read_image(tmp_path / "x.jpg")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(suffix=st.sampled_from(["png", "jpg"]), fraction=st.floats(0, 0.999))
def test_every_cut_that_loses_pixels_is_noticed(tmp_path: Path, suffix: str, fraction: float):
    path = tmp_path / f"x.{suffix}"
    write(path)
    data, whole = path.read_bytes(), read_image(path)
    path.write_bytes(data[: int(len(data) * fraction)])
    try:
        np.testing.assert_array_equal(read_image(path), whole)
        assert len(data) - int(len(data) * fraction) <= 4  # the last checksum of a PNG
    except DatasetError as error:
        assert f"x.{suffix}: " in str(error)  # noqa: PT017
        assert "again" in str(error)  # noqa: PT017


def test_what_is_no_image(tmp_path: Path):
    path = tmp_path / "x.png"
    for reader in (image_size, read_image):
        with pytest.raises(DatasetError, match="cannot be read"):
            reader(path)
    path.write_text("<html>404</html>")
    for reader in (image_size, read_image):
        with pytest.raises(DatasetError, match="not a PNG or JPEG"):
            reader(path)
    cv2.imwrite(str(path), np.zeros((4, 4), np.uint16))
    with pytest.raises(DatasetError, match=r"of mode I;16"):
        read_image(path)


def test_shared_image_size(tmp_path: Path):
    paths = [tmp_path / "a.png", tmp_path / "b.jpg", tmp_path / "c.png"]
    for path in paths:
        write(path)
    assert shared_image_size(paths) == (24, 40)
    write(paths[2], height=23)
    with pytest.raises(DatasetError, match=r"c\.png: the image is 40×23, but a\.png is 40×24"):
        shared_image_size(paths)


def test_masks_of_jpeg_count_above_half(tmp_path: Path):
    """Compression leaves values around 0 and 255 on either side of an edge; of a PNG any trace counts."""
    inside = np.hypot(*(np.mgrid[:48, :64] - np.array([24, 32])[:, None, None])) < 15
    cv2.imwrite(str(tmp_path / "x.jpg"), np.where(inside, np.uint8(255), np.uint8(0)), [cv2.IMWRITE_JPEG_QUALITY, 60])
    assert (read_rgb(tmp_path / "x.jpg").any(-1) & ~inside).sum() > 100
    np.testing.assert_array_equal(read_mask(tmp_path / "x.jpg", (48, 64)), inside)
    (tmp_path / "x.jpg").rename(tmp_path / "named.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "named.png", (48, 64)), inside)
    cv2.imwrite(str(tmp_path / "trace.png"), inside.astype(np.uint8))
    np.testing.assert_array_equal(read_mask(tmp_path / "trace.png", (48, 64)), inside)


def test_rgb_and_masks_have_the_size_that_is_expected(tmp_path: Path):
    image = write(tmp_path / "x.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "x.png", (24, 40)), image)
    np.testing.assert_array_equal(read_mask(tmp_path / "x.png", (24, 40)), image[..., :3].sum(-1) > 0)
    for reader in (read_rgb, read_mask):
        with pytest.raises(DatasetError, match=r"x\.png: the (image|mask) is 40×24, 24×40 was expected"):
            reader(tmp_path / "x.png", (40, 24))


def test_transparency_by_hand(tmp_path: Path):
    """A half transparent 200 on black and white; what alpha 0 hides is never seen."""
    rgba = np.zeros((2, 4, 4), np.uint8)
    rgba[..., 3] = [[0, 127, 128, 255], [0, 0, 255, 255]]
    rgba[..., :3] = 200
    Image.fromarray(rgba).save(tmp_path / "x.png")
    black, white = (read_rgb(tmp_path / "x.png", background=grey)[0, :, 0].tolist() for grey in (0, 255))
    assert black == [0, 100, 100, 200]
    assert white == [255, 228, 227, 200]
    opaque = [[False, False, True, True], [False, False, True, True]]
    np.testing.assert_array_equal(alpha_mask(tmp_path / "x.png", (2, 4)), opaque)
    np.testing.assert_array_equal(alpha_mask(tmp_path / "x.png", (1, 2)), [[False, True]])
    Image.fromarray(rgba[..., :3]).save(tmp_path / "y.png")
    assert alpha_mask(tmp_path / "y.png", (2, 4)).all()


def test_sixteen_bits(tmp_path: Path):
    path = tmp_path / "x.png"
    values = (np.arange(24 * 40).reshape(24, 40) * 68).astype(np.uint16)
    cv2.imwrite(str(path), values)
    np.testing.assert_array_equal(read_sixteen_bits(path, (24, 40)), values)
    with pytest.raises(DatasetError, match=r"x\.png: the image is 40×24"):
        read_sixteen_bits(path, (24, 41))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match="cut short or damaged"):
        read_sixteen_bits(path, (24, 40))
    for strange in (values.astype(np.uint8), np.stack([values] * 3, -1)):
        cv2.imwrite(str(path), strange)
        with pytest.raises(DatasetError, match="one channel of 16 bits was expected"):
            read_sixteen_bits(path, (24, 40))
