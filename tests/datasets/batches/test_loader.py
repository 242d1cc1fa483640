"""Batches made ahead: the same whoever makes them, errors as they are, and nothing left behind."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import fields
from itertools import islice

import numpy as np
import psutil
import pytest
import torch

from maskrf_core.datasets.batches.batch import ModelInputs
from maskrf_core.datasets.batches.loader import _as_bytes, _begin_worker, _Packed, training_batches
from maskrf_core.datasets.batches.mixture import Mixture
from maskrf_core.settings.sections import DataSettings
from maskrf_core.support.errors import DatasetError, RunError
from maskrf_core.support.paths import ROOT
from tests.datasets.memory_scene import make_scenes, use_folders


@pytest.fixture
def mixture(tmp_path, monkeypatch):
    """Two data sets with every augmentation, and a demo scene."""
    use_folders(monkeypatch)
    make_scenes(tmp_path, "gso/cup", "gso/pan", "space/hall")
    names = ["gso", "space", "demo/train_00"]
    weights = dict.fromkeys(["gso", "space", "demo"], 1.0)
    settings = {"working_views": 3, "rays": 6, "crop_height": 32, "crop_width": 36, "data_set_weights": weights}
    return Mixture(DataSettings(data_root=str(tmp_path), train_scenes=names, **settings), None)


@pytest.fixture
def matching(mixture):
    """The same for cost volumes."""
    return Mixture(mixture.settings, None, inputs=ModelInputs(depths=False, sources=True))


def batches(mixture, workers, first=0, steps=12):
    with closing(training_batches(mixture, seed=(5, 0), first_step=first, steps=steps, workers=workers)) as made:
        return list(made)


def assert_same(one, other):
    assert one.origin == other.origin
    assert torch.equal(one.batch.pixels_xy, other.batch.pixels_xy)
    groups = [(one.batch.query, other.batch.query), (one.batch.references, other.batch.references)]
    assert (one.batch.sources is None) == (other.batch.sources is None)
    if one.batch.sources is not None:
        assert torch.equal(one.batch.sources.neighbours, other.batch.sources.neighbours)
        groups.append((one.batch.sources.views, other.batch.sources.views))
    for ours, theirs in groups:
        for field in fields(ours):
            mine, yours = getattr(ours, field.name), getattr(theirs, field.name)
            assert (mine is None) == (yours is None)
            assert mine is None or (torch.equal(mine, yours) and mine.dtype == yours.dtype)


def test_batches_are_those_of_the_seed_and_step_whoever_makes_them(mixture):
    expected = [mixture.draw(np.random.default_rng([5, 0, step])) for step in range(12)]
    assert len({draw.origin.split("/")[0] for draw in expected}) == 3  # every kind of augmentation is among them
    for workers in (0, 1, 2):
        for made, theirs in zip(batches(mixture, workers), expected, strict=True):
            assert_same(made, theirs)


def test_source_views_travel_unchanged(matching):
    expected = [matching.draw(np.random.default_rng([5, 0, step])) for step in range(12)]
    assert len({len(draw.batch.sources.views) for draw in expected}) > 2
    for workers in (0, 1):
        for made, theirs in zip(batches(matching, workers), expected, strict=True):
            assert_same(made, theirs)


def test_no_source_view_travels_too(matching, tmp_path):
    """Four views, one of them the query: the three working views are each other's neighbours."""
    make_scenes(tmp_path, "dtu_train/scan1", views=4)
    settings = matching.settings.model_copy(update={"train_scenes": ["dtu_train"], "query_kept": 0.0})
    mixture = Mixture(settings, None, inputs=matching.inputs)
    (made,) = batches(mixture, 1, steps=1)
    assert len(made.batch.sources.views) == 0
    assert made.batch.sources.neighbours.sort(dim=1).values.tolist() == [[1, 2], [0, 2], [0, 1]]
    assert_same(made, mixture.draw(np.random.default_rng([5, 0, 0])))


@pytest.mark.parametrize("which", ["mixture", "matching"])
def test_everything_that_travels_is_pinned(which, request, monkeypatch):
    """As on a machine with a GPU, where memory can be pinned."""
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    packed = _Packed.of(request.getfixturevalue(which).draw(np.random.default_rng(1)))
    draw = packed.pin_memory()
    assert_same(draw, packed.unpacked())
    batch, sources = draw.batch, draw.batch.sources
    tensors = [batch.pixels_xy, *([sources.neighbours] if sources else [])]
    for views in [batch.query, batch.references, *([sources.views] if sources else [])]:
        tensors += [getattr(views, field.name) for field in fields(views)]
    kept = {id(tensor) for tensor in pinned}
    assert all(id(tensor) in kept for tensor in tensors if tensor is not None)


