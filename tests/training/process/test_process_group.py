"""Two processes that train together are one training with the joint batch; they end together, and say why."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from maskrf_core.losses import weighted_sum
from maskrf_core.settings.config import load_config
from maskrf_core.support.errors import SettingsError
from maskrf_core.support.machine import tensor_float32
from maskrf_core.support.paths import ROOT
from maskrf_core.training.process.process_group import ProcessGroup, batch_of_several, start_fabric
from maskrf_core.training.process.protocol import several_processes, training_environment
from maskrf_core.training.schedules import masking_schedule
from maskrf_core.training.trainer import FIRST_STREAM, Trainer, stream_seed
from tests.training.processes import (
    PATIENCE,
    SMOKE,
    assert_same_bits,
    has_done,
    spawn,
    started_run,
    wait_until,
)

TWO = {"hardware__devices": 2, "training__validation_views": 3, "masking__start": 0.0, "masking__warmup": 0.0}
ALONE = TWO | {"hardware__devices": 1}


@pytest.fixture(scope="module", params=["neuray", "ibrnet"])
def aggregator(request):
    return request.param


@pytest.fixture(scope="module")
def together(tmp_path_factory, aggregator):
    """What two processes made of one step and one validation."""
    run = started_run(tmp_path_factory.mktemp("runs") / "two", **TWO, model__aggregator=aggregator)
    command = [*several_processes(2)[:-1], "tests.training.two_processes", str(run.folder)]
    done = subprocess.run(
        command, env=training_environment() | SMOKE, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return torch.load(run.folder / "step.pt", weights_only=False)


@pytest.fixture
def alone(tmp_path, aggregator):
    """One process, with one thread as each of the two has: sums over other shares of a tensor round otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Trainer(started_run(tmp_path / "one", **ALONE, model__aggregator=aggregator))
    torch.set_num_threads(threads)


def test_gradients_are_those_of_one_process_with_the_joint_batch(together, alone):
    alone.renderer.train()
    terms = []
    for rank in range(2):
        numbers = [0, FIRST_STREAM, 0, *([rank] if rank else [])]
        draw = alone.mixture.draw(np.random.default_rng(numbers))
        assert together["origins"][rank] == draw.origin
        generator = torch.Generator().manual_seed(stream_seed(0, 0, rank))
        terms.append(alone.objective(draw.batch, generator=generator))
    totals = [weighted_sum(each, masking_schedule(alone.config).weight_at(0)) for each in terms]
    (sum(totals) / 2).backward()
    expected = {name: p.grad for name, p in alone.renderer.named_parameters() if p.grad is not None}
    assert together["gradients"].keys() == expected.keys()
    assert any("masked_modelling" in name for name in expected)
    for name, gradient in expected.items():
        scale = max(1.0, float(gradient.abs().max()))
        assert float((together["gradients"][name] - gradient).abs().max()) <= 1e-6 * scale, name
    assert together["terms"]["total"] == pytest.approx(float(sum(totals).detach()) / 2, rel=1e-6)


def test_each_process_draws_batches_of_its_own(together):
    first, second = together["origins"]
    assert first != second
    assert len({stream_seed(0, step, rank) for step in range(50) for rank in range(4)}) == 200


def test_validation_is_shared_out_and_merged(together, alone):
    numbers = alone._judge()
    for name in list(numbers):
        if isinstance(numbers[name], dict):  # by scene
            assert together["validation"].pop(name) == pytest.approx(numbers.pop(name), abs=1e-4)
    assert together["validation"] == pytest.approx(numbers, abs=1e-4)


def test_their_launcher_unpickles_nothing(tmp_path):
    """It listens at a port that anyone may send to."""
    refused = "import pickle, sys\ndef loads(*_): sys.stderr.write('unpickled')\npickle.loads = loads\n"
    (tmp_path / "sitecustomize.py").write_text(refused)
    environment = training_environment() | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [*several_processes(2), "--help"], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout.count("RUN_FOLDER") >= 2
    assert "unpickled" not in done.stderr


