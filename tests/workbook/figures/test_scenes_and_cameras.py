"""Figures of data: what is drawn is the data, with axes, units and a finding."""

import io

import numpy as np
import pytest
from PIL import Image

from maskrf_core.workbook.figures import cameras, new_figure, scenes, show, title_of


def photograph(value=100, size=(8, 10)):
    return np.full((*size, 3), value, np.uint8)


def pictures_of(figure):
    return [axes.images[0].get_array() for axes in figure.axes if axes.images]


def test_show_saves_what_it_shows(tmp_path):
    figure = new_figure(2, 1)
    figure.suptitle("a finding")
    shown = show(figure, tmp_path / "figures" / "f.png")
    assert (tmp_path / "figures" / "f.png").read_bytes() == shown.data
    assert Image.open(io.BytesIO(shown.data)).size == (144, 72)
    assert shown.alt == title_of(figure) == "a finding"


def test_contact_sheet_names_every_picture():
    figure = scenes.contact_sheet({f"s{n}": photograph(n) for n in range(5)}, "five", columns=3)
    assert [axes.get_title() for axes in figure.axes] == ["s0", "s1", "s2", "s3", "s4", ""]
    assert [picture.max() for picture in pictures_of(figure)] == [0, 1, 2, 3, 4]
    assert figure.get_suptitle() == "five"


def test_view_table_shows_depth_in_units_and_says_the_foreground():
    depth = np.zeros((8, 10), np.float32)
    depth[:4] = np.linspace(2, 5, 40).reshape(4, 10)
    figure = scenes.view_table({"a": photograph()}, {"a": depth}, {"a": depth > 0})
    photo, shown, mask = pictures_of(figure)[:3]
    assert np.array_equal(photo, photograph())
    assert np.array_equal(np.isnan(np.ma.filled(shown, np.nan)), depth == 0)
    assert np.array_equal(mask, depth > 0)
    assert figure.get_suptitle() == "50% of the pixels are foreground; surfaces at 2.00 to 5.00"
    assert "z-depth [scene units]" in [axes.get_ylabel() for axes in figure.axes]


@pytest.mark.parametrize("with_truth", [True, False])
def test_depth_comparison_shows_the_relative_error(with_truth):
    truth = np.full((8, 10), 4, np.float32)
    estimate = truth * 1.02
    estimate[0] = 0
    figure = scenes.depth_comparison(photograph(), estimate, truth if with_truth else None, "fits")
    pictures = pictures_of(figure)
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert "z-depth [scene units]" in labels
    if with_truth:
        error = np.ma.filled(pictures[3], np.nan)
        np.testing.assert_allclose(error[1:], 2, atol=1e-3)
        assert np.isnan(error[0]).all()
        assert "of the depth [%]" in labels
    else:
        assert "of the depth [%]" not in labels


def test_carried_over_states_both_differences():
    here, there = photograph(102), photograph(51)
    carried = np.full((8, 10, 3), 0.3)
    visible = np.ones((8, 10), bool)
    visible[0] = False
    figure = scenes.carried_over(here, there, carried, visible)
    assert figure.get_suptitle().endswith("differ by 0.100, 0.200 without cameras and depth")
    assert (pictures_of(figure)[2][0] == 1).all()


def test_frustum_corners_project_back_to_the_image_corners():
    K = np.array([[50.0, 0, 4.5], [0, 60, 3.5], [0, 0, 1]])
    angle = 0.3
    rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    w2c = np.c_[rotation, [0.1, -0.2, 2.0]]
    corners = cameras.frustum_corners(K, w2c, (8, 10), 3.0)
    in_camera = corners @ w2c[:, :3].T + w2c[:, 3]
    np.testing.assert_allclose(in_camera[:, 2], 3.0)
    pixels = in_camera @ K.T / 3.0
    np.testing.assert_allclose(pixels[:, :2], [[-0.5, -0.5], [9.5, -0.5], [9.5, 7.5], [-0.5, 7.5]])


def test_camera_positions_count_cameras_and_queries():
    K = np.tile(np.array([[50.0, 0, 4.5], [0, 50, 3.5], [0, 0, 1]]), (3, 1, 1))
    w2c = np.tile(np.c_[np.eye(3), np.zeros(3)], (3, 1, 1))
    w2c[:, 0, 3] = [0, -1, -2]  # centres at x = 0, 1, 2
    figure = cameras.camera_positions(K, w2c, np.array([[1.0, 4.0]] * 3), (8, 10), {2})
    axes = figure.axes[0]
    assert axes.get_title() == "3 cameras, 1 of them queries; depth ranges within 1.00 to 4.00"
    assert axes.get_xlabel() == "x [scene units]"
    starts = {float(line.get_data_3d()[0][0]) for line in axes.lines if len(line.get_data_3d()[0]) == 2}
    assert starts == {0.0, 1.0, 2.0}
