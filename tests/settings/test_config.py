"""Settings: merged in order, strict, and wrong ones explained in one line."""

import pytest

from maskrf_core.settings.config import load_config, parse_overrides, read_config, to_yaml, validated
from maskrf_core.support.errors import SettingsError
from maskrf_core.training.schedules import masking_schedule


def test_stage_then_preset_then_stage_of_preset_then_overrides():
    config = load_config("pretrain", "demo", {"training.steps": 7, "data.rays": None})
    assert config.masking.mask_ratio == 0.5  # the stage's
    assert config.data.rays == 128  # the preset's; None keeps it
    assert config.masking.target_memory > load_config("pretrain", "paper").masking.target_memory  # the preset's own
    assert config.training.steps == 7


def test_paper_preset_is_the_published_recipe():
    config = load_config("pretrain", "paper")
    assert (config.model.coarse_samples, config.model.fine_samples) == (64, 32)
    assert (config.data.rays, config.data.working_views, config.data.depth_pixels) == (512, 8, 8192)
    assert (config.training.steps, config.training.learning_rate, config.training.halve_every) == (
        400_000,
        4e-4,
        100_000,
    )
    assert config.masking.mask_ratio == 0.5
    assert masking_schedule(config) == (20_000, 10_000, pytest.approx(0.99), 0.1)


def test_paper_preset_trains_on_the_published_mixture_and_selects_on_none_of_it():
    data = load_config("finetune", "paper").data
    assert data.train_scenes == ["gso", "dtu_train", "real_iconic", "space", "real_estate"]
    assert data.data_set_weights == {}  # the published ones, which their records hold
    assert (data.crop_height, data.crop_width) == (400, 600)
    assert data.validation_scenes == []  # it holds some of these out


def test_one_weight_leaves_the_others_to_their_records():
    weights = load_config("pretrain", "paper", {"data.data_set_weights.space": 5}).data.data_set_weights
    assert weights == {"space": 5}


def test_finetuning_masks_nothing():
    assert load_config("finetune").masking.mask_ratio == 0
    with pytest.raises(SettingsError, match="finetuning masks nothing"):
        load_config("finetune", "demo", {"masking.mask_ratio": 0.5})
    with pytest.raises(SettingsError, match=r"largest_mask_ratio none or 0 in the finetune stage"):
        load_config("finetune", "demo", {"masking.largest_mask_ratio": 0.5})


def test_per_scene_is_the_published_recipe_and_shrinks_to_one_scene(monkeypatch):
    paper, demo = load_config("per_scene", "paper"), load_config("per_scene", "demo")
    assert (paper.training.steps, paper.training.learning_rate, paper.data.query_kept) == (200_000, 1e-4, 0.01)
    assert (paper.data.working_views, paper.data.view_pool, paper.data.rays) == (8, 2.0, 512)
    assert not paper.supervises_depth
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    for config in (paper, demo, load_config("per_scene")):
        assert config.masking.mask_ratio == 0
        assert len(config.data.train_scenes) == 1
        assert config.data.train_scenes == config.evaluation.test_scenes


