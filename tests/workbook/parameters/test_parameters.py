"""Notebook parameters: what is refused and in which words, and which config and run folder the rest becomes."""

import subprocess
import sys

import pytest

from maskrf_core.support.errors import SettingsError
from maskrf_core.support.paths import ROOT
from maskrf_core.workbook.parameters import (
    AblationParameters,
    DataParameters,
    EvaluateParameters,
    FinetuneParameters,
    MethodParameters,
    PretrainParameters,
    check_parameters,
)


@pytest.fixture(autouse=True)
def usual_environment(monkeypatch):
    for name in ("MASKRF_SMOKE", "MASKRF_RUNS"):
        monkeypatch.delenv(name, raising=False)


def refusal(model, **values):
    with pytest.raises(SettingsError) as caught:
        check_parameters(model, values)
    return str(caught.value).splitlines()


def test_each_fault_has_its_line():
    lines = refusal(PretrainParameters, mask_ratio=1.5, mask_ration=0.5, steps="many", working_views=0, preset="dem")
    assert sorted(lines) == [
        "mask_ratio=1.5: must be ≥ 0 and < 1",
        "mask_ration: unknown parameter; did you mean mask_ratio?",
        "preset='dem': must be one of 'demo', 'paper', 'weights' or 'study'; did you mean 'demo'?",
        "steps='many': must be a whole number",
        "working_views=0: must be ≥ 1 and ≤ 64",
    ]


@pytest.mark.parametrize(
    ("model", "values", "line"),
    [
        (AblationParameters, {"mask_ratios": "0, 1"}, "must be different numbers ≥ 0 and < 1, separated by commas"),
        (AblationParameters, {"mask_ratios": ""}, "must be different numbers"),
        (AblationParameters, {"mask_ratios": "0.5, 0.50"}, "must be different numbers"),
        (AblationParameters, {"seeds": "0, 0.5"}, "must be different whole numbers ≥ 0"),
        (AblationParameters, {"seeds": True}, "must be different whole numbers ≥ 0"),
        (DataParameters, {"depth_views": 1}, "depth_views=1: must be ≥ 2"),
        (DataParameters, {"point": "12"}, "point='12': must be two numbers ≥ 0, x and y, separated by a comma"),
        (DataParameters, {"point": "-1, 2"}, "must be two numbers"),
        (DataParameters, {"unpack": 1}, "unpack=1: must be True or False"),
        (FinetuneParameters, {"from_scratch_too": "yes"}, "from_scratch_too='yes': must be True or False"),
        (PretrainParameters, {"mask_ratio": True}, "mask_ratio=True: must be a number"),
        (PretrainParameters, {"mask_ratio": float("nan")}, "mask_ratio=nan: must be ≥ 0 and < 1"),
        (PretrainParameters, {"overrides": "data.rayz=3"}, "data.rayz: unknown setting; did you mean data.rays?"),
        (PretrainParameters, {"overrides": "data.rays"}, "is not of the form section.name=value"),
        (PretrainParameters, {"overrides": "training.steps=3"}, "training.steps has a parameter of its own; set steps"),
        (
            AblationParameters,
            {"overrides": "masking.mask_ratio=0.3"},
            "masking.mask_ratio is set by this notebook itself",
        ),
        (
            AblationParameters,
            {"strategies": "ray, bloc"},
            "block, near_surfaces or module:function, separated by commas; did you mean 'block'?",
        ),
        (AblationParameters, {"strategies": "ray, ray"}, "strategies='ray, ray': must be different ones of"),
        (AblationParameters, {"overrides": "masking.strategy=ray"}, "has a parameter of its own; set strategies"),
        (AblationParameters, {"vary": "data.rayz=[1, 2]"}, "data.rayz: unknown setting; did you mean data.rays?"),
        (AblationParameters, {"vary": "data.rays=[64, many]"}, "data.rays='many': must be a whole number"),
        (AblationParameters, {"vary": "data.rays=64"}, "vary: data.rays=64: list the values in brackets"),
        (AblationParameters, {"vary": "data.rays=[]"}, "list the values in brackets"),
        (AblationParameters, {"vary": "data.rays=[64, 64]"}, "is to have different values"),
        (
            AblationParameters,
            {"vary": "hardware.device=[cpu]"},
            "vary: hardware.device has a parameter of its own; set",
        ),
        (AblationParameters, {"vary": "training.steps=[3, 4]"}, "vary: training.steps is set by this notebook itself"),
        (
            AblationParameters,
            {"vary": "data.rays=[3]", "overrides": "data.rays=4"},
            "data.rays is in overrides as well",
        ),
        (AblationParameters, {"processes": 0}, "processes=0: must be ≥ 1 and ≤ 256"),
        (AblationParameters, {"num_nodes": 2}, "num_nodes=2: trainings of a grid are on one node here"),
        (MethodParameters, {"overrides": "model.aggregator=ibrnet"}, "model.aggregator is set by this notebook itself"),
        (FinetuneParameters, {"overrides": "stage=pretrain"}, "stage is set by this notebook itself"),
        (EvaluateParameters, {"checkpoint": "nowhere"}, "'nowhere': no run folder"),
    ],
)
def test_what_is_refused(model, values, line):
    (refused,) = refusal(model, **values)
    assert line in refused


