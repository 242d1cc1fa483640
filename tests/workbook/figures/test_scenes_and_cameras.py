"""Figures of data: what is drawn is the data, with axes, units and a finding."""

import io

import numpy as np
import pytest
from PIL import Image

from maskrf_core.workbook.figures import camera_pictures as cameras
from maskrf_core.workbook.figures import new_figure, panels, show


def photograph(value=100, size=(8, 10)):
    return np.full((*size, 3), value, np.uint8)


def pictures_of(figure):
    return [axes.images[0].get_array() for axes in figure.axes if axes.images]


def test_show_saves_what_it_shows(tmp_path):
    figure, [[axes]] = new_figure(2, 1)
    axes.set_title("a finding")
    shown = show(figure, tmp_path / "figures" / "f.png")
    assert (tmp_path / "figures" / "f.png").read_bytes() == shown.data
    assert Image.open(io.BytesIO(shown.data)).size == (288, 144), "144 dots per inch"
    assert shown.width == 192, "96 per inch on the page"
    assert shown.alt == "a finding"


def test_a_title_that_is_too_long_goes_on_below():
    title = "a finding that needs more words than its small figure is wide"
    figure, _ = new_figure(3, 1, title=title)
    assert "\n" in figure.get_suptitle()
    assert figure.get_suptitle().replace("\n", " ") == title
    figure.draw_without_rendering()
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width


def test_contact_sheet_names_every_picture():
    figure = panels.contact_sheet({f"s{n}": photograph(n) for n in range(5)}, "five", columns=3)
    assert [axes.get_title() for axes in figure.axes] == ["s0", "s1", "s2", "s3", "s4", ""]
    assert [picture.max() for picture in pictures_of(figure)] == [0, 1, 2, 3, 4]
    assert figure.get_suptitle() == "five"


def test_overlays_lay_mask_and_depth_over_the_photograph():
    depth = np.zeros((8, 10), np.float32)
    depth[:4, :5] = 2
    mask = np.zeros((8, 10), bool)
    mask[:4] = True
    figure = panels.overlays({"a": photograph()}, {"a": depth}, {"a": mask})
    top, bottom = figure.axes[:2]
    assert len(top.collections) == 1  # the outline
    outline = np.concatenate([path.vertices for path in top.collections[0].get_paths()])
    np.testing.assert_allclose(outline[:, 1], 3.5)
    photo, shown = bottom.images
    assert photo.get_array().shape == (8, 10)
    assert np.array_equal(np.isnan(np.ma.filled(shown.get_array(), np.nan)), depth == 0)
    assert 0 < shown.get_alpha() < 1
    assert (
        figure.get_suptitle().replace("\n", " ")
        == "50% of the pixels are foreground, 50% of it has depth, from 2.00 to 2.00"
    )
    assert "z-depth [scene units]" in [axes.get_ylabel() for axes in figure.axes]


def test_overlays_without_depth_say_so():
    nothing = np.zeros((8, 10), np.float32)
    figure = panels.overlays({"a": photograph()}, {"a": nothing}, {"a": nothing == 0})
    assert figure.get_suptitle().replace("\n", " ") == "100% of the pixels are foreground, its depth is unknown"


@pytest.mark.parametrize("with_truth", [True, False])
def test_depth_comparison_shows_the_relative_error(with_truth):
    truth = np.full((8, 10), 4, np.float32)
    estimate = truth * 1.02
    estimate[0] = 0
    figure = panels.depth_comparison(photograph(), estimate, truth if with_truth else None, "fits")
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
    figure = panels.carried_over(here, there, carried, visible)
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
    assert figure.get_suptitle() == "3 cameras, 1 of them queries; depth ranges within 1.00 to 4.00"
    assert axes.get_xlabel() == "x [scene units]"
    assert apexes(axes) == {0.0, 1.0, 2.0}


