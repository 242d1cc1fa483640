"""Training on one scene: it begins at the init network's maps, continues exactly, chooses nothing, and stays honest."""

import shutil

import numpy as np
import pytest
import torch

from maskrf_core.checkpoints.checkpoint_files import read_our_checkpoint
from maskrf_core.checkpoints.per_scene_renderer import for_one_scene, initial_maps
from maskrf_core.checkpoints.published_checkpoints import steps_of
from maskrf_core.datasets.batches.scene_views import SceneViews, open_scenes
from maskrf_core.datasets.scene import open_scene
from maskrf_core.rendering.evaluation import evaluate, load, validate
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.support.errors import CheckpointError, DatasetError, MaskrfError, SettingsError
from maskrf_core.training import trainer as training
from maskrf_core.training.preflight import check_choice, check_origin, open_checked_scenes
from maskrf_core.training.saved_states import initial_renderer
from maskrf_core.training.trainer import FIRST_STREAM, Trainer, fit
from maskrf_core.workbook.experiments.comparison import methods_to_compare, seen_in_training
from maskrf_core.workbook.parameters import EvaluateParameters

SCENE = "demo/test_00"


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    monkeypatch.setenv("MASKRF_SMOKE", "1")


def start(folder, stage="per_scene", **overrides) -> Run:
    return Run.start(folder, load_config(stage, "demo", {name.replace("__", "."): v for name, v in overrides.items()}))


@pytest.fixture(scope="module")
def across(tmp_path_factory) -> Run:
    """Two steps of training across scenes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKRF_SMOKE", "1")
        run = start(tmp_path_factory.mktemp("runs") / "across", "finetune", training__steps=2)
        fit(run)
        return run


@pytest.fixture(scope="module")
def finished(across, tmp_path_factory) -> Run:
    """A whole per-scene training of 6 steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKRF_SMOKE", "1")
        run = start(tmp_path_factory.mktemp("runs") / "one", training__initial_weights=str(across.weights))
        fit(run)
        return run


def weights(run) -> dict[str, torch.Tensor]:
    return read_our_checkpoint(run.last_checkpoint)["weights"]


def test_it_logs_both_losses_and_the_test_views_from_before_the_first_step_on(finished):
    metrics = finished.metrics()
    trained = metrics[metrics["phase"] == "train"]
    assert list(trained["step"]) == [2, 4, 6]
    terms = ["colour_coarse", "colour_fine", "consistency_coarse", "consistency_fine"]
    np.testing.assert_allclose(trained[terms].sum(axis=1), trained["total"], rtol=1e-5)
    assert trained[["depth_fine", "feature_alignment"]].isna().all(axis=None)
    assert metrics["phase"].iloc[0] == "test"
    assert list(metrics[metrics["phase"] == "test"]["step"]) == [0, 6]
    assert not (metrics["phase"] == "validation").any()


def test_nothing_is_chosen_and_the_last_weights_count(finished, across):
    assert not finished.best_checkpoint.exists()
    assert finished.weights == finished.last_checkpoint
    assert across.weights == across.best_checkpoint
    assert torch.equal(load(finished).free_maps.maps[0], weights(finished)["free_maps.maps.0"])


def test_it_begins_at_what_the_init_network_says(across, tmp_path):
    trainer = Trainer(start(tmp_path / "run", training__initial_weights=str(across.weights)))
    general = load(across)
    expected = initial_maps(general, SceneViews(open_scene(SCENE)))
    assert len(trainer.renderer.free_maps.maps) == len(expected) == 16
    assert all(
        torch.equal(ours, theirs) for ours, theirs in zip(trainer.renderer.free_maps.maps, expected, strict=True)
    )
    assert torch.equal(trainer.renderer.image_encoder.head.weight, general.image_encoder.head.weight)
    optimised = {id(each) for group in trainer.optimiser.param_groups for each in group["params"]}
    assert all(id(each) in optimised for each in trainer.renderer.parameters() if each.requires_grad)
    assert all(each.requires_grad for each in trainer.renderer.free_maps.parameters())


