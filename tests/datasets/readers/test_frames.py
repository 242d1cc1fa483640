"""Frames become a scene: what is read when, and what a reader may not return."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from maskrf_core.datasets.data_set import Frame, NamedScene
from maskrf_core.datasets.records import DATA_SETS
from maskrf_core.datasets.scene import FrameScene, open_scene
from maskrf_core.support.errors import DatasetError
from tests.datasets.readers.trees.spaces import build

FRAME = Frame("a", lambda: np.zeros((2, 3, 3), np.uint8), np.eye(3), np.eye(4)[:3], (1, 2), (2, 3))
ASKED = NamedScene("space/hall", DATA_SETS["space"], ("hall",), Path("absent"), Path("absent/hall"))


def test_functions_are_called_when_asked_for_and_once():
    calls = []
    scene = FrameScene(ASKED, [replace(FRAME, K=lambda: calls.append("K") or np.eye(3))])
    assert calls == []
    scene.K("a")[:] = 0
    np.testing.assert_array_equal(scene.K("a"), np.eye(3))
    assert calls == ["K"]
    assert scene.mask("a").shape == (2, 3)
    assert scene.depth("a") is None


@pytest.mark.parametrize("frames", [[], [FRAME, FRAME]])
def test_no_frames_and_two_of_one_id_are_refused(frames):
    with pytest.raises(DatasetError, match=r"space/hall: holds no images, or two of one id\. Unpack"):
        FrameScene(ASKED, frames)


def test_images_of_a_rig_are_not_looked_into_for_their_poses(tmp_path: Path):
    scene = open_scene(build(tmp_path), tmp_path)
    for path in tmp_path.rglob("*.jpg"):
        path.write_bytes(b"")
    first = scene.image_ids[0]
    assert scene.w2c(first).shape == (3, 4)
    with pytest.raises(DatasetError, match="not a PNG or JPEG image"):
        scene.K(first)
