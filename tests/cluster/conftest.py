"""A real Slurm cluster of this computer, which pretends to be two, for the tests of this folder."""

import os
import shutil
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PROGRAMS = ("sbatch", "squeue", "scontrol", "slurmctld", "slurmd", "munged")
NODES = 2
PATH = f"{HERE / 'bin'}:{os.environ['PATH']}:/usr/sbin"


def free_ports(count: int) -> list[int]:
    """Neighbouring ports that nobody listens at, nor another worker of the tests looks for at the same time."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for first in range(16_817 + 200 * worker, 20_000, count):
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return list(range(first, first + count))
    raise RuntimeError("no free ports between 16817 and 20000")


@pytest.fixture(scope="session")
def slurm_state(tmp_path_factory):
    """The folder of a running cluster's state and logs."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    if missing:
        pytest.skip(f"Slurm is not installed ({', '.join(missing)} missing): tests/cluster/install_slurm.sh does it")
    folder = tmp_path_factory.mktemp("slurm")
    controller, node, _ = map(str, free_ports(1 + NODES))
    subprocess.run([HERE / "start_slurm.sh", folder, controller, node, str(NODES)], check=True)
    yield folder
    subprocess.run([HERE / "stop_slurm.sh", folder], check=True)


@pytest.fixture(scope="module")
def cluster(slurm_state):
    """This process is a client of the cluster; its jobs train at smoke size on this checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(slurm_state / "slurm.conf"))
        patch.setenv("PATH", PATH)
        patch.setenv("PYTHONPATH", str(HERE.parent.parent))
        patch.setenv("MASKRF_SMOKE", "1")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield slurm_state
