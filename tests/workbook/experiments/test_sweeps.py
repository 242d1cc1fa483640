"""Grids are trained: so many at a time, once, to the end whatever fails, and with the same numbers in any order."""

import json
import os
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from maskrf_core.checkpoints.checkpoint_files import read_our_checkpoint
from maskrf_core.runs import Run
from maskrf_core.support.atomic_files import write_text
from maskrf_core.support.errors import RunError
from maskrf_core.training.process import training_process as child
from maskrf_core.training.process.protocol import ExitCode, TrainingStopped
from maskrf_core.workbook.experiments import grid, sweeps
from maskrf_core.workbook.parameters import AblationParameters

pytestmark = pytest.mark.usefixtures("smoke")

TRAINING = """
import json, os, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
def say(state, code, event):
    about = dict(step=3, steps=3, pid=os.getpid(), host="h", processes=1, started=str(time.time()), updated="u")
    (folder / "training.json").write_text(json.dumps(dict(about, state=state, reason="the lamp broke", exit_code=code)))
    with open(folder.parents[1] / "events", "a") as events:
        events.write(event + "\\n")
def end(state, code):
    say(state, code, f"-{folder.parent.name}/{folder.name}")
    sys.exit(code)
say("training", None, f"+{folder.parent.name}/{folder.name} {os.environ.get('OMP_NUM_THREADS')}")
until = time.time() + float(os.environ["SECONDS_OF_TRAINING"])
while time.time() < until:
    if (folder / "stop").exists():
        end("stopped", 83)
    time.sleep(0.02)
if os.environ.get("FAILS") == f"{folder.parent.name}/{folder.name}":
    end("failed", 1)
(folder / "metrics.csv").write_text("step,phase,fine_psnr,fine_ssim\\n2,validation,12.5,0.5\\n")
(folder / "done").touch()
end("finished", 0)
"""


