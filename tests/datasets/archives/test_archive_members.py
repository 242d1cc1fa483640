"""Archives that lie: bombs, damage, and sizes that are not what was declared."""

import bz2
import contextlib
import gzip
import io
import struct
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrf_core.datasets.archives import archive_members
from maskrf_core.datasets.archives.unpacking import unpack
from maskrf_core.support.errors import DatasetError
from tests.datasets.archives.archive_files import tree, write_archive, write_tar, write_zip
from tests.harm import harmed
from tests.tiers import draws

FILES = {"a": b"one" * 1000, "b/c": bytes(range(256)) * 200}
SUFFIXES = [".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz"]


def assert_refused(archive, tmp_path, match):
    with pytest.raises(DatasetError, match=match) as caught:
        unpack(archive, tmp_path / "out")
    assert archive.name in str(caught.value)
    assert not (tmp_path / "out").exists() or not tree(tmp_path / "out")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kept", [0, 0.001, 0.3, 0.9])
def test_cut_off(tmp_path, suffix, kept):
    archive = write_archive(tmp_path / f"a{suffix}", FILES)
    data = archive.read_bytes()
    ends_in_zeros = 9 * 1024 if suffix == ".tar" else 0  # of which one block is enough
    archive.write_bytes(data[: int(kept * (len(data) - ends_in_zeros))])
    assert_refused(archive, tmp_path, "cut off or damaged.*Download it again")


def test_a_tar_cut_between_two_members(tmp_path):
    archive = write_tar(tmp_path / "a.tar", FILES)
    archive.write_bytes(archive.read_bytes()[: 512 + 3072])
    assert_refused(archive, tmp_path, "its end is missing")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_changed_byte_is_noticed_or_harmless(tmp_path, suffix):
    archive = write_archive(tmp_path / f"a{suffix}", FILES)
    data = archive.read_bytes()
    for number, position in enumerate(range(0, len(data), max(1, len(data) // 60))):
        archive.write_bytes(data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :])
        out = tmp_path / f"out{number}"
        try:
            unpack(archive, out)
        except DatasetError:
            continue
        if suffix in (".zip", ".tar.gz", ".tar.bz2", ".tar.xz"):  # a plain tar has no checksum of its contents
            assert sorted(tree(out).values()) == sorted(FILES.values())


def test_what_was_whole_is_kept_when_a_later_member_is_damaged(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"a": b"first", "b": b"second" * 50})
    data = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        data[file.getinfo("b").header_offset + 32] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(DatasetError, match=r"damaged.*what is unpacked already is kept"):
        unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {"a": b"first"}


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar.xz"])
def test_bombs(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(archive_members, "ALWAYS_ALLOWED", 2**20)
    assert_refused(write_archive(tmp_path / f"a{suffix}", {"zeros": bytes(2**23)}), tmp_path, "more than 200 times")


def test_a_bomb_of_empty_members_and_one_of_links(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_members, "ALWAYS_ALLOWED", 2**20)
    many = write_tar(tmp_path / "a.tar.xz", {f"{index}": b"" for index in range(5000)})
    assert_refused(many, tmp_path, "more than 200 times")
    links = write_tar(tmp_path / "b.tar.gz", {"a": bytes(2**18)}, {f"{index}": "a" for index in range(50)})
    assert_refused(links, tmp_path, "more than 200 times")


@pytest.mark.parametrize("declared", [10, 1000])
def test_a_zip_member_that_lies_about_its_size(tmp_path, declared):
    archive = write_zip(tmp_path / "a.zip", {"a": b"x" * 100})
    data = bytearray(archive.read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", declared)
    archive.write_bytes(data)
    assert_refused(archive, tmp_path, "damaged")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_whose_members_unpack_in_one_piece_of_any_size(tmp_path, compression):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", compression) as file:
        file.writestr("a", bytes(1000))
    assert_refused(archive, tmp_path, "a is encrypted or unusually compressed")


def test_a_header_that_wants_the_memory(tmp_path):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**33
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(info.tobuf(tarfile.USTAR_FORMAT if info.size < 2**33 else tarfile.GNU_FORMAT)))
    assert_refused(archive, tmp_path, "a header of 8589934592 bytes")


def test_encrypted_and_unknown(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"a": b"x"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    assert_refused(archive, tmp_path, "encrypted")
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    assert_refused(tmp_path / "a.rar", tmp_path, "no archive of a known kind")
    (tmp_path / "b.zip").write_bytes(io.BytesIO(b"<html>You need to sign in</html>").read())
    assert_refused(tmp_path / "b.zip", tmp_path, "damaged")
    with pytest.raises(DatasetError, match=r"missing.zip: is cut off or damaged|cannot be unpacked"):
        unpack(tmp_path / "missing.zip", tmp_path / "out")


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_sparse_files_come_out_whole(tmp_path, format):
    """By hand: 3 bytes at 1000 of a file of 2000, as GNU tar writes it (0.1 in pax headers)."""
    info = tarfile.TarInfo("a")
    if format == tarfile.PAX_FORMAT:
        info.size, info.pax_headers = 3, {"GNU.sparse.size": "2000", "GNU.sparse.map": "1000,3"}
    else:
        info.size, info.type = 3, tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(format))
    if format == tarfile.GNU_FORMAT:
        header[386:410], header[483:495] = b"%011o\0%011o\0" % (1000, 3), b"%011o\0" % 2000
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
    archive = tmp_path / "a.tar"
    archive.write_bytes(header + b"end".ljust(512, b"\0") + bytes(1024))
    unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {"a": bytes(1000) + b"end" + bytes(997)}


def test_an_empty_archive(tmp_path):
    assert_refused(write_zip(tmp_path / "a.zip", {}), tmp_path, "holds no files")
    assert_refused(write_tar(tmp_path / "a.tar", {}), tmp_path, "holds no files")


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar.bz2", ".tar.xz"])
@settings(max_examples=draws(300), deadline=None)
@given(data=st.data())
def test_damage_anywhere_is_refused_or_harmless(suffix, data):
    """Not of a plain tar, which has no checksums of what its files hold."""
    files = FILES | {"c": bytes(range(256)) * 3000, "d": b"last"}
    with tempfile.TemporaryDirectory() as folder:
        archive = write_archive(Path(folder) / f"a{suffix}", files)
        archive.write_bytes(harmed(data, archive.read_bytes()))
        with contextlib.suppress(DatasetError):
            assert unpack(archive, Path(folder) / "out").written == len(files)
        there = tree(Path(folder) / "out")
        assert there == {name: files.get(name) for name in there}


@pytest.mark.parametrize(("suffix", "compress", "of_checksum"), [("gz", gzip.compress, -8), ("bz2", bz2.compress, -3)])
def test_a_checksum_is_looked_at_however_far_behind_the_end_it_is(tmp_path, suffix, compress, of_checksum):
    packed = bytearray(compress(write_tar(tmp_path / "a.tar", FILES).read_bytes() + bytes(3 * 2**20)))
    archive = tmp_path / f"b.tar.{suffix}"
    archive.write_bytes(packed)
    assert unpack(archive, tmp_path / "whole").written == len(FILES)
    packed[of_checksum] ^= 1
    archive.write_bytes(packed)
    assert_refused(archive, tmp_path, "damaged")
