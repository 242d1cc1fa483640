"""Training from a run folder: it learns, continues exactly, and stops with a reason."""

import math
from contextlib import closing
from itertools import islice

import numpy as np
import pytest
import torch

from maskrf_core.checkpoints.checkpoint_files import read_our_checkpoint
from maskrf_core.rendering.evaluation import validate
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.support.errors import CheckpointError, DatasetError, MaskrfError, RunError
from maskrf_core.training import trainer as training
from maskrf_core.training.preflight import check_places, open_checked_scenes
from maskrf_core.training.trainer import Trainer, fit
from tests.datasets.memory_scene import make_scenes, use_folders
from tests.datasets.rig_scene import rig, use_rigs


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    monkeypatch.setenv("MASKRF_SMOKE", "1")


def start(folder, stage="pretrain", **overrides):
    return Run.start(folder, load_config(stage, "demo", {name.replace("__", "."): v for name, v in overrides.items()}))


def weights(run):
    return read_our_checkpoint(run.last_checkpoint)["weights"]


def test_a_run_leaves_what_it_promises(smoke_run):
    metrics = smoke_run.metrics()
    trained = metrics[metrics["phase"] == "train"]
    assert list(trained["step"]) == [2, 4, 6]
    assert np.isfinite(trained[["total", "colour_coarse", "depth_fine", "feature_alignment"]]).all(axis=None)
    assert list(metrics[metrics["phase"] == "validation"]["step"]) == [6]
    assert smoke_run.best_checkpoint.is_file()
    assert read_our_checkpoint(smoke_run.last_checkpoint)["step"] == 6
    assert list((smoke_run.folder / "tensorboard").iterdir())
    assert not list(smoke_run.folder.rglob(".*"))  # nothing half written


def test_interrupted_and_continued_is_the_same_run(smoke_run, tmp_path):
    run = start(tmp_path / "run", training__steps=3, masking__of_steps=6)
    fit(run)
    continued = start(tmp_path / "run", training__steps=6)
    fit(continued)
    ours, theirs = weights(continued), weights(smoke_run)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_finished_run_is_not_trained_again(smoke_run, capsys):
    before = smoke_run.last_checkpoint.stat().st_mtime_ns
    renderer = fit(smoke_run)
    assert not renderer.training
    assert "all 6 steps were done before" in capsys.readouterr().out
    assert smoke_run.last_checkpoint.stat().st_mtime_ns == before


@pytest.mark.long
def test_another_seed_is_another_run(smoke_run, tmp_path):
    run = start(tmp_path / "run", training__seed=1)
    fit(run)
    assert not torch.equal(weights(run)["image_encoder.head.weight"], weights(smoke_run)["image_encoder.head.weight"])


def test_finetuning_starts_from_the_pretrained_weights(smoke_run, tmp_path):
    run = start(tmp_path / "run", "finetune", training__initial_weights=str(smoke_run.last_checkpoint))
    trainer = Trainer(run)
    begun_from = weights(smoke_run)
    assert all(torch.equal(v, begun_from[k]) for k, v in trainer.renderer.state_dict().items())
    trainer.fit()
    assert run.metrics()["feature_alignment"].isna().all()


def test_weights_of_another_model_are_refused(smoke_run, tmp_path):
    overrides = {"training__initial_weights": str(smoke_run.last_checkpoint), "model__coarse_samples": 16}
    with pytest.raises(CheckpointError, match="coarse_samples=12"):
        fit(start(tmp_path / "run", "finetune", **overrides))
    overrides |= {"training__other_samples": True, "model__visibility_init": "cost_volume"}
    with pytest.raises(CheckpointError, match="visibility_init=depth"):
        fit(start(tmp_path / "another", "finetune", **overrides))


def test_other_numbers_of_samples_are_learned_where_asked(smoke_run, tmp_path):
    overrides = {"training__initial_weights": str(smoke_run.last_checkpoint), "training__other_samples": True}
    run = start(tmp_path / "run", "finetune", **overrides, model__coarse_samples=16)
    trainer = Trainer(run)
    assert trainer.renderer.settings.coarse_samples == 16
    assert all(torch.equal(v, weights(smoke_run)[k]) for k, v in trainer.renderer.state_dict().items())


