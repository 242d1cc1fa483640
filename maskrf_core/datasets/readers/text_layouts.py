"""Cameras in text files: BlendedMVS (Yao et al., CVPR 2020), renders of Google Scanned Objects as
IBRNet published them, and video frames of RealEstate10K (Zhou et al., SIGGRAPH 2018)."""

from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from maskrf_core.datasets.data_set import Frame, NamedScene, downscale_ratio, listed_width
from maskrf_core.datasets.files.checked_files import (
    check_depth_range,
    check_intrinsics,
    check_w2c,
    folder_contents,
    parse_numbers,
    read_matrix,
    read_text,
)
from maskrf_core.datasets.files.downscaling import downscale_image, downscale_nearest, downscaled_size, scale_intrinsics
from maskrf_core.datasets.files.image_files import alpha_mask, image_size, read_mask, read_rgb, read_sixteen_bits
from maskrf_core.datasets.files.image_folders import list_images
from maskrf_core.datasets.files.scene_names import misnamed
from maskrf_core.support.errors import DatasetError

MASKED = "_masked"
BLENDED_RATIO = 0.5
NEAR_MARGIN, FAR_MARGIN = 0.8, 1.2
OBJECT_PARTS = {"rgb": ".png", "mask": ".png", "depth": ".png", "intrinsics": ".txt", "pose": ".txt"}
OBJECT_WIDTH = 400  # as published
OBJECT_RADIUS = 0.5 * 2**0.5 * 1.1  # scene units: half a unit square's diagonal, and a tenth more
DEPTH_UNITS = 1000  # steps of the depth files in one scene unit
VIDEO_RANGE = (1.0, 100.0)
LARGEST_VIDEO_SIDE = 9999  # frames are brought to any size that is asked for; more pixels would fill the memory
NUMBERS_IN_A_LINE = 18  # after the timestamp


def read_blended_scene(asked: NamedScene) -> list[Frame]:
    """Read `blended_mvs/<scene>/half`: masked images at half their size; ids "0", "1", … in the files' order.

    Opening reads all camera files and the header of the first image; the others' size is checked when they are read.
    The mask is where any channel of the downscaled image is above 0; depth ranges have a fifth of margin.
    """
    images = asked.folder / "blended_images"
    paths = [path for path in list_images(images) if path.stem.endswith(MASKED)]
    if not paths:
        raise DatasetError(f"{images}: holds no *{MASKED}.jpg. Download the release with masked images.")
    native = image_size(paths[0])
    size = downscaled_size(*native, BLENDED_RATIO)

    def frame(image_id: str, path: Path) -> Frame:
        K, w2c, depth_range = _read_mvsnet_camera(asked.folder / f"cams/{path.stem.removesuffix(MASKED)}_cam.txt")

        def image() -> UInt8[np.ndarray, "height width 3"]:
            return downscale_image(read_rgb(path, native), BLENDED_RATIO)

        K = scale_intrinsics(K, BLENDED_RATIO)
        return Frame(image_id, image, K, w2c, depth_range, size, lambda: image().any(-1))

    return [frame(str(row), path) for row, path in enumerate(paths)]


def _read_mvsnet_camera(path: Path) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Read (K, w2c, depth range) of `extrinsic` and 4×4, `intrinsic` and 3×3, nearest depth, step, count, farthest."""
    words = read_text(path).split()
    if len(words) != 31 or (words[0], words[17]) != ("extrinsic", "intrinsic"):
        raise DatasetError(
            f"{path}: 'extrinsic' and 16 numbers, 'intrinsic' and 9 numbers, and 4 numbers of depth were expected. "
            "Unpack the data set again."
        )
    numbers = parse_numbers(words[1:17] + words[18:], str(path))
    w2c, K, (nearest, _, _, farthest) = numbers[:12].reshape(3, 4), numbers[16:25].reshape(3, 3), numbers[25:]
    depth_range = float(nearest) * NEAR_MARGIN, float(farthest) * FAR_MARGIN
    check_w2c(w2c, str(path))
    check_intrinsics(K, str(path))
    check_depth_range(*depth_range, str(path))
    return K, w2c, depth_range


def read_object(asked: NamedScene) -> list[Frame]:
    """Read `gso/<object>/<black|white>_<raw|width>`: on that background, downscaled to that width; ids "0", "1", ….

    Opening looks at the names of the files and the header of the first image; cameras and images are read, and their
    size and sense checked, when they are asked for. The renders' own background is white; black is put outside the
    mask before downscaling. Depth is the renders' own, 0 outside the mask.
    """
    _, background, width = asked.words
    stems = _object_stems(asked.folder)
    native = image_size(asked.folder / f"rgb/{stems[0]}.png")
    ratio = downscale_ratio(asked.name, width, native[1])

    def frame(number: int, stem: str) -> Frame:
        paths = {part: asked.folder / part / f"{stem}{suffix}" for part, suffix in OBJECT_PARTS.items()}
        camera = cache(lambda: _read_object_camera(paths["intrinsics"], paths["pose"]))

        def native_mask() -> Bool[np.ndarray, "height width"]:
            return read_mask(paths["mask"], native)

        def image() -> UInt8[np.ndarray, "height width 3"]:
            pixels = read_rgb(paths["rgb"], native, background=255)
            if background == "black":
                pixels = np.where(native_mask()[..., None], pixels, np.uint8(0))
            return downscale_image(pixels, ratio)

        def depth() -> Float32[np.ndarray, "height width"]:
            steps = read_sixteen_bits(paths["depth"], native).astype(np.float32)
            return downscale_nearest(np.where(native_mask(), steps / DEPTH_UNITS, np.float32(0)), ratio)

        return Frame(
            image_id=str(number),
            image=image,
            K=lambda: scale_intrinsics(camera()[0], ratio),
            w2c=lambda: camera()[1],
            depth_range=lambda: camera()[2],
            size=downscaled_size(*native, ratio),
            mask=lambda: downscale_nearest(native_mask(), ratio),
            depth=depth,
        )

    return [frame(number, stem) for number, stem in enumerate(stems)]


def object_names(folders: list[Path]) -> list[str]:
    """List objects at the published size: on black, 400 wide; or as wide as the first one's images."""
    width = listed_width(folders[0] / "rgb", OBJECT_WIDTH) if folders else OBJECT_WIDTH
    return [f"gso/{folder.name}/black_{width}" for folder in folders]


