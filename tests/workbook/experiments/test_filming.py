"""The camera path of 05: what is filmed, and what a page shows of it."""

import pytest
import torch
from IPython.display import Image, Markdown, Video

from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.config import load_config
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.workbook.experiments import filming
from maskrf_core.workbook.experiments.comparison import Method


def config_of(data_root, **asked):
    path = {"frames": 2, "largest_side": 16} | asked
    named = {f"evaluation.path.{name}": value for name, value in path.items()}
    scenes = {"evaluation.test_scenes": ["demo/test_01", "demo/test_00"], "data.data_root": str(data_root)}
    return load_config("finetune", "demo", named | scenes | {"data.working_views": 2, "hardware.device": "cpu"})


@pytest.fixture
def methods():
    torch.manual_seed(0)
    return [Method("copy", None), Method("last", Renderer(ModelSettings(coarse_samples=4, fine_samples=1)))]


def test_only_the_first_scene_is_filmed_and_a_small_video_stands_on_the_page(methods, tmp_path, monkeypatch):
    filmed = filming.film(methods, config_of(tmp_path), tmp_path)
    assert (filmed.scene, filmed.kind, filmed.rendered) == ("demo/test_01", "orbit", 2)
    assert filmed.folder == tmp_path / "path_auto"
    figure = filming.strip(filmed, tmp_path / "path.png")
    assert isinstance(figure, Image)
    assert "orbit through demo/test_01: 2 views" in figure.alt
    video = filming.video(filmed)
    assert isinstance(video, Video)
    assert "data:video/mp4;base64," in video._repr_html_()
    monkeypatch.setattr(filming, "LARGEST_EMBEDDED", 10)
    assert "colour.mp4" in filming.video(filmed).data


def test_no_path_is_said_in_words(methods, tmp_path):
    filmed = filming.film(methods, config_of(tmp_path, kind="none"), tmp_path)
    assert filmed is None
    assert not list(tmp_path.iterdir())
    for shown in (filming.strip(filmed, tmp_path / "path.png"), filming.video(filmed)):
        assert isinstance(shown, Markdown)
        assert "none" in shown.data