def test_step_0_is_the_renderer_it_begins_with(finished):
    special = for_one_scene(initial_renderer(finished.config), SceneViews(open_scene(SCENE)))
    numbers = validate(
        special, open_scenes([SCENE], "data", None), "test", working_views=3, views_per_scene=1, rays_per_chunk=4096
    )
    assert finished.metrics()["fine_psnr"].iloc[0] == pytest.approx(numbers["fine_psnr"])


def test_weights_learn_and_so_do_the_maps_of_views_that_were_drawn(finished, across):
    scene = open_checked_scenes(finished.config)[0]
    drawn = set()
    for step in range(6):
        batch = scene.draw(np.random.default_rng([0, FIRST_STREAM, steps_of(across.weights) + step])).batch
        drawn |= {*batch.query.training_index.tolist(), *batch.references.training_index.tolist()}
    begun, now = initial_maps(load(across), SceneViews(open_scene(SCENE))), weights(finished)
    moved = {place for place, value in enumerate(begun) if not torch.equal(now[f"free_maps.maps.{place}"], value)}
    assert moved == drawn
    assert 3 < len(drawn) < 16
    assert not torch.equal(now["image_encoder.head.weight"], weights(across)["image_encoder.head.weight"])


@pytest.mark.long
def test_interrupted_and_continued_is_the_same_run(finished, across, tmp_path):
    """Also without the weights that it began from: the maps and their number are the checkpoint's own."""
    copy = tmp_path / "checkpoints" / "initial.pt"
    copy.parent.mkdir()
    shutil.copy(across.weights, copy)
    asked = {"training__initial_weights": str(copy), "hardware__data_workers": 0}
    fit(start(tmp_path / "run", training__steps=3, **asked))
    copy.unlink()
    continued = start(tmp_path / "run", training__steps=6, **asked | {"hardware__data_workers": 1})
    fit(continued)
    ours, theirs = weights(continued), weights(finished)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    tested = continued.metrics().query("phase == 'test'")
    assert list(tested["step"]) == [0, 3, 6]


@pytest.mark.long
def test_a_start_that_was_interrupted_does_not_log_step_0_twice(across, tmp_path, monkeypatch):
    run = start(tmp_path / "run", training__initial_weights=str(across.weights))
    with monkeypatch.context() as patch:
        patch.setattr(training, "with_total", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fit(run)
    assert list(run.metrics()["step"]) == [0]
    fit(run)
    assert list(run.metrics().query("phase == 'test'")["step"]) == [0, 6]


@pytest.mark.long
def test_training_lowers_the_losses_and_renders_better(across, tmp_path):
    run = start(
        tmp_path / "run",
        training__initial_weights=str(across.weights),
        training__steps=40,
        training__log_every=10,
        training__validate_every=40,
        training__learning_rate=1e-3,
    )
    fit(run)
    trained = run.metrics().query("phase == 'train'")
    for term in ("total", "colour_fine", "consistency_fine"):
        assert trained[term].iloc[-1] < 0.95 * trained[term].iloc[0]
    tested = run.metrics().query("phase == 'test'")["fine_psnr"]
    assert tested.iloc[-1] > tested.iloc[0] + 1


def test_depth_supervises_only_if_asked_for(across, tmp_path):
    weights_ = {"training__initial_weights": str(across.weights), "training__steps": 2, "training__validate_every": 2}
    run = start(tmp_path / "run", **weights_, data__depth_supervision=True)
    fit(run)
    assert run.metrics()["depth_fine"].notna().any()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"data__train_scenes": ["demo/test_00", "demo/test_01"]}, "per-scene training takes one scene"),
        ({"data__working_views": 16}, "16 working views and a query are asked for, but only 16 training views"),
        ({"training__initial_weights": None}, r"training\.initial_weights: a per-scene training begins from a check"),
        ({"training__initial_weights": "nowhere.pt"}, "nowhere.pt: no such checkpoint"),
        ({"model__coarse_samples": 16}, r"with model\.coarse_samples=12, not with model\.coarse_samples=16\. Ask for"),
        ({"data__train_scenes": ["demo/train_00"]}, r"demo/train_00: .*may have seen its test views"),
    ],
)
def test_what_cannot_work_fails_before_training(across, tmp_path, overrides, message):
    asked = {"training__initial_weights": str(across.weights)} | overrides
    run = start(tmp_path / "run", **asked)
    with pytest.raises(MaskrfError, match=message):
        fit(run)
    assert not run.metrics_path.is_file()