@pytest.mark.long
def test_one_set_of_files_and_a_stop_that_changes_no_bit(tmp_path):
    settings = TWO | {"training__steps": 8, "training__log_every": 3, "training__validate_every": 8}
    settings |= {"training__checkpoint_every": 100, "training__validation_views": 1}
    whole, run = (started_run(tmp_path / name, **settings) for name in ("whole", "run"))
    assert spawn(whole).wait(PATIENCE) == 0
    metrics = whole.metrics()
    assert list(metrics["step"]) == [3, 6, 8, 8]
    assert list(metrics["phase"]) == ["train"] * 3 + ["validation"]
    assert not list(whole.folder.rglob(".*"))
    assert "2 processes: 2 × 24 = 48 rays a step" in whole.log_path.read_text()
    assert (whole.status.state, whole.status.processes) == ("finished", 2)

    with (tmp_path / "said").open("w") as said:
        process = spawn(run, said)
        wait_until(lambda: has_done(run, 3), "the third step")
        os.kill(process.pid, signal.SIGUSR1)
        assert process.wait(PATIENCE) == 85
    assert "FAILED" not in (tmp_path / "said").read_text()
    assert 3 <= run.status.step < 8
    assert spawn(run).wait(PATIENCE) == 0
    assert_same_bits(run, whole)


@pytest.mark.long
def test_a_dead_process_ends_the_run_with_the_reason(tmp_path):
    run = started_run(tmp_path / "run", **TWO, training__steps=5000, training__log_every=1)
    process = spawn(run)
    wait_until(lambda: has_done(run, 1), "the first step")
    others = [
        child for child in psutil.Process(process.pid).children(recursive=True)
        if child.environ().get("RANK") == "1" and "RANK" not in child.parent().environ()
    ]  # fmt: skip
    assert len(others) == 1
    others[0].kill()
    assert process.wait(PATIENCE) == 1
    assert run.status.state == "failed"
    assert "another process of this training ended" in run.status.reason
    assert not psutil.pid_exists(run.status.pid)


def test_another_number_of_processes_than_asked_for_is_refused():
    hardware = load_config("pretrain", "demo", {"hardware.devices": 2}).hardware
    with pytest.raises(SettingsError, match=r"the run has 2 training processes, but 1 were started"):
        start_fabric(hardware)


@pytest.mark.parametrize(("precision", "rounded"), [("32-true", False), ("bf16-mixed", True)])
def test_convolutions_are_rounded_on_a_gpu_as_the_precision_says(precision, rounded):
    with tensor_float32(not rounded):
        torch.backends.cuda.matmul.allow_tf32 = True
        start_fabric(load_config("pretrain", "demo", {"hardware.precision": precision}).hardware)
        assert torch.backends.cudnn.allow_tf32 == rounded
        assert not torch.backends.cuda.matmul.allow_tf32  # of which cameras are made as well


def test_a_number_that_some_processes_have_is_averaged_over_these(monkeypatch):
    numbers = [{"total": 1.0, "depth_fine": 0.5}, {"total": 3.0}, {"total": 2.0, "depth_fine": 0.25}]
    together = ProcessGroup(SimpleNamespace(global_rank=0, world_size=3))
    monkeypatch.setattr(together, "gathered", lambda share: numbers)
    assert together.mean(numbers[0]) == {"total": 2.0, "depth_fine": 0.375}


def test_the_effective_batch_is_said():
    config = load_config("pretrain", "demo", {"hardware.devices": 2, "hardware.num_nodes": 3})
    (said,) = batch_of_several(config)
    assert "6 processes: 6 × 128 = 768 rays a step" in said
    assert "0.001 at the start, is not changed" in said
    assert batch_of_several(load_config("pretrain", "demo")) == []


SHARE = """
import sys
from types import SimpleNamespace
import torch
from maskrf_core.training.process.process_group import ProcessGroup

rank = int(sys.argv[1])
torch.distributed.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
norm = torch.nn.BatchNorm2d(2)
norm.running_mean.fill_(rank + 1)
ProcessGroup(SimpleNamespace(global_rank=rank, world_size=2)).share_buffers(norm)
assert norm.running_mean.tolist() == [1, 1]
torch.distributed.destroy_process_group()
"""


def test_all_have_the_buffers_of_the_first(tmp_path):
    """Which are those that are saved: all validate with them."""
    commands = [[sys.executable, "-c", SHARE, str(rank), str(tmp_path / "store")] for rank in range(2)]
    started = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for command in commands]
    assert [(each.communicate()[1], each.returncode)[1] for each in started] == [0, 0]
