"""The ray inspector: still on a page, and moved by clicks and knobs where a person watches."""

import pytest

from maskrf_core.support.errors import DatasetError
from maskrf_core.workbook import viewers
from maskrf_core.workbook.viewers import live_pictures, mask_viewer
from maskrf_core.workbook.viewers.ray_viewer import RayInspector
from tests.workbook.small_inspection import small_inspection


@pytest.fixture
def displayed(monkeypatch):
    """Pretend that a person watches, and keep the widgets."""
    found = []
    monkeypatch.setattr(live_pictures, "display", found.append)
    for module in (live_pictures, mask_viewer):
        monkeypatch.setattr(module, "in_watched_notebook", lambda: True)
    return found


def test_a_page_has_the_picture(tmp_path):
    shown = viewers.inspect_rays(small_inspection(0), tmp_path / "ray.png", xy=(40.0, 50.0))
    assert (tmp_path / "ray.png").read_bytes() == shown.data
    with pytest.raises(DatasetError, match="96×96"):
        viewers.inspect_rays(small_inspection(0), tmp_path / "ray.png", xy=(96.0, 0.0))


def test_a_click_and_every_knob_draw_again():
    inspector = RayInspector(small_inspection(0, 1), "seed 1", (40.0, 50.0), 0.5, "ray_and_view")
    drawn = [inspector.ray.value]
    inspector._clicked({"relativeX": 130, "relativeY": 26, "boundingRectWidth": 260, "boundingRectHeight": 260})
    assert (inspector.x.value, inspector.y.value) == (48, 9)
    drawn.append(inspector.ray.value)
    for knob, value in [
        ("x", 41), ("y", 52), ("renderer", "seed 0"), ("ratio", 0.0), ("ratio", 0.9), ("strategy", "view"), ("seed", 1),
    ]:  # fmt: skip
        getattr(inspector, knob).value = value
        drawn.append(inspector.ray.value)
    assert len(set(drawn)) == len(drawn)


def test_a_slider_shows_each_ratio(tmp_path, displayed, monkeypatch):
    monkeypatch.setattr(mask_viewer, "masked_pictures", lambda *asked, **how: small(*asked, **how, side=4))
    from maskrf_core.workbook.experiments.masked_pictures import masked_pictures as small

    viewers.masked_unmasked_truth(small_inspection(0), ["seed 0"], tmp_path / "masked.png")
    ratio, page = displayed[0].children
    before = page.value
    ratio.value = 0.9
    assert page.value != before
    assert [value for _, value in ratio.options] == [tenth / 10 for tenth in range(10)]
