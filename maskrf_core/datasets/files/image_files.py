"""Strict reading of PNG and JPEG files: what is cut short or mistaken is an error, never a partly grey picture."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, UInt8, UInt16
from PIL import Image, UnidentifiedImageError

from maskrf_core.support.errors import DatasetError

IMAGE_SUFFIXES, FORMATS = (".png", ".jpg", ".jpeg"), ("PNG", "JPEG")
SIXTEEN_BIT_MODES = ("I;16", "I;16B", "I")  # pillow's names for a PNG of one channel of 16 bits, by its version
EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
ALPHA_MODES = ("LA", "PA", "RGBA")
ORIENTATION = 0x0112  # the EXIF tag
TURNS = {  # what makes a picture upright, by that tag
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LARGEST_IMAGE = 400_000_000  # pixels, which take 4 GB while they are decoded; telephones make 200 million
LARGEST_SIDE = 32_766  # pixels, of OpenCV's resampling
ALWAYS_WHOLE = 89_478_485  # pixels of a JPEG up to which every pixel is decoded; Pillow's own limit
REMEDY = "Download or unpack the data set again."

Image.MAX_IMAGE_PIXELS = LARGEST_IMAGE  # for the whole process: Pillow knows no limit for one image


def image_size(path: Path, *, upright: bool = False) -> tuple[int, int]:
    """Read (height, width) from the header alone, so that a whole scene is checked without decoding it.

    `upright`: as the camera's orientation tag (EXIF) turns it; else as the pixels are stored.

    Raises:
        DatasetError: the file is missing, or is neither PNG nor JPEG, or ends within its header.
    """
    with _opened(path) as image:
        turned = upright and orientation_tag(image) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


def read_image(
    path: Path, *, upright: bool = False, enough: tuple[int, int] | None = None
) -> UInt8[np.ndarray, "height width channel"]:
    """Decode an 8-bit image as RGB (channel = 3) or, where the file has alpha, as RGBA (channel = 4).

    `upright`: turned as the camera's orientation tag (EXIF) says; else as the pixels are stored. `enough`: a JPEG of
    more than 89 million pixels may come at exactly a half, quarter or eighth of its size, with sides of at least
    twice these (height, width).

    Raises:
        DatasetError: the file is missing, cut short, damaged, not PNG or JPEG, or not 8 bits deep.
    """
    with _opened(path, verify=True) as image:
        if image.mode not in EIGHT_BIT_MODES:
            raise DatasetError(f"{path}: the image is of mode {image.mode}, 8 bits a channel are expected. Convert it.")
        tag = orientation_tag(image) if upright else 1
        if enough is not None and image.width * image.height > ALWAYS_WHOLE:
            _decode_smaller(image, enough[::-1] if tag < 5 else enough)
        mode = "RGBA" if image.mode in ALPHA_MODES or "transparency" in image.info else "RGB"
        decoded = image if image.mode == mode else image.convert(mode)
        return np.array(decoded.transpose(TURNS[tag]) if tag in TURNS else decoded)


def _decode_smaller(image: Image.Image, enough: tuple[int, int]) -> None:
    """Have a JPEG decoded at the least size, divided without rest, that is twice `enough` (width, height)."""
    for part in (8, 4, 2):
        size = image.width // part, image.height // part
        if image.width % part == image.height % part == 0 and size[0] >= 2 * enough[0] and size[1] >= 2 * enough[1]:
            image.draft(None, size)
            return


def orientation_tag(image: Image.Image) -> int:
    """Read from EXIF how the camera was held: 1 upright, 2 to 4 mirrored or upside down, 5 to 8 with sides swapped.

    EXIF that is damaged says nothing, so that the picture is taken as it is stored.
    """
    try:
        tag = image.getexif().get(ORIENTATION, 1)
    except Exception:  # of any type, by what is damaged
        return 1
    return tag if isinstance(tag, int) and 1 <= tag <= 8 else 1


def save_upright(path: Path, target: Path) -> None:
    """Make `target` the image as its orientation tag turns it: a link, or a copy that keeps the rest of EXIF."""
    with _opened(path) as image:
        if (tag := orientation_tag(image)) != 1:
            turned, exif = image.transpose(TURNS[tag]), image.getexif()
            written_as = "PNG" if image.format == "PNG" else "JPEG"
    if tag == 1:
        target.symlink_to(path.resolve())
        return
    del exif[ORIENTATION]
    try:
        kept = exif.tobytes()
    except Exception:  # of any type, where other tags are damaged
        kept = b""
    turned.save(target, written_as, quality=95, exif=kept)


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
    """Read a mask of `size` (height, width): True where any colour channel of an 8-bit image is above 0.

    Of a JPEG above half: its compression leaves traces around what was 0 and 255.
    """
    with _opened(path) as image:
        least = 0 if image.format == "PNG" else 127
    mask = read_rgb(path)
    if mask.shape[:2] != size:
        found = f"the mask is {mask.shape[1]}×{mask.shape[0]}, {size[1]}×{size[0]} was expected, as its image"
        raise DatasetError(f"{path}: {found}. Make it again from the image.")
    return (mask > least).any(-1)


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
                with _open(path) as image:
                    image.verify()
            with _open(path) as image:
                if max(image.size) > LARGEST_SIDE:
                    raise Image.DecompressionBombError
                yield image
    except DatasetError:
        raise
    except UnidentifiedImageError as error:
        raise DatasetError(f"{path}: not a PNG or JPEG image, or cut short. {REMEDY}") from error
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}). {REMEDY}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        most = f"{LARGEST_IMAGE // 10**6} million pixels, or {LARGEST_SIDE} on a side"
        raise DatasetError(f"{path}: the image has more than {most}. Downscale it, or restore it.") from error
    except Exception as error:  # Pillow raises many types on damaged files
        raise DatasetError(f"{path}: the image is cut short or damaged ({error}). {REMEDY}") from error


def _open(path: Path) -> Image.Image:
    """Open a file, without its EXIF where that is so damaged that Pillow takes the whole file for something else."""
    try:
        return Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        without = path.read_bytes().replace(b"Exif\0\0", bytes(6), 1)
        return Image.open(io.BytesIO(without), formats=FORMATS)