def test_damaged_checkpoint_is_named_and_kept(smoke_run, tmp_path):
    run = start(tmp_path / "run")
    run.last_checkpoint.parent.mkdir()
    run.last_checkpoint.write_bytes(smoke_run.last_checkpoint.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        fit(run)
    assert run.last_checkpoint.stat().st_size == 5000


def test_the_target_follows_from_the_start_step_on(tmp_path, monkeypatch):
    trainer = Trainer(start(tmp_path / "run"))
    followed = []
    monkeypatch.setattr(
        trainer.renderer.masked_modelling, "update_target", lambda _: followed.append(trainer.step), raising=True
    )
    with closing(trainer.batches()) as batches:
        for draw in islice(batches, 4):
            trainer._train_step(draw)
            trainer.step += 1
    assert followed == [2, 3]  # a third of 6 steps


def test_loss_that_is_not_finite_stops_with_step_and_batch(tmp_path, monkeypatch):
    run = start(tmp_path / "run")
    monkeypatch.setattr(training, "with_total", lambda terms, *_: {"total": terms["colour_fine"] * math.nan} | terms)
    with pytest.raises(RunError, match=r"not finite at step 0 \(total nan, .*scene demo/train_0\d, query view_\d\d"):
        fit(run)
    assert not run.last_checkpoint.is_file()


@pytest.mark.long
def test_training_lowers_the_loss(tmp_path):
    run = start(tmp_path / "run", "finetune", training__steps=40, training__log_every=10, training__validate_every=40)
    fit(run)
    totals = run.metrics().dropna(subset=["total"])["total"]
    assert totals.iloc[-1] < 0.7 * totals.iloc[0]


def test_best_weights_are_kept_by_validation(tmp_path, monkeypatch):
    scores = iter([10.0, 12.0, 11.0])
    monkeypatch.setattr(training, "validate", lambda *_, **__: {"fine_psnr": next(scores)})
    run = start(tmp_path / "run", training__validate_every=2)
    fit(run)
    assert read_our_checkpoint(run.best_checkpoint)["step"] == 4
    assert read_our_checkpoint(run.last_checkpoint)["state"]["best"] == {"fine_psnr": 12.0, "step": 4}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"data__train_scenes": ["demo/train_99"]}, "train_99"),
        ({"data__validation_scenes": ["demo/train_00"]}, "trained on and validated on"),
        ({"data__working_views": 20}, "Set working_views lower"),
        ({"data__working_views": 2}, "training needs more than 2 views"),
        ({"model__coarse_samples": 8}, "2 views and 8 samples"),
        ({"masking__mask_ratio": 0.06}, "ray_and_view, a mask ratio of 0.06 and 16 samples a ray: less than one"),
        ({"masking__strategy": "view", "masking__mask_ratio": 0.3}, "a mask ratio of 0.3 and data.working_views=3"),
        ({"training__initial_weights": "nowhere.pt"}, "nowhere.pt"),
    ],
)
def test_what_cannot_work_fails_before_training(tmp_path, overrides, message):
    run = start(tmp_path / "run", **overrides)
    with pytest.raises(MaskrfError, match=message):
        fit(run)
    assert not run.metrics_path.is_file()


def test_test_scenes_are_neither_trained_nor_validated_on(tmp_path):
    run = start(tmp_path / "run", data__validation_scenes=["demo/test_00"])
    with pytest.raises(DatasetError, match=r"demo/test_00: .*tested on"):
        fit(run)


@pytest.fixture
def without_smoke(monkeypatch):
    monkeypatch.delenv("MASKRF_SMOKE")


@pytest.mark.usefixtures("without_smoke")
def test_paper_preset_without_data_says_where_to_look(tmp_path):
    with pytest.raises(DatasetError, match=r"gso, dtu_train, real_iconic, space, real_estate are not below .*01_data_"):
        open_checked_scenes(load_config("pretrain", "paper", {"data.data_root": str(tmp_path)}))


@pytest.mark.parametrize(
    ("trained", "tested", "message"),
    [
        ("llff_colmap/fern/high", "nerf_llff/fern/8", "nerf_llff/fern: trained on and tested on"),
        ("dtu_train/scan1", "dtu_test/scan1/black_400", "dtu_train/scan1: trained on and tested on"),
        ("dtu_test/birds/black_800", "demo/test", "dtu_train/scan106: trained on, though held out"),
        ("dtu_train/scan24", "demo/test", "dtu_train/scan24: trained on, though held out"),
    ],
)
def test_one_place_under_two_names_is_found(trained, tested, message):
    config = load_config("pretrain", "demo", {"evaluation.test_scenes": [tested]})
    with pytest.raises(DatasetError, match=message):
        check_places([trained], config)
    check_places(["dtu_train/scan2"], config)


