"""Training by the clock: goes on from stage to stage and from call to call, and loses nothing."""

import json
import shutil

import pandas as pd
import pytest

from maskrf_core.checkpoints.published_checkpoints import steps_of
from maskrf_core.checkpoints.published_files import WEIGHTS
from maskrf_core.datasets.demo import DATA_FOLDER
from maskrf_core.support.errors import MaskrfError, RunError
from maskrf_core.training import zoo
from maskrf_core.training.shipping import ship_card, ship_weights
from maskrf_core.workbook.experiments.preparation import prepare_depths

TINY = {
    "data.train_scenes": ["demo/train_00"],
    "data.validation_scenes": ["demo/validation_00"],
    "data.working_views": 3,
    "data.rays": 8,
    "data.depth_pixels": 16,
    "model.coarse_samples": 12,
    "model.fine_samples": 4,
    "training.steps": 3,
    "training.checkpoint_every": 1,
    "training.validate_every": 1000,
    "hardware.data_workers": 0,
}
AS_SHIPPED = {name: value for name, value in TINY.items() if not name.startswith("model.")}

NUMBERS = pd.DataFrame(
    [
        {"scene": scene, "working views": views, "method": method, "psnr": psnr, "ssim": 0.5}
        for scene, of_scene in {"demo/test_00": (11.0, 14.0, 20.0), "nerf_llff/fern/8": (10.0, 9.0, 18.5)}.items()
        for (method, views), psnr in zip([("nearest view", 1), ("untrained", 3), ("maskrf", 3)], of_scene, strict=True)
    ]
)


def _check_shipped(run, folder):
    assert steps_of(ship_weights("maskrf", run, folder)) == steps_of(run.last_checkpoint)
    card = json.loads(ship_card("maskrf", run, NUMBERS, "a command", folder, folder).read_text())
    assert card["settings"]["data"]["train_scenes"] == ["demo/train_00"]
    assert card["numbers"][0]["psnr"] == 11
    assert card["settings"]["training"]["initial_weights"] == "maskrf-pretrained", "no machine's path"
    page = (folder / "weights-maskrf.md").read_text()
    assert "| demo/test_00 | 11.00 / 0.500 | 14.00 / 0.500 | 20.00 / 0.500 |" in page
    assert "| demo/test_00 | 19.00 | 20.00 | +1.00 |" in page
    assert "| nerf_llff/fern/8 | 21.00 | 18.50 | -2.50 |" in page


@pytest.mark.long
def test_both_stages_are_trained_one_from_the_other_and_a_second_call_finds_nothing_to_do(tmp_path):
    trained = zoo.train(tmp_path, 5.0, TINY, afresh=True)
    assert list(trained) == ["maskrf-pretrained", "maskrf"]
    assert steps_of(trained["maskrf"].last_checkpoint) == 6
    before = trained["maskrf"].last_checkpoint.read_bytes()
    _check_shipped(trained["maskrf"], tmp_path / "weights")
    assert zoo.train(tmp_path, 5.0, TINY)["maskrf"].last_checkpoint.read_bytes() == before


@pytest.mark.long
def test_a_clock_that_ends_at_once_saves_a_first_step_and_the_next_call_goes_on(tmp_path):
    first = zoo.train(tmp_path, 0.001, TINY, afresh=True)
    assert list(first) == ["maskrf-pretrained"]
    done = steps_of(first["maskrf-pretrained"].last_checkpoint)
    assert 1 <= done < 3
    assert steps_of(zoo.train(tmp_path, 5.0, TINY)["maskrf"].last_checkpoint) == 6


@pytest.mark.long
def test_a_run_that_a_device_gave_settings_goes_on_with_them_elsewhere(tmp_path):
    of_device = {"hardware.precision": "bf16-mixed"}
    begun = zoo.train(tmp_path, 0.001, TINY, of_device, afresh=True)
    assert begun["maskrf-pretrained"].config.hardware.precision == "bf16-mixed"
    assert zoo.train(tmp_path, 5.0, TINY)["maskrf-pretrained"].config.hardware.precision == "bf16-mixed"


@pytest.mark.long
def test_the_weights_that_ship_are_trained_on_and_the_card_says_what_they_began_from(tmp_path):
    shutil.copytree(WEIGHTS, tmp_path / "weights")
    shipped = json.loads((WEIGHTS / "finetuned.json").read_text())
    for steps in (1, 2):  # the second call goes on, and its weights take the place of the first's
        trained = zoo.train(tmp_path, 5.0, {**AS_SHIPPED, "training.steps": steps})
        assert list(trained) == ["maskrf"]
        assert steps_of(trained["maskrf"].last_checkpoint) == shipped["steps"] + steps
        ship_weights("maskrf", trained["maskrf"], tmp_path / "weights")
        card = ship_card("maskrf", trained["maskrf"], NUMBERS, "a command", tmp_path / "weights", tmp_path)
        card = json.loads(card.read_text())
        assert card["steps"] == shipped["steps"] + steps
        assert (card["before"]["steps"], card["before"]["hours"]) == (shipped["steps"], shipped["hours"])
    assert f"{shipped['steps']} steps in all" in (tmp_path / "weights-maskrf.md").read_text()


@pytest.mark.long
def test_what_has_no_depth_is_left_out_and_stays_so_in_a_run_that_was_begun(tmp_path, capsys):
    root = tmp_path / "data"
    for number in range(2):
        shutil.copytree(DATA_FOLDER / f"train_{number:02d}", root / "procedural" / f"objects_000{number}")
    asked = {name: value for name, value in AS_SHIPPED.items() if name != "data.train_scenes"}
    asked |= {"data.data_root": str(root), "training.steps": 1}
    trained = zoo.train(tmp_path / "runs", 5.0, asked)
    said = capsys.readouterr().err
    assert "left out: procedural_photographs" in said
    assert "prepare_depth" in said
    assert list(trained["maskrf"].config.data.train_scenes) == ["procedural", "demo/train"]
    prepare_depths(["procedural_photographs"], root)
    trained = zoo.train(tmp_path / "runs", 5.0, asked | {"training.steps": 2})  # goes on with what it began with
    assert list(trained["maskrf"].config.data.train_scenes) == ["procedural", "demo/train"]
    with pytest.raises(RunError, match="seed"):  # which would make it another run
        zoo.train(tmp_path / "runs", 5.0, asked | {"training.seed": 5})
    begun = zoo.train(tmp_path / "others", 5.0, asked)["maskrf"].config.data.train_scenes
    assert list(begun) == ["procedural", "procedural_photographs", "demo/train"]
    (root / "procedural" / "objects_0000" / "cameras.json").write_text("{")
    with pytest.raises(MaskrfError):  # is broken, which is to be mended, not passed over
        zoo.train(tmp_path / "third", 5.0, asked)


def test_what_cannot_be_trained_is_said(tmp_path, capsys):
    assert zoo.main(["--folder", str(tmp_path), "--data-root", str(tmp_path), "--overrides", "data.rayz=3"]) == 1
    assert "data.rayz" in capsys.readouterr().err
