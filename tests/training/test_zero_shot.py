"""The zero-shot table: its rows, its numbers, and scenes that are not there."""

import cv2
import pytest
import torch

from maskrf_core.checkpoints.shipped_weights import write_weights
from maskrf_core.rendering.evaluation import evaluate, nearest_view_copy
from maskrf_core.rendering.rendered_views import write_strip
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.training.zero_shot import (
    NEAREST,
    UNTRAINED,
    main,
    markdown,
    steps_on_scene,
    those_there,
    untrained,
    zero_shot,
)

SCENE = "demo/test_00"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    torch.manual_seed(1)
    root = tmp_path_factory.mktemp("zero_shot")
    renderer = untrained(ModelSettings(coarse_samples=6, fine_samples=3))
    with torch.no_grad():
        for parameter in renderer.parameters():
            parameter.mul_(1.01)
    pictures = root / "pictures"
    return renderer, root, zero_shot(renderer, [SCENE], root, working_views=[3], views_per_scene=1, pictures=pictures)


def test_each_method_has_a_row_with_the_numbers_of_an_evaluation(table):
    renderer, root, rows = table
    assert list(rows["method"])[:2] == [NEAREST, UNTRAINED]
    assert len(rows) == 3
    asked = {"data_root": root, "views_per_scene": 1}
    assert rows["psnr"][0] == pytest.approx(nearest_view_copy([SCENE], **asked)["psnr"][0])
    assert rows["psnr"][2] == pytest.approx(
        evaluate(renderer, [SCENE], working_views=3, **asked)["fine_psnr"][0], abs=1e-4
    )
    assert rows["depth error"][1:].between(0, 1).all()


def test_pictures_of_the_weights_are_kept_and_the_table_is_written_whole(table):
    _, root, rows = table
    assert len(list((root / "pictures" / "3_views").rglob("*_fine.png"))) == 1
    lines = markdown(rows).splitlines()
    assert len(lines) == 3
    assert len({line.count("|") for line in lines}) == 1


def test_the_strip_has_a_row_a_scene_and_truth_render_error_and_depth_in_it(table, tmp_path):
    _, root, _ = table
    strip = cv2.imread(
        str(write_strip(tmp_path / "strip.webp", root / "pictures" / "3_views", {SCENE: "view_02"}, height=96))
    )
    assert strip.shape == (96, 4 * 96, 3)
    (truth,) = (root / "pictures" / "3_views").rglob("*_truth.png")
    assert abs(strip[:, :96].astype(int) - cv2.imread(str(truth))).mean() < 5  # WebP loses a little


@pytest.mark.long
def test_steps_on_a_scene_are_another_row(tmp_path):
    torch.manual_seed(1)
    settings = ModelSettings(coarse_samples=12, fine_samples=4)
    write_weights(tmp_path / "some.safetensors", untrained(settings), 5)
    rows = steps_on_scene(
        tmp_path / "some.safetensors", [SCENE], "data", 2, working_views=4, views_per_scene=1, pictures=tmp_path
    )
    assert list(rows["method"]) == ["2 steps on it"]
    assert rows["psnr"].between(3, 40).all()
    assert len(list((tmp_path / "2_steps").rglob("*_fine.png"))) == 1


def test_scenes_that_are_not_there_are_named_and_left_out(tmp_path, capsys):
    assert those_there([SCENE, "nerf_llff/fern/8"], tmp_path) == [SCENE]
    assert "nerf_llff/fern/8" in capsys.readouterr().out
    assert main(["--scenes", "nerf_llff/fern/8", "--data-root", str(tmp_path)]) == 1
    assert "--scenes" in capsys.readouterr().err