def test_whole_data_sets_are_trained_on_and_absent_ones_named_once(tmp_path, monkeypatch, capsys):
    use_folders(monkeypatch)
    make_scenes(tmp_path / "data", "gso/cup", "space/hall")
    overrides = {"data__train_scenes": ["gso", "dtu_train", "space"], "data__data_root": str(tmp_path / "data")}
    run = start(tmp_path / "run", **overrides, training__steps=4)
    fit(run)
    assert read_our_checkpoint(run.last_checkpoint)["step"] == 4
    said = capsys.readouterr().out
    assert said.count("absent") == said.count("dtu_train: absent (no scenes below") == 1


@pytest.mark.long
def test_workers_and_memory_may_differ_when_a_run_goes_on_and_change_nothing(smoke_run, tmp_path):
    fit(start(tmp_path / "run", training__steps=3, masking__of_steps=6, hardware__data_workers=0))
    continued = start(tmp_path / "run", training__steps=6, hardware__data_workers=2, hardware__image_cache_mib=0)
    fit(continued)
    ours, theirs = weights(continued), weights(smoke_run)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.long
def test_a_continued_run_does_not_need_the_weights_it_began_from(smoke_run, tmp_path):
    weights_file = tmp_path / "initial.pt"
    weights_file.write_bytes(smoke_run.last_checkpoint.read_bytes())
    run = start(tmp_path / "run", "finetune", training__initial_weights=str(weights_file), training__steps=2)
    fit(run)
    weights_file.unlink()
    assert not fit(run).training


def test_validation_keeps_the_mode_of_the_renderer(tmp_path):
    trainer = Trainer(start(tmp_path / "run"))
    trainer.renderer.train()
    numbers = validate(
        trainer.renderer, trainer.validation_scenes, working_views=3, views_per_scene=1, rays_per_chunk=4096
    )
    assert trainer.renderer.training
    assert set(numbers) == {"coarse_psnr", "coarse_ssim", "fine_psnr", "fine_ssim", "fine_psnr_by_scene"}
    assert 0 < numbers["fine_psnr"] < 40


@pytest.mark.parametrize("stage", ["pretrain", "per_scene"])
def test_trainings_of_a_rig_choose_views_as_asked_and_older_ones_as_they_began(
    stage, smoke_run, tmp_path, monkeypatch, recwarn
):
    name, scene = use_rigs(monkeypatch, tmp_path), rig()
    asked = {
        "data__data_root": str(tmp_path), "data__train_scenes": [name], "data__view_pool": 1.0, "data__query_kept": 0.0,
        "data__working_views": 4, "training__initial_weights": str(smoke_run.last_checkpoint),
    }  # fmt: skip

    def drawn(folder, **choice):
        run = start(tmp_path / folder, stage, **asked, **choice)
        scenes, _ = open_checked_scenes(run.config)
        origins = [scenes.draw(np.random.default_rng(seed)).origin for seed in range(20)]
        pairs = [origin.split("query ")[1].split(", references ") for origin in origins]
        return origins, max(scene.degrees(query, others.split(", ")).max() for query, others in pairs)

    looking, turned = drawn("new")
    assert turned < 89
    assert drawn("asked", data__view_choice="nearest_looking")[0] == looking
    assert not recwarn.list
    nearest, turned = drawn("nearest", data__view_choice="nearest")
    assert turned > 89
    assert any(name in str(each.message) for each in recwarn.list)
    config = tmp_path / "nearest/config.yaml"
    config.write_text(config.read_text().replace("  view_choice: nearest\n", ""))
    assert drawn("nearest")[0] == nearest


def test_files_of_others_beside_checkpoints_stay(tmp_path):
    """As where the folder is a link to one that is not this run's alone."""
    run = start(tmp_path / "run", training__steps=1)
    folder = run.last_checkpoint.parent
    (folder / ".ipynb_checkpoints").mkdir(parents=True)
    (folder / ".bashrc").touch()
    (folder / ".last.pt.abcdefgh").touch()
    fit(run)
    assert {path.name for path in folder.glob(".*")} == {".ipynb_checkpoints", ".bashrc"}
