"""A file takes no more memory than its own size: what unfolds is refused before torch makes any of it."""

import pickle
import resource
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from maskrf_core.checkpoints.checkpoint_files import newest_checkpoint, read_checkpoint, save_checkpoint
from maskrf_core.model.renderer import Renderer
from maskrf_core.support.errors import CheckpointError


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def write_zip(path: Path, value: object, **options):
    """Write what `torch.save` does, with any values, parts packed or more than once."""
    torch.save({"weight": torch.zeros(4)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    pickled = next(name for name in parts if name.endswith("data.pkl"))
    parts[pickled] = pickle.dumps(value, protocol=2)
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def packed(path: Path):
    torch.save({"weight": torch.zeros(10_000_000)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def expanded(path: Path):
    torch.save({"weight": torch.zeros(1).expand(10**6, 10**6)}, path)


def legacy(path: Path, value: object):
    torch.save(value, path, _use_new_zipfile_serialization=False)


def legacy_of_a_large_storage(path: Path):
    legacy(path, {"weight": torch.zeros(300)})
    data = path.read_bytes()
    path.write_bytes(data.replace(b"M,\x01", b"J\x00\x00\x00\x7f"))


def storage_beyond_its_part(path: Path):
    torch.save({"weight": torch.zeros(300)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data.replace(b"M,\x01", b"M,\x02") if name.endswith("data.pkl") else data)


def copied(path: Path):
    long = "x" * 100_000
    write_zip(path, [Call(__import__("_codecs").encode, long, "latin1") for _ in range(2000)])


UNFOLD = {
    "packed": packed,
    "expanded": expanded,
    "legacy of a large storage": legacy_of_a_large_storage,
    "storage beyond its part": storage_beyond_its_part,
    "bytes": lambda path: write_zip(path, Call(bytearray, 10**9)),
    "tensor of a class": lambda path: write_zip(path, Call(torch.FloatTensor, 10**9)),
    "legacy tensor of a class": lambda path: legacy(path, {"a": Call(torch.FloatTensor, 10**9)}),
    "many copies": copied,
}


@pytest.mark.parametrize("kind", UNFOLD)
def test_what_unfolds_is_refused_and_not_made(tmp_path: Path, kind: str):
    path = tmp_path / "last.pt"
    UNFOLD[kind](path)
    assert path.stat().st_size < 1e6
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        read_checkpoint(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000, "KiB"


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_any_torch_are_read(tmp_path: Path, zipped: bool):
    shared = torch.rand(6, 4)
    weight = torch.nn.Parameter(shared.clone())
    values = [torch.zeros(0, 3), torch.tensor(3), shared, shared[1:3, ::2], shared.T, shared.view(-1)[:6], weight]
    values += [torch.rand(3).to(kind) for kind in (torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.uint8)]
    value = {"weights": OrderedDict(a=values), "step": 7, "size": torch.Size([2, 3])}
    torch.save(value, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    read = read_checkpoint(tmp_path / "a.pt")
    assert read["step"] == 7
    assert read["size"] == (2, 3)
    assert all(torch.equal(there, own) for there, own in zip(read["weights"]["a"], values, strict=True))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("value", [{"format": "maskrf checkpoint 1"}, {"format": "maskrf checkpoint 1", "step": "1"}])
def test_where_the_last_is_of_another_kind_the_one_before_is_tried(tmp_path: Path, zipped: bool, value: dict):
    last, previous = tmp_path / "last.pt", tmp_path / "previous.pt"
    torch.save(value, last, _use_new_zipfile_serialization=zipped)
    save_checkpoint(previous, Renderer(), 5, {})
    checkpoint, path, fault = newest_checkpoint(last, previous)
    assert (checkpoint["step"], path) == (5, previous)
    assert "last.pt" in fault


def test_a_whole_checkpoint_in_the_old_form_is_told_too(tmp_path: Path):
    """It has no checksums."""
    last, previous = tmp_path / "last.pt", tmp_path / "previous.pt"
    save_checkpoint(previous, Renderer(), 5, {})
    legacy(last, torch.load(previous, weights_only=True))
    checkpoint, _, fault = newest_checkpoint(last, previous)
    assert checkpoint["step"] == 5
    assert "last.pt" in fault
