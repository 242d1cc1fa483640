"""Jobs on a real Slurm: they finish, go on after a signal, come as arrays and on several nodes, and say what failed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from maskrf_core.slurm import parse_slurm, submission, submit_trainings, wait
from maskrf_core.support.errors import SlurmError
from tests.cluster.small_jobs import DEADLINE, ONE_CORE, start, until_step, weights

ROOT = Path(__file__).resolve().parents[2]


def same_weights(one, other):
    ours, theirs = weights(one), weights(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def array(cluster, tmp_path_factory):
    """An array of four jobs that run at once: its folder, its runs by name, its jobs."""
    folder, steps = tmp_path_factory.mktemp("array"), {"training.steps": 20}
    runs = {name: start(folder / name, **steps) for name in ("steady", "interrupted")}
    runs["first"], runs["never"] = start(folder / "first"), start(folder / "never")
    runs["bad"] = start(folder / "bad", **{"data.train_scenes": ["demo/train_99"]})
    runs["second"] = start(folder / "second", "finetune", **{"training.initial_weights": str(runs["first"].weights)})
    chains = [["steady"], ["interrupted"], ["first", "second"], ["bad", "never"]]
    jobs = submit_trainings([[runs[name].folder for name in chain] for chain in chains], ONE_CORE, folder / "logs")
    return folder, runs, jobs


@pytest.mark.long
def test_an_interrupted_job_goes_on_to_the_same_weights(array):
    folder, runs, (steady, job, *_) = array
    interrupted = runs["interrupted"]
    until_step(interrupted, 3)
    job._interrupt()  # SIGTERM to all of its processes, and then the signal for submitit
    assert wait([steady, job], timeout=DEADLINE) == [[str(runs["steady"].folder)], [str(interrupted.folder)]]
    assert [runs[name].status.state for name in ("steady", "interrupted")] == ["finished", "finished"]
    assert job.stdout().count("Requeued job") == 1
    assert "Requeued" not in steady.stdout()
    assert same_weights(interrupted, runs["steady"])
    assert not list((folder / "logs").glob("*.stop"))


@pytest.mark.long
def test_a_failed_training_says_why_and_the_others_finish(array):
    _, runs, jobs = array
    assert [job.job_id.rpartition("_")[2] for job in jobs] == ["0", "1", "2", "3"]
    with pytest.raises(SlurmError, match="demo/train_99") as raised:
        wait(jobs, timeout=DEADLINE)
    assert str(raised.value).startswith(
        f"job {jobs[3].job_id}: maskrf_core.support.errors.SlurmError: {runs['bad'].folder}"
    )
    assert str(raised.value).count("\njob ") == 0
    assert [runs[name].status.state for name in ("first", "second")] == ["finished", "finished"]
    assert runs["never"].status is None


@pytest.mark.long
def test_a_training_on_two_nodes_goes_on(cluster, tmp_path):
    of_two = {"hardware.num_nodes": 2, "training.steps": 10}
    run = start(tmp_path / "run", **of_two)
    jobs = submit_trainings([[run.folder]], ONE_CORE, tmp_path / "logs")
    until_step(run, 3)
    jobs[0]._interrupt(timeout=True)  # no SIGTERM: only the job's own file stops both nodes
    wait(jobs, timeout=DEADLINE)
    assert (run.status.state, run.status.step, run.status.processes) == ("finished", 10, 2)
    assert jobs[0].task(0).stdout().count("Requeued job") == 1
    assert (run.folder / "training.node1.log").is_file()


@pytest.mark.long
def test_a_cancelled_job_does_not_hang_those_who_wait(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "RESULT_PATIENCE", 2)
    run = start(tmp_path / "run", **{"training.steps": 1000})
    (job,) = submit_trainings([[run.folder]], ONE_CORE, tmp_path / "logs")
    with pytest.raises(SlurmError, match=f"not ended after 1 s .{job.job_id}: "):
        wait([job], timeout=1.0, poll=0.5)
    until_step(run, 1)
    subprocess.run(["scancel", job.job_id], check=True)
    with pytest.raises(SlurmError, match=f"job {job.job_id}: CANCELLED"):
        wait([job], timeout=60.0, poll=0.5)
    assert job.get_info()["State"] == "CANCELLED"  # by the stand-in for sacct
    assert run.status.state == "stopped"


def test_sbatchs_refusal_is_passed_on(cluster, tmp_path):
    run = start(tmp_path / "run")
    with pytest.raises(SlurmError, match="invalid partition"):
        submit_trainings([[run.folder]], parse_slurm("partition=nowhere"), tmp_path / "logs")


def test_the_documented_batch_script_queues_again(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = start(tmp_path / "runs" / "a", **{"training.steps": 10})
    written = re.search(
        r"```bash\n(#!/bin/bash.*?)```", (ROOT / "docs/clusters.md").read_text(encoding="utf-8"), re.DOTALL
    )[1]
    script = tmp_path / "job.sh"  # without what this cluster lacks, and with this interpreter
    script.write_text(re.sub("#SBATCH --(partition|gpus).*\n", "", written).replace(".venv/bin/python", sys.executable))
    job_id = subprocess.check_output(["sbatch", "--parsable", script, run.folder], text=True).strip()
    until_step(run, 3)
    subprocess.run(["scancel", "--signal=USR1", "--batch", job_id], check=True)
    until_step(run, 10, states=("finished",))
    log = (tmp_path / f"slurm-{job_id}.out").read_text()
    assert "stopped by SIGUSR1" in log
    assert run.status.step == 10
