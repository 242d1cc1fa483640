"""Cases with source views, made by formula; and MVSNet's published file with weights of one's own."""

from pathlib import Path

import torch

from maskrf_core.checkpoints.published_checkpoints import our_mvsnet_name
from maskrf_core.datasets.batches.batch import SourceViews, Views
from maskrf_core.model.mvsnet import MVSNet
from tests.model.tiny import tiny_views


def tiny_sources(references: int = 3, height: int = 32, width: int = 64) -> tuple[Views, SourceViews]:
    """References on an arc, two other views between them, and three neighbours for each."""
    angles = [0.12 * index for index in range(references)]
    others = [0.06, 0.18]
    views, sources = (tiny_views(group, height, width).replace(depths=None) for group in (angles, others))
    total = references + len(others)
    neighbours = torch.tensor([[(index + step) % total for step in (1, 2, 3)] for index in range(references)])
    return views, SourceViews(sources, neighbours)


def without_neighbours(views: Views) -> SourceViews:
    return SourceViews(views.none(), torch.zeros(len(views), 0, dtype=torch.int64))


def published_mvsnet_names() -> dict[str, str]:
    """Published name → ours, of all weights of the published file; spelled out, to hold the patterns to."""
    bn = ("weight", "bias", "running_mean", "running_var")
    names = {}
    for layer in range(7):
        for ours, theirs in ((f"features.{layer}", "feature"), (f"regularisation.down{layer}", "cost_regularization")):
            names[f"model.{theirs}.conv{layer}.conv.weight"] = f"{ours}.0.weight"
            names |= {f"model.{theirs}.conv{layer}.bn.{part}": f"{ours}.1.{part}" for part in bn}
    for up, layer in enumerate((7, 9, 11)):
        names[f"model.cost_regularization.conv{layer}.0.weight"] = f"regularisation.up{up}.0.weight"
        parts = {f"model.cost_regularization.conv{layer}.1.{part}": f"regularisation.up{up}.1.{part}" for part in bn}
        names |= parts
    for part in ("weight", "bias"):
        names[f"model.feature.feature.{part}"] = f"features.7.{part}"
        names[f"model.cost_regularization.prob.{part}"] = f"regularisation.head.{part}"
    assert all(our_mvsnet_name(theirs) == ours for theirs, ours in names.items())
    return names


def write_mvsnet(path: Path, seed: int = 0) -> MVSNet:
    """A file like the published one, with random weights; the network that it is of."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        mvsnet = MVSNet()
    weights = mvsnet.state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    published = {theirs: weights[ours] for theirs, ours in published_mvsnet_names().items()}
    torch.save({"epoch": 14, "optimizer_states": [], "state_dict": published}, path)
    return mvsnet
