"""Trainings with other aggregators, at smoke size: pretrained with masks, resumed, finetuned, judged, filmed."""

import numpy as np
import pytest
import torch

from maskrf_core.checkpoints.checkpoint_files import read_our_checkpoint
from maskrf_core.checkpoints.published_checkpoints import load_renderer
from maskrf_core.datasets.batches.scene_views import SceneViews
from maskrf_core.rendering.evaluation import evaluate
from maskrf_core.rendering.path_rendering import render_path
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.settings.sections import PathSettings
from maskrf_core.support.errors import CheckpointError, SettingsError
from maskrf_core.training.preflight import open_checked_scenes
from maskrf_core.training.process.protocol import ExitCode, TrainingStopped
from maskrf_core.training.saved_states import random_renderer
from maskrf_core.training.trainer import Trainer, fit
from tests.tiers import LONG
from tests.training.processes import assert_same_bits

OTHERS = ["ibrnet", "nerformer", "tests.model.toy_aggregator:MeanOverViews"]


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    monkeypatch.setenv("MASKRF_SMOKE", "1")


@pytest.fixture(autouse=True)
def no_depth_is_looked_at(monkeypatch):
    def fail(*arguments, **settings):
        raise AssertionError("depth was asked for")

    monkeypatch.setattr(SceneViews, "prepare_depths", fail)
    monkeypatch.setattr(SceneViews, "find_depths", fail)


@pytest.fixture(autouse=True, scope="module")
def nothing_is_judged_by_nerformer():
    """A picture by it takes a CPU a minute."""
    judge = Trainer._judge

    def quick(trainer):
        nerformer = trainer.config.model.aggregator == "nerformer"
        return {"fine_psnr": 10.0} if nerformer else judge(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_judge", quick)
        yield


def start(folder, aggregator: str, stage: str = "pretrain", **overrides) -> Run:
    asked = {"model.aggregator": aggregator, "hardware.data_workers": 0}
    return Run.start(
        folder,
        load_config(stage, "demo", asked | {name.replace("__", "."): value for name, value in overrides.items()}),
    )


@pytest.fixture(scope="module", params=OTHERS)
def pretrained(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKRF_SMOKE", "1")
        run = start(tmp_path_factory.mktemp("runs") / "pretrained", request.param, training__steps=4)
        fit(run)
        return run


def test_pretraining_with_masks(pretrained):
    """Features are aligned, and the mask token and its heads are trained."""
    metrics = pretrained.metrics()
    assert np.isfinite(metrics["colour_fine"].dropna()).all()
    assert (metrics["feature_alignment"].dropna() > 0).all()
    assert "depth_fine" not in metrics or metrics["depth_fine"].isna().all()
    weights = read_our_checkpoint(pretrained.last_checkpoint)["weights"]
    before = random_renderer(pretrained.config).state_dict()
    for name in ("fine.aggregation.mask_token", "masked_modelling.predictor.0.weight"):
        assert not torch.equal(weights[name], before[name])


def test_a_stopped_training_goes_on_to_the_same_bits(pretrained, tmp_path, monkeypatch):
    run = start(tmp_path / "run", pretrained.config.model.aggregator, training__steps=4)
    trainer = Trainer(run)
    step = trainer._train_step

    def stops(draw):
        if trainer.step == 2:
            trainer._save(needed=True)
            raise TrainingStopped("stopped", ExitCode.STOP_FILE)
        return step(draw)

    monkeypatch.setattr(trainer, "_train_step", stops)
    with pytest.raises(TrainingStopped):
        trainer.fit()
    fit(run)
    ours, theirs = (read_our_checkpoint(each.last_checkpoint)["weights"] for each in (run, pretrained))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert_same_bits(run, pretrained)


def test_finetuned_judged_and_filmed(pretrained, tmp_path):
    aggregator = pretrained.config.model.aggregator
    if aggregator == "nerformer" and not LONG:
        pytest.skip("pictures by it take a CPU minutes")
    run = start(tmp_path / "tuned", aggregator, "finetune", training__steps=2,
                training__initial_weights=str(pretrained.last_checkpoint))  # fmt: skip
    fit(run)
    renderer = load_renderer(run.last_checkpoint)
    assert renderer.settings.aggregator == aggregator
    asked = {"rays_per_chunk": 4096, "device": "cpu", "data_root": tmp_path}
    table = evaluate(run, ["demo/test_00"], split="test", working_views=2, views_per_scene=1, **asked)
    assert np.isfinite(table["fine_psnr"]).all()
    path = PathSettings(frames=2, largest_side=17, frames_per_second=5)
    film = render_path(
        run.last_checkpoint, "demo/test_00", path=path, folder=tmp_path / "film", working_views=3, **asked
    )
    assert film is not None


def test_weights_of_another_aggregator_are_refused(pretrained, tmp_path):
    run = start(tmp_path / "run", "neuray", "finetune", training__initial_weights=str(pretrained.last_checkpoint))
    with pytest.raises(CheckpointError, match=r"model\.aggregator"):
        Trainer(run)


@pytest.mark.parametrize(
    ("stage", "asked", "message"),
    [
        ("per_scene", {"training.initial_weights": "maskrf"}, "free visibility maps"),
        ("finetune", {"data.depth_supervision": True}, "predicts depth"),
        ("finetune", {"model.direct_rendering": True}, "uses no visibility"),
        ("finetune", {"data.working_views": 1}, "working_views=1"),
    ],
)
def test_what_is_not_for_it_is_said_before_anything_is_trained(stage: str, asked: dict, message: str):
    with pytest.raises(SettingsError, match=message):
        open_checked_scenes(load_config(stage, "demo", {"model.aggregator": "ibrnet"} | asked))