def test_whole_numbers_do_for_numbers_and_single_numbers_for_lists():
    assert check_parameters(PretrainParameters, {"mask_ratio": 0}).mask_ratio == 0
    parameters = check_parameters(AblationParameters, {"mask_ratios": 0.5, "seeds": 3})  # papermill's -p makes numbers
    assert (parameters.ratios, parameters.seed_list) == ([0.5], [3])


def test_values_come_from_the_namespace_and_missing_ones_from_the_defaults():
    cells = ["", "mask_ratio = 0.5\nsteps = None", "# Parameters\nsteps = 7\n", "check"]
    parameters = check_parameters(PretrainParameters, {"In": cells, "mask_ratio": 0.5, "steps": 7, "other": object()})
    assert (parameters.mask_ratio, parameters.steps, parameters.preset) == (0.5, 7, "demo")


def test_config_takes_preset_then_parameters_then_overrides():
    parameters = PretrainParameters(
        mask_ratio=0.25,
        steps=11,
        seed=4,
        device="cpu",
        data_root="../somewhere",
        train_scenes="nerf_llff/fern/8, demo/train",
        overrides="data.rays=12, model.fine_samples=5",
    )
    config = parameters.config("pretrain", {"model.coarse_samples": 9, "model.fine_samples": 6})
    assert (config.training.steps, config.data.rays) == (11, 12)
    assert (config.model.coarse_samples, config.model.fine_samples) == (9, 5)
    assert (config.masking.mask_ratio, config.training.seed, config.hardware.device) == (0.25, 4, "cpu")
    assert config.data.train_scenes == ["nerf_llff/fern/8", "demo/train"]
    assert config.data.validation_scenes == ["demo/validation"]
    assert config.data.data_root == str((ROOT / "../somewhere").resolve())
    assert parameters.config("finetune").masking.mask_ratio == 0


def test_test_scenes_are_the_evaluations_alone():
    config = EvaluateParameters(scene="nerf_synthetic/lego/black_400", views_per_scene=3).config("finetune")
    assert config.evaluation.test_scenes == ["nerf_synthetic/lego/black_400"]
    assert config.evaluation.views_per_scene == 3
    assert config.data.train_scenes == ["demo/train"]