def test_free_maps_are_not_asked_for():
    with pytest.raises(SettingsError, match=r"model\.free_maps is not to be set"):
        load_config("finetune", "demo", {"model.free_maps": {"views": 1, "height": 8, "width": 8}})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("masking.mask_ration", 0.5, "masking.mask_ration: unknown setting; did you mean masking.mask_ratio?"),
        ("masking.target", "colours", "masking.target='colours': must be one of 'scene_feature', 'colour', 'raw' or "
         "'normalised'; did you mean 'colour'?"),
        ("data.view_choice", "nearest_loking", "data.view_choice='nearest_loking': must be one of 'nearest' or "
         "'nearest_looking'; did you mean 'nearest_looking'?"),
        ("masking.largest_mask_ratio", 1, "masking.largest_mask_ratio=1: must be ≥ 0 and < 1"),
        ("masking.largest_mask_ratio", 0.25, "masking.largest_mask_ratio=0.25: must be at least mask_ratio=0.5"),
        ("traning.steps", 5, "traning: unknown setting; did you mean training?"),
        ("masking.mask_ratio", 1.5, "masking.mask_ratio=1.5: must be ≥ 0 and < 1"),
        ("training.steps", "ten", "training.steps='ten': must be a whole number"),
        ("training.steps", True, "training.steps=True: must be a whole number"),
        ("data.rays", 1, "data.rays=1: must be ≥ 2"),
        ("data.data_set_weights.gso", 0, "data.data_set_weights.gso=0: must be > 0"),
        ("data.crop_height", 8, "data.crop_height=8: must be ≥ 32 and ≤ 8192"),
        ("hardware.data_workers", -1, "hardware.data_workers=-1: must be ≥ 0 and ≤ 64"),
        ("evaluation.views_per_scene", 0, "evaluation.views_per_scene=0: must be ≥ 1"),
        (
            "hardware.device",
            "cudaa",
            "hardware.device='cudaa': must be one of 'auto', 'cpu' or 'cuda'; did you mean 'cuda'?",
        ),
    ],
)  # fmt: skip
def test_wrong_settings_are_explained(name, value, message):
    with pytest.raises(SettingsError) as caught:
        load_config("pretrain", "demo", {name: value})
    assert str(caught.value) == message


def test_all_faults_are_told_at_once():
    with pytest.raises(SettingsError) as caught:
        load_config("pretrain", "demo", {"data.rays": 1, "training.steps": 0})
    assert len(str(caught.value).splitlines()) == 2


def test_written_config_reads_back(tmp_path):
    config = load_config("finetune", "demo", {"training.seed": 3})
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    assert read_config(path) == config


@pytest.mark.parametrize("text", ["", "- 1\n", "{", "stage: pretrain\nextra: 1\n"])
def test_damaged_config_is_named(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError):
        read_config(path)


def test_smoke_shrinks_every_config(monkeypatch):
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    assert load_config("pretrain", "paper").training.steps < 20
    assert load_config("pretrain", "demo", {"training.steps": 9}).training.steps == 9


def test_overrides_in_words():
    text = "data.rays=256, training.learning_rate=0.001, hardware.device=cpu"
    assert parse_overrides(text) == {"data.rays": 256, "training.learning_rate": 0.001, "hardware.device": "cpu"}
    assert parse_overrides(" ") == {}
    with pytest.raises(SettingsError, match=r"section\.name=value"):
        parse_overrides("rays")


def test_lists_in_overrides_and_what_is_no_value():
    assert parse_overrides("data.train_scenes=[a/b, c], data.rays=4") == {
        "data.train_scenes": ["a/b", "c"],
        "data.rays": 4,
    }
    with pytest.raises(SettingsError, match="is not a value"):
        parse_overrides("data.train_scenes=[a")


def test_exponents_without_a_point_are_numbers_too():
    assert parse_overrides("training.learning_rate=1e-3") == {"training.learning_rate": 0.001}


def test_defaults_are_valid():
    assert validated({"stage": "pretrain"}).training.steps == 400_000


@pytest.mark.parametrize(
    ("ratio", "largest", "masks"),
    [(0, None, False), (0, 0.0, False), (0, 0.5, True), (0.5, None, True), (0.5, 0.5, True)],
)
def test_a_run_masks_if_any_of_its_ratios_does(ratio, largest, masks):
    masking = load_config("pretrain", "demo", {"masking.mask_ratio": ratio}).masking
    masking = masking.model_copy(update={"largest_mask_ratio": largest})
    assert masking.masks == masks
    assert masking.target_follows == masks


@pytest.mark.parametrize("off", [{"target": "colour"}, {"projector": False}, {"ema_target": False}])
def test_a_target_follows_only_where_there_is_one(off):
    assert not load_config("pretrain").masking.model_copy(update=off).target_follows
