"""What is asked of Slurm, and how nodes find each other: without a cluster."""

import sys
from pathlib import Path

import pytest
import submitit
from pydantic import ValidationError

from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.slurm import SlurmSettings, parse_slurm, submission, submit_notebook, submit_trainings
from maskrf_core.slurm import __main__ as command_line
from maskrf_core.slurm.jobs import NotebookJob, papermill_command, training_of
from maskrf_core.support.errors import RunError, SettingsError, SlurmError


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A task of the second job of an array, on two nodes."""
    told = {
        "SUBMITIT_EXECUTOR": "slurm", "SUBMITIT_FOLDER": str(tmp_path), "SLURM_JOB_ID": "30013",
        "SLURM_ARRAY_JOB_ID": "30012", "SLURM_ARRAY_TASK_ID": "1", "SLURM_NTASKS": "2",
        "SLURM_JOB_NODELIST": "gpu[07-08]",
    }  # fmt: skip
    for name, value in told.items():
        monkeypatch.setenv(name, value)

    def of_rank(rank):
        monkeypatch.setenv("SLURM_PROCID", str(rank))
        return submitit.JobEnvironment()

    return of_rank


def start(folder, **hardware):
    return Run.start(folder, load_config("pretrain", "demo", {f"hardware.{name}": v for name, v in hardware.items()}))


def test_settings_are_read_from_one_line():
    settings = parse_slurm("partition=gpu, timeout_min=600, mem_gb=1.5, constraint='a100'")
    assert settings == SlurmSettings(partition="gpu", timeout_min=600, mem_gb=1.5, constraint="a100")
    assert parse_slurm("") == SlurmSettings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partiton=gpu", "partiton: unknown setting of Slurm; did you mean partition?"),
        ("timeout_min=0", "timeout_min=0: must be ≥ 1 and ≤ 525600"),
        ("gpus_per_node=two", "gpus_per_node='two': must be a whole number"),
        ("gpu", "'gpu' is not of the form"),
        ("timeout_min=10, signal_delay_s=61", "signal_delay_s=61: must be at most 60, a tenth of timeout_min=10"),
        ("timeout_min=60, signal_delay_s=3600", "signal_delay_s=3600"),  # the signal would come at the start
    ],
)
def test_a_wrong_setting_is_named(text, message):
    with pytest.raises(SettingsError) as raised:
        parse_slurm(text)
    assert message in str(raised.value)


@pytest.mark.parametrize(("limit", "delay"), [(1, 6), (10, 60), (30, 180), (720, 180), (525_600, 180)])
def test_the_signal_comes_in_the_last_tenth_of_any_limit(limit, delay):
    settings = SlurmSettings(timeout_min=limit)
    assert settings.parameters("run")["slurm_signal_delay_s"] == delay
    assert 0 < settings.patience_s < delay
    assert parse_slurm("timeout_min=10, signal_delay_s=60").parameters("run")["slurm_signal_delay_s"] == 60


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """A command that keeps the script it is given."""
    tools, script = tmp_path / "bin", tmp_path / "script"
    tools.mkdir()
    for name, text in {"srun": "", "sbatch": f'cat "$1" > {script}\necho Submitted batch job 7\n'}.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    return script


TEXTS = [name for name, field in SlurmSettings.model_fields.items() if "str" in str(field.annotation)]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("end", ["\n", "\r", "\x00", "\x1b", "\x85"])
def test_no_text_ends_its_line_in_the_script(tmp_path, sbatch, name, end):
    run = start(tmp_path / "run")
    with pytest.raises((SettingsError, ValidationError), match=name):
        submit_trainings([[run.folder]], SlurmSettings(**{name: f"gpu{end}touch owned"}), tmp_path / "logs")
    with pytest.raises(SettingsError, match=name):
        parse_slurm(f'{name}="gpu{end.encode("unicode_escape").decode()}touch owned"')
    assert not sbatch.exists()


def test_no_name_ends_its_line_in_the_script(tmp_path, sbatch):
    notebook = tmp_path / "a\ntouch owned\n.ipynb"
    notebook.touch()
    with pytest.raises(SlurmError, match="touch owned"):
        submit_notebook(notebook, tmp_path / "out.ipynb", {}, SlurmSettings(), tmp_path / "logs")
    run = start(tmp_path / "run")
    with pytest.raises(SlurmError, match="touch owned"):
        submit_trainings([[run.folder]], SlurmSettings(), tmp_path / "lo\ntouch owned\ngs")
    assert not sbatch.exists()
    submit_trainings([[run.folder]], SlurmSettings(partition="gpu"), tmp_path / "logs")
    assert "#SBATCH --partition=gpu\n" in sbatch.read_text()


def test_a_job_knows_when_it_was_queued(tmp_path, sbatch):
    run = start(tmp_path / "run")
    (tmp_path / "before").touch()
    (job,) = submit_trainings([[run.folder]], SlurmSettings(), tmp_path / "logs")
    (tmp_path / "after").touch()
    queued = job.submission().function.submitted
    assert (tmp_path / "before").stat().st_mtime <= queued <= (tmp_path / "after").stat().st_mtime


def test_what_submitit_is_given():
    parameters = parse_slurm("gpus_per_node=2, account=lab, reservation=night").parameters("run", nodes=3, devices=2)
    assert (parameters["nodes"], parameters["tasks_per_node"], parameters["cpus_per_task"]) == (3, 1, 4)
    assert (parameters["gpus_per_node"], parameters["slurm_account"]) == (2, "lab")
    assert parameters["slurm_additional_parameters"] == {"requeue": True, "reservation": "night"}
    assert "mem_gb" not in parameters
    assert "slurm_qos" not in parameters


def test_every_process_needs_its_gpu():
    with pytest.raises(SettingsError, match="gpus_per_node=1: 2 training processes"):
        parse_slurm("gpus_per_node=1").parameters("run", devices=2)


def test_one_node_trains_by_the_plain_command(tmp_path, place):
    run = start(tmp_path / "run", devices=2)
    command = training_of(run, place(0))
    assert command[0] == sys.executable
    assert command[-2:] == ["maskrf_core.training", str(run.folder)]
    assert "torch.distributed.run" not in command  # it starts the processes of its node itself


def test_nodes_meet_on_the_first_one(tmp_path, place):
    run = start(tmp_path / "run", devices=2, num_nodes=2)
    commands = [training_of(run, place(rank)) for rank in (0, 1)]
    for rank, command in enumerate(commands):
        assert command[-2:] == ["maskrf_core.training", str(run.folder)]
        options = {"--nnodes=2", f"--node-rank={rank}", "--nproc-per-node=2"}
        assert options | {"--master-addr=gpu07", "--master-port=20013"} <= set(command)
    assert len(set(commands[0]) ^ set(commands[1])) == 2


def test_parameters_of_a_notebook_go_as_they_are():
    parameters = {"mask_ratio": "0.5", "seeds": [0, 1], "overrides": "data.rays=64, model.fine_samples=8"}
    command = papermill_command(NotebookJob(10, Path("/nb/03.ipynb"), Path("/out.ipynb"), parameters))
    assert command[3:5] == ["/nb/03.ipynb", "/out.ipynb"]
    assert command[command.index("--cwd") + 1] == "/nb"
    assert command[command.index("mask_ratio") - 1 :][:3] == ["-p", "mask_ratio", "0.5"]
    assert command[command.index("-y") + 1] == "seeds:\n- 0\n- 1\n"
    assert command[-1] == parameters["overrides"]


def test_what_cannot_be_submitted(tmp_path, monkeypatch):
    one, two = start(tmp_path / "one"), start(tmp_path / "two", devices=2)
    with pytest.raises(RunError, match="is no run folder"):
        submit_trainings([[tmp_path / "none"]], SlurmSettings(), tmp_path / "logs")
    with pytest.raises(SettingsError, match=r"\[\(1, 1\), \(1, 2\)\]"):
        submit_trainings([[one.folder, two.folder]], SlurmSettings(), tmp_path / "logs")
    with pytest.raises(SlurmError, match="no such notebook"):
        submit_notebook(tmp_path / "none.ipynb", tmp_path / "out.ipynb", {}, SlurmSettings(), tmp_path / "logs")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SlurmError, match="srun is not on"):
        submit_trainings([[one.folder]], SlurmSettings(), tmp_path / "logs")


def test_the_command_line_says_what_is_wrong(tmp_path, capsys):
    assert command_line.main(["train", str(tmp_path), "--slurm", "timeout=5"]) == 1
    assert "timeout: unknown setting of Slurm; did you mean timeout_min?" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "grouped"), [([], [["a", "b"]]), (["--array"], [["a"], ["b"]])])
def test_folders_are_one_chain_or_an_array(tmp_path, monkeypatch, capsys, options, grouped):
    taken = {}

    def submit(chains, settings, folder):
        taken.update(chains=[[str(path) for path in chain] for chain in chains], settings=settings)
        return [submitit.SlurmJob(folder, f"7_{number}") for number in range(len(chains))]

    monkeypatch.setattr(command_line, "submit_trainings", submit)
    arguments = ["train", "a", "b", *options, "--slurm", "partition=gpu", "--logs", str(tmp_path)]
    assert command_line.main(arguments) == 0
    assert taken == {"chains": grouped, "settings": SlurmSettings(partition="gpu")}
    said = capsys.readouterr().out
    assert f"job 7_0: {tmp_path / '7_0_0_log.out'}" in said
    assert "scancel 7 ends it" in said


def test_waiting_ends_where_slurm_forgot_the_job(tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "RESULT_PATIENCE", 0)
    monkeypatch.setattr(submission, "state_of", lambda job_id: submission.FORGOTTEN)
    (tmp_path / "7_0_log.err").write_text("srun: error: node failure\n")
    with pytest.raises(SlurmError, match="job 7: no longer known to Slurm") as raised:
        submission.wait([submitit.SlurmJob(tmp_path, "7")], poll=0.01)
    assert "node failure" in str(raised.value)


def test_waiting_ends_where_the_controller_is_silent(tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "SILENCE", 0)
    monkeypatch.setenv("PATH", "")
    assert submission.state_of("7") is None
    with pytest.raises(SlurmError, match="controller has not answered"):
        submission.wait([submitit.SlurmJob(tmp_path, "7")], poll=0.01)
