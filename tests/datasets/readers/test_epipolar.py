import pytest

from maskrf_core.datasets.scene import open_scene
from maskrf_core.workbook.experiments.epipolar_geometry import epipolar_errors


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("nerf_llff/fern/8", "image000", "image001"),
        ("nerf_llff/fern/8", "image002", "image007"),
        ("nerf_synthetic/lego/black_400", "test-r_26", "train-r_16"),
        ("dtu_test/scan65/black_400", "20", "21"),
        ("dtu_test/scan65/black_400", "30", "31"),
    ],
)
def test_cameras_agree_with_real_photographs(shared, name: str, first: str, second: str):
    errors = epipolar_errors(open_scene(name, shared / "scenes"), [first, second])
    assert errors.are_enough
    assert errors.median < 0.6
