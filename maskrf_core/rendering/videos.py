"""Pictures in a row as an mp4 that every browser plays: H.264, 4:2:0, the index in front."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import imageio
import numpy as np
from jaxtyping import UInt8


def write_video(path: Path, frames: Iterable[UInt8[np.ndarray, "height width 3"]], frames_per_second: int) -> None:
    """Write RGB frames of one size; one is in memory at a time. A reader sees the old file or the whole new one.

    4:2:0 needs even sides: an odd one is filled up with a copy of its last row or column.
    """
    beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        writer = imageio.get_writer(
            beside,
            format="FFMPEG",
            mode="I",
            fps=frames_per_second,
            codec="libx264",
            pixelformat="yuv420p",
            macro_block_size=2,  # the sides are multiples of it already: nothing is resized
            ffmpeg_log_level="error",
            output_params=["-movflags", "+faststart", "-fflags", "+bitexact", "-flags:v", "+bitexact"],
        )
        with contextlib.closing(writer):  # as a context of its own it leaves ffmpeg running after an error
            for frame in frames:
                writer.append_data(even_sides(frame))
        beside.chmod(0o644)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def even_sides(frame: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """The frame with its last row or column doubled where their number is odd."""
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
