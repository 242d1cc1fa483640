"""The table of runs says what the folders say, shows what differs, and survives folders that are broken."""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from maskrf_core import runs
from maskrf_core.runs import Run, TrainingStatus
from maskrf_core.runs.log import RunLog
from maskrf_core.runs.status import write_status
from maskrf_core.settings.config import load_config
from maskrf_core.support.atomic_files import write_json
from maskrf_core.support.errors import RunError, SettingsError


def made(folder, state=None, step=0, psnr=(), sessions=None, stage="pretrain", **overrides):
    """A run folder of 20 steps as a training would leave it."""
    asked = {"training.steps": 20} | {name.replace("__", "."): value for name, value in overrides.items()}
    run = Run.start(folder, load_config(stage, "demo", asked))
    log = RunLog(run, 0)
    for k, value in enumerate(psnr):
        log.write(10 * k, "test" if stage == "per_scene" else "validation", {"fine_psnr": value, "fine_ssim": 0.1 * k})
    log.close()
    if state:
        about = {"pid": 1, "host": "h", "processes": 1, "started": "2026", "updated": "2026"}
        write_status(run.folder, TrainingStatus(state=state, step=step, steps=20, **about))
    path = run.folder / "provenance.json"
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | ({"sessions": sessions} if sessions else {}))
    return run


@pytest.fixture(scope="module")
def four_runs(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("runs")
    sessions = [
        {"wall_seconds": 5.0, "peak_memory_mib": 300, "energy_joules": 3},
        {"wall_seconds": 2.5, "peak_memory_mib": 200, "energy_joules": 4},
    ]
    made(tmp_path / "grid" / "a", "finished", 20, (9.0, 12.0, 11.0), sessions)
    made(tmp_path / "grid" / "b", "stopped", 7, (10.0,), masking__mask_ratio=0.75, data__data_root="/elsewhere")
    made(tmp_path / "c", "training", 3, masking__mask_ratio=0.75)
    made(tmp_path / "d")
    return tmp_path


@pytest.fixture
def root(four_runs, tmp_path):
    """A copy to break."""
    return shutil.copytree(four_runs, tmp_path / "runs")


def test_each_run_has_a_row_with_state_scores_and_cost(root):
    table = runs.table(root)
    assert list(table.index) == ["c", "d", "grid/a", "grid/b"]
    assert list(table["state"]) == ["killed", "not begun", "finished", "stopped"]
    assert list(table["step"]) == [3, 0, 20, 7]
    assert set(table["steps"]) == {20}
    first = table.loc["grid/a"]
    assert (first["fine_psnr"], first["best_fine_psnr"]) == (11, 12)
    assert (first["fine_ssim"], first["best_fine_ssim"]) == (0.2, 0.1)
    assert (first["wall_seconds"], first["peak_memory_mib"]) == (7.5, 300)
    assert "energy_joules" not in table  # of earlier versions
    assert table.loc["d", ["fine_psnr", "wall_seconds"]].isna().all()
    assert str(table["fine_psnr"].dtype) == "float64"


def test_time_of_which_a_part_is_not_known_is_not_told(root):
    path = root / "grid" / "a" / "provenance.json"
    noted = json.loads(path.read_text(encoding="utf-8"))
    noted["sessions"][0]["wall_seconds"] = None
    write_json(path, noted)
    costs = runs.table(root).loc["grid/a"]
    assert costs["peak_memory_mib"] == 300
    assert pd.isna(costs["wall_seconds"])


def test_only_settings_that_differ_among_the_runs_shown_are_shown(root):
    assert [name for name in runs.table(root).columns if "." in name] == ["masking.mask_ratio"]
    alike = runs.table(root, where={"masking.mask_ratio": 0.75})
    assert list(alike.index) == ["c", "grid/b"]
    assert not [name for name in alike.columns if "." in name]


def test_filters_and_order(root):
    assert list(runs.table(root, where={"masking.mask_ratio": 0.5, "state": "finished"}).index) == ["grid/a"]
    assert list(runs.table(root, where={"data.data_root": "/elsewhere"}).index) == ["grid/b"]
    assert list(runs.table(root, where={"data.crop_height": None}).index) == ["c", "d", "grid/a", "grid/b"]
    assert list(runs.table(root, sort="-fine_psnr").index) == ["grid/a", "grid/b", "c", "d"]
    assert list(runs.table(root, sort="step").index) == ["d", "c", "grid/b", "grid/a"]
    assert list(runs.table(root, sort="-masking.mask_ratio").index) == ["c", "grid/b", "d", "grid/a"]
    assert list(runs.table(root, sort="data.train_scenes").index) == ["c", "d", "grid/a", "grid/b"]
    assert runs.table(root / "nothing", where={"data.rays": 3}).empty


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"where": {"masking.mask_ration": 0.5}}, "where: masking.mask_ration is neither .* masking.mask_ratio?"),
        ({"sort": "-fine_pnsr"}, "sort: fine_pnsr is neither .* did you mean fine_psnr?"),
        ({"where": {"zzz": 1}}, "columns are stage, state"),
    ],
)
def test_names_that_nothing_has(root, asked, message):
    with pytest.raises(SettingsError, match=message):
        runs.table(root, **asked)


