"""The authors' own tensors as our types."""

from pathlib import Path

import numpy as np
import pytest
import torch

from maskrf_core.checkpoints.published_checkpoints import load_published
from maskrf_core.datasets.batches.batch import SceneBatch, Views
from maskrf_core.model.renderer import Renderer


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """These tensors are small: beside other work, threads that wait for each other take ten times as long as one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def reference_tensors(shared: Path):
    """Reader of one file of the reference tensors: name → dict of tensors."""

    def read(name: str) -> dict[str, torch.Tensor]:
        with np.load(shared / "reference" / "tensors" / name) as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays.files}

    return read


@pytest.fixture(scope="session")
def rendered(reference_tensors) -> dict[str, torch.Tensor]:
    """Inputs and every stage of the authors' rendering with depth init."""
    return reference_tensors("render_depth_init.npz")


@pytest.fixture(scope="module")
def published_renderer(shared: Path) -> Renderer:
    return load_published(shared / "reference" / "tensors" / "generalization_depth.pth")


@pytest.fixture(scope="session")
def reference_batch(rendered) -> SceneBatch:
    references = Views(
        rendered["ref_images"], rendered["ref_K"], rendered["ref_w2c"], rendered["ref_depth_range"],
        depths=rendered["ref_depth"],
    )  # fmt: skip
    query = Views(rendered["query_image"], rendered["query_K"], rendered["query_w2c"], rendered["query_depth_range"])
    return SceneBatch(query, references, rendered["query_pixels_xy"][0])


@pytest.fixture(scope="session")
def assert_matches():
    """Compare with a reference array, whatever the axes of length one, to an absolute tolerance."""

    def compare(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 1e-4) -> None:
        torch.testing.assert_close(ours.reshape(theirs.shape), theirs, rtol=0, atol=tolerance)

    return compare
