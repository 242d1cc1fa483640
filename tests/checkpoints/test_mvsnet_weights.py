"""MVSNet's own file: where it is sought, what is read of it, what is said where it is missing or another."""

import pytest
import torch

from maskrf_core.checkpoints.published_checkpoints import check_mvsnet_is_there, load_mvsnet
from maskrf_core.model.mvsnet import MVSNet
from maskrf_core.settings.config import load_config
from maskrf_core.settings.sections import DataSettings
from maskrf_core.support.errors import CheckpointError
from tests.model.source_cases import published_mvsnet_names, write_mvsnet


def test_every_weight_goes_to_its_place(tmp_path):
    """Below the data root, or where the setting says."""
    written = write_mvsnet(tmp_path / "model" / "mvsnet_pl.ckpt")
    other = write_mvsnet(tmp_path / "elsewhere.ckpt", seed=1)
    settings = DataSettings(data_root=str(tmp_path))
    for expected, data in (
        (written, settings),
        (other, settings.model_copy(update={"mvsnet_weights": str(tmp_path / "elsewhere.ckpt")})),
    ):
        mvsnet = MVSNet()
        load_mvsnet(mvsnet, data)
        pairs = zip(mvsnet.state_dict().items(), expected.state_dict().values(), strict=True)
        assert all(torch.equal(ours, theirs) for (_, ours), theirs in pairs)
        assert not any(parameter.requires_grad for parameter in mvsnet.parameters())


def test_the_published_file(shared):
    mvsnet = MVSNet()
    path = shared / "weights" / "mvsnet_pl.ckpt"
    load_mvsnet(mvsnet, DataSettings(mvsnet_weights=str(path)))
    published = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
    names = published_mvsnet_names()
    assert {name for name in published if not name.endswith("num_batches_tracked")} == names.keys()
    own = mvsnet.state_dict()
    assert all(torch.equal(own[ours], published[theirs]) for theirs, ours in names.items())


def test_a_missing_file_is_explained(tmp_path):
    data = DataSettings(data_root=str(tmp_path))
    with pytest.raises(CheckpointError, match=r"model/mvsnet_pl\.ckpt: no such file.* kwea123, .*NeuRay's download"):
        load_mvsnet(MVSNet(), data)


@pytest.mark.parametrize(
    ("overrides", "needed"),
    [
        ({}, False),
        ({"model.visibility_init": "cost_volume"}, True),
        ({"model.visibility_init": "cost_volume", "training.initial_weights": "somewhere.pt"}, False),
    ],
)
def test_only_cost_volumes_from_random_weights_need_it(tmp_path, overrides, needed):
    config = load_config("pretrain", "demo", {"data.data_root": str(tmp_path), **overrides})
    if needed:
        with pytest.raises(CheckpointError, match="no such file"):
            check_mvsnet_is_there(config)
        write_mvsnet(tmp_path / "model" / "mvsnet_pl.ckpt")
    assert check_mvsnet_is_there(config) is None


def test_another_file_is_refused_and_nothing_of_it_used(tmp_path):
    path = tmp_path / "mvsnet.ckpt"
    write_mvsnet(path)
    whole = torch.load(path, weights_only=True)
    data = DataSettings(mvsnet_weights=str(path))

    def refused(checkpoint) -> str:
        torch.save(checkpoint, path)
        mvsnet = MVSNet()
        before = {name: value.clone() for name, value in mvsnet.state_dict().items()}
        with pytest.raises(CheckpointError) as caught:
            load_mvsnet(mvsnet, data)
        assert all(torch.equal(before[name], value) for name, value in mvsnet.state_dict().items())
        return str(caught.value)

    assert "no 'state_dict' of tensors" in refused({"weights": 1})
    assert "no 'state_dict' of tensors" in refused({"state_dict": {"model.feature.feature.bias": 3}})
    weights = dict(whole["state_dict"])
    del weights["model.feature.conv3.bn.running_var"]
    assert "missing: features.3.1.running_var" in refused({"state_dict": weights})
    assert "left over: strange" in refused({"state_dict": whole["state_dict"] | {"model.strange": torch.ones(1)}})
    wrong = {"model.feature.feature.bias": torch.ones(5)}
    assert "of another shape: features.7.bias" in refused({"state_dict": whole["state_dict"] | wrong})
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(CheckpointError, match=r"mvsnet\.ckpt"):
        load_mvsnet(MVSNet(), data)
