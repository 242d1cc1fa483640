"""Pretraining, finetuning and evaluation with cost volumes, end to end, on scenes whose depth nobody may ask for."""

import numpy as np
import pytest
import torch

from maskrf_core.checkpoints.checkpoint_files import read_our_checkpoint
from maskrf_core.checkpoints.published_checkpoints import load_renderer
from maskrf_core.datasets.batches import scene_views as views_module
from maskrf_core.datasets.batches.batch import ModelInputs
from maskrf_core.datasets.scene import FrameScene
from maskrf_core.rendering.evaluation import evaluate
from maskrf_core.runs import Run
from maskrf_core.settings.config import Config, load_config
from maskrf_core.settings.sections import MaskingSettings, ModelSettings
from maskrf_core.support.errors import CheckpointError
from maskrf_core.training.preflight import training_inputs
from maskrf_core.training.saved_states import initial_renderer
from maskrf_core.training.trainer import fit
from maskrf_core.workbook.experiments import comparison, trainings
from maskrf_core.workbook.experiments.mask_demonstration import mask_of_one_ray
from maskrf_core.workbook.parameters import PretrainParameters
from tests.model.source_cases import write_mvsnet

MVSNET = "visibility_init.mvsnet."


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    monkeypatch.setenv("MASKRF_SMOKE", "1")


def no_depth(*_, **__):
    raise AssertionError("depth was asked for")


@pytest.fixture
def without_depth(monkeypatch):
    """Neither a scene's own depth nor an estimate, in data workers too: they are forks."""
    monkeypatch.setattr(FrameScene, "depth", no_depth)
    monkeypatch.setattr(views_module, "depth_maps", no_depth)


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_mvsnet(root / "model" / "mvsnet_pl.ckpt")
    return root


def config_of(data_root, stage="pretrain", **overrides):
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    asked = {"model.visibility_init": "cost_volume", "data.data_root": str(data_root), "training.steps": 4, **named}
    return load_config(stage, "demo", asked)


def weights(run):
    return read_our_checkpoint(run.last_checkpoint)["weights"]


@pytest.fixture(scope="module")
def pretrained(data_root, tmp_path_factory):
    """Its folder of data is gone afterwards, as far as others are told."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKRF_SMOKE", "1")
        patch.setattr(FrameScene, "depth", no_depth)
        patch.setattr(views_module, "depth_maps", no_depth)
        run = Run.start(tmp_path_factory.mktemp("runs") / "pretrained", config_of(data_root))
        fit(run)
        return run


def test_pretraining_learns_without_depth(pretrained, data_root):
    metrics = pretrained.metrics()
    trained = metrics[metrics["phase"] == "train"]
    assert np.isfinite(trained[["total", "colour_coarse", "colour_fine", "feature_alignment"]]).all(axis=None)
    assert trained[["depth_coarse", "depth_fine"]].isna().all(axis=None)
    assert np.isfinite(metrics[metrics["phase"] == "validation"]["fine_psnr"]).all()
    before, after = initial_renderer(pretrained.config).state_dict(), weights(pretrained)
    frozen = {name for name in before if name.startswith(MVSNET)}
    assert len(frozen) > 80
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert not torch.equal(before["visibility_init.head.0.weight"], after["visibility_init.head.0.weight"])
    assert not list(data_root.rglob("depth"))  # no estimate was kept either


def test_mvsnet_begins_with_its_published_weights(pretrained, data_root):
    expected = write_mvsnet(data_root / "again.ckpt").state_dict()
    held = weights(pretrained)
    assert all(torch.equal(value, held[MVSNET + name]) for name, value in expected.items())


@pytest.mark.long
def test_interrupted_and_continued_is_the_same_run(pretrained, data_root, tmp_path):
    """Continued where MVSNet's file is gone: the checkpoint holds its weights."""
    fit(Run.start(tmp_path / "run", config_of(data_root, training__steps=3)))
    continued = Run.start(tmp_path / "run", config_of(tmp_path / "nowhere"))
    fit(continued)
    ours, theirs = weights(continued), weights(pretrained)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_finetuning_and_evaluation_need_no_file(pretrained, tmp_path, without_depth):
    config = config_of(tmp_path / "nowhere", "finetune", training__initial_weights=str(pretrained.last_checkpoint))
    run = Run.start(tmp_path / "run", config)
    fit(run)
    assert run.metrics()["feature_alignment"].isna().all()
    table = evaluate(run, ["demo/test_00"], working_views=3, views_per_scene=1, rays_per_chunk=4096)
    assert np.isfinite(table["fine_psnr"]).all()
    loaded = load_renderer(run.last_checkpoint)
    assert loaded.settings.visibility_init == "cost_volume"
    assert not any(parameter.requires_grad for parameter in loaded.visibility_init.mvsnet.parameters())


