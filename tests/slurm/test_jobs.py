"""A job that Slurm interrupts: its child saves and ends in time, or is killed, and the job can be sent again."""

import os
import pickle
import signal
import sys
from pathlib import Path

import nbformat
import pytest

from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.slurm import jobs
from maskrf_core.slurm.jobs import NotebookJob, TrainingJob, name_of_error, written_code
from maskrf_core.support.atomic_files import file_time
from maskrf_core.support.errors import SlurmError
from maskrf_core.training.process.protocol import STOP_VARIABLE, ExitCode

OBEDIENT = f"""
import os, pathlib, sys, time
print("started", flush=True)
while not os.path.exists(os.environ["{STOP_VARIABLE}"]):
    time.sleep(0.02)
pathlib.Path("saved").touch()
sys.exit(83)
"""
DEAF = "import time; print('started', flush=True); time.sleep(60)"


class Interrupted(BaseException):
    """In place of submitit's exit after a checkpoint."""


@pytest.fixture
def training(tmp_path, monkeypatch):
    """Makes a job whose trainings are a python program."""
    monkeypatch.chdir(tmp_path)
    run = Run.start(tmp_path / "run", load_config("pretrain", "demo"))

    def make(program, rank=0, patience=30):
        told = {"SUBMITIT_EXECUTOR": "slurm", "SUBMITIT_FOLDER": tmp_path, "SLURM_JOB_ID": 5, "SLURM_PROCID": rank}
        for name, value in told.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setattr(jobs, "training_command", lambda folders: [sys.executable, "-c", program])
        return TrainingJob(patience, (run.folder,)), run

    return make


def interrupted(job, run):
    """The child, and the job as it is sent again, when a signal interrupts it once its child has printed something."""
    sent = []

    def handler(number, frame):
        if job._child is None or not run.log_path.stat().st_size:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        sent.extend((job._child, job.checkpoint()))
        raise Interrupted

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3, 0.05)
    try:
        with pytest.raises(Interrupted):
            job()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return sent


def test_the_child_saves_and_the_job_is_sent_again(training, tmp_path):
    job, run = training(OBEDIENT)
    _, again = interrupted(job, run)
    assert Path("saved").exists()
    assert run.log_path.read_text() == "started\n"
    assert not list(tmp_path.glob("*.stop"))
    assert pickle.loads(pickle.dumps(again.function)) == job
    assert again.function._child is None


def test_a_child_that_does_not_end_is_killed(training, tmp_path):
    job, run = training(DEAF, patience=1)
    child, again = interrupted(job, run)
    assert child.returncode == -signal.SIGKILL
    assert again.function == job
    assert not list(tmp_path.glob("*.stop"))


def saving(step):
    """A program that saves a step, as trainings do, and ends when it is told to."""
    told = "from maskrf_core.training.process.protocol import tell_saved"
    return f"{told}\nimport pathlib\ntell_saved(pathlib.Path('run'), {step})\n{OBEDIENT}"


def test_a_job_goes_on_while_it_saves_new_steps(training, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    job, run = training(DEAF)
    for number, step in enumerate((10, 20, 30), start=1):
        training(saving(step))
        _, again = interrupted(job, run)
        job = pickle.loads(pickle.dumps(again.function))
        assert job.saved == number, "checkpoints that it was queued again with"
        run.log_path.write_text("")


@pytest.mark.parametrize("program", [OBEDIENT, saving(10)])
def test_a_job_without_progress_is_not_queued_again(training, monkeypatch, program):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    job, run = training(program)
    _, again = interrupted(job, run)  # it may have been interrupted at its very start, once
    run.log_path.write_text("")
    with pytest.raises(SlurmError, match="No training step was saved"):
        interrupted(again.function, run)


def test_slurms_signal_does_not_reach_the_child(training):
    job, run = training("import os, signal; os.kill(os.getpid(), signal.SIGUSR2); print('alive')")
    assert job() == [str(run.folder)]
    assert run.log_path.read_text() == "alive\n"


def test_a_stop_file_of_before_stops_nothing(training, tmp_path):
    (tmp_path / "5.stop").touch()
    job, run = training(f"import os; print(os.path.exists(os.environ['{STOP_VARIABLE}']))")
    job()
    assert run.log_path.read_text() == "False\n"


def test_a_failure_is_told_with_its_last_lines(training):
    job, run = training("print('step 3: the loss is not finite'); raise SystemExit(1)")
    with pytest.raises(SlurmError, match="exit code 1") as raised:
        job()
    assert "the loss is not finite" in str(raised.value)
    assert str(run.log_path) in str(raised.value)


def test_people_may_stop_it(training):
    job, _ = training(f"raise SystemExit({ExitCode.STOP_FILE})")
    with pytest.raises(SlurmError, match="stopped by its file `stop`"):
        job()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_stop_of_while_the_job_waited_is_honoured(training, rank):
    job, run = training("print('trained')", rank=rank)
    job.submitted = file_time(run.folder)
    run.stop_path.touch()
    with pytest.raises(SlurmError, match="while the job waited"):
        job()
    assert not run.log_path.exists()
    assert run.stop_path.exists()  # for the job's other nodes, which may look later


def test_a_stop_of_before_it_was_queued_is_not(training, monkeypatch):
    job, run = training("import os; print(os.environ['MASKRF_SUBMITTED'])")
    run.stop_path.touch()
    job.submitted = run.stop_path.stat().st_mtime + 1
    job()
    assert run.log_path.read_text() == f"{job.submitted!r}\n"


def test_a_job_that_is_queued_again_waits_from_then_on(training):
    job, run = training(OBEDIENT)
    job.submitted = 5.0
    _, again = interrupted(job, run)
    run.stop_path.touch()
    assert 5 < again.function.submitted <= run.stop_path.stat().st_mtime


@pytest.mark.parametrize(("code", "rank"), [(ExitCode.SIGTERM, 0), (ExitCode.SIGUSR1, 0), (ExitCode.STOP_FILE, 1)])
def test_what_slurm_stopped_waits_for_slurm(training, monkeypatch, code, rank):
    monkeypatch.setattr(jobs, "TO_BE_ENDED", 0.1)
    job, _ = training(f"raise SystemExit({code})", rank=rank)
    with pytest.raises(SlurmError, match="was not queued again"):
        job()


def test_the_code_of_several_nodes_is_what_the_training_wrote(training, monkeypatch):
    monkeypatch.setattr(jobs, "STATUS_PATIENCE", 0.1)
    _, run = training(DEAF)
    assert written_code(run, None) == ExitCode.FAILED


def test_a_notebooks_error_is_named(training, tmp_path):
    assert name_of_error(tmp_path / "none.ipynb") is None
    notebook, output = tmp_path / "sum.ipynb", tmp_path / "out.ipynb"
    cells = [nbformat.v4.new_code_cell("print('begun')"), nbformat.v4.new_code_cell("1 / 0")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook)
    training(DEAF)
    with pytest.raises(SlurmError, match=r"sum\.ipynb: failed") as raised:
        NotebookJob(10, notebook, output, {})()
    assert "ZeroDivisionError" in str(raised.value)
    assert name_of_error(output) == "ZeroDivisionError"
    assert "begun" in (tmp_path / "5_notebook.log").read_text()


def test_a_checkpoint_before_anything_runs_is_possible(training):
    job, run = training(OBEDIENT)
    assert job.checkpoint().function == job
    assert not run.log_path.exists()
    assert os.environ.get(STOP_VARIABLE) is None