def test_where_the_weights_come_from_is_followed_to_the_first_training(across, tmp_path):
    """Trained on other scenes last, but on this one before."""
    later = start(
        tmp_path / "later",
        "finetune",
        data__train_scenes=["demo/train_05"],
        training__initial_weights=str(across.weights),
    )
    config = load_config("per_scene", "demo", {"training.initial_weights": str(later.best_checkpoint)})
    check_origin("demo/test_00", config)
    check_origin("dtu_test/birds/black_400", config)  # held out from training across scenes, a target here
    for trained in ("demo/train_05", "demo/train_00"):
        with pytest.raises(DatasetError, match="Begin from another checkpoint"):
            check_origin(trained, config)
    with pytest.raises(SettingsError, match="name one"):
        check_origin("demo/test_00", load_config("per_scene", "demo"))


def test_no_scene_begins_from_weights_that_were_chosen_by_its_test_views(across, monkeypatch):
    """The demo scenes validate on the views that they are tested on; those of nerf_synthetic are not the same."""
    asked = {"training.initial_weights": str(across.best_checkpoint), "data.train_scenes": ["demo/validation_00"]}
    with pytest.raises(DatasetError, match=r"demo/validation_00: .*best\.pt, .* was chosen as the best by .*last\.pt"):
        open_checked_scenes(load_config("per_scene", "demo", asked))
    open_checked_scenes(
        load_config("per_scene", "demo", asked | {"training.initial_weights": str(across.last_checkpoint)})
    )
    open_checked_scenes(load_config("per_scene", "demo", asked | {"data.train_scenes": [SCENE]}))

    scene = open_scene("demo/validation_00")
    split_as_it_is = type(scene).split

    def validated_by_others(self, kind):
        references, queries = split_as_it_is(self, kind)
        return (references, references[:2]) if kind == "validation" else (references, queries)

    monkeypatch.setattr(type(scene), "split", validated_by_others)
    check_choice(SceneViews(scene), load_config("per_scene", "demo", asked))


def test_no_scene_begins_from_the_model_of_one_scene(finished, tmp_path):
    run = start(tmp_path / "run", training__initial_weights=str(finished.weights), data__train_scenes=["demo/test_01"])
    with pytest.raises(CheckpointError, match="is a model of one scene"):
        fit(run)


def test_it_is_evaluated_on_its_own_scene_alone(finished):
    options = {"working_views": 3, "views_per_scene": 1, "rays_per_chunk": 4096}
    table = evaluate(finished, [SCENE], **options)
    last = finished.metrics()["fine_psnr"].iloc[-1]
    assert table["fine_psnr"].iloc[0] == pytest.approx(last)
    with pytest.raises(DatasetError, match=r"demo/test_01: the model has free visibility maps of demo/test_00"):
        evaluate(finished, ["demo/test_01"], **options)
    with pytest.raises(DatasetError, match=r"demo/test_00: a view is none of the 16 training views"):
        evaluate(finished, [SCENE], split="train", **options)


def test_notebook_05_takes_its_run_folder(finished):
    parameters = EvaluateParameters(checkpoint=str(finished.folder), scene=SCENE, working_views=3)
    methods = methods_to_compare(parameters)
    assert methods[-1].run == finished
    assert methods[-1].renderer.settings.free_maps.scene == SCENE
    assert seen_in_training(methods, [SCENE]) == {str(finished.folder): [SCENE]}
