"""Trainings with other masking, other targets and the direct head: what they log, train and continue."""

import numpy as np
import pytest
import torch

from maskrf_core.checkpoints.checkpoint_files import read_our_checkpoint
from maskrf_core.losses import TERMS, Term
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config, read_config
from maskrf_core.support.errors import SettingsError
from maskrf_core.training.trainer import Trainer, fit


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    monkeypatch.setenv("MASKRF_SMOKE", "1")


def start(folder, stage="pretrain", **overrides):
    overrides = {"hardware__data_workers": 0} | overrides
    return Run.start(folder, load_config(stage, "demo", {name.replace("__", "."): v for name, v in overrides.items()}))


def weights(run):
    return read_our_checkpoint(run.last_checkpoint)["weights"]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKRF_SMOKE", "1")
        run = start(tmp_path_factory.mktemp("runs") / "pretrained", training__steps=3)
        fit(run)
        return run


def test_training_that_goes_on_from_weights_masks_as_its_own_config_says(pretrained, tmp_path):
    """A checkpoint need not know of masking, nor of the direct head: the weights are the same."""
    overrides = {"training__initial_weights": str(pretrained.last_checkpoint), "masking__target": "colour"}
    run = start(tmp_path / "run", **overrides, masking__strategy="block", model__direct_rendering=True)
    trainer = Trainer(run)
    assert trainer.renderer.masked_modelling.settings == run.config.masking
    trainer.fit()
    metrics = run.metrics()
    assert metrics[["colour_direct_fine", "direct_psnr"]].notna().any().all()
    assert metrics["masked_colour"].notna().any()
    assert metrics["feature_alignment"].isna().all()
    assert weights(run)["masked_modelling.colour_head.weight"].abs().max() > 0
    target = "masked_modelling.target_projector.0.weight"
    assert torch.equal(weights(run)[target], weights(pretrained)[target])


def test_the_direct_head_is_trained_and_validated(tmp_path):
    run = start(tmp_path / "run", "finetune", model__direct_rendering=True, training__steps=2)
    fit(run)
    metrics = run.metrics()
    for phase, names in (
        ("train", ["colour_direct_coarse", "colour_direct_fine"]),
        ("validation", ["direct_psnr", "direct_ssim"]),
    ):
        assert np.isfinite(metrics[metrics["phase"] == phase][names]).all(axis=None)


@pytest.mark.long
def test_a_training_in_bfloat16_continues_exactly(tmp_path):
    """Its weights and gradients are kept in float32, and its validations are those of any other training."""
    overrides = {"hardware__precision": "bf16-mixed"}
    whole = start(tmp_path / "whole", **overrides, training__steps=3)
    fit(whole)
    fit(start(tmp_path / "parts", **overrides, training__steps=2))
    continued = start(tmp_path / "parts", **overrides, training__steps=3)
    fit(continued)
    exact = start(tmp_path / "exact", training__steps=3)
    fit(exact)
    ours, theirs, others = (weights(run) for run in (continued, whole, exact))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert any(not torch.equal(ours[name], others[name]) for name in ours)
    assert all(of.dtype == others[name].dtype for name, of in ours.items())
    rounded, plain = (run.metrics().set_index(["phase", "step"])["fine_psnr"].dropna() for run in (whole, exact))
    assert rounded.to_numpy() == pytest.approx(plain.to_numpy(), abs=0.5)


def test_a_strategy_from_anywhere_is_trained_with(tmp_path):
    """A made-up function of a test module, by its name; what is not one fails before the first step."""
    made_up = "tests.model.masking.test_strategies:every_other"
    run = start(tmp_path / "run", masking__strategy=made_up, training__steps=2)
    fit(run)
    assert np.isfinite(run.metrics()["feature_alignment"].dropna()).all()
    assert read_config(run.config_path).masking.strategy == made_up
    for strategy, message in (("blocks", "did you mean 'block'"), (made_up.replace("every", "nor"), "cannot be imp")):
        wrong = start(tmp_path / strategy[:6], masking__strategy=strategy)
        with pytest.raises(SettingsError, match=message):
            fit(wrong)
        assert not wrong.metrics_path.is_file()


def test_a_term_of_the_loss_is_one_entry(tmp_path, monkeypatch):
    """A made-up term and its weight are computed, logged and summed."""
    spread = Term(lambda step: step.fine.hit_probability.square().sum(dim=1).mean(), weight=0.5)
    monkeypatch.setitem(TERMS, "spread", spread)
    run = start(tmp_path / "run", "finetune", training__steps=1, training__log_every=1)
    fit(run)
    logged = run.metrics().query("phase == 'train'").iloc[0]
    others = logged[["colour_coarse", "colour_fine", "depth_coarse", "depth_fine"]].sum()
    assert logged["spread"] > 0
    assert logged["total"] == pytest.approx(others + 0.5 * logged["spread"], rel=1e-5)
