"""Recorded steps are those that are not recorded.

What a CUDA graph keeps is seen on a CPU by a tape: it does the recorded operations again on the same tensors, with the
numbers that Python gave them then. Nothing of this has run on a GPU.
"""

import pandas as pd
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from maskrf_core.losses import with_total
from maskrf_core.model.renderer import Renderer
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.support.errors import RunError, SettingsError
from maskrf_core.training import recorded_steps
from maskrf_core.training.objective import Objective
from maskrf_core.training.optimiser import adam
from maskrf_core.training.recorded_steps import RecordedSteps
from maskrf_core.training.trainer import Trainer
from tests.model.tiny import tiny_batch

STEPS = 8


class Tape(TorchDispatchMode):
    """What was done, and with what."""

    def __init__(self):
        super().__init__()
        self.done = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        found = function(*arguments, **(options or {}))
        self.done.append((function, arguments, options or {}, found))
        return found

    def again(self, wanted):
        """Do it all again, and return what came of the tensors `wanted`."""
        made = {}

        def now(given):
            return tree_map_only(torch.Tensor, lambda tensor: made.get(id(tensor), tensor), given)

        for function, arguments, options, found in self.done:
            anew = function(*now(arguments), **now(options))
            pairs = zip(tree_leaves(found), tree_leaves(anew), strict=True)
            made |= {id(old): new for old, new in pairs if isinstance(old, torch.Tensor)}
        return now(wanted)


def taped(work, generator):
    work()  # as a graph is recorded: after a first call, which is not
    tape = Tape()
    with tape:
        found = work()
    return lambda: tape.again(found)


def trained(computed_by, rays=(10, 10, 7, 10, 7, 10, 10, 7)):
    """Train a tiny renderer with other rays, draws, weights and learning rates in each step; return what came of it."""
    config = load_config("pretrain", overrides={"data.depth_pixels": 20, "hardware.twin": True})
    torch.manual_seed(0)
    objective = Objective(Renderer(ModelSettings(coarse_samples=12, fine_samples=6)).train(), config)
    optimiser = adam(objective.renderer.parameters(), 1e-3)

    def terms_of(batch, masked_weight, generator):
        return with_total(objective(batch, generator=generator), masked_weight)

    compute, found = computed_by(terms_of, objective.renderer), []
    for step, count in enumerate(rays):
        batch = tiny_batch(rays=count)
        images = batch.references.images.to(memory_format=torch.channels_last)  # as the loader gives them
        batch = batch.replace(pixels_xy=batch.pixels_xy + step, references=batch.references.replace(images=images))
        optimiser.param_groups[0]["lr"] = 1e-3 / (step + 1)
        found.append({name: term.item() for name, term in compute(batch, 0.1 * step, 100 + step).items()})
        optimiser.step()
        objective.renderer.masked_modelling.update_target(0.9)
    return found, objective.renderer.state_dict()


def plainly(terms_of, renderer):
    def compute(batch, masked_weight, seed):
        renderer.zero_grad()
        terms = terms_of(batch, masked_weight, torch.Generator().manual_seed(seed))
        terms["total"].backward()
        return terms

    return compute


def recorded(terms_of, renderer, record=taped):
    return RecordedSteps(terms_of, renderer, torch.device("cpu"), record)


def test_replayed_steps_are_the_plain_ones_though_rays_draws_weights_and_learning_rates_change():
    recordings = []

    def counted(work, generator):
        replay = taped(work, generator)
        recordings.append(0)

        def again():
            recordings[-1] += 1
            return replay()

        return again

    expected, weights = trained(plainly)
    found, ours = trained(lambda terms_of, renderer: recorded(terms_of, renderer, counted))
    assert len(recordings) == 2  # of the two numbers of rays, each when it came again
    assert sum(recordings) == STEPS - 2
    for step, (got, wanted) in enumerate(zip(found, expected, strict=True)):
        assert got == pytest.approx(wanted, rel=1e-6), step
    for name, weight in weights.items():
        torch.testing.assert_close(ours[name], weight, rtol=1e-5, atol=1e-6)


def test_what_python_decides_in_a_recorded_step_would_be_noticed():
    def with_fixed_weight(terms_of, renderer):
        return recorded(lambda batch, weight, generator: terms_of(batch, weight.item(), generator), renderer)

    expected, _ = trained(plainly)
    found, _ = trained(with_fixed_weight)
    assert found[-1]["total"] != pytest.approx(expected[-1]["total"], rel=1e-3)


