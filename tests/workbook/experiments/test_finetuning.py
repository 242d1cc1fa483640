"""The two settings of 04: what each trains, compares and records; and the notebook itself on one scene."""

import json

import nbformat
import papermill
import pytest

from maskrf_core.runs import Run
from maskrf_core.support.errors import RunError, SettingsError
from maskrf_core.workbook.execution import NOTEBOOKS, QUIET_KERNEL
from maskrf_core.workbook.experiments import trainings
from maskrf_core.workbook.experiments.comparison import scores
from maskrf_core.workbook.parameters import FinetuneParameters, check_parameters
from tests.workbook.small_trainings import small_finetuning

pytestmark = pytest.mark.usefixtures("smoke")


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory):
    """As in conftest, but in run folders that no other file's tests look into."""
    return small_finetuning(tmp_path_factory.mktemp("runs_of_04"))


@pytest.mark.long
def test_across_scenes_it_is_compared_with_training_from_scratch(finetuned):
    parameters, run = finetuned
    chosen = trainings.Finetuning(parameters)
    assert chosen.run == run
    assert chosen.split == "validation"
    alone = trainings.Finetuning(parameters.model_copy(update={"from_scratch_too": False}))
    training = alone.run.config.training
    assert alone.run != run
    assert (training.schedule, training.optimiser) == ("restart", "fresh")  # as published
    compared = chosen.compared()
    assert list(compared) == list(chosen.runs) == [trainings.FINETUNED, trainings.SCRATCH]
    assert [trainings.total_steps(each) for each in chosen.runs.values()] == [8, 8]
    rates = [each.metrics().query("phase == 'train'")["learning_rate"].iloc[-1] for each in chosen.runs.values()]
    assert rates[0] == rates[1]
    assert all(weights.name == "last.pt" for weights, _ in compared.values())  # no arm has more to choose from
    assert compared[trainings.SCRATCH][1] == chosen.runs[trainings.SCRATCH].renders / "validation"
    tables = {name: scores(source, run.config, chosen.split) for name, (source, _) in compared.items()}
    chosen.record(tables)
    recorded = run.results()["04_finetune"]
    assert recorded["total_steps"] == 8
    assert recorded["psnr"] == tables[trainings.FINETUNED]["fine_psnr"].mean()


@pytest.fixture(scope="module")
def one_scene(finetuned):
    """04 on one scene, begun from the run of `finetuned`, as a notebook; its parameters and the executed page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKRF_SMOKE", "1")
        patch.delenv("MASKRF_RUNS", raising=False)
        asked = {"setting": "per_scene", "scene": "demo/test_01", "runs_root": finetuned[0].runs_root, "steps": 3}
        parameters = FinetuneParameters(**asked)
        page = parameters.runs / "04.ipynb"
        papermill.execute_notebook(
            str(NOTEBOOKS / "04_finetune.ipynb"),
            str(page),
            parameters=asked,
            kernel_name="python3",
            cwd=str(NOTEBOOKS),
            progress_bar=False,
            extra_arguments=QUIET_KERNEL,
        )
        return parameters, nbformat.read(page, 4)


@pytest.mark.long
def test_the_notebook_finetunes_on_one_scene(one_scene, finetuned):
    parameters, page = one_scene
    run = Run.open(parameters.run_folder("per_scene"))
    assert run.folder.name == "per_scene-scene=demo_test_01"
    config = run.config
    assert config.data.train_scenes == config.evaluation.test_scenes == ["demo/test_01"]
    assert config.training.initial_weights == str(finetuned[1].weights)
    assert list(run.metrics().query("phase == 'test'")["step"]) == [0, 3]
    recorded = json.loads((run.folder / "results.json").read_text(encoding="utf-8"))["04_finetune"]
    assert recorded["total_steps"] == 6 + 2 + 3  # of pretraining, finetuning, and on this scene
    assert recorded["psnr"] == pytest.approx(run.metrics()["fine_psnr"].iloc[-1])
    assert recorded["before"]["psnr"] > 5
    assert {path.name for path in (run.folder / "figures").iterdir()} == {"test.png", "losses.png", "renders.png"}
    titles = [cell for cell in page.cells if cell.cell_type == "code" and "render_rows" in cell.source]
    assert titles[0].outputs[0].data["image/png"]
    assert not any(output.output_type == "error" for cell in page.cells for output in cell.get("outputs", []))


@pytest.mark.long
def test_it_goes_on_with_the_same_run_and_is_held_to_its_weights(one_scene, finetuned, tmp_path):
    parameters, _ = one_scene
    chosen = trainings.Finetuning(parameters)
    assert trainings.steps_done(chosen.run) == 3
    compared = chosen.compared()
    assert list(compared) == [trainings.BEFORE, trainings.AFTER]
    assert compared[trainings.BEFORE][0] == finetuned[1].weights
    copy = tmp_path / "weights.pt"
    copy.write_bytes(finetuned[1].weights.read_bytes())
    asked = parameters.model_copy(update={"run": "held", "pretrained": str(copy)})
    trainings.Finetuning(asked)
    copy.write_bytes(finetuned[1].last_checkpoint.read_bytes() + b" ")
    with pytest.raises(RunError, match="no longer holds"):
        trainings.Finetuning(asked)


@pytest.mark.long
def test_one_scene_begins_from_the_model_that_is_asked_for(tmp_path):
    """What it stands on is trained with the same model, but otherwise at its defaults."""
    overrides = "model.coarse_samples=10, model.direct_rendering=true, data.rays=8"
    asked = {"runs_root": str(tmp_path), "overrides": overrides, "setting": "per_scene", "steps": 1}
    weights = trainings.weights_to_finetune(FinetuneParameters(**asked))
    config = Run.open(weights.parent.parent).config
    assert (config.model.coarse_samples, config.model.direct_rendering) == (10, True)
    assert (config.data.rays, config.training.steps) == (24, 6)
    assert weights == trainings.weights_to_finetune(FinetuneParameters(**asked))
    run = trainings.Finetuning(FinetuneParameters(**asked)).run
    assert run.config.training.initial_weights == str(weights)
    assert run.config.data.rays == 8


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"setting": "per-scene"}, "setting='per-scene': must be one of 'cross_scene' or 'per_scene'"),
        ({"scene": "demo/test_00"}, "scene: has no meaning with setting='cross_scene'; leave it out"),
        ({"setting": "per_scene", "train_scenes": "a"}, "train_scenes: has no meaning with setting='per_scene'"),
        ({"setting": "per_scene", "validation_scenes": "a"}, "validation_scenes: has no meaning"),
    ],
)
def test_parameters_of_the_other_setting_are_refused(values, line):
    with pytest.raises(SettingsError) as caught:
        check_parameters(FinetuneParameters, values)
    assert str(caught.value).startswith(line)