def test_the_untrained_method_has_the_same_mvsnet(pretrained, tmp_path, without_depth):
    renderer = load_renderer(pretrained.last_checkpoint)
    config = load_config("finetune", "demo", {"data.data_root": str(tmp_path)})
    untrained = comparison.untrained_like(renderer, config)
    ours, theirs = untrained.state_dict(), renderer.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if name.startswith(MVSNET))
    assert not torch.equal(ours["image_encoder.head.weight"], theirs["image_encoder.head.weight"])
    table = comparison.compare([comparison.Method("untrained", untrained)], config, tmp_path / "pictures")
    assert np.isfinite(table["fine_psnr"]).all()


def test_the_mask_can_be_looked_at(data_root, without_depth):
    ray = mask_of_one_ray(config_of(data_root))
    assert ray.mask.any(axis=0).sum() == 8  # half of 16 samples


def test_a_missing_file_stops_before_anything_is_written(tmp_path):
    run = Run.start(tmp_path / "run", config_of(tmp_path))
    with pytest.raises(CheckpointError, match=r"model/mvsnet_pl\.ckpt: no such file"):
        fit(run)
    assert not run.last_checkpoint.parent.exists()
    assert run.metrics().empty
    asked = PretrainParameters(
        data_root=str(tmp_path), runs_root=str(tmp_path / "runs"), overrides="model.visibility_init=cost_volume"
    )
    with pytest.raises(CheckpointError, match="no such file"):
        trainings.pretraining(asked)
    assert not list((tmp_path / "runs").rglob("config.yaml"))


@pytest.mark.long
def test_depth_can_supervise_cost_volumes(data_root, tmp_path):
    """Then training reads depth; validation still reads none."""
    config = config_of(data_root, data__depth_supervision=True, training__steps=2)
    run = Run.start(tmp_path / "run", config)
    fit(run)
    trained = run.metrics().query("phase == 'train'")
    assert np.isfinite(trained[["depth_coarse", "depth_fine"]]).all(axis=None)


@pytest.mark.parametrize(
    ("stage", "overrides", "depths", "sources"),
    [
        ("pretrain", {}, True, False),
        ("finetune", {}, True, False),
        ("pretrain", {"model.visibility_init": "cost_volume"}, False, True),
        ("pretrain", {"model.visibility_init": "cost_volume", "data.depth_supervision": True}, True, True),
        ("pretrain", {"data.depth_supervision": False}, True, False),
    ],
)
def test_what_training_batches_hold(stage, overrides, depths, sources):
    assert training_inputs(load_config(stage, "demo", overrides)) == ModelInputs(depths, sources)


@pytest.mark.parametrize("init", ["depth", "cost_volume"])
def test_free_maps_stand_in_for_depths_and_sources(init):
    model = ModelSettings(visibility_init=init)
    config = Config(stage="per_scene", model=model, masking=MaskingSettings(mask_ratio=0.0))
    assert training_inputs(config) == ModelInputs(depths=False, sources=False)