def test_the_trainer_records_and_a_validation_between_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    asked = {"hardware.data_workers": 0, "hardware.twin": True, "training.validate_every": 3, "training.log_every": 1}
    runs = [Run.start(tmp_path / name, load_config("pretrain", "demo", asked)) for name in ("plain", "recorded")]
    for run in runs:
        trainer = Trainer(run)
        if run is runs[1]:
            trainer.computed = recorded(trainer._terms, trainer.renderer)
        trainer.fit()
    plain, replayed = (run.metrics().drop(columns="seconds_per_step") for run in runs)
    pd.testing.assert_frame_equal(replayed, plain, rtol=1e-4)


def test_forms_are_told_apart_and_only_so_many_recorded(monkeypatch):
    monkeypatch.setattr(recorded_steps, "AT_MOST", 2)
    recordings = []

    def terms_of(batch, weight, generator):
        truth = batch.references.true_depths
        return {"total": layer(batch.pixels_xy).sum() + (0 if truth is None else truth.sum())}

    def counted(work, generator):
        recordings.append(taped(work, generator))
        return recordings[-1]

    layer = torch.nn.Linear(2, 3)
    unused = torch.nn.Linear(2, 3)
    compute = recorded(terms_of, torch.nn.ModuleList([layer, unused]), counted)
    for _ in range(3):
        for rays in (4, 5, 6):
            whole = tiny_batch(rays=rays)
            for batch in (whole, whole.replace(references=whole.references.replace(true_depths=None))):
                expected = terms_of(batch, 0, None)["total"]
                assert compute(batch, 0.0, 0)["total"].item() == pytest.approx(expected.item())
                assert torch.equal(layer.weight.grad, batch.pixels_xy.sum(dim=0).expand(3, 2))
                assert unused.weight.grad is None
    assert len(recordings) == 2


def test_a_step_that_cannot_be_recorded_is_named():
    def fails(work, generator):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    layer = torch.nn.Linear(2, 3)
    compute = recorded(lambda batch, *_: {"total": layer(batch.pixels_xy).sum()}, layer, fails)
    compute(tiny_batch(), 0.0, 0)
    with pytest.raises(RunError, match=r"cuda_graph.*not permitted.*Leave it out"):
        compute(tiny_batch(), 0.0, 0)


@pytest.mark.parametrize(
    ("stage", "overrides", "device", "named"),
    [
        ("pretrain", {}, "cpu", "without a GPU"),
        ("per_scene", {}, "cuda", "per_scene"),
        ("pretrain", {"masking.largest_mask_ratio": 0.9}, "cuda", "largest_mask_ratio"),
        ("finetune", {"hardware.devices": 2}, "cuda", "several processes"),
        ("finetune", {"model.aggregator": "nerformer"}, "cuda", "dropout"),
        ("pretrain", {"masking.strategy": "mine:strategy"}, "cuda", r"masking\.strategy of your own"),
        ("finetune", {"model.aggregator": "mine:Aggregator"}, "cuda", r"model\.aggregator of your own"),
    ],
)
def test_what_is_not_the_same_in_each_step_is_refused(stage, overrides, device, named):
    config = load_config(stage, overrides=overrides | {"hardware.cuda_graph": True})
    renderer = Renderer(ModelSettings(aggregator="nerformer" if named == "dropout" else "neuray"))
    with pytest.raises(SettingsError, match=f"cuda_graph.*{named}"):
        recorded_steps.recorded_steps(plainly, renderer, config, torch.device(device))


def test_the_trainer_refuses_it_without_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    asked = {"hardware.cuda_graph": True, "hardware.device": "cpu"}
    run = Run.start(tmp_path / "run", load_config("pretrain", "demo", asked))
    with pytest.raises(SettingsError, match=r"cuda_graph.*without a GPU"):
        Trainer(run)


def test_what_is_kept_of_weights_is_recorded_too():
    class Doubled(torch.nn.Linear):
        kept: tuple = (None, None)

        def forward(self, x):
            if self.kept[0] != self.weight._version:  # as what kernels keep of weights
                with torch.no_grad():
                    self.kept = self.weight._version, 2 * self.weight
            return x @ self.kept[1].T + 0 * self.weight.sum()

    torch.manual_seed(0)
    layer = Doubled(3, 2)

    def terms_of(batch, weight, generator):
        return {"total": layer(batch.query.w2c[:, :, :3]).square().sum()}

    compute, found = recorded(terms_of, layer), []
    for factor in (1, 2, 3, 4):
        with torch.no_grad():
            layer.weight.fill_(factor)
        found.append(compute(tiny_batch(), 0.0, 0)["total"].item())
    assert found == pytest.approx([found[0] * factor**2 for factor in (1, 2, 3, 4)])
