"""Strict reading of PNG and JPEG files, and downscaling by the rule that published checkpoints were trained with.

A file that is cut short or mistaken is an error, never a partly grey picture. Downscaling is a Gaussian blur with
σ = 1/(3r), then bilinear; masks and depths by nearest; K without a half-pixel shift.
"""

import contextlib
import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8, UInt16
from PIL import Image, ImageOps, UnidentifiedImageError

from maskrf_core.datasets.files.checked_files import folder_contents
from maskrf_core.support.errors import DatasetError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
SIXTEEN_BIT_MODES = ("I;16", "I;16B", "I")  # pillow's names for a PNG of one channel of 16 bits, by its version
EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
ALPHA_MODES = ("LA", "PA", "RGBA")
ORIENTATION = 0x0112  # the EXIF tag
REMEDY = "Download or unpack the data set again."


def image_size(path: Path, *, upright: bool = False) -> tuple[int, int]:
    """Read (height, width) from the header alone, so that a whole scene is checked without decoding it.

    `upright`: as the camera's orientation tag (EXIF) turns it; else as the pixels are stored.

    Raises:
        DatasetError: the file is missing, or is neither PNG nor JPEG, or ends within its header.
    """
    with _opened(path) as image:
        turned = upright and orientation_tag(image) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


def read_image(path: Path, *, upright: bool = False) -> UInt8[np.ndarray, "height width channel"]:
    """Decode an 8-bit image as RGB (channel = 3) or, where the file has alpha, as RGBA (channel = 4).

    `upright`: turned as the camera's orientation tag (EXIF) says; else as the pixels are stored.

    Raises:
        DatasetError: the file is missing, cut short, damaged, not PNG or JPEG, or not 8 bits deep.
    """
    with _opened(path, verify=True) as image:
        if image.mode not in EIGHT_BIT_MODES:
            raise DatasetError(f"{path}: the image is of mode {image.mode}, 8 bits a channel are expected. Convert it.")
        has_alpha = image.mode in ALPHA_MODES or "transparency" in image.info
        decoded = image.convert("RGBA" if has_alpha else "RGB")
        if upright and orientation_tag(image) != 1:
            decoded = ImageOps.exif_transpose(decoded)
        return np.array(decoded)


def orientation_tag(image: Image.Image) -> int:
    """Read from EXIF how the camera was held: 1 upright, 2 to 4 mirrored or upside down, 5 to 8 with sides swapped."""
    tag = image.getexif().get(ORIENTATION, 1)
    return tag if isinstance(tag, int) and 1 <= tag <= 8 else 1


def read_rgb(
    path: Path, size: tuple[int, int] | None = None, background: int = 0
) -> UInt8[np.ndarray, "height width 3"]:
    """Decode an 8-bit image as RGB, composited on a grey of 0 (black) to 255 (white) where it is transparent.

    Raises `DatasetError` as `read_image`, or if it is not of `size`.
    """
    image = composite(read_image(path), background)
    check_size(path, image.shape[:2], size)
    return image


def composite(
    image: UInt8[np.ndarray, "height width channel"], background: int = 0
) -> UInt8[np.ndarray, "height width 3"]:
    """Put an RGBA image on a grey, rounded; one without alpha is returned as it is."""
    if image.shape[2] == 3 or (image[..., 3] == 255).all():
        return image[..., :3]
    alpha = image[..., 3:].astype(np.float32) / 255
    return np.rint(image[..., :3] * alpha + background * (1 - alpha)).astype(np.uint8)