def test_a_run_is_named_by_what_makes_it_another_one():
    usual = PretrainParameters().run_folder("pretrain")
    assert usual == ROOT / "runs" / "demo" / "pretrain"
    same = PretrainParameters(steps=5, data_root="x", device="cpu", overrides="hardware.rays_per_chunk=7")
    assert same.run_folder("pretrain") == usual
    filmed = PretrainParameters(overrides="evaluation.path.largest_side=64, evaluation.path.focus=0.5")
    assert filmed.run_folder("pretrain") == usual
    compiled = PretrainParameters(overrides="hardware.compile=true, hardware.recomputed_rays=8")
    assert compiled.run_folder("pretrain") == usual
    for another in ("data.rays=7", "hardware.precision=bf16-mixed", "hardware.devices=2"):
        assert PretrainParameters(overrides=another).run_folder("pretrain") != usual
    other = PretrainParameters(mask_ratio=0.75, seed=2, train_scenes="a/b").run_folder("pretrain")
    assert other.name == "pretrain-seed=2-mask_ratio=0.75-train_scenes=a_b"
    long = [PretrainParameters(train_scenes="x" * 200 + end).run_folder("pretrain").name for end in "ab"]
    assert max(map(len, long)) <= 120
    assert long[0] != long[1]


def test_a_grid_is_named_by_what_all_its_points_share():
    usual = AblationParameters()
    wider = AblationParameters(strategies="block, ray", vary="data.rays=[3, 4]", seeds="1, 2", processes=3)
    assert usual.run_folder("ratios").name == wider.run_folder("ratios").name == "ratios"
    assert AblationParameters(working_views=4).run_folder("ratios").name == "ratios-working_views=4"
    assert wider.config("pretrain").masking.strategy == "block"
    assert wider.config("finetune").masking.strategy == usual.config("finetune").masking.strategy == "ray_and_view"
    assert PretrainParameters(overrides="masking.strategy=block").config("pretrain").masking.strategy == "block"


def test_every_combination_of_what_is_varied():
    vary = "data.rays=[64, 128], training.learning_rate=[1e-3, 5e-4], data.train_scenes=[[a, b], [c, d]]"
    with pytest.raises(SettingsError, match=r"data.train_scenes has a parameter of its own; set train_scenes"):
        _ = AblationParameters(vary=vary).combinations
    vary = vary.replace("data.train_scenes", "evaluation.path.views")
    assert AblationParameters(vary=vary).combinations == [
        {"data.rays": rays, "training.learning_rate": rate, "evaluation.path.views": scenes}
        for rays in (64, 128)
        for rate in (0.001, 0.0005)
        for scenes in (["a", "b"], ["c", "d"])
    ]
    assert AblationParameters().combinations == [{}]


def test_smoke_runs_never_mix_with_others(monkeypatch):
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    assert PretrainParameters().runs == ROOT / "runs" / "smoke"
    monkeypatch.setenv("MASKRF_RUNS", "runs/elsewhere")
    assert PretrainParameters().runs == ROOT / "runs" / "elsewhere"


def test_weights_are_a_run_folder_or_a_file(tmp_path):
    parameters = EvaluateParameters(runs_root=str(tmp_path))
    run = tmp_path / "demo" / "mine"
    run.mkdir(parents=True)
    with pytest.raises(SettingsError, match="no run folder"):
        parameters.weights_path("mine")
    (run / "config.yaml").write_text("stage: finetune")
    (tmp_path / "weights.pt").write_bytes(b"")
    assert parameters.weights_path("mine") == parameters.weights_path("demo/mine") == run
    assert parameters.weights_path(str(tmp_path / "weights.pt")) == tmp_path / "weights.pt"


def test_checking_parameters_imports_nothing_heavy():
    code = (
        "import sys; from maskrf_core.workbook.parameters import AblationParameters, check_parameters; "
        "check_parameters(AblationParameters, {'strategies': 'ray_and_view', 'seeds': '0, 1'}); "
        "print({'torch', 'numpy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_strategy_of_ones_own_is_named_by_its_module():
    assert AblationParameters(strategies="block, my_masks:stripes").strategy_list == ["block", "my_masks:stripes"]
