"""What two stages of an experiment draw, at which rate, and that a comparison with training from scratch is fair."""

from contextlib import closing

import numpy as np
import pytest
import torch
import yaml

from maskrf_core.checkpoints.checkpoint_files import read_our_checkpoint
from maskrf_core.checkpoints.published_checkpoints import steps_of
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.support.errors import CheckpointError, RunError, SettingsError
from maskrf_core.training.trainer import Trainer, fit
from maskrf_core.workbook.experiments.trainings import Finetuning
from maskrf_core.workbook.parameters import FinetuneParameters

ONE_SCHEDULE = {"training.schedule": "continue", "training.optimiser": "handed_on"}


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    monkeypatch.setenv("MASKRF_SMOKE", "1")


def start(folder, stage, **overrides):
    return Run.start(folder, load_config(stage, "demo", {name.replace("__", "."): v for name, v in overrides.items()}))


def drawn(trainer):
    with closing(trainer.batches()) as batches:
        return [(draw.origin, draw.batch.pixels_xy.tolist()) for draw in batches]


def weights(run):
    return read_our_checkpoint(run.last_checkpoint)["weights"]


def test_no_batch_repeats_across_stages_and_scratch_sees_those_of_finetuning(smoke_run, tmp_path):
    """Of three stages of 6, 6 and 4 steps: draws of the first two are those of 12 steps from scratch."""
    first = drawn(Trainer(start(tmp_path / "again", "pretrain")))
    begun = start(tmp_path / "finetuned", "finetune", training__initial_weights=str(smoke_run.last_checkpoint))
    second = drawn(Trainer(begun))
    scratch = drawn(Trainer(start(tmp_path / "scratch", "finetune", training__steps=12)))
    assert first + second == scratch
    fit(begun)
    third = Trainer(
        start(tmp_path / "more", "finetune", training__initial_weights=str(begun.last_checkpoint), training__steps=4)
    )
    assert third.steps_before == 12 == steps_of(begun.best_checkpoint)
    pixels = [str(pixels) for _, pixels in [*scratch, *drawn(third)]]
    assert len(set(pixels)) == 16


def test_a_continued_finetuning_draws_what_an_uninterrupted_one_would(smoke_run, tmp_path):
    asked = {"training__initial_weights": str(smoke_run.last_checkpoint)}
    whole = drawn(Trainer(start(tmp_path / "whole", "finetune", **asked)))
    fit(start(tmp_path / "begun", "finetune", **asked, training__steps=2))
    assert drawn(Trainer(start(tmp_path / "begun", "finetune", **asked, training__steps=6))) == whole[2:]


def test_without_masks_two_stages_on_one_schedule_are_a_training_from_scratch_to_the_bit(tmp_path):
    rates = {"training__halve_every": 4, "training__log_every": 1}
    scratch = start(tmp_path / "scratch", "finetune", training__steps=6, **rates)
    unmasked = {"masking__mask_ratio": 0.0, "masking__weight": 0.0}
    before = start(tmp_path / "before", "pretrain", training__steps=3, **rates, **unmasked)
    fit(scratch), fit(before)
    asked = {"training.initial_weights": str(before.last_checkpoint), "training.steps": 3} | ONE_SCHEDULE
    after = start(tmp_path / "after", "finetune", **rates, **asked)
    fit(after)
    assert all(torch.equal(ours, weights(after)[name]) for name, ours in weights(scratch).items())
    both = [run.metrics().dropna(subset=["total"])["learning_rate"].to_numpy() for run in (before, after)]
    assert np.concatenate(both).tolist() == [1e-3] * 4 + [5e-4] * 2  # as of scratch, at every step
    assert scratch.metrics().dropna(subset=["total"])["learning_rate"].tolist() == np.concatenate(both).tolist()


def test_published_stages_restart_rate_and_optimiser(smoke_run, tmp_path):
    asked = {"training__initial_weights": str(smoke_run.last_checkpoint), "training__halve_every": 4}
    trainer = Trainer(start(tmp_path / "run", "finetune", **asked))
    assert not trainer.optimiser.state_dict()["state"]
    assert trainer._learning_rate(0) == 1e-3


def test_an_optimiser_is_handed_on_by_weights_that_have_one(smoke_run, tmp_path):
    with pytest.raises(SettingsError, match=r"needs training\.initial_weights"):
        load_config("finetune", "demo", ONE_SCHEDULE)
    without = read_our_checkpoint(smoke_run.last_checkpoint)
    del without["state"]["optimiser"]
    torch.save(without, tmp_path / "without.pt")
    asked = {"training.initial_weights": str(tmp_path / "without.pt")} | ONE_SCHEDULE
    with pytest.raises(CheckpointError, match="no optimiser to hand on"):
        Trainer(start(tmp_path / "run", "finetune", **asked))


def test_a_run_of_the_first_recipe_is_read_but_never_goes_on(smoke_run, tmp_path):
    run = start(tmp_path / "old", "pretrain", training__steps=4)
    fit(run)
    values = yaml.safe_load(run.config_path.read_text())
    del values["training"]["recipe"], values["training"]["schedule"], values["training"]["optimiser"]
    values["masking"] = {"mask_ratio": 0.5, "start_step": 2, "warmup_steps": 1}
    run.config_path.write_text(yaml.safe_dump(values))
    assert (run.config.training.recipe, run.config.masking.start, run.config.masking.warmup) == (1, 0.5, 0.25)
    fit(run)  # it is done: nothing to mix
    values["training"]["steps"] = 6
    run.config_path.write_text(yaml.safe_dump(values))
    with pytest.raises(RunError, match="drawn otherwise"):
        fit(run)
    with pytest.raises(RunError, match=r"training\.recipe: 1 there, 2 asked for"):
        start(run.folder, "pretrain", training__steps=6)


def test_a_longer_run_keeps_the_steps_that_its_masking_was_begun_with(tmp_path):
    run = start(tmp_path / "run", "pretrain", training__steps=100)
    assert start(run.folder, "pretrain", training__steps=400).config.masking.of_steps == 100


def test_weights_of_the_first_recipe_are_not_compared_with_training_from_scratch(smoke_run, tmp_path):
    runs = tmp_path / "runs"
    old = start(runs / "smoke" / "old", "pretrain", training__steps=2)
    fit(old)
    old.config_path.write_text(old.config_path.read_text().replace("recipe: 2", "recipe: 1"))
    parameters = FinetuneParameters(runs_root=str(runs), pretrained="old", steps=2)
    with pytest.raises(RunError, match="does not compare"):
        Finetuning(parameters)
    alone = Finetuning(parameters.model_copy(update={"from_scratch_too": False}))
    assert alone.run.config.training.schedule == "restart"
