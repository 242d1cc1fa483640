"""Scenes made into folders of the data root, several at once; what is whole stays, whatever happens."""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from maskrf_core.datasets.files.sheets import encode_depth, read_sheets, write_sheets
from maskrf_core.datasets.procedural.contents import Contents
from maskrf_core.datasets.procedural.studio import load_mitsuba, photograph, stage
from maskrf_core.support.atomic_files import made_beside, write_atomically
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.file_locks import acquired
from maskrf_core.support.progress import tracked


def make_scene(folder: Path, compose: Callable[[str], Contents], samples: int, quality: int) -> Path:
    """Make a scene into a folder called after it, which appears when it is whole."""
    staged = stage(compose(folder.name))
    images, depths, cameras = [], [], {}
    for view in range(len(staged.K)):
        image, depth, depth_range = photograph(staged, view, samples)
        images.append(image[..., ::-1])
        depths.append(encode_depth(depth, depth_range))
        matrices = {"K": staged.K[view].tolist(), "w2c": staged.w2c[view].tolist()}
        cameras[f"view_{view:02d}"] = {**matrices, "depth_range": list(depth_range)}
    with made_beside(folder) as beside:
        write_sheets(beside, cameras, images, depths, quality)
        shutil.rmtree(folder, ignore_errors=True)  # a broken one
    return folder


def is_whole(folder: Path) -> bool:
    """Tell whether a scene is there and can be read."""
    try:
        first = read_sheets(folder.name, folder, "")[0]
        return first.image().shape[:2] == first.depth().shape
    except (DatasetError, IndexError):
        return False


def make_scenes(names: list[str], output: Path, make: Callable[[Path], Path], workers: int) -> list[Path]:
    """Make those scenes that are not there and whole, several at once; returns them in the order in which they came.

    Raises:
        DatasetError: another process makes scenes here, or the folder cannot be written; what was made stays.
    """
    load_mitsuba()  # says at once that it is missing
    with _alone(output):
        missing = [output / name for name in names if not is_whole(output / name)]
        if len(missing) < len(names):
            print(f"{len(names) - len(missing)} of {len(names)} scenes are there.", flush=True)
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            waiting = [pool.submit(make, folder) for folder in missing]
            done = (each.result() for each in as_completed(waiting))
            try:
                return list(tracked(done, total=len(missing), title="making scenes"))
            except (OSError, BrokenProcessPool) as error:  # a full disk; a maker that was killed for its memory
                raise DatasetError(
                    f"{output}: not all could be made ({error}). Make room, and start again: what was made stays."
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)


def write_contact_sheet(path: Path, folders: list[Path], columns: int = 6) -> None:
    """Write one view of each scene, row by row, as WebP."""
    scenes = [read_sheets(folder.name, folder, "make it again") for folder in folders]
    views = [frames[len(frames) // 3].image()[..., ::-1] for frames in scenes]
    columns = min(columns, len(views))
    rows = [np.hstack(views[i : i + columns]) for i in range(0, len(views) - columns + 1, columns)]
    encoded = cv2.imencode(".webp", np.vstack(rows), [cv2.IMWRITE_WEBP_QUALITY, 85])[1].tobytes()
    write_atomically(path, lambda file: file.write(encoded))


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("a", encoding="utf-8") as file:
        if not acquired(file, fcntl.LOCK_EX, 0.0):
            raise DatasetError(f"{output}: another process is making scenes there. Wait for it, or end it.")
        yield
