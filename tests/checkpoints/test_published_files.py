"""Published checkpoints are found where the published README puts them, whatever is typed."""

from pathlib import Path

import pytest

from maskrf_core.checkpoints.published_files import checkpoint_of_scene, published_files
from maskrf_core.support.errors import CheckpointError, SettingsError
from maskrf_core.workbook.parameters import EvaluateParameters


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    root = tmp_path / "elsewhere"
    for name in ("generalization/depth", "generalization/cost_volume", "finetune/nerf_synthetic/lego"):
        file = root / "model" / f"{name}.pth"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (root / "model/finetune/llff").mkdir()
    (root / "model/finetune/llff/fern.pth").touch()
    return root


def found(data_root: Path, checkpoint: str, scene: str | None = None) -> str:
    asked = EvaluateParameters(data_root=str(data_root), runs_root=str(data_root.parent / "runs"), scene=scene)
    path = asked.weights_path(checkpoint)
    return str(path.relative_to(data_root / "model"))


@pytest.mark.parametrize(
    "given",
    ["data/model/generalization/depth.pth", "model/generalization/depth.pth", "generalization/depth.pth",
     "generalization/depth", "depth", "elsewhere/model/generalization/depth.pth"],
)  # fmt: skip
def test_one_file_by_many_names(data_root: Path, given: str):
    assert found(data_root, given) == "generalization/depth.pth"
    assert found(data_root, str(data_root / "model/generalization/depth.pth")) == "generalization/depth.pth"


@pytest.mark.parametrize(
    ("scene", "file"),
    [
        ("nerf_synthetic/lego/black_800", "finetune/nerf_synthetic/lego.pth"),
        ("nerf_llff/fern/8", "finetune/llff/fern.pth"),
        ("llff_colmap/fern/high", "finetune/llff/fern.pth"),
    ],
)
def test_the_file_of_a_scene_in_a_folder(data_root: Path, scene: str, file: str):
    assert found(data_root, "data/model/finetune", scene) == file
    assert found(data_root, "finetune", scene) == file


def test_a_scene_without_a_file_and_several_scenes_are_refused(data_root: Path):
    folder = data_root / "model/finetune"
    with pytest.raises(CheckpointError, match=r"no checkpoint of nerf_synthetic/ship.*llff/fern\.pth.*lego\.pth"):
        checkpoint_of_scene(folder, ["nerf_synthetic/ship/black_800"])
    for scenes in ([], ["nerf_synthetic/lego/black_800", "nerf_llff/fern/8"]):
        with pytest.raises(CheckpointError, match=rf"{len(scenes)} scenes are asked for\. Name one scene"):
            checkpoint_of_scene(folder, scenes)


def test_what_is_there_is_listed_where_nothing_is_found(data_root: Path):
    assert [file.stem for file in published_files(data_root)] == ["cost_volume", "depth", "fern", "lego"]
    with pytest.raises(SettingsError, match=r"published checkpoints below the data root: .*cost_volume\.pth"):
        found(data_root, "deph")
    with pytest.raises(SettingsError, match="below the data root: none"):
        found(data_root / "none", "depth")


def test_a_published_checkpoint_is_evaluated_as_published(data_root: Path):
    config = EvaluateParameters(data_root=str(data_root), checkpoint="generalization/depth").config("finetune")
    assert config.data.working_views == 8
    assert config.evaluation.views_per_scene is None
    asked = EvaluateParameters(data_root=str(data_root), checkpoint="depth", working_views=3, views_per_scene=1)
    assert asked.config("finetune").data.working_views == 3
    assert asked.config("finetune").evaluation.views_per_scene == 1
    assert EvaluateParameters().config("finetune").data.working_views == 5
