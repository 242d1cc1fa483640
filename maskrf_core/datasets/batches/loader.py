"""Training batches made ahead in worker processes. A batch depends on the seed and its step alone, so neither the
number of workers nor an interruption changes any number."""

import ctypes
import io
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.datasets.batches.training_views import OneScene, TrainingDraw
from maskrf_core.support.errors import MaskrfError, RunError

BATCHES_AHEAD = 2  # batches that each worker makes before they are asked for
PR_SET_PDEATHSIG = 1  # of Linux: which signal a process gets when its parent dies


def training_batches(
    scenes: Mixture | OneScene,
    *,
    seed: tuple[int, ...],
    first_step: int,
    steps: int,
    workers: int,
    pinned: bool = False,
    rank: int = 0,
) -> Iterator[TrainingDraw]:
    """Yield the batches of the steps from `first_step` to before `steps`.

    That of a step is drawn with `[*seed, step]`, or in process `rank` > 0 of several with `[*seed, step, rank]`. With 0
    workers they are made when they are asked for. Close the iterator (`contextlib.closing`) to end the workers early.
    `pinned` puts the tensors into page-locked memory, for a GPU.

    Raises:
        DatasetError: of a batch, when its turn comes.
        RunError: a worker was killed.
    """
    loader = DataLoader(
        _Steps(scenes, seed, rank),
        batch_size=None,
        sampler=range(first_step, steps),
        num_workers=workers,
        prefetch_factor=BATCHES_AHEAD if workers else None,
        pin_memory=pinned,
        worker_init_fn=partial(_begin_worker, parent=os.getpid()),
        # A fork shares what is already open and costs milliseconds; macOS and Windows do not offer a safe one.
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
    )
    others = set(multiprocessing.active_children())
    batches = iter(loader)
    try:
        for _ in range(first_step, steps):
            made = _next(batches)
            if isinstance(made, MaskrfError):
                raise made
            yield made.unpacked() if isinstance(made, _Packed) else made
    finally:
        del batches  # ends the workers
        _end(set(multiprocessing.active_children()) - others)


def _end(workers: set[BaseProcess]) -> None:
    """End those that are busy, and have not ended by themselves; torch would take their death for a failure."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    heard_by = signal.signal(signal.SIGCHLD, signal.SIG_DFL) if in_main_thread else None
    for worker in workers:
        worker.kill()
        worker.join()
    if in_main_thread:
        signal.signal(signal.SIGCHLD, heard_by)


class _Steps(Dataset):
    """Step → its batch, packed, or the error that it met."""

    def __init__(self, scenes: Mixture | OneScene, seed: tuple[int, ...], rank: int):
        self.scenes, self.seed, self.of_process = scenes, seed, (rank,) if rank else ()

    def __getitem__(self, step: int) -> "_Packed | MaskrfError":
        try:
            return _Packed.of(self.scenes.draw(np.random.default_rng([*self.seed, step, *self.of_process])))
        except MaskrfError as error:  # handed over as it is: raised here, it would come wrapped in a page of text
            return error


@dataclass(frozen=True)
class _Packed:
    """A draw as one string of bytes, images a byte a value: a quarter of the size to copy from process to process.

    Tensors would travel in shared memory, of which containers often have no more than one batch takes (64 MB), and
    hold a file descriptor each.
    """

    data: bytes

    @classmethod
    def of(cls, draw: TrainingDraw) -> "_Packed":
        written = io.BytesIO()
        _Pickler(written, pickle.HIGHEST_PROTOCOL).dump(draw)
        return cls(written.getvalue())

    def unpacked(self) -> TrainingDraw:
        return pickle.loads(self.data)

    def pin_memory(self) -> TrainingDraw:
        """Do what DataLoader asks for, in a thread of its own, if memory is to be pinned."""
        draw = self.unpacked()
        return draw._replace(batch=draw.batch.changed(Tensor.pin_memory))


class _Pickler(pickle.Pickler):
    """Writes tensors as arrays, and those of images as bytes, the channels of a pixel together."""

    def reducer_override(self, value: object):
        if not isinstance(value, Tensor):
            return NotImplemented
        if value.ndim == 4 and value.shape[1] == 3:
            return _images, (_as_bytes(value).permute(0, 2, 3, 1).contiguous().numpy(),)
        return torch.tensor, (value.contiguous().numpy(),)


def _images(array: np.ndarray) -> Tensor:
    """Make images of what was written, in memory of torch's own: what is computed from tensors depends, in its last
    bit, on how they are aligned and in which order they lie."""
    images = torch.tensor(array).permute(0, 3, 1, 2)
    return images.float().div_(255) if images.dtype == torch.uint8 else images


def _as_bytes(images: Tensor) -> Tensor:
    """Return images as they were before they were divided by 255; as they are if that would lose anything."""
    as_bytes = (images * 255).round_().to(torch.uint8)
    return as_bytes if torch.equal(as_bytes.float().div_(255), images) else images


def _next(batches: Iterator) -> "_Packed | TrainingDraw | MaskrfError":
    try:
        return next(batches)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise RunError(
            f"a worker that prepares batches ended unexpectedly ({str(error).splitlines()[0]}). If memory ran out, set "
            "hardware.image_cache_mib lower, or hardware.data_workers to 0, and start again: the run continues."
        ) from error


def _begin_worker(worker: int, *, parent: int) -> None:
    """Keep to one thread: the others belong to the training. What asks a training to stop, sent to its whole group by a
    terminal or a scheduler, is not for its workers: one that dies as it hands over a batch would block the training."""
    os.setsid()
    if sys.platform == "linux":  # else a worker would wait for ever to hand over its batch, and hold its memory
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed before this was set
        os._exit(1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