@pytest.fixture
def pretended(tmp_path, monkeypatch):
    """Trainings that only say so, in an instant."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("SECONDS_OF_TRAINING", "0.3")
    write_text(tmp_path / "training.py", TRAINING)
    command = lambda folders: [sys.executable, "-I", str(tmp_path / "training.py"), *map(str, folders)]  # noqa: E731
    monkeypatch.setattr(child, "training_command", command)
    is_done = lambda run: (run.folder / "done").exists()  # noqa: E731
    for room in (grid, sweeps):
        monkeypatch.setattr(room, "is_done", is_done)
    monkeypatch.setattr(grid, "steps_done", lambda run: run.config.training.steps if is_done(run) else 0)
    return tmp_path / "runs"


def asked(root, **more) -> AblationParameters:
    return AblationParameters(
        runs_root=str(root), mask_ratios="0, 0.5, 0.75", pretrain_steps=3, finetune_steps=2, **more
    )


def events(points) -> list[str]:
    return (points[0].folder.parent / "events").read_text(encoding="utf-8").splitlines()


def most_at_once(lines: list[str]) -> int:
    running = [sum(1 if line[0] == "+" else -1 for line in lines[: k + 1]) for k in range(len(lines))]
    return max(running)


def test_every_point_is_trained_stage_after_stage(pretended, capsys):
    parameters = asked(pretended)
    points = grid.plan(parameters)
    sweeps.train_grid(points, parameters)
    stages = [f"{point.folder.name}/{stage}" for point in points for stage in ("pretrain", "finetune")]
    assert [line for line in events(points) if line[0] == "+"] == [f"+{stage} None" for stage in stages]
    assert most_at_once(events(points)) == 1
    said = capsys.readouterr().out.splitlines()
    each = [[f"{point.name}: begins", f"{point.name}: 12.50 dB after 3 + 2 steps"] for point in points]
    assert said == [line for lines in each for line in lines]
    assert set(grid.overview(points)["state"]) == {"finished"}
    sweeps.train_grid(points, parameters)
    assert len(events(points)) == 12
    assert capsys.readouterr().out == "3 of 3 points were finished before\n"


def test_what_is_half_done_goes_on(pretended):
    parameters = asked(pretended)
    points = grid.plan(parameters)
    grid.begin(points[:1])
    (points[0].pretrained.folder / "done").touch()
    sweeps.train_grid(points[:1], parameters)
    assert [line.split()[0] for line in events(points)] == [
        f"+{points[0].folder.name}/finetune", f"-{points[0].folder.name}/finetune"
    ]  # fmt: skip


def test_several_at_a_time_share_the_processors(pretended, monkeypatch):
    parameters = asked(pretended, processes=2)
    points = grid.plan(parameters)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    sweeps.train_grid(points, parameters)
    assert most_at_once(events(points)) == 2
    assert {line.split()[1] for line in events(points) if line[0] == "+"} == {"4"}
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert sweeps.shared_threads(2) == {}


def test_one_that_fails_does_not_stop_the_others(pretended, monkeypatch):
    parameters = asked(pretended)
    points = grid.plan(parameters)
    monkeypatch.setenv("FAILS", f"{points[0].folder.name}/pretrain")
    with pytest.raises(RunError, match=r"1 of 3 points are not done(.|\n)*ratio 0, seed 0: .*the lamp broke"):
        sweeps.train_grid(points, parameters)
    assert [point.is_finished() for point in points] == [False, True, True]
    assert not [line for line in events(points) if line.startswith(f"+{points[0].folder.name}/finetune")]


def test_a_stop_file_ends_all_of_them(pretended, monkeypatch):
    parameters = asked(pretended, processes=2)
    points = grid.plan(parameters)
    monkeypatch.setenv("SECONDS_OF_TRAINING", "60")
    folder = points[0].folder.parent

    def stop():
        while not (folder / "events").is_file() or len(events(points)) < 2:
            time.sleep(0.02)
        (folder / "stop").touch()

    threading.Thread(target=stop).start()
    with pytest.raises(TrainingStopped, match="a file named stop") as stopped:
        sweeps.train_grid(points, parameters)
    assert stopped.value.code is ExitCode.STOP_FILE
    assert sorted(line[0] for line in events(points)) == ["+", "+", "-", "-"]
    assert not list(folder.rglob("stop"))


def test_a_stop_file_of_while_the_job_waited_begins_none(pretended, monkeypatch):
    parameters = asked(pretended)
    points = grid.plan(parameters)
    stop_file = points[0].folder.parent / "stop"
    write_text(stop_file, "")
    monkeypatch.setenv("MASKRF_SUBMITTED", repr(stop_file.stat().st_mtime - 1))
    with pytest.raises(TrainingStopped, match="while its job waited"):
        sweeps.train_grid(points, parameters)
    monkeypatch.delenv("MASKRF_SUBMITTED")
    sweeps.train_grid(points, parameters)


def test_who_watches_sees_what_runs(pretended, monkeypatch):
    parameters, said = asked(pretended), []
    points = grid.plan(parameters)
    monkeypatch.setattr(sweeps.Progress, "say", lambda _, text: said.append(text))
    monkeypatch.setenv("SECONDS_OF_TRAINING", "2")
    sweeps.train_grid(points[:1], parameters)
    assert f"{points[0].name}: pretrain" in said
    assert f"{points[0].name}: finetune" in said


def test_an_interrupt_that_nobody_watches_stops_them_gently(pretended, monkeypatch, capsys):
    parameters = asked(pretended)
    points = grid.plan(parameters)
    monkeypatch.setenv("SECONDS_OF_TRAINING", "60")

    def interrupted(seconds, sleep=time.sleep):
        sleep(seconds)
        if (points[0].folder.parent / "events").is_file():
            monkeypatch.setattr(time, "sleep", sleep)
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweeps.train_grid(points, parameters)
    assert ": asked to save and stop" in capsys.readouterr().out
    assert json.loads((points[0].pretrained.folder / "training.json").read_text(encoding="utf-8"))["state"] == "stopped"
    assert not points[0].pretrained.stop_path.exists()


def test_a_pretraining_that_changed_since_is_found_before_anything_is_trained(pretended):
    parameters = asked(pretended)
    points = grid.plan(parameters)
    grid.begin(points)
    write_text(points[1].pretrained.last_checkpoint, "other weights")
    points[1].finetuned.record("initial_weights", {"file": "last.pt", "sha256": "of those before"})
    with pytest.raises(RunError, match=r"began from weights that .* no longer holds"):
        sweeps.train_grid(points, parameters)
    assert not (points[0].folder.parent / "events").exists()


def test_slurm_is_given_a_chain_a_point(pretended, monkeypatch):
    parameters = asked(pretended, launcher="slurm", slurm="partition=day")
    points = grid.plan(parameters)
    seen = {}

    def submit(chains, settings, folder):
        seen.update(chains=chains, settings=settings, folder=folder)
        return [SimpleNamespace(job_id="7_0")]

    module = SimpleNamespace(
        submit_trainings=submit,
        parse_slurm=lambda text: {"asked": text},
        wait=lambda jobs: seen.update(waited=len(jobs)),
    )
    monkeypatch.setitem(sys.modules, "maskrf_core.slurm", module)
    monkeypatch.setattr("maskrf_core.slurm", module, raising=False)
    sweeps.train_grid(points, parameters)
    assert seen["chains"] == [[point.pretrained.folder, point.finetuned.folder] for point in points]
    assert seen["settings"] == {"asked": "partition=day"}
    assert seen["folder"] == points[0].folder.parent / "slurm"
    assert seen["waited"] == 1
    assert all(Run.open(run.folder) for point in points for run in point.runs)


@pytest.mark.long
def test_the_numbers_are_the_same_however_many_are_trained_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    weights = []
    for processes, ratios in ((1, "0.5"), (2, "0, 0.5")):
        parameters = AblationParameters(
            runs_root=str(tmp_path / str(processes)), mask_ratios=ratios, pretrain_steps=2, finetune_steps=1,
            processes=processes,
        )  # fmt: skip
        points = grid.plan(parameters)
        sweeps.train_grid(points, parameters)
        weights.append([read_our_checkpoint(run.last_checkpoint)["weights"] for run in points[-1].runs])
    for one, other in zip(*weights, strict=True):
        assert all(one[name].equal(other[name]) for name in one)
    scores = grid.scores(points)
    assert list(scores["steps"]) == [3, 3]
    for point, psnr in zip(points, scores["psnr"], strict=True):
        rows = point.finetuned.metrics()
        assert psnr == pytest.approx(rows[rows["phase"] == "validation"]["fine_psnr"].iloc[-1])
