"""A run folder says what it is, continues as it was, and refuses to become something else."""

import json
from pathlib import Path

import pytest

from maskrf_core.runs import Run, differing_settings
from maskrf_core.runs.log import RunLog, latest
from maskrf_core.runs.run import run_folders
from maskrf_core.settings.config import load_config, to_yaml
from maskrf_core.support.errors import RunError


@pytest.fixture
def config():
    return load_config("pretrain", "demo", {"masking.of_steps": 120})


def test_new_run_holds_config_and_provenance(tmp_path, config):
    run = Run.start(tmp_path / "a", config)
    assert run.config == config
    made_by = json.loads((run.folder / "provenance.json").read_text(encoding="utf-8"))
    assert made_by["seed"] == 0
    assert made_by["versions"]["torch"].startswith("2.13")
    assert {"started", "command", "host", "git_commit", "python"} <= made_by.keys()


def test_same_config_continues_and_more_steps_may_be_asked_for(tmp_path, config):
    Run.start(tmp_path, config)
    longer = load_config("pretrain", "demo", {"training.steps": 999})
    assert Run.start(tmp_path, longer).config.training.steps == 999


def test_a_run_may_go_on_compiled_but_not_in_another_precision(tmp_path, config):
    Run.start(tmp_path, config)
    assert Run.start(tmp_path, load_config("pretrain", "demo", {"hardware.compile": True})).config.hardware.compile
    with pytest.raises(RunError, match=r"hardware\.precision: '32-true' there, 'bf16-mixed' asked for"):
        Run.start(tmp_path, load_config("pretrain", "demo", {"hardware.precision": "bf16-mixed"}))


def test_another_number_of_processes_is_another_run(tmp_path, config):
    """Though its name begins as that of the device, which may change."""
    Run.start(tmp_path, config)
    Run.start(tmp_path, load_config("pretrain", "demo", {"hardware.device": "cpu"}))
    with pytest.raises(RunError, match=r"hardware\.devices: 1 there, 2 asked for"):
        Run.start(tmp_path, load_config("pretrain", "demo", {"hardware.devices": 2}))


def test_a_run_whose_config_writes_the_published_weights_out_goes_on(tmp_path, config):
    """As those of earlier versions do, whose settings held them."""
    run = Run.start(tmp_path, config)
    published = {"gso": 80.0, "dtu_train": 20.0, "real_iconic": 10.0, "space": 20.0, "real_estate": 40.0}
    assert "data_set_weights: {}" in run.config_path.read_text()
    older = load_config(
        "pretrain", "demo", {f"data.data_set_weights.{name}": value for name, value in published.items()}
    )
    run.config_path.write_text(to_yaml(older))
    assert differing_settings(Run.open(tmp_path).config, config) == {}
    assert Run.start(tmp_path, config).config == config
    with pytest.raises(RunError, match=r"data\.data_set_weights\.space: 20\.0 there, 5\.0 asked for"):
        Run.start(tmp_path, load_config("pretrain", "demo", {"data.data_set_weights.space": 5.0}))
    with pytest.raises(RunError, match=r"data\.data_set_weights\.demo: None there, 2\.0 asked for"):
        Run.start(tmp_path, load_config("pretrain", "demo", {"data.data_set_weights.demo": 2.0}))


def of_an_earlier_version(run):
    """Leave out of its config what those did not know."""
    lines = run.config_path.read_text(encoding="utf-8").splitlines(keepends=True)
    run.config_path.write_text("".join(line for line in lines if "view_choice" not in line), encoding="utf-8")
    return run


@pytest.mark.parametrize("scenes", [["demo/train"], ["capture/hall/raw"], ["gso", "capture/hall/raw"]])
def test_a_run_that_says_nothing_of_how_views_are_chosen_goes_on_with_the_nearest(tmp_path, scenes):
    asked = {"data.train_scenes": scenes}
    run = of_an_earlier_version(Run.start(tmp_path, load_config("pretrain", "demo", asked)))
    assert run.config.data.view_choice == "nearest"
    for steps in (500, 900):  # its config is written anew each time
        again = Run.start(tmp_path, load_config("pretrain", "demo", asked | {"training.steps": steps}))
        assert again.config.data.view_choice == "nearest"
    with pytest.raises(RunError, match=r"data\.view_choice: 'nearest' there, 'nearest_looking' asked for"):
        Run.start(tmp_path, load_config("pretrain", "demo", asked | {"data.view_choice": "nearest_looking"}))


def test_how_views_are_chosen_is_part_of_a_run_and_compared_by_what_it_comes_to(tmp_path, config):
    looking = load_config("pretrain", "demo", {"data.view_choice": "nearest_looking", "masking.of_steps": 120})
    run = Run.start(tmp_path / "looking", looking)
    assert Run.start(run.folder, config).config == looking
    assert differing_settings(looking, config) == {"data.view_choice": ("nearest_looking", "nearest")}
    assert Run.start(tmp_path / "usual", config).config.data.view_choice is None
    assert (
        differing_settings(
            config, load_config("pretrain", "demo", {"data.view_choice": "nearest", "masking.of_steps": 120})
        )
        == {}
    )


