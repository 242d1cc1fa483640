import zipfile
from pathlib import Path

import numpy as np
import pytest

from maskrf_core.datasets.readers.dtu import decompose, read_dtu_cameras
from maskrf_core.support.errors import DatasetError
from tests.datasets.readers.trees.dtu_train import cameras


def test_decomposition_by_hand():
    K = np.array([[45.0, 0, 20], [0, 44, 15], [0, 0, 1]])
    world = np.eye(4)
    world[:3] = 7 * K @ np.array([[1, 0, 0, -11], [0, 1, 0, -2], [0, 0, 1, 27]])  # at (11, 2, -27), looking along z
    scale = np.diag([10.0, 10, 10, 1])
    scale[:3, 3] = 1, 2, 3
    found_K, w2c = decompose(world, scale, "here")
    np.testing.assert_allclose(found_K, K, atol=1e-12)
    # The centre is (1, 0, -3) after scaling, (1, 0, 3) after y and z of the world are turned.
    np.testing.assert_allclose(w2c, [[1, 0, 0, -1], [0, -1, 0, 0], [0, 0, -1, 3]], atol=1e-12)


def changed(key: str, value) -> dict:
    return cameras(3) | {key: value}


def without(key: str) -> dict:
    return {name: matrix for name, matrix in cameras(3).items() if name != key}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (cameras(2), "holds 2 cameras .* but there are 3 images"),
        (cameras(4), "holds 4 cameras .* but there are 3 images"),
        (without("world_mat_1") | {"world_mat_7": np.eye(4)}, "holds no world_mat_1"),
        (without("scale_mat_2"), "holds no scale_mat_2"),
        (changed("world_mat_1", np.eye(3)), "world_mat_1 is not a 4×4 matrix"),
        (changed("world_mat_1", np.full((4, 4), "x")), "world_mat_1 is not a 4×4 matrix"),
        (changed("world_mat_1", np.full((4, 4), None)), "not a readable .npz"),
        (changed("world_mat_1", np.full((4, 4), np.nan)), "world_mat_1: .*NaN or infinity"),
        (changed("world_mat_1", np.zeros((4, 4))), "world_mat_1: the matrix is singular"),
        (changed("world_mat_1", np.diag([-40.0, 40, 1, 1])), "world_mat_1: the intrinsics"),
        (changed("scale_mat_1", np.diag([0.0, 1, 1, 1])), "world_mat_1: the diagonal"),
        (changed("scale_mat_1", np.diag([1.0, 2, 3, 1])), "world_mat_1: the diagonal"),
        (changed("world_mat_9x", np.zeros(10**5)), "an array takes 800128 bytes"),
    ],
)
def test_broken_cameras(tmp_path: Path, arrays: dict, message: str):
    np.savez(tmp_path / "cameras.npz", allow_pickle=True, **arrays)
    with pytest.raises(DatasetError, match=rf"cameras\.npz.*{message}"):
        read_dtu_cameras(tmp_path / "cameras.npz", 3)


def test_inverses_of_some_releases_are_passed_over(tmp_path: Path):
    more = {"world_mat_inv_0": np.zeros((4, 4)), "camera_mat_0": np.zeros((4, 4))}
    np.savez(tmp_path / "cameras.npz", **cameras(3), **more)
    assert len(read_dtu_cameras(tmp_path / "cameras.npz", 3)) == 3


def test_files_that_are_no_cameras(tmp_path: Path):
    path = tmp_path / "cameras.npz"
    with pytest.raises(DatasetError, match=r"cameras\.npz: missing"):
        read_dtu_cameras(path, 3)
    np.savez(path, **cameras(3))
    whole = path.read_bytes()
    for damaged in (b"", whole[:-30], whole[:200], b"\x93NUMPY" + whole):
        path.write_bytes(damaged)
        with pytest.raises(DatasetError, match=r"cameras\.npz"):
            read_dtu_cameras(path, 3)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("world_mat_0.npy", b"no array")
    with pytest.raises(DatasetError, match=r"cameras\.npz"):
        read_dtu_cameras(path, 1)
