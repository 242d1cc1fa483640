"""The tensors of the other aggregators' authors, with weights drawn as their page says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from maskrf_core.checkpoints.published_names import our_name
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.sections import ModelSettings


@pytest.fixture(scope="session")
def aggregator_tensors(shared: Path):
    """Reader of one file: name → dict of tensors."""
    folder = shared / "reference" / "aggregators"
    if not folder.is_dir():
        pytest.skip("the reference tensors of the other aggregators are not beside this checkout")

    def read(name: str) -> dict[str, Tensor]:
        with np.load(folder / f"{name}.npz") as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays.files if arrays[key].dtype.kind != "U"}

    return read


@pytest.fixture(scope="session")
def published_weights(shared: Path, aggregator_tensors):
    """Reader of all weights of an aggregator by their published names."""

    def read(name: str) -> dict[str, Tensor]:
        with np.load(shared / "reference" / "aggregators" / f"{name}_weights.npz") as file:
            arrays = {key: file[key] for key in file.files}
        rows = zip(
            *(arrays.pop(f"drawn_{part}") for part in ("name", "seed", "shape", "scale", "offset", "sum")), strict=True
        )
        for of, seed, shape, scale, offset, total in rows:
            drawn = np.random.RandomState(seed).random_sample(tuple(side for side in shape if side))
            arrays[str(of)] = ((2 * drawn - 1) * scale + offset).astype(np.float16)
            assert arrays[str(of)].astype(np.float64).sum() == pytest.approx(total)
        return {name: torch.from_numpy(np.asarray(value, dtype=np.float32)) for name, value in arrays.items()}

    return read


@pytest.fixture(scope="session")
def renderer_with(published_weights):
    """Maker of a renderer with an aggregator's published weights, in evaluation mode."""

    def make(name: str, fine_samples: int) -> Renderer:
        renderer = Renderer(ModelSettings(aggregator=name, fine_samples=fine_samples))
        weights = {our_name(key, name): value for key, value in published_weights(name).items()}
        own = renderer.state_dict()
        loaded = {key: value.reshape(own[key].shape) for key, value in weights.items() if key in own}
        missing = own.keys() - loaded.keys()
        assert all("num_batches_tracked" in key or "colour_head" in key or "running" in key for key in missing), missing
        assert all(key.startswith("code.") for key in weights.keys() - own.keys())
        renderer.load_state_dict(own | loaded)
        return renderer.eval()

    return make


@pytest.fixture(scope="session")
def assert_same_gradients():
    """Compare the norms of all gradients that are in a file; return how many they are."""

    def compare(renderer: Renderer, step: dict[str, Tensor], kind: str) -> int:
        parameters, compared = dict(renderer.named_parameters()), 0
        for key, norm in step.items():
            if key.startswith("grad__"):
                gradient = parameters[our_name(key.removeprefix("grad__"), kind)].grad
                assert gradient is not None, key
                assert gradient.norm().item() == pytest.approx(norm.item(), rel=1e-2, abs=1e-7), key
                compared += 1
        return compared

    return compare