def _read_object_camera(intrinsics: Path, pose: Path) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Read (K at full size, w2c, depth range around the world's origin, from at least a tenth of its depth)."""
    K, c2w = read_matrix(intrinsics, 4, 4)[:3, :3], read_matrix(pose, 4, 4)
    check_intrinsics(K, str(intrinsics))
    check_w2c(c2w[:3], str(pose))
    if np.abs(c2w[3] - [0, 0, 0, 1]).max() > 1e-6:
        raise DatasetError(f"{pose}: the last row is not 0 0 0 1. Unpack the data set again.")
    w2c = np.linalg.inv(c2w)[:3]
    depth = float(w2c[2, 3])
    depth_range = max(depth - OBJECT_RADIUS, 0.1 * depth), depth + OBJECT_RADIUS
    check_depth_range(*depth_range, f"{pose}, which turns away from the object")
    return K, w2c, depth_range


def _object_stems(folder: Path) -> list[str]:
    """List 000000, 000001, …, one a file in `rgb`; each must be in all five folders, and nothing else."""
    wanted: list[str] = []
    for part, suffix in OBJECT_PARTS.items():
        found = {path.name for path in folder_contents(folder / part) if path.name.endswith(suffix)}
        wanted = wanted or [f"{number:06}" for number in range(len(found))]
        expected = [stem + suffix for stem in wanted]
        missing, strange = [name for name in expected if name not in found], sorted(found - set(expected))
        if missing or strange or not found:
            what = f"{missing[0]} is missing" if missing else f"{strange[0]} is one too many" if strange else "is empty"
            raise DatasetError(
                f"{folder / part}: {what}; {', '.join(OBJECT_PARTS)} hold the same files, numbered from 000000. "
                "Unpack the data set again."
            )
    return wanted


def read_video(asked: NamedScene) -> list[Frame]:
    """Read `real_estate/<scene>/<height>_<width>`: frames brought to that size by averaging over areas.

    Ids are their timestamps, in their order. Opening reads the camera file and the names of the frames. The camera
    file may list frames that are not there, as the published selection of frames is smaller than its lists.
    """
    scene, height, width = asked.words[0], *map(int, asked.words[1:])
    if max(height, width) > LARGEST_VIDEO_SIDE:
        raise misnamed(asked.name, asked.data_set.pattern, asked.data_set.example)
    listing = asked.folder.parents[1] / "cameras" / f"{scene}.txt"
    paths = {path.stem: path for path in list_images(asked.folder)}
    cameras = _read_video_cameras(listing, set(paths))
    for timestamp, path in paths.items():
        if timestamp not in cameras:
            fault = f"{path}: {listing.name} has no line for this frame"
            raise DatasetError(f"{fault}. Unpack the camera files again, or remove the frame.")

    def image(path: Path) -> UInt8[np.ndarray, "height width 3"]:
        return cv2.resize(read_rgb(path), (width, height), interpolation=cv2.INTER_AREA)

    frames, scale = [], np.diag([width, height, 1.0])
    for timestamp in sorted(paths, key=int):
        unit_K, w2c = cameras[timestamp]
        picture = partial(image, paths[timestamp])
        mask = partial(alpha_mask, paths[timestamp], (height, width))
        frames.append(Frame(timestamp, picture, scale @ unit_K, w2c, VIDEO_RANGE, (height, width), mask))
    return frames


def _read_video_cameras(path: Path, wanted: set[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read timestamp → (K of an image of unit size, w2c), of the frames wanted. The first line is the video's address.

    A line is: timestamp, fx, fy, cx, cy over the image's size, k1 and k2, which are 0, w2c row by row.
    """
    cameras: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for number, line in enumerate(read_text(path).splitlines()[1:], start=2):
        timestamp, *words = line.split() or [""]
        where = f"{path}, line {number}"
        if not timestamp:
            continue
        if not timestamp.isdigit() or len(words) != NUMBERS_IN_A_LINE:
            raise DatasetError(
                f"{where}: a timestamp and {NUMBERS_IN_A_LINE} numbers were expected. Unpack the data set again."
            )
        if timestamp in cameras:
            raise DatasetError(f"{where}: lists the frame {timestamp} twice. Remove one of the two lines.")
        if timestamp in wanted:
            numbers = parse_numbers(words, where)
            fx, fy, cx, cy, k1, k2 = numbers[:6]
            if k1 or k2:
                raise DatasetError(
                    f"{where}: has the lens distortion {k1:g}, {k2:g}, which is not used here. Undo it in the "
                    "frames, and write 0 0."
                )
            K, w2c = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), numbers[6:].reshape(3, 4)
            check_intrinsics(K, where)
            check_w2c(w2c, where)
            cameras[timestamp] = K, w2c
    return cameras