def test_tensors_lie_in_memory_alike_whoever_makes_them(mixture):
    """Else the last bits of what is computed from them would differ."""
    for one, other in zip(batches(mixture, 0), batches(mixture, 1), strict=True):
        for ours, theirs in ((one.batch.query, other.batch.query), (one.batch.references, other.batch.references)):
            for field in fields(ours):
                mine, yours = getattr(ours, field.name), getattr(theirs, field.name)
                if mine is not None:
                    assert mine.stride() == yours.stride()
                    assert mine.data_ptr() % 64 == yours.data_ptr() % 64 == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_loader_goes_on_as_if_nothing_had_been(mixture, workers):
    for made, expected in zip(batches(mixture, workers, first=7), batches(mixture, 0)[7:], strict=True):
        assert_same(made, expected)


def test_every_byte_survives_the_way_and_other_images_too():
    images = (torch.arange(256.0) / 255).expand(1, 3, 1, 256).contiguous()
    assert _as_bytes(images).dtype == torch.uint8
    assert torch.equal(_as_bytes(images).float().div_(255), images)
    between = images * 0.9991
    assert torch.equal(_as_bytes(between), between)


def test_a_batch_travels_in_a_quarter_of_the_size(mixture):
    draw = mixture.draw(np.random.default_rng(0))
    references = draw.batch.references
    sent = len(pickle.dumps(_Packed.of(draw)))
    as_floats = 4 * (references.images.numel() + draw.batch.query.images.numel())
    depths = sum(4 * part.numel() for part in (references.depths, references.true_depths) if part is not None)
    assert sent < as_floats / 4 + depths + draw.batch.query.masks.numel() + 4000


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_arrive_as_they_are_and_when_their_turn_comes(mixture, tmp_path, workers):
    (tmp_path / "gso" / "pan" / "broken").touch()
    arrived = []
    with (
        closing(training_batches(mixture, seed=(5, 0), first_step=0, steps=50, workers=workers)) as made,
        pytest.raises(DatasetError) as caught,
    ):
        arrived.extend(made)
    assert str(caught.value) == f"{tmp_path}/gso/pan: missing or broken. Unpack it again."
    assert len(arrived) > 0


def children():
    return [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]


def test_workers_end_with_the_loop(mixture):
    before = len(children())
    with closing(training_batches(mixture, seed=(5, 0), first_step=0, steps=10**6, workers=2)) as made:
        next(made)
        assert len(children()) == before + 2
    assert len(children()) == before


def test_a_killed_worker_is_an_error_with_a_remedy(mixture):
    before = children()
    with closing(training_batches(mixture, seed=(5, 0), first_step=0, steps=10**6, workers=1)) as made:
        next(made)
        (worker,) = (child for child in children() if child not in before)
        worker.kill()
        with pytest.raises(RunError, match=r"ended unexpectedly .*hardware\.data_workers to 0"):
            list(islice(made, 10))


LOOP = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background inherits that it is ignored
from maskrf_core.settings.sections import DataSettings
from maskrf_core.datasets.batches.loader import training_batches
from maskrf_core.datasets.batches.mixture import Mixture
mixture = Mixture(DataSettings(working_views=3), None)
for draw in training_batches(mixture, seed=(0, 0), first_step=0, steps=10**9, workers=2):
    print("made", flush=True)
"""


def test_an_interrupted_process_leaves_no_workers_behind(request):
    process = subprocess.Popen(
        [sys.executable, "-c", LOOP], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    request.addfinalizer(lambda: process.poll() is None and os.killpg(process.pid, signal.SIGKILL))
    assert process.stdout.readline() == "made\n"
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) == 2
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal: all of them get it
    _, errors = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert errors.count("Traceback") == 1  # the workers say nothing
    deadline = time.monotonic() + 10
    while any(worker.is_running() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(worker.is_running() for worker in workers)


@pytest.mark.parametrize(("alive", "code"), [(True, 0), (False, 1)])
def test_a_worker_that_begins_after_its_training_was_killed_ends_at_once(alive, code):
    parent = os.getpid() if alive else 2**22  # no process has that number
    worker = multiprocessing.get_context("fork").Process(target=_begin_worker, args=(0,), kwargs={"parent": parent})
    worker.start()
    worker.join(30)
    assert worker.exitcode == code
