"""Trainings behind the notebooks: made if missing, not repeated, equal in steps, and held to their weights."""

import shutil

import pytest

from maskrf_core.checkpoints.published_checkpoints import steps_of
from maskrf_core.checkpoints.published_files import SHIPPED
from maskrf_core.runs import Run
from maskrf_core.support.errors import RunError, SettingsError
from maskrf_core.workbook.experiments import trainings
from maskrf_core.workbook.parameters import (
    EvaluateParameters,
    FinetuneParameters,
    PretrainParameters,
)

pytestmark = pytest.mark.usefixtures("smoke")


def test_finetuning_trains_what_it_stands_on(finetuned):
    _, run = finetuned
    pretrained = Run.open(run.folder.with_name("pretrain"))
    assert trainings.steps_done(pretrained) == 6  # the smoke preset's
    assert trainings.steps_done(run) == 2
    assert trainings.total_steps(run) == 8
    assert run.config.training.initial_weights == str(pretrained.last_checkpoint)
    assert pretrained.config.masking.mask_ratio == 0.5


def test_what_is_finished_is_not_trained_again(finetuned, capsys):
    parameters, run = finetuned
    before = run.last_checkpoint.stat().st_mtime_ns
    assert trainings.weights_to_finetune(parameters).is_file()
    trainings.trained(run)
    assert capsys.readouterr().out == ""
    assert run.last_checkpoint.stat().st_mtime_ns == before


def test_histories_begin_where_the_pretraining_ended(finetuned):
    _, run = finetuned
    histories = trainings.histories({"ours": run})
    assert {name: before for name, (_, before) in histories.items()} == {"masked pretraining": 0, "ours": 6}
    assert histories["masked pretraining"][0]["step"].max() == 6


def test_a_run_is_held_to_the_weights_it_began_from(finetuned, tmp_path):
    parameters, run = finetuned
    copy = tmp_path / "weights.pt"
    shutil.copy(run.last_checkpoint, copy)
    asked = parameters.model_copy(update={"run": "held"})
    held = trainings.finetuning(asked, copy)
    assert trainings.finetuning(asked, copy) == held
    shutil.copy(run.folder.with_name("pretrain") / "checkpoints" / "last.pt", copy)
    with pytest.raises(RunError, match=r"began from weights that .*weights\.pt no longer holds"):
        trainings.finetuning(asked, copy)


def test_a_run_folder_or_file_can_be_named(finetuned):
    parameters, run = finetuned
    asked = parameters.model_copy(update={"pretrained": "finetune"})
    assert trainings.weights_to_finetune(asked) == run.last_checkpoint.resolve()
    asked = parameters.model_copy(update={"pretrained": str(run.best_checkpoint)})
    assert trainings.weights_to_finetune(asked) == run.best_checkpoint.resolve()


def test_the_same_parameters_name_the_same_run_in_03_and_04(tmp_path):
    of_04 = FinetuneParameters(runs_root=str(tmp_path), working_views=4, seed=3, overrides="data.rays=20")
    of_03 = trainings.handed_on(of_04, PretrainParameters, trainings.OF_TRAINING)
    same = PretrainParameters(runs_root=str(tmp_path), working_views=4, seed=3, overrides="data.rays=20")
    assert of_03 == same


def test_a_run_that_cannot_be_compiled_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    asked = PretrainParameters(runs_root=str(tmp_path), device="cpu", overrides="hardware.compile=true")
    with pytest.raises(SettingsError, match=r"hardware\.compile=true needs the compiler no-such-compiler"):
        trainings.pretraining(asked)
    assert not list(tmp_path.iterdir())


def test_evaluation_finds_the_runs_of_04_that_are_done(finetuned):
    parameters, run = finetuned
    asked = EvaluateParameters(runs_root=parameters.runs_root, working_views=2, overrides="data.rays=20")
    assert trainings.finetuned_runs(asked) == {"masked-pretrained, then finetuned": run}  # none from scratch


def test_weights_that_ship_are_compared_by_the_steps_of_the_notebook_alone(tmp_path):
    asked = FinetuneParameters(runs_root=str(tmp_path), pretrained="maskrf-pretrained", steps=3)
    chosen = trainings.Finetuning(asked)
    assert trainings.total_steps(chosen.run) == 3 < steps_of(chosen.weights)
    assert chosen.run.config.training.schedule == "restart"
    pretraining = trainings.pretraining(PretrainParameters(runs_root=str(tmp_path), pretrained="maskrf-pretrained"))
    assert pretraining.config.training.initial_weights == str(SHIPPED["maskrf-pretrained"])
