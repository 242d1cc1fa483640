"""Undistorted photographs with a COLMAP model: NeuRay's example of one's own capture, and its LLFF test scenes."""

import hashlib
from contextlib import suppress
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from maskrf_core.datasets.captures.capture_contents import find_model, warn_of_unused
from maskrf_core.datasets.captures.colmap_models import ColmapModel, ColmapView, read_colmap_model
from maskrf_core.datasets.captures.depth_ranges import depths_in, range_from_depths
from maskrf_core.datasets.data_set import Frame, NamedScene, downscale_ratio
from maskrf_core.datasets.files.checked_files import check_depth_range, read_array, read_bytes
from maskrf_core.datasets.files.downscaling import blur_against_aliasing, downscale_image, downscaled_size
from maskrf_core.datasets.files.image_files import alpha_mask, image_size, read_image, read_rgb, shared_image_size
from maskrf_core.datasets.files.image_folders import find_listed_image
from maskrf_core.support.atomic_files import write_atomically
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.paths import cache_folder, kept_path, writable_path

LLFF_SIZES = {"high": (756, 1008), "low": (378, 504)}  # (height, width)


def read_example(asked: NamedScene) -> list[Frame]:
    """Read `example/<scene>/<raw|size>`: images as they are, or with their longer side downscaled to `size` pixels.

    Opening reads the model (of several, as for captures) and the header of every image; ids are "1" to "N" in the order
    of COLMAP's image ids. Depth ranges are from the 2nd and 98th percentile of the depths of all points of the model in
    a camera.
    """
    folder = asked.folder
    chosen = find_model(folder) or folder / "sparse/0"
    model, paths = _pinhole_model(chosen, folder / "images")
    warn_of_unused(folder, paths, chosen)
    native = shared_image_size(paths)
    for view in model.views:
        ratios = native[0] / view.camera.height, native[1] / view.camera.width
        if abs(ratios[0] / ratios[1] - 1) > 0.01:
            raise DatasetError(
                f"{folder}: the images are {native[1]}×{native[0]}, but the camera of {view.name} is "
                f"{view.camera.width}×{view.camera.height}, of another shape. Restore the images of the model."
            )
    ratio = downscale_ratio(asked.name, asked.words[1], max(native))
    size = downscaled_size(*native, ratio)

    frames = []
    for number, (view, path) in enumerate(zip(model.views, paths, strict=True), start=1):
        depths = depths_in(view.w2c, model.points)
        if not len(depths):
            raise DatasetError(f"{chosen}: has no points, which depth ranges are taken from.")
        depth_range = range_from_depths(depths)
        check_depth_range(*depth_range, f"{chosen}, points in the camera of image {number}")
        image = partial(_downscaled_rgb, path, ratio)
        mask, K = partial(alpha_mask, path, size), _scaled_K(view, size)
        frames.append(Frame(str(number), image, K, view.w2c, depth_range, size, mask, file=view.name))
    return frames


def _downscaled_rgb(path: Path, ratio: float) -> UInt8[np.ndarray, "height width 3"]:
    return downscale_image(read_rgb(path), ratio)


def read_llff_scene(asked: NamedScene) -> list[Frame]:
    """Read `llff_colmap/<scene>/<high|low>`: 1008×756 or 504×378; ids "1" to "N" in the order of COLMAP's image ids.

    Opening reads the model and the depth ranges. Downscaled images are kept in the cache folder, under a fingerprint
    of the original.
    """
    scene, called = asked.words
    size = LLFF_SIZES[called]
    model, paths = _pinhole_model(asked.folder / "sparse", asked.folder / "images")
    ranges = read_array(asked.folder / "depth_range.npy", (len(paths), 2))
    cache, below = cache_folder(asked.data_root), f"llff_colmap/{scene}/{called}"

    frames = []
    for number, (view, path, (near, far)) in enumerate(zip(model.views, paths, ranges.tolist(), strict=True), start=1):
        check_depth_range(near, far, f"{asked.folder / 'depth_range.npy'}, image {number}")
        image = partial(_kept_image, asked.name, path, size, cache, f"{below}/{number}")
        mask = partial(alpha_mask, path, size)
        frames.append(Frame(str(number), image, _scaled_K(view, size), view.w2c, (near, far), size, mask))
    return frames


def _pinhole_model(folder: Path, images: Path) -> tuple[ColmapModel, list[Path]]:
    """Read a model and find its images; `DatasetError` if a camera has distortion or a listed image is absent."""
    model = read_colmap_model(folder)
    for view in model.views:
        if not view.camera.is_pinhole:
            raise DatasetError(
                f"{folder}: the camera of {view.name} is {view.camera.model} with distortion, which this layout has "
                "undone already. Put photographs and model into captures/ and open capture/<name>/raw."
            )
    paths = [find_listed_image(images, view.name) for view in model.views]
    absent = [view.name for view, path in zip(model.views, paths, strict=True) if path is None]
    if absent:
        raise DatasetError(
            f"{images}: {len(absent)} of the {len(paths)} images that the model lists are missing, the first is "
            f"{absent[0]}. Unpack the data set again."
        )
    if len(set(paths)) < len(paths):
        raise DatasetError(f"{folder}: two images of the model are one file in {images}. Export the model again.")
    return model, paths


def _scaled_K(view: ColmapView, size: tuple[int, int]) -> Float[np.ndarray, "3 3"]:
    """Scale K to an image of `size` (height, width); no half-pixel shift, as checkpoints were trained without it."""
    return np.diag([size[1] / view.camera.width, size[0] / view.camera.height, 1.0]) @ view.camera.K


def _kept_image(
    name: str, original: Path, size: tuple[int, int], cache: Path, below: str
) -> UInt8[np.ndarray, "height width 3"]:
    """Read an image that was downscaled before, or downscale and keep it under a name that begins with `below`."""
    key = hashlib.blake2b(read_bytes(original), digest_size=8).hexdigest()
    below = f"{below}_{key}.png"
    with suppress(DatasetError):  # absent, or damaged, so made again
        image = read_image(kept_path(cache, below))
        if image.shape == (*size, 3):
            return image
    image = _downscaled(name, original, size)
    encoded = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    write_atomically(writable_path(cache, below), lambda file: file.write(encoded))
    return image


def _downscaled(name: str, original: Path, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """Downscale as published: blur for the ratio of the widths, then average over areas."""
    (height, width), (native_height, native_width) = size, image_size(original)
    if native_width < width or native_height < height:
        raise DatasetError(
            f"{original}: is {native_width}×{native_height}, but {name} is {width}×{height} and images are "
            f"never enlarged. Open {name.removesuffix('/high')}/low, or restore the original photographs."
        )
    if abs(native_width / native_height * height / width - 1) > 0.01:
        raise DatasetError(
            f"{original}: is {native_width}×{native_height}, which has another shape than {width}×{height}, at which "
            "this layout gives all images. Restore the original photographs."
        )
    image = read_rgb(original)
    if (native_height, native_width) == size:
        return image
    return cv2.resize(blur_against_aliasing(image, width / native_width), (width, height), interpolation=cv2.INTER_AREA)