def alpha_mask(path: Path, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    """Read where an image is opaque, by more than half, at `size`; all True where it has no alpha."""
    with _opened(path) as image:
        transparent = image.mode in ALPHA_MODES or "transparency" in image.info
    alpha = read_image(path)[..., 3:] if transparent else np.zeros((0, 0, 0))
    if not alpha.size:
        return np.ones(size, bool)
    opaque = (alpha[..., 0] > 127).astype(np.uint8)
    return cv2.resize(opaque, size[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)


def read_mask(path: Path, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    """Read a mask of `size` (height, width): True where any colour channel of an 8-bit image is above 0."""
    return read_rgb(path, size).any(-1)


def read_sixteen_bits(path: Path, size: tuple[int, int]) -> UInt16[np.ndarray, "height width"]:
    """Decode a PNG of one channel of 16 bits, as depth is kept in; `DatasetError` for anything else."""
    with _opened(path, verify=True) as image:
        if image.mode not in SIXTEEN_BIT_MODES or image.format != "PNG":
            raise DatasetError(
                f"{path}: a PNG of one channel of 16 bits was expected, it is a {image.format} of mode {image.mode}. "
                f"{REMEDY}"
            )
        values = np.array(image).astype(np.uint16)
    check_size(path, values.shape, size)
    return values


def list_images(folder: Path) -> list[Path]:
    """List the PNG and JPEG files in `folder` by name, hidden ones passed over; `DatasetError` if there are none."""
    paths = [path for path in folder_contents(folder) if path.suffix.lower() in IMAGE_SUFFIXES]
    if not paths:
        raise DatasetError(f"{folder}: holds no PNG or JPEG images. {REMEDY}")
    if len({path.stem for path in paths}) < len(paths):
        raise DatasetError(f"{folder}: two images differ in their suffix only. Remove one of each pair.")
    return paths


def check_size(path: Path, found: tuple[int, ...], wanted: tuple[int, int] | None) -> None:
    """Raise `DatasetError` unless an image has the (height, width) that is wanted; None wants nothing."""
    if wanted is not None and found != wanted:
        raise DatasetError(
            f"{path}: the image is {found[1]}×{found[0]}, {wanted[1]}×{wanted[0]} was expected, as the scene's first "
            f"one. {REMEDY}"
        )


def shared_image_size(paths: list[Path]) -> tuple[int, int]:
    """Read (height, width) of all the images; `DatasetError` where one cannot be read or differs."""
    first = image_size(paths[0])
    for path in paths[1:]:
        if (size := image_size(path)) != first:
            raise DatasetError(
                f"{path}: the image is {size[1]}×{size[0]}, but {paths[0].name} is {first[1]}×{first[0]}; "
                "all images of this layout have one size. Restore the originals, or remove the strays."
            )
    return first


@contextlib.contextmanager
def _opened(path: Path, *, verify: bool = False) -> Iterator[Image.Image]:
    """Open an image; faults on opening and on decoding are `DatasetError`s."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise DatasetError(f"{path}: is no file. {REMEDY}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # a header that asks for gigabytes
            if verify:  # of a PNG, to the last checksum; what decodes from a JPEG is checked when it is read
                with Image.open(path, formats=("PNG", "JPEG")) as image:
                    image.verify()
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                yield image
    except UnidentifiedImageError as error:
        raise DatasetError(f"{path}: not a PNG or JPEG image, or cut short. {REMEDY}") from error
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}). {REMEDY}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DatasetError(f"{path}: the image is cut short or damaged ({error}). {REMEDY}") from error


def downscaled_size(height: int, width: int, ratio: float) -> tuple[int, int]:
    """Return (height, width) after downscaling by `ratio` in (0, 1], rounded, at least one pixel."""
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio {ratio} is not in (0, 1]: images are never enlarged")
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def blur_kernel_size(sigma: float) -> int:
    """Return the odd width of the Gaussian kernel, `⌈((σ - 0.8)/0.3 + 1)·2 + 1⌉` made odd, at least 1."""
    size = math.ceil(((sigma - 0.8) / 0.3 + 1) * 2 + 1)
    return max(1, size + 1 - size % 2)


def downscale_image(
    image: UInt8[np.ndarray, "height width channel"], ratio: float
) -> UInt8[np.ndarray, "new_height new_width channel"]:
    """Blur against aliasing, then resize bilinearly."""
    height, width = downscaled_size(*image.shape[:2], ratio)
    if ratio == 1:
        return image
    return cv2.resize(blur_against_aliasing(image, ratio), (width, height), interpolation=cv2.INTER_LINEAR)


def blur_against_aliasing(
    image: UInt8[np.ndarray, "height width channel"], ratio: float
) -> UInt8[np.ndarray, "height width channel"]:
    """Blur as before downscaling by `ratio`, by a Gaussian; the border is reflected without its last pixel."""
    sigma = 1 / (3 * ratio)
    size = blur_kernel_size(sigma)
    return cv2.GaussianBlur(image, (size, size), sigma, sigma, borderType=cv2.BORDER_REFLECT_101)


def downscale_nearest(
    values: Shaped[np.ndarray, "height width"], ratio: float
) -> Shaped[np.ndarray, "new_height new_width"]:
    """Downscale masks and depth maps: no value that was not there before."""
    height, width = downscaled_size(*values.shape, ratio)
    if ratio == 1:
        return values
    as_numbers = values.astype(np.uint8) if values.dtype == bool else values
    return cv2.resize(as_numbers, (width, height), interpolation=cv2.INTER_NEAREST).astype(values.dtype)


def scale_intrinsics(K: Float[np.ndarray, "3 3"], ratio: float) -> Float[np.ndarray, "3 3"]:
    """Multiply rows 0 and 1 by `ratio`; no half-pixel shift, because checkpoints were trained without it."""
    return np.diag([ratio, ratio, 1.0]) @ K
