"""Published checkpoints: what is wrong with a file is said before anything is loaded, and nothing in it is executed."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from maskrf_core.checkpoints.checkpoint_files import read_checkpoint, save_checkpoint
from maskrf_core.checkpoints.published_checkpoints import load_published, load_renderer, save_published, steps_of
from maskrf_core.checkpoints.published_names import our_name, published_name
from maskrf_core.model.renderer import Renderer
from maskrf_core.support.errors import CheckpointError


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


@pytest.mark.parametrize("numpy_module", ["numpy._core.multiarray", "numpy.core.multiarray"])
def test_a_file_as_the_published_training_writes_it_is_read(published: dict, tmp_path: Path, numpy_module: str):
    """Its best score is a number of numpy, of version 1 or 2; its optimiser's state is of no use here."""
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))]).state_dict()
    with_score = {**published, "best_para": np.float64(30.25), "step": 7, "optimizer_state_dict": optimiser}
    torch.save(with_score, tmp_path / "saved.pth")
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(tmp_path / "saved.pth") as saved, zipfile.ZipFile(path, "w") as written:
        for entry in saved.infolist():
            data = saved.read(entry)
            if entry.filename.endswith("data.pkl"):
                assert b"numpy._core.multiarray\n" in data
                data = data.replace(b"numpy._core.multiarray\n", f"{numpy_module}\n".encode())
            written.writestr(entry.filename, data)
    assert read_checkpoint(path)["best_para"] == 30.25
    assert load_published(path).settings == Renderer().settings
    assert steps_of(path) == 7


@pytest.mark.parametrize("strange", [np.zeros(2), np.array(None, dtype=object), Path("a")])
def test_arrays_and_objects_are_no_numbers(published: dict, tmp_path: Path, strange):
    torch.save({**published, "best_para": strange}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="holds more than tensors and plain values"):
        load_published(tmp_path / "model.pth")
    assert np.dtype not in torch.serialization.get_safe_globals()  # allowed for the reading alone


@pytest.fixture(params=["depth", "cost_volume", "per_scene", "per_scene_with_init"])
def any_kind(request, shared: Path, published: dict, tmp_path: Path) -> Path:
    """A published file of every kind."""
    folder = shared / "reference" / "tensors"
    if not request.param.startswith("per_scene"):
        return folder / f"generalization_{request.param}.pth"
    weights = {
        name: value
        for name, value in published["network_state_dict"].items()
        if request.param == "per_scene_with_init" or not name.startswith("init_net.")
    }
    maps = torch.load(folder / "per_scene_ray_feats.pth", weights_only=True)
    path = tmp_path / "per_scene.pth"
    torch.save({**maps, "network_state_dict": weights | maps["network_state_dict"]}, path)
    return path


def test_there_and_back_through_our_own_format_loses_nothing(any_kind: Path, tmp_path: Path):
    theirs = torch.load(any_kind, weights_only=True)
    save_checkpoint(tmp_path / "ours.pt", load_published(any_kind), theirs["step"], {})
    save_published(tmp_path / "back.pth", load_renderer(tmp_path / "ours.pt"), theirs["step"])
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert back["step"] == theirs["step"]
    assert back["network_state_dict"].keys() == theirs["network_state_dict"].keys()
    for name, value in theirs["network_state_dict"].items():
        ours = back["network_state_dict"][name]
        assert ours.shape == value.shape, name
        assert torch.equal(ours.to(value.dtype), value), name


def test_names_of_all_kinds_are_translated_and_back(any_kind: Path):
    kind = "cost_volume" if "cost_volume" in any_kind.name else "depth"
    names = set(torch.load(any_kind, weights_only=True)["network_state_dict"]) - {"sph_fitter.regs"}
    ours = {our_name(name, kind) for name in names}
    assert len(ours) == len(names)
    assert not ours & names
    assert {published_name(name, kind) for name in ours} == names


def test_files_without_masked_modelling_are_read(saved):
    """NeuRay's own checkpoints have no mask token and no projectors; some of them are an error, none are not."""

    def unmask(weights):
        for name in list(weights):
            if "mask_token" in name or name.startswith(("projector", "target_projector", "predictor")):
                del weights[name]

    first, again = (load_published(saved(unmask)).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    torch.testing.assert_close(
        first["masked_modelling.projector.0.weight"], first["masked_modelling.target_projector.0.weight"]
    )


def test_maps_that_are_no_row_are_refused(any_kind: Path, tmp_path: Path):
    def spoiled(change) -> Path:
        checkpoint = torch.load(any_kind, weights_only=True)
        change(checkpoint["network_state_dict"])
        torch.save(checkpoint, tmp_path / "spoiled.pth")
        return tmp_path / "spoiled.pth"

    for change in (
        lambda weights: weights.update({"ray_feats.99": torch.zeros(1, 32, 24, 32)}),
        lambda weights: weights.update(
            {"ray_feats.0": torch.zeros(1, 32, 24, 33), "ray_feats.1": torch.zeros(1, 32, 1, 1)}
        ),
        lambda weights: weights.update({"ray_feats.0": torch.zeros(32)}),
    ):
        with pytest.raises(CheckpointError, match=r"spoiled\.pth: its visibility maps must be numbered from 0 on"):
            load_published(spoiled(change))


def test_another_ridge_is_of_other_code(saved):
    with pytest.raises(CheckpointError, match=r"sph_fitter\.regs is not the published constant"):
        load_published(saved(lambda weights: weights.update({"sph_fitter.regs": torch.ones(16)})))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("vis_encoder.out_conv.0.weight", "visibility_encoder.0.weight"),
        ("agg_net.agg_impl.ray_attention.w_qs.weight", "coarse.aggregation.ray_attention.query.weight"),
        ("fine_dist_decoder.var_decoder.2.bias", "fine.distribution_decoder.sharpness.2.bias"),
        ("target_projector.1.running_mean", "masked_modelling.target_projector.1.running_mean"),
        ("image_encoder.layer3.5.conv2.weight", "image_encoder.stage3.5.convolution2.weight"),
    ],
)
def test_names_by_hand(theirs: str, ours: str):
    assert our_name(theirs) == ours
    assert published_name(ours) == theirs


def test_the_door_of_the_room_is_documented():
    from maskrf_core import checkpoints

    assert checkpoints.load_published is load_published
    assert "load_published" in checkpoints.__doc__
    with pytest.raises(AttributeError, match="no attribute 'load_publised'"):
        checkpoints.load_publised  # noqa: B018


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


def test_first_checkpoints_of_ours_are_still_read(tmp_path: Path):
    """They had no head that predicts colours."""
    renderer = Renderer()
    save_checkpoint(tmp_path / "now.pt", renderer, 3, {})
    checkpoint = torch.load(tmp_path / "now.pt", weights_only=True)
    for name in [name for name in checkpoint["weights"] if "colour_head" in name]:
        del checkpoint["weights"][name]
    torch.save(checkpoint, tmp_path / "then.pt")
    loaded = load_renderer(tmp_path / "then.pt").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in renderer.state_dict().items())
