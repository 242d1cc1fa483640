"""Published checkpoints: what is wrong with a file is said before anything is loaded, and nothing in it is executed."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from maskrf_core.checkpoints import load_published, our_name
from maskrf_core.errors import CheckpointError


@pytest.fixture(scope="module")
def published(shared: Path) -> dict:
    return torch.load(shared / "reference" / "tensors" / "generalization_depth.pth", weights_only=True)


@pytest.fixture
def saved(published: dict, tmp_path: Path):
    """Writer of the published checkpoint after a change to its weights: function on a dict → path."""

    def write(change) -> Path:
        weights = dict(published["network_state_dict"])
        change(weights)
        path = tmp_path / "model.pth"
        torch.save({**published, "network_state_dict": weights}, path)
        return path

    return write


def test_every_weight_arrives(published: dict, saved):
    renderer = load_published(saved(lambda weights: None))
    own = renderer.state_dict()
    for name, value in published["network_state_dict"].items():
        if name != "sph_fitter.regs":
            torch.testing.assert_close(own[our_name(name)].flatten(), value.flatten().to(own[our_name(name)].dtype))
    assert not renderer.training
    assert all(value.dtype != torch.float16 for value in own.values())


@pytest.mark.parametrize(
    ("published_name", "ours"),
    [
        ("vis_encoder.out_conv.0.weight", "visibility_encoder.0.weight"),
        ("agg_net.agg_impl.ray_attention.w_qs.weight", "coarse.aggregation.ray_attention.query.weight"),
        ("fine_dist_decoder.var_decoder.2.bias", "fine.distribution_decoder.sharpness.2.bias"),
        ("target_projector.1.running_mean", "masked_modelling.target_projector.1.running_mean"),
        ("image_encoder.layer3.5.conv2.weight", "image_encoder.stage3.5.convolution2.weight"),
    ],
)
def test_names_by_hand(published_name: str, ours: str):
    assert our_name(published_name) == ours


def test_missing_file(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"nowhere\.pth: no such checkpoint file"):
        load_published(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("kept", [0, 10, 1000, 100_000])
def test_file_cut_short(tmp_path: Path, kept: int):
    whole = tmp_path / "whole.pth"
    torch.save({"network_state_dict": {"weight": torch.rand(100_000)}}, whole)
    path = tmp_path / "cut.pth"
    path.write_bytes(whole.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"cut\.pth: .*Use another copy"):
        load_published(path)


class _RunsCode:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))])
def test_code_in_a_checkpoint_is_not_executed(tmp_path: Path, save):
    marker = tmp_path / "executed"
    path = tmp_path / "evil.pth"
    save({"network_state_dict": {"weight": _RunsCode(marker)}}, path)
    with pytest.raises(CheckpointError, match=r"evil\.pth"):
        load_published(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(_RunsCode(marker)))
    assert marker.exists()  # it would have been


@pytest.mark.parametrize("content", [[1, 2], {"state": {}}, {"network_state_dict": 3}])
def test_another_kind_of_file(tmp_path: Path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth: has no 'network_state_dict'"):
        load_published(tmp_path / "other.pth")


def test_what_is_no_tensor_is_named(tmp_path: Path):
    torch.save({"network_state_dict": {"epoch": 3}}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="no tensor: epoch"):
        load_published(tmp_path / "model.pth")


def test_all_faulty_weights_are_named(saved):
    def spoil(weights):
        del weights["dist_decoder.mean_decoder.0.weight"], weights["predictor.3.bias"]
        weights["surplus.weight"] = torch.zeros(1)
        weights["projector.0.weight"] = torch.zeros(16, 15)
        weights["agg_net.agg_impl.mask_token"] = torch.zeros(34)

    with pytest.raises(CheckpointError) as raised:
        load_published(saved(spoil))
    message = str(raised.value)
    missing, surplus, misshapen = message.split("; ")
    assert "missing: coarse.distribution_decoder.mean.0.weight, masked_modelling.predictor.3.bias" in missing
    assert surplus == "left over: surplus.weight"
    assert "masked_modelling.projector.0.weight (16, 15) instead of (16, 16)" in misshapen
    assert "coarse.aggregation.mask_token (34,) instead of (35,)" in misshapen
    assert "model.pth" in missing


def test_cost_volumes_are_not_supported_yet(shared: Path):
    with pytest.raises(CheckpointError, match="cost volumes, which is not supported yet"):
        load_published(shared / "reference" / "tensors" / "generalization_cost_volume.pth")
