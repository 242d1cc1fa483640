"""A step hands a GPU all its work, forward and backward, before it asks for a number.

Seen on a CPU: by the operations that a GPU would be waited for in.
"""

import math
from contextlib import ExitStack, closing

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from maskrf_core.model.renderer import Renderer
from maskrf_core.runs import Run
from maskrf_core.settings.config import load_config
from maskrf_core.settings.sections import ModelSettings
from maskrf_core.training.objective import Objective
from maskrf_core.training.trainer import Trainer
from tests.model.source_cases import tiny_sources
from tests.model.tiny import tiny_batch

aten = torch.ops.aten
WAITED_FOR = {
    aten._local_scalar_dense: "a tensor's number is asked for",
    aten.lift_fresh: "a tensor is made of Python's numbers",
    aten._linalg_check_errors: "a decomposition is checked",
    aten.nonzero: "places are counted",
    aten.masked_select: "places are counted",
    aten._unique2: "values are counted",
}


class NoWaiting(TorchDispatchMode):
    """Raise where a GPU would be waited for."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        reason = WAITED_FOR.get(function.overloadpacket)
        if function.overloadpacket in (aten.index, aten.index_put_, aten._index_put_impl_):
            masks = [part for part in arguments[1] if isinstance(part, Tensor) and part.dtype == torch.bool]
            reason = "places are counted" if masks else None
        assert reason is None, f"{function}: {reason}"
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: float(x.sum()),
        lambda x: bool(x.any()),
        lambda x: x + torch.tensor([1.0, 2.0]),
        lambda x: x.new_tensor([1.0, 2.0]),
        lambda x: torch.linalg.inv(x),
        lambda x: x[x > 0],
    ],
)
def test_what_waits_is_noticed(wait):
    x = torch.eye(2)
    with pytest.raises(AssertionError), NoWaiting():
        wait(x)


@pytest.mark.parametrize(
    "settings", [{}, {"direct_rendering": True}, {"visibility_init": "cost_volume"}, {"aggregator": "ibrnet"}]
)
def test_terms_and_gradients(settings):
    torch.manual_seed(0)
    config = load_config("pretrain", overrides={"data.depth_pixels": 20, "data.rays": 10})
    objective = Objective(Renderer(ModelSettings(coarse_samples=12, fine_samples=6, **settings)).train(), config)
    batch, generator = tiny_batch(), torch.Generator().manual_seed(0)
    if "visibility_init" in settings:
        references, sources = tiny_sources()
        batch = batch.replace(references=references, sources=sources)
    if "aggregator" in settings:
        batch = batch.replace(references=batch.references.replace(true_depths=None))
    with NoWaiting():
        sum(objective(batch, generator=generator).values()).backward()
    assert all(math.isfinite(each.grad.sum()) for each in objective.parameters() if each.grad is not None)


def test_the_trainers_step(tmp_path, monkeypatch):
    monkeypatch.setenv("MASKRF_SMOKE", "1")
    run = Run.start(tmp_path / "run", load_config("pretrain", "demo", {"hardware.data_workers": 0}))
    trainer = Trainer(run)
    forward, backward = trainer.objective.forward, trainer.fabric.backward
    with closing(trainer.batches()) as batches, ExitStack() as watched:

        def watched_forward(*batch, **options):
            watched.enter_context(NoWaiting())
            return forward(*batch, **options)

        def watched_backward(total):
            backward(total)
            watched.close()

        monkeypatch.setattr(trainer.objective, "forward", watched_forward)
        monkeypatch.setattr(trainer.fabric, "backward", watched_backward)
        values = trainer._train_step(next(batches))
    assert values.keys() >= {"total", "colour_fine", "feature_alignment"}
    assert all(map(math.isfinite, values.values()))
