import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskrf_core.datasets.files.checked_files import (
    check_depth_range,
    check_intrinsics,
    check_w2c,
    find_scene_folder,
    path_inside,
    read_array,
    read_json,
    read_matrix,
    read_text,
)
from maskrf_core.support.errors import DatasetError

QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@QUICK
@given(st.text(max_size=30))
def test_a_path_is_inside_or_refused(tmp_path: Path, relative: str):
    try:
        path = path_inside(tmp_path, relative)
    except DatasetError:
        return
    assert path.parts[: len(tmp_path.parts)] == tmp_path.parts
    assert len(path.parts) > len(tmp_path.parts)
    assert ".." not in path.parts


@pytest.mark.parametrize("relative", ["../x", "a/../../x", "/etc/passwd", "", ".", "a\\..\\x", "a\0b"])
def test_paths_that_leave_the_scene(tmp_path: Path, relative: str):
    with pytest.raises(DatasetError, match="not inside the scene"):
        path_inside(tmp_path, relative)


@pytest.mark.parametrize("relative", ["x" * 251, "ä" * 126, "a/" * 600 + "b"])
def test_names_too_long_for_a_file(tmp_path: Path, relative: str):
    """Even to look for them is an `OSError`."""
    with pytest.raises(DatasetError, match=r"too long for a file\. Correct the list"):
        path_inside(tmp_path, relative)
    assert not path_inside(tmp_path, "x" * 250).is_file()


def test_path_inside(tmp_path: Path):
    for relative in ("./train/r_0.png", "train\\r_0.png", ".\\train/r_0.png"):
        assert path_inside(tmp_path, relative) == tmp_path / "train" / "r_0.png"


@QUICK
@given(st.data())
def test_a_damaged_array_is_an_error_or_an_array_of_that_shape(tmp_path: Path, data):
    path = tmp_path / "poses.npy"
    np.save(path, np.arange(12.0).reshape(3, 4))
    damaged = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(damaged) - 1))
    damaged[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        array = read_array(path, (3, 4))
    except DatasetError as error:
        assert str(path) in str(error)  # noqa: PT017
        return
    assert array.shape == (3, 4)
    assert np.isfinite(array).all()


@pytest.mark.parametrize("array", [np.array([1 + 2j]), np.array(["1"]), np.array([True]), np.array([np.inf])])
def test_arrays_of_other_things(tmp_path: Path, array: np.ndarray):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DatasetError, match=r"x\.npy"):
        read_array(tmp_path / "x.npy", (None,))


def test_missing_and_archived_arrays(tmp_path: Path):
    with pytest.raises(DatasetError, match="missing"):
        read_array(tmp_path / "x.npy", (None,))
    with (tmp_path / "x.npy").open("wb") as file:
        np.savez(file, a=np.zeros(3))
    with pytest.raises(DatasetError, match="array of numbers"):
        read_array(tmp_path / "x.npy", (None,))


@QUICK
@given(st.binary(max_size=40))
def test_json_is_an_object_or_an_error(tmp_path: Path, content: bytes):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    try:
        assert read_json(path) == json.loads(content)
    except DatasetError as error:
        assert str(path) in str(error)  # noqa: PT017


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_and_json_as_other_systems_write_them(tmp_path: Path, encoding: str):
    """With a mark of UTF-8, or in UTF-16 which is always marked; lines end as on Windows."""
    content = '{"a": "é",\r\n"b": [1.5, 2]}\r\n'
    (tmp_path / "x.json").write_bytes(content.encode(encoding))
    assert read_json(tmp_path / "x.json") == {"a": "é", "b": [1.5, 2]}
    (tmp_path / "x.txt").write_bytes("1 2\r\n3 4\r\n".encode(encoding))
    assert read_text(tmp_path / "x.txt").split() == ["1", "2", "3", "4"]
    np.testing.assert_array_equal(read_matrix(tmp_path / "x.txt", 2, 2), [[1, 2], [3, 4]])
    (tmp_path / "x.txt").write_bytes("é".encode(encoding))
    assert read_text(tmp_path / "x.txt", ascii_only=False) == "é"
    with pytest.raises(DatasetError, match=r"x\.txt: not a text file"):
        read_text(tmp_path / "x.txt")


def test_missing_file(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"x\.json: cannot be read \(No such file"):
        read_json(tmp_path / "x.json")


def test_find_scene_folder_prefers_the_first_parent_and_names_the_nearest(tmp_path: Path):
    for folder in ("a/fern", "b/fern", "b/orchids", "b/.hidden"):
        (tmp_path / folder).mkdir(parents=True)
    parents = [tmp_path / "a", tmp_path / "b"]
    assert find_scene_folder("x", "fern", parents) == tmp_path / "a" / "fern"
    assert find_scene_folder("x", "orchids", parents) == tmp_path / "b" / "orchids"
    with pytest.raises(DatasetError, match=r"Did you mean 'orchids'\? Existing are fern, fern, orchids\."):
        find_scene_folder("x", "orchid", parents)


def test_check_w2c_accepts_rotations_only():
    turn = np.array([[0.0, -1, 0, 5], [1, 0, 0, 6], [0, 0, 1, 7]])
    check_w2c(turn, "here")
    for broken, reason in (
        (turn * 1.1, "not a rotation"),
        (turn * [[1], [1], [-1]], "det R = -1"),
        (turn * np.nan, "NaN"),
    ):
        with pytest.raises(DatasetError, match=f"here: .*{re.escape(reason)}"):
            check_w2c(broken, "here")


@pytest.mark.parametrize(
    ("near", "far"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 2.0), (3.0, 2.0), (np.nan, 1.0), (1.0, np.inf)]
)
def test_check_depth_range(near: float, far: float):
    check_depth_range(0.5, 2.0, "here")
    with pytest.raises(DatasetError, match="here: the depth range"):
        check_depth_range(near, far, "here")


def test_matrices_as_text(tmp_path: Path):
    path = tmp_path / "pose.txt"
    path.write_text("1 2.5 -3e1\n 4 5\t6\n")
    np.testing.assert_array_equal(read_matrix(path, 2, 3), [[1, 2.5, -30], [4, 5, 6]])


@pytest.mark.parametrize(
    "content", [b"", b"1 2 3", b"1 2 3 4 5 6 7", b"1 2 3 4 5 x", b"1 2 3 4 5 1_0", b"1 2 3 4 5 nan", b"1 2 3 4 5 \xe9"]
)
def test_text_that_is_no_matrix(tmp_path: Path, content: bytes):
    (tmp_path / "pose.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=r"pose\.txt: .* again\."):
        read_matrix(tmp_path / "pose.txt", 2, 3)


def test_json_lists(tmp_path: Path):
    (tmp_path / "a.json").write_text("[1, 2]")
    assert read_json(tmp_path / "a.json", list) == [1, 2]
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(DatasetError, match="a list was expected"):
        read_json(tmp_path / "a.json", list)


def test_check_intrinsics():
    K = np.array([[40.0, 0.1, 20], [0, 41, 15], [0, 0, 1]])
    check_intrinsics(K, "here")
    for row, column, value in [(0, 0, -40), (1, 1, 0), (2, 2, 2), (2, 0, 0.1), (0, 2, np.nan), (1, 0, 1e5)]:
        broken = K.copy()
        broken[row, column] = value
        with pytest.raises(DatasetError, match="here: the intrinsics"):
            check_intrinsics(broken, "here")