def test_other_config_is_refused_and_nothing_changes(tmp_path, config):
    run = Run.start(tmp_path, config)
    before = run.config_path.read_bytes()
    with pytest.raises(RunError, match=r"masking\.mask_ratio: 0\.5 there, 0\.75 asked for"):
        Run.start(tmp_path, load_config("pretrain", "demo", {"masking.mask_ratio": 0.75}))
    assert run.config_path.read_bytes() == before


def test_a_folder_with_something_else_is_refused(tmp_path, config):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="not empty"):
        Run.start(tmp_path, config)


def test_an_interrupted_start_can_be_started_again(tmp_path, config):
    (tmp_path / "provenance.json").write_text("{}", encoding="utf-8")
    (tmp_path / ".config.yaml.x1").touch()
    assert Run.start(tmp_path, config).config == config


def test_fewer_steps_than_were_done_are_refused(tmp_path, config):
    run = Run.start(tmp_path, config)
    log = RunLog(run, 0)
    log.write(100, "train", {"total": 1.0})
    log.close()
    with pytest.raises(RunError, match="has done 100 steps already, 50 are asked for"):
        Run.start(tmp_path, load_config("pretrain", "demo", {"training.steps": 50}))
    assert run.config == config


def test_a_row_that_a_kill_cut_short_is_dropped(tmp_path, config):
    run = Run.start(tmp_path, config)
    log = RunLog(run, 0)
    log.write(20, "train", {"total": 1.0})
    log.close()
    with run.metrics_path.open("a", encoding="utf-8") as file:
        file.write("4")
    RunLog(run, 20).close()
    assert list(run.metrics()["step"]) == [20]


def test_opening_what_is_no_run(tmp_path):
    with pytest.raises(RunError, match="is no run folder"):
        Run.open(tmp_path)


def test_differing_settings_by_dotted_name(config):
    other = load_config("pretrain", "demo", {"data.rays": 64})
    assert differing_settings(config, other) == {"data.rays": (128, 64)}


def test_log_drops_what_will_be_done_again(tmp_path, config):
    run = Run.start(tmp_path, config)
    assert run.metrics().empty
    log = RunLog(run, 0)
    log.write(10, "train", {"total": 1.0})
    log.write(20, "train", {"total": 2.0})
    log.write(20, "validation", {"fine_psnr": 17.5})
    log.close()
    assert latest(run.metrics(), "validation", "fine_psnr") == 17.5

    continued = RunLog(run, 10)
    line = continued.write(20, "train", {"total": 3.0, "seconds_per_step": 0.25})
    continued.close()
    assert line == "step     20  train       total 3  seconds_per_step 0.25"
    metrics = run.metrics()
    assert list(metrics["step"]) == [10, 20]
    assert list(metrics["total"]) == [1.0, 3.0]
    with pytest.raises(KeyError, match="no fine_psnr"):
        latest(metrics, "validation", "fine_psnr")


def test_what_was_logged_before_the_first_step_is_dropped_only_if_that_is_done_again(tmp_path, config):
    run = Run.start(tmp_path, config)
    log = RunLog(run, 0)
    log.write(0, "test", {"fine_psnr": 9.0})
    log.write(10, "train", {"total": 1.0})
    log.close()
    RunLog(run, 10).close()
    assert list(run.metrics()["step"]) == [0, 10]
    RunLog(run, 0).close()
    assert run.metrics().empty


def test_the_weights_that_count(tmp_path, config):
    run = Run.start(tmp_path / "a", config)
    assert run.weights == run.best_checkpoint
    one = Run.start(tmp_path / "b", load_config("per_scene", "demo"))
    assert one.weights == one.last_checkpoint


def test_log_refuses_a_number_without_a_column(tmp_path, config):
    log = RunLog(Run.start(tmp_path, config), 0)
    with pytest.raises(ValueError, match="loss_of_sleep"):
        log.write(1, "train", {"loss_of_sleep": 1.0})
    log.close()


def run_in(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("stage: pretrain\n")
    return folder


def test_runs_at_any_depth_are_found_in_order(tmp_path):
    runs = [run_in(tmp_path / name) for name in ("demo/b", "demo/a", "demo/grid/ratio=0.5/pretrain", "paper/c")]
    (tmp_path / "demo" / "05_evaluate").mkdir()
    assert list(run_folders(tmp_path)) == sorted(runs)
    assert list(run_folders(runs[0])) == [runs[0]], "a run folder itself is one"


def test_what_runs_and_caches_hold_is_no_run(tmp_path):
    run = run_in(tmp_path / "demo" / "pretrain")
    for part in ("checkpoints", "tensorboard", "renders", "figures", ".ipynb_checkpoints"):
        run_in(run / part / "copy")
    run_in(tmp_path / "cache" / "old")
    assert list(run_folders(tmp_path)) == [run]


def test_linked_folders_are_found_once_and_loops_end(tmp_path):
    elsewhere = run_in(tmp_path / "scratch" / "long")
    root = tmp_path / "runs"
    root.mkdir()
    (root / "linked").symlink_to(elsewhere)
    (root / "linked_again").symlink_to(elsewhere)
    (root / "loop").symlink_to(root)
    assert list(run_folders(root)) == [root / "linked"]


def test_a_missing_root_holds_none(tmp_path):
    assert list(run_folders(tmp_path / "absent")) == []
