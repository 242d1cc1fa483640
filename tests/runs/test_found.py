"""Run folders are found wherever they are, once, and nothing else is taken for one."""

from pathlib import Path

from maskrf_core.runs.found import run_folders


def run_in(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("stage: pretrain\n")
    return folder


def test_runs_at_any_depth_are_found_in_order(tmp_path):
    runs = [run_in(tmp_path / name) for name in ("demo/b", "demo/a", "demo/grid/ratio=0.5/pretrain", "paper/c")]
    (tmp_path / "demo" / "05_evaluate").mkdir()
    assert list(run_folders(tmp_path)) == sorted(runs)
    assert list(run_folders(runs[0])) == [runs[0]], "a run folder itself is one"


def test_what_runs_and_caches_hold_is_no_run(tmp_path):
    run = run_in(tmp_path / "demo" / "pretrain")
    for part in ("checkpoints", "tensorboard", "renders", "figures", ".ipynb_checkpoints"):
        run_in(run / part / "copy")
    run_in(tmp_path / "cache" / "old")
    assert list(run_folders(tmp_path)) == [run]


def test_linked_folders_are_found_once_and_loops_end(tmp_path):
    elsewhere = run_in(tmp_path / "scratch" / "long")
    root = tmp_path / "runs"
    root.mkdir()
    (root / "linked").symlink_to(elsewhere)
    (root / "linked_again").symlink_to(elsewhere)
    (root / "loop").symlink_to(root)
    assert list(run_folders(root)) == [root / "linked"]


def test_a_missing_root_holds_none(tmp_path):
    assert list(run_folders(tmp_path / "absent")) == []