def test_camera_positions_show_which_views_are_chosen_and_by_which_rule():
    K = np.tile(np.array([[50.0, 0, 4.5], [0, 50, 3.5], [0, 0, 1]]), (200, 1, 1))
    w2c = np.tile(np.c_[np.eye(3), np.zeros(3)], (200, 1, 1))
    w2c[:, 0, 3] = -np.arange(200)
    choice = cameras.ShownChoice(11, {12, 13}, "nearest_looking")
    axes = cameras.camera_positions(K, w2c, np.array([[1.0, 4.0]] * 200), (8, 10), {11, 30}, choice).axes[0]
    labels = [text.get_text().replace("\n", " ") for text in axes.figure.legends[0].get_texts()]
    assert labels == ["reference", "query", "one query", "its references, by nearest_looking"]
    frusta = [line for line in axes.lines if len(line.get_data_3d()[0]) == 12 and line.get_linestyle() == "-"]
    of_colour = {
        colour: {float(line.get_data_3d()[0][0]) for line in frusta if line.get_color() == colour}
        for colour in (cameras.SHOWN, cameras.CHOSEN)
    }
    assert of_colour == {cameras.SHOWN: {11}, cameras.CHOSEN: {12, 13}}
    lines = [line.get_data_3d() for line in axes.lines if len(line.get_data_3d()[0]) == 2]
    assert sorted(x[0] for x, _, _ in lines) == [11, 12, 13]
    assert all(x[0] == x[1] and z[0] == 0 < z[1] for x, _, z in lines)  # the way that all of them look


def apexes(axes):
    """The x of all points from which four solid edges go out."""
    edges = [line for line in axes.lines if len(line.get_data_3d()[0]) == 12 and line.get_linestyle() == "-"]
    return {float(line.get_data_3d()[0][0]) for line in edges}


def many_cameras(count, far):
    K = np.tile(np.array([[50.0, 0, 4.5], [0, 50, 3.5], [0, 0, 1]]), (count, 1, 1))
    w2c = np.tile(np.c_[np.eye(3), np.zeros(3)], (count, 1, 1))
    w2c[:, 0, 3] = -np.linspace(0, 1, count)
    return cameras.camera_positions(K, w2c, np.array([[1.0, far]] * count), (8, 10), set()).axes[0]


def deepest(axes):
    return max(np.nanmax([0, *line.get_data_3d()[2]]) for line in axes.lines)


def test_a_far_plane_that_would_dwarf_the_cameras_is_cut_off_and_said_to_be():
    assert deepest(near_one := many_cameras(5, 4.5)) == pytest.approx(4.5)
    assert "far planes drawn at" not in near_one.figure.get_suptitle()
    assert deepest(far_one := many_cameras(5, 100.0)) == pytest.approx(5.0)
    assert "depth ranges within 1.00 to 100.00\n(far planes drawn at 5:" in far_one.figure.get_suptitle()
    assert [text.get_text() for text in far_one.texts] == ["near", "cut off"]


@pytest.mark.parametrize(("width", "shown"), [(80, 100), (4, 48)])
def test_epipolar_lines_are_drawn_where_they_are(width, shown):
    line = np.c_[np.linspace(2, 2 + width, 21), np.full(21, 30.0)]
    _, [[axes]] = new_figure(2, 2)
    assert cameras.draw_epipolar_line(axes, photograph(size=(60, 100)), "b", line, line[[0, 10, 20]], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), line)
    ticks = [dot.get_xydata()[0, 0] for dot in axes.lines if dot.get_marker() == "."]
    np.testing.assert_allclose(ticks, [2, 2 + width / 2, 2 + width])
    assert [text.get_text() for text in axes.texts] == (["1", "2", "3"] if width == 80 else ["1"])
    assert np.ptp(axes.get_xlim()) == pytest.approx(shown)


def test_a_line_that_is_all_behind_the_other_camera_is_not_drawn():
    behind = np.full((21, 2), np.nan)
    _, [[axes]] = new_figure(2, 2)
    assert not cameras.draw_epipolar_line(axes, photograph(size=(60, 100)), "b", behind, behind[:2], [1.0, 2.0])
    assert axes.get_xlim() == (-0.5, 99.5)
