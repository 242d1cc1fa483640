"""The epipolar picture, fixed on a page and with sliders in an open notebook."""

from maskrf_core.datasets.scene import open_scene
from maskrf_core.workbook import viewers
from maskrf_core.workbook.viewers import epipolar_viewer, live_pictures


def test_a_page_shows_the_fixed_point(tmp_path):
    scene = open_scene("demo/train_04")
    depths = {name: scene.depth(name) for name in scene.image_ids}
    here = scene.image_ids[10]
    shown = viewers.epipolar_check(scene, scene.image_ids, "43, 55", depths, tmp_path / "e.png")
    assert (tmp_path / "e.png").read_bytes() == shown.data
    assert f"depth {depths[here][55, 43]:.3g} in the rings" in shown.alt


def test_sliders_draw_again_and_stay_in_the_image(tmp_path, monkeypatch):
    scene = open_scene("demo/train_04")
    displayed, drawn = [], []
    monkeypatch.setattr(live_pictures, "display", displayed.append)
    monkeypatch.setattr(epipolar_viewer, "quick_png_of", lambda figure: drawn.append(figure) or b"%d" % len(drawn))
    monkeypatch.setattr(live_pictures, "in_watched_notebook", lambda: True)
    kept = viewers.epipolar_check(scene, scene.image_ids, "43, 55", {}, tmp_path / "e.png")
    (box,) = displayed
    assert "data:image/png;base64," in kept.data
    assert "(43, 55)" in drawn[0].get_suptitle()
    assert "of 3 neighbours; depth unknown" in drawn[0].get_suptitle()
    assert drawn[0].axes[0].lines[0].get_xydata().tolist() == [[43, 55]]
    view, x, y = box.children[0].children
    assert (x.value, y.value, x.max, y.max) == (43, 55, 95, 95)
    x.value = 20
    assert "(20, 55)" in drawn[-1].get_suptitle()
    assert box.children[1].value == b"2"
    view.value = scene.image_ids[0]
    assert drawn[-1].axes[0].get_title().startswith(scene.image_ids[0])
