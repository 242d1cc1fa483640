"""Methods beside each other: who is compared, on the same views, who has seen them, and the path that is filmed."""

import pytest
import torch
from IPython.display import HTML, Image, Markdown

from maskrf_core.model.renderer import Renderer
from maskrf_core.rendering.evaluation import nearest_view_copy
from maskrf_core.settings.config import load_config
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.workbook.experiments import comparison
from maskrf_core.workbook.experiments.comparison import NEAREST, UNTRAINED, Method
from maskrf_core.workbook.experiments.tables import summary_of
from maskrf_core.workbook.experiments.trainings import from_scratch, trained
from maskrf_core.workbook.parameters import EvaluateParameters, FinetuneParameters

pytestmark = pytest.mark.usefixtures("smoke")


def test_a_named_checkpoint_stands_beside_the_lazy_and_the_untrained(finetuned):
    parameters, run = finetuned
    asked = EvaluateParameters(runs_root=parameters.runs_root, checkpoint="finetune")
    methods = comparison.methods_to_compare(asked)
    assert [method.name for method in methods] == [NEAREST, UNTRAINED, "finetune"]
    assert methods[2].run.folder == run.folder.resolve()
    assert methods[1].renderer.settings == methods[2].renderer.settings


def test_the_weights_that_ship_are_taken_where_no_others_are_named(finetuned):
    parameters, run = finetuned
    asked = EvaluateParameters(runs_root=parameters.runs_root, working_views=2, overrides="data.rays=20")
    methods = comparison.methods_to_compare(asked)
    assert [method.name for method in methods] == [NEAREST, UNTRAINED, "masked-pretrained, then finetuned", "maskrf"]
    assert methods[2].run == run
    seen = comparison.seen_in_training(methods, ["demo/train_05", "demo/test_00", "procedural/rooms_0001"])
    assert seen["maskrf"] == ["demo/train_05", "procedural/rooms_0001"]


def test_another_aggregator_is_compared_without_the_weights_that_ship(tmp_path):
    asked = {"runs_root": str(tmp_path), "overrides": "model.aggregator=ibrnet"}
    run = trained(from_scratch(FinetuneParameters(**asked), 1))
    methods = comparison.methods_to_compare(EvaluateParameters(**asked))
    assert [method.name for method in methods] == [NEAREST, UNTRAINED, "finetuned from scratch"]
    assert methods[2].run == run
    assert methods[1].renderer.settings.aggregator == "ibrnet"


def test_the_untrained_renderer_is_random_and_follows_from_the_seed():
    config = load_config("finetune", "demo", {"training.initial_weights": "nowhere.pt"})
    first, again = (comparison.untrained_like(Renderer(config.model), config) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_all_methods_are_judged_on_the_same_views(tmp_path):
    config = load_config("finetune", "demo")
    methods = [Method(NEAREST, None), Method(UNTRAINED, Renderer(config.model))]
    table = comparison.compare(methods, config, tmp_path)
    views = table.groupby("method")["image_id"].apply(list)
    assert views[NEAREST] == views[UNTRAINED]
    copied = nearest_view_copy(config.evaluation.test_scenes, views_per_scene=1)
    assert summary_of(table).loc[NEAREST, "psnr"] == pytest.approx(copied["psnr"].mean())
    assert len(list((tmp_path / UNTRAINED).rglob("*_truth.png"))) == 1


def test_scenes_seen_in_training_are_named(finetuned):
    _, run = finetuned  # trained on train_00 and train_01, validated on validation_00
    methods = [Method(NEAREST, None), Method("ours", None, run)]
    seen = comparison.seen_in_training(methods, ["demo/validation", "demo/test", "demo/train_01"])
    assert seen == {"ours": ["demo/train_01", "demo/validation_00"]}
    assert comparison.seen_in_training(methods, ["demo/test"]) == {}


def test_scenes_of_a_data_set_that_was_trained_on_as_a_whole_were_seen_but_for_those_held_out():
    trained = {"nerf_llff", "dtu_train", "demo/train_01"}
    seen = [place for place in ("nerf_llff/fern", "dtu_train/scan1", "dtu_train/scan106", "demo/train_02", "gso/cup")
            if comparison.is_among(place, trained)]  # fmt: skip
    assert seen == ["nerf_llff/fern", "dtu_train/scan1"]


def config_of(data_root, **asked):
    path = {"frames": 2, "largest_side": 16} | asked
    named = {f"evaluation.path.{name}": value for name, value in path.items()}
    scenes = {"evaluation.test_scenes": ["demo/test_01", "demo/test_00"], "data.data_root": str(data_root)}
    return load_config("finetune", "demo", named | scenes | {"data.working_views": 2, "hardware.device": "cpu"})


@pytest.fixture
def methods():
    torch.manual_seed(0)
    return [Method("copy", None), Method("last", Renderer(ModelSettings(coarse_samples=4, fine_samples=1)))]


def test_only_the_first_scene_is_filmed_and_its_frames_stand_on_the_page(methods, tmp_path):
    filmed = comparison.film(methods, config_of(tmp_path), tmp_path)
    assert (filmed.scene, filmed.kind, filmed.rendered) == ("demo/test_01", "orbit", 2)
    assert filmed.folder == tmp_path / "path_auto"
    figure = comparison.strip(filmed, tmp_path / "path.png")
    assert isinstance(figure, Image)
    assert "orbit through demo/test_01: 2 views" in figure.alt
    assert isinstance(comparison.scrubber(filmed, 8), HTML)


def test_no_path_is_said_in_words(methods, tmp_path):
    filmed = comparison.film(methods, config_of(tmp_path, kind="none"), tmp_path)
    assert filmed is None
    assert not list(tmp_path.iterdir())
    for shown in (comparison.strip(filmed, tmp_path / "path.png"), comparison.scrubber(filmed, 8)):
        assert isinstance(shown, Markdown)
        assert "none" in shown.data
