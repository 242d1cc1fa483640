"""How it is rendered reaches evaluations and films, and what is kept of one mode is not taken for another."""

import pandas as pd
import pytest
import torch
from diskcache import Cache

from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.evaluation import evaluate
from maskrf_core.settings.config import load_config
from maskrf_core.settings.sections import ModelSettings, RenderingSettings
from maskrf_core.workbook.experiments.comparison import scores

SCENES = ["demo/test_00"]


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    torch.manual_seed(0)
    return Renderer(ModelSettings(coarse_samples=12, fine_samples=6)).eval()


def test_each_mode_is_rendered_and_kept_for_itself(renderer: Renderer, tmp_path):
    """The second evaluation in a mode is read from the cache, the first in another one is not."""
    asked = {"working_views": 3, "views_per_scene": 1, "rays_per_chunk": 4096, "data_root": tmp_path}
    exact = evaluate(renderer, SCENES, **asked)
    adaptive, again = (
        evaluate(renderer, SCENES, rendering=RenderingSettings(mode="adaptive"), **asked) for _ in range(2)
    )
    rounded = evaluate(renderer, SCENES, rendering=RenderingSettings(precision="bf16-mixed"), **asked)
    with Cache(tmp_path / "cache" / "renders") as kept:
        assert len(kept) == 3
    assert adaptive["fine_psnr"].item() == again["fine_psnr"].item()
    values = [exact["fine_psnr"].item(), adaptive["fine_psnr"].item(), rounded["fine_psnr"].item()]
    assert len(set(values)) == 3
    assert values == pytest.approx([values[0]] * 3, abs=0.2)


def test_scores_are_rendered_as_the_config_says(monkeypatch: pytest.MonkeyPatch, renderer: Renderer):
    given = []

    def evaluated(*_, rendering: RenderingSettings, **asked) -> pd.DataFrame:
        given.append(rendering)
        return pd.DataFrame()

    monkeypatch.setattr("maskrf_core.workbook.experiments.comparison.evaluate", evaluated)
    scores(renderer, load_config("finetune", "demo", {"rendering.mode": "adaptive"}), "test")
    assert given == [RenderingSettings(mode="adaptive")]
