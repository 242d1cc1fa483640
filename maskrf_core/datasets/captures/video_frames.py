"""Photographs out of a video: frames evenly spread, each the sharpest of its neighbours, kept as PNG."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrf_core.datasets.captures.capture_sources import LEAST_VIEWS, fingerprint
from maskrf_core.datasets.files.image_folders import list_images
from maskrf_core.support.atomic_files import made_beside
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.paths import kept_beside, kept_path, writable_path
from maskrf_core.support.progress import tracked

FRAMES = 60  # taken where no number is asked for
JUDGED_SIDE = 960  # pixels of the longer side at which sharpness is measured: noise of single pixels is not sharp
LEAST_DECODED = 0.9  # share of the length that the video says it has


def frames_of_video(video: Path, cache: Path, below: str, count: int | None = None, *, take: bool = True) -> list[Path]:
    """Take `count` frames (all, where the video has fewer) into a folder in `below` of a cache folder, or find them.

    None is for those that were asked for last or, of a new or changed video, 60. Files are called by the frames'
    numbers. Without `take` none are returned where they were not taken before.

    Raises:
        DatasetError: the video is damaged, cut short or of no known format, or too few frames are wanted.
    """
    if count is not None and count < LEAST_VIEWS:
        raise DatasetError(f"{video}: {count} frames are wanted, but {LEAST_VIEWS} are needed. Ask for more.")
    status = video.stat()
    called = f"frames_{fingerprint([], video.name, status.st_size, status.st_mtime_ns)}"
    newest = max(kept_beside(cache, below, f"{called}_*"), key=lambda path: path.stat().st_mtime_ns, default=None)
    folder = newest if newest and not count else kept_path(cache, below, f"{called}_{count or FRAMES}")
    if not folder.is_dir():
        if not take:
            return []
        folder = writable_path(cache, below, folder.name)
        _take(video, folder, count or FRAMES)
    if count:
        with suppress(PermissionError):  # another user's
            os.utime(folder, ns=(time.time_ns(),) * 2)  # asked for last; the system's own stamps are too coarse
    return list_images(folder)


def _take(video: Path, folder: Path, count: int) -> None:
    with made_beside(folder) as beside:
        chosen = sharpest([_sharpness(frame) for frame in _decoded(video, f"sharpness of {video.name}")], count)
        for index, frame in enumerate(_decoded(video, f"frames of {video.name}")):
            if index in chosen:
                encoded = cv2.imencode(".png", frame[..., ::-1])[1].tobytes()
                (beside / f"{index:06d}.png").write_bytes(encoded)


def sharpest(sharpness: Sequence[float], count: int) -> list[int]:
    """Choose `count` frames evenly spread: of each equal stretch of the video, the sharpest in its middle half."""
    stretch = max(len(sharpness) / count, 1)
    chosen = []
    for place in range(min(count, len(sharpness))):
        first, end = int((place + 0.25) * stretch), int((place + 0.75) * stretch)
        neighbours = range(first, max(end, first + 1))
        chosen.append(max(neighbours, key=sharpness.__getitem__))
    return chosen


def _sharpness(frame: UInt8[np.ndarray, "height width 3"]) -> float:
    """Return the variance of the Laplacian of the grey frame."""
    grey, scale = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), JUDGED_SIDE / max(frame.shape)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def _decoded(video: Path, title: str) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Decode all frames, upright, one after the other."""
    import imageio  # takes a tenth of a second

    decoded = 0
    try:
        with imageio.get_reader(video, "ffmpeg", input_params=["-protocol_whitelist", "file"]) as reader:
            said = reader.get_meta_data()
            expected = round(said["duration"] * said["fps"])
            for frame in tracked(reader, total=expected, title=title):
                decoded += 1
                yield np.asarray(frame)
        if decoded < LEAST_DECODED * expected:
            raise OSError(f"{decoded} of {expected} frames can be decoded")
    except Exception as error:  # imageio raises many types, and gives all that ffmpeg prints
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        remedy = "Copy it again, convert it to MP4, or give photographs."
        raise DatasetError(f"{video}: is damaged or no video ({reason[0][:200]}). {remedy}") from error
