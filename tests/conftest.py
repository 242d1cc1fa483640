"""What tests share."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported: workers share the cores, one thread each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():  # before Triton is imported, which torch does when it first compiles
    os.environ["TRITON_INTERPRET"] = "1"


def pytest_collection_modifyitems(items):
    """Begin with what takes one process longest, so that the others do not wait for it at the end."""
    items.sort(key=lambda item: item.path.name != "test_whole_workbook.py")


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory):
    """A finished pretraining at smoke size, which tests look at or compare their own with, and leave as it is."""
    from tests.training.processes import smoke_sized_training  # imports torch

    return smoke_sized_training(tmp_path_factory.mktemp("runs") / "smoke")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the checkout: reference tensors, weights and real scenes, too large to be in it."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not (folder / "METHOD.md").is_file():
        pytest.skip("the reference folder `shared` is not beside this checkout")
    return folder