def test_broken_folders_have_a_row_each(root):
    for name, file, text in [
        ("e", "config.yaml", "stage: [\n"),
        ("f", "config.yaml", "stage: pretrain\nnonsense: 3\n"),
        ("g", "metrics.csv", "ste"),
        ("h", "provenance.json", "{"),
        ("i", "metrics.csv", "step,phase\n1,\x00,3,4,5\n"),
    ]:
        made(root / name)
        (root / name / file).write_text(text, encoding="utf-8")
    table = runs.table(root)
    broken = table[table["state"] == "unreadable"]
    assert list(broken.index) == ["e", "f", "g", "h", "i"]
    assert broken["reason"].str.len().gt(10).all()
    assert table.loc["grid/a", "state"] == "finished"
    assert [name for name in table.columns if "." in name] == ["masking.mask_ratio"]


def test_a_row_that_a_kill_cut_short_does_not_count(root):
    with (root / "grid" / "a" / "metrics.csv").open("a", encoding="utf-8") as file:
        file.write("20,validation,,,,,,,,,,,,,,,,13")
    assert runs.table(root).loc["grid/a", "fine_psnr"] == 11


def test_runs_of_one_scene_are_scored_by_their_test_views(tmp_path):
    made(tmp_path / "one", "finished", 20, (20.0, 25.0), stage="per_scene")
    assert runs.table(tmp_path).loc["one", ["fine_psnr", "state"]].to_list() == [25, "finished"]


def test_more_steps_than_were_done(tmp_path):
    run = made(tmp_path / "a", "finished", 20)
    Run.start(run.folder, load_config("pretrain", "demo", {"training.steps": 30}))
    assert runs.table(tmp_path).loc["a", ["state", "step", "steps"]].to_list() == ["stopped", 20, 30]


def test_a_run_whose_process_lives_is_training(root):
    code = (
        "import sys, time, pathlib\n"
        "from maskrf_core.runs.status import owned\n"
        "with owned(pathlib.Path(sys.argv[1])):\n    print('mine', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, root / "c"], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "mine\n"
        assert runs.table(root).loc["c", "state"] == "training"
        child.kill()
    assert runs.table(root).loc["c", "state"] == "killed"


def test_diff_of_settings_and_of_what_made_them(root):
    path = root / "c" / "provenance.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values["versions"]["torch"], values["data"] = "0.1", {"demo/train_00": "abc"}
    write_json(path, values)
    found = runs.diff(root / "grid" / "a", root / "c")
    assert list(found.columns) == ["grid/a", "c"]
    assert found.loc[("setting", "masking.mask_ratio")].to_list() == [0.5, 0.75]
    assert found.loc[("provenance", "versions.torch"), "c"] == "0.1"
    assert found.loc[("provenance", "data.demo/train_00")].to_list() == [None, "abc"]
    assert {name.split(".")[0] for _, name in found.index} == {"masking", "versions", "data"}


def test_diff_of_a_run_with_itself_and_with_what_is_none(root):
    assert runs.diff(Run.open(root / "d"), root / "d").empty
    assert isinstance(runs.diff(root / "d", root / "d"), pd.DataFrame)
    with pytest.raises(RunError, match="is no run folder"):
        runs.diff(root / "d", root / "nowhere")
    (root / "c" / "provenance.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match=r"c/provenance\.json: is damaged"):
        runs.diff(root / "d", root / "c")


def test_runs_show_the_mask_ratio_of_the_pretraining_that_they_began_from(tmp_path):
    for ratio in (0.0, 0.75):
        before = made(tmp_path / f"ratio={ratio}" / "pretrain", masking__mask_ratio=ratio)
        begun = {"training__initial_weights": str(before.last_checkpoint)}
        after = made(tmp_path / f"ratio={ratio}" / "finetune", stage="finetune", **begun)
        begun = {"training__initial_weights": str(after.last_checkpoint)}
        made(tmp_path / f"ratio={ratio}" / "scene", stage="per_scene", **begun)
    made(tmp_path / "scratch", stage="finetune")
    ratios = runs.table(tmp_path, sort="-pretraining.mask_ratio")["pretraining.mask_ratio"]
    assert ratios.dropna().to_dict() == {
        "ratio=0.75/finetune": 0.75, "ratio=0.75/scene": 0.75, "ratio=0.0/finetune": 0, "ratio=0.0/scene": 0,
    }  # fmt: skip
    assert set(ratios[ratios.isna()].index) == {"ratio=0.0/pretrain", "ratio=0.75/pretrain", "scratch"}
    assert list(runs.table(tmp_path, where={"pretraining.mask_ratio": 0.75, "stage": "finetune"}).index) == [
        "ratio=0.75/finetune"
    ]
