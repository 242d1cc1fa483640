"""Unpacking: the same tree comes out, nothing outside of it, and nothing that was there is touched."""

import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maskrf_core.datasets.archives import unpacking as archives
from maskrf_core.datasets.archives.unpacking import unpack
from maskrf_core.support.errors import DatasetError
from maskrf_core.support.paths import ROOT
from tests.datasets.archives.archive_files import tree, write_archive, write_tar, write_zip

SUFFIXES = [".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"]
FILES = {"set/lego/a.txt": b"one", "set/lego/deep/b.bin": bytes(range(256)) * 3000, "set/empty": b"", "README": b"read"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_tree_comes_out_as_plain_files_and_a_second_call_finds_it_done(tmp_path, suffix):
    archive, out = write_archive(tmp_path / f"a{suffix}", FILES), tmp_path / "out"
    assert unpack(archive, out).written == 4
    assert tree(out) == FILES
    assert {path.stat().st_mode & 0o7777 for path in out.rglob("*") if path.is_file()} == {0o644}
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again = unpack(archive, out)
    assert (again.written, again.already_there) == (0, 4)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == times


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_strip_and_what_systems_add(tmp_path, suffix):
    archive = write_archive(tmp_path / f"a{suffix}", FILES | {"__MACOSX/set/._x": b"", "set/.DS_Store": b"?"})
    result = unpack(archive, tmp_path / "out", strip="set")
    assert tree(tmp_path / "out") == {
        "lego/a.txt": b"one",
        "lego/deep/b.bin": FILES["set/lego/deep/b.bin"],
        "empty": b"",
    }
    assert result.left_out == 3


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("there", [b"other", b"own", "folder", "dangling link"])
def test_what_is_there_and_differs_stops_it_before_anything_is_written(tmp_path, suffix, there):
    archive, out = write_archive(tmp_path / f"a{suffix}", FILES), tmp_path / "out"
    mine = out / "set/empty/mine" if there == "folder" else out / "set/lego/a.txt"
    mine.parent.mkdir(parents=True)
    if there == "dangling link":
        mine.symlink_to(tmp_path / "nowhere")
    else:
        mine.write_bytes(b"" if there == "folder" else there)
    before = {path: path.lstat().st_mtime_ns for path in [tmp_path, *out.rglob("*")]}
    with pytest.raises(DatasetError, match=r"is there already and differs.*Nothing is overwritten"):
        unpack(archive, out)
    assert {path: path.lstat().st_mtime_ns for path in [tmp_path, *out.rglob("*")]} == before


BAD_NAMES = {
    "/etc/passwd": "is absolute",
    "a/../../b": "leads out",
    "..": "leads out",
    "C:/b": "drive letter",
    "c:b": "drive letter",
    "a\\..\\b": "backslash",
    "a\nb": "control signs",
    "x" * 300: "too long",
    ".": "is empty",
}


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_are_refused(tmp_path, suffix, name):
    archive = write_archive(tmp_path / f"a{suffix}", {"good": b"1", name: b"2"})
    with pytest.raises(DatasetError, match=BAD_NAMES[name]):
        unpack(archive, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [archive]


def test_a_name_that_is_not_utf8(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"good": b"", "b\udcff": b""})
    with pytest.raises(DatasetError, match="is not UTF-8"):
        unpack(path, tmp_path / "out")
    zipped = write_zip(tmp_path / "a.zip", {"gäöd": b""})
    zipped.write_bytes(zipped.read_bytes().replace("gäöd".encode(), b"g\xff\xff\xff\xffd"))
    with pytest.raises(DatasetError, match="damaged"):
        unpack(zipped, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("files", [{"a": b"1", "./a": b"2"}, {"a": b"1", "A": b"2"}, {"a": b"1", "a/b": b"2"}])
@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.parametrize("turned", [False, True])
def test_two_members_in_one_place(tmp_path, suffix, files, turned):
    files = dict(reversed(files.items())) if turned else files
    with pytest.raises(DatasetError, match="twice, or as a file and as a folder"):
        unpack(write_archive(tmp_path / f"a{suffix}", files), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_links_within_become_copies(tmp_path, suffix):
    archive = write_archive(
        tmp_path / f"a{suffix}", FILES, {"set/l": "lego/../empty", "set/lego/m": "../lego/n", "set/lego/n": "a.txt"}
    )
    unpack(archive, tmp_path / "out")
    expected = FILES | {"set/l": b"", "set/lego/m": b"one", "set/lego/n": b"one"}
    assert tree(tmp_path / "out") == expected
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    assert unpack(archive, tmp_path / "out").already_there == 7


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "lego", "nowhere", "l", "..\\x"])
@pytest.mark.parametrize("suffix", [".zip", ".tar", "hard"])
def test_links_that_lead_elsewhere(tmp_path, suffix, target):
    if suffix == "hard":
        archive = write_tar(tmp_path / "a.tar", FILES, {"l": target}, tarfile.LNKTYPE)
    else:
        archive = write_archive(tmp_path / f"a{suffix}", FILES, {"l": target})
    (tmp_path / "outside").write_text("secret")
    with pytest.raises(DatasetError):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(tmp_path, kind):
    with pytest.raises(DatasetError, match="is a special file"):
        unpack(write_tar(tmp_path / "a.tar", FILES, {"d": ""}, kind), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("way", ["set", "set/lego"])
def test_a_link_on_disk_that_leads_out_is_not_followed(tmp_path, way):
    (outside := tmp_path / "outside").mkdir()
    link = tmp_path / "out" / way
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(DatasetError, match="leads out of"):
        unpack(write_zip(tmp_path / "a.zip", FILES), tmp_path / "out")
    assert not list(outside.iterdir())


PARTS = st.sampled_from(["a", "b", "A", "..", ".", "", "c:", "d\\e", "é", "x" * 40, "out", "..."])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=150, deadline=None)
@given(
    files=st.dictionaries(NAMES, st.binary(max_size=20), max_size=5),
    links=st.dictionaries(NAMES, NAMES, max_size=2),
    there=st.dictionaries(st.sampled_from(["a", "b/a", "out/a"]), st.sampled_from([b"", b"mine"]), max_size=2),
    suffix=st.sampled_from([".zip", ".tar", ".tar.gz"]),
)
@example(files={"b": b""}, links={"a": "b"}, there={"a": b"mine"}, suffix=".zip")
def test_nothing_outside_is_touched_and_nothing_is_replaced(files, links, there, suffix):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        out = root / "outer" / "out"
        for name, content in (
            {f"outer/out/{name}": c for name, c in there.items()} | {"outer/a": b"out", "b": b""}
        ).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        archive = write_archive(root / f"x{suffix}", files, links)
        before = tree(root)
        try:
            unpack(archive, out)
            whole = True
        except DatasetError:
            whole = False
        after = tree(root)
        assert {name: after.get(name) for name in before} == before
        assert all(name.startswith("outer/out/") for name in set(after) - set(before))
        if whole:
            wanted = {
                "/".join(part for part in name.split("/") if part not in ("", ".")): c
                for name, c in files.items()
                if not name.endswith("/")  # a folder, to a zip
            }
            assert {name: after[f"outer/out/{name}"] for name in wanted} == wanted
        else:
            assert after == before


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_killed_in_the_middle_it_goes_on(tmp_path, suffix):
    generator = np.random.default_rng(0)
    files = {f"s/{index:03}.bin": generator.bytes(100_000) for index in range(200)}
    archive, out = write_archive(tmp_path / f"a{suffix}", files), tmp_path / "out"
    code = "import sys; from maskrf_core.datasets.archives.unpacking import unpack; unpack(*sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", code, str(archive), str(out)], cwd=ROOT)
    while len(list(out.glob("s/*"))) < 5:
        assert process.poll() is None
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (out / archives.STAGING).mkdir(exist_ok=True)
    # As it is left if the kill hits while a file is written; right after, it may be one with the file in its place.
    (out / archives.STAGING / "partial").unlink(missing_ok=True)
    (out / archives.STAGING / "partial").write_bytes(b"half")
    kept = {name: content for name, content in tree(out).items() if not name.startswith(archives.STAGING)}
    assert 5 <= len(kept) < 200
    assert kept.items() <= files.items()
    result = unpack(archive, out)
    assert (result.already_there, result.written) == (len(kept), 200 - len(kept))
    assert tree(out) == files
    assert not (out / archives.STAGING).exists()


