"""Whole scenes held out of training to validate on."""

import pytest

from maskrf_core.datasets.batches.held_out import held_out_scenes
from maskrf_core.datasets.batches.mixture import find_groups
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.training.preflight import open_checked_scenes, with_validation
from tests.datasets.memory_scene import make_scenes, use_folders


@pytest.fixture
def config(tmp_path, monkeypatch):
    use_folders(monkeypatch)
    make_scenes(tmp_path, *(f"gso/cup_{number}" for number in range(6)), *(f"space/hall_{n}" for n in range(3)))
    asked = {"train_scenes": ["gso", "space"], "validation_scenes": [], "working_views": 3, "data_root": str(tmp_path)}
    return load_config("pretrain", "demo", {f"data.{name}": value for name, value in asked.items()})


def test_one_scene_of_each_whole_data_set_is_held_out_and_never_trained_on(config):
    chosen = held_out_scenes(config.data)
    assert [name.split("/")[0] for name in chosen] == ["gso", "space"]
    assert held_out_scenes(config.data) == chosen
    mixture, validation = open_checked_scenes(config)
    assert [views.scene.name for views in validation] == chosen
    assert not set(chosen) & set(mixture.names)
    assert len(mixture.names) == 7


def test_scenes_that_are_named_are_left_out_of_whole_data_sets_too(config):
    chosen = find_groups(config.data)[0]["gso"]
    named = config.data.model_copy(update={"validation_scenes": list(chosen)[:2]})
    assert list(find_groups(named)[0]["gso"]) == list(chosen)[2:]


def test_a_run_keeps_what_it_was_begun_with_when_data_are_added(config, tmp_path):
    run = Run.start(tmp_path / "run", with_validation(config))
    make_scenes(tmp_path, *(f"real_iconic/garden_{number}" for number in range(3)))
    assert Run.start(run.folder, config).config.data.validation_scenes == run.config.data.validation_scenes


def test_views_cost_two_per_cent_of_the_training(config):
    """A step of 128 rays costs 384 renderings; 2 % of 10,000 steps are 76,800 rays for 5 validations of 2 scenes."""
    open_size = [views.query(views.scene.image_ids[0]).image_size for views in open_checked_scenes(config)[1]]
    pixels = sum(height * width for height, width in open_size)
    training = config.training.model_copy(update={"steps": 10_000, "validate_every": 2_000, "validation_views": None})
    views = with_validation(config.model_copy(update={"training": training})).training.validation_views
    assert views == 76_800 // 5 // pixels
    short = config.training.model_copy(update={"steps": 10, "validation_views": None})
    assert with_validation(config.model_copy(update={"training": short})).training.validation_views == 1


def test_where_nothing_can_be_held_out_the_demo_validates(config, tmp_path):
    data = config.data.model_copy(update={"train_scenes": ["gso/cup_0/black_400", "demo/train_00"]})
    alone = with_validation(config.model_copy(update={"data": data}))
    assert alone.data.validation_scenes == ["demo/validation"]