def test_two_at_once_are_not_allowed(tmp_path):
    archive = write_zip(tmp_path / "a.zip", FILES)
    with archives.staging(tmp_path / "out"), pytest.raises(DatasetError, match="another process"):
        unpack(archive, tmp_path / "out")
    assert unpack(archive, tmp_path / "out").written == 4


def test_a_file_of_others_where_files_are_written_stays(tmp_path):
    staging = tmp_path / "out" / archives.STAGING
    staging.mkdir(parents=True)
    (staging / ".nfs0001").touch()
    assert unpack(write_zip(tmp_path / "a.zip", FILES), tmp_path / "out").written == 4
    assert [path.name for path in staging.iterdir()] == [".nfs0001"]


def test_what_others_put_in_place_of_the_file_being_written_hides_no_error(tmp_path):
    def fail():
        with archives.staging(tmp_path) as partial:
            partial.mkdir()
            raise DatasetError("the archive is damaged")

    with pytest.raises(DatasetError, match="the archive is damaged"):
        fail()


def test_a_full_disk_is_noticed_before(tmp_path, monkeypatch):
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda folder: type("", (), {"free": 700_000})())
    with pytest.raises(DatasetError, match=r"takes 0.00 GB, but .* has 0.00 GB left. Make room"):
        unpack(write_zip(tmp_path / "a.zip", FILES), tmp_path / "out")
    assert not (tmp_path / "out").exists()
