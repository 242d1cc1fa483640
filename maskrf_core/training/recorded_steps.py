"""Training steps recorded as CUDA graphs: a GPU then does a step's kernels one after the other, not waiting for Python.

What is recorded is replayed as it was, numbers of Python included. So whatever changes from step to step (the batch,
the weight of masked terms, the draws) goes through tensors and a generator that stay where they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields

import torch
from torch import Tensor, nn

from maskrf_core.datasets.batches.batch import SceneBatch
from maskrf_core.model.renderer import Renderer
from maskrf_core.settings.config import Config
from maskrf_core.support.errors import RunError, SettingsError, first_line

Terms = dict[str, Tensor]  # raw terms of the loss, and their weighted sum as `total`
Compute = Callable[[SceneBatch, Tensor, torch.Generator], Terms]  # batch, weight of masked terms, draws → terms
Found = tuple[Terms, Sequence[Tensor | None]]  # and the gradients
AT_MOST = 8  # forms of batches that are recorded: each keeps the memory of a step


def cuda_graph(work: Callable[[], Found], generator: torch.Generator) -> Callable[[], Found]:
    """Record the work, which draws from `generator`, and return what does it again, into the same tensors."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):  # libraries load and choose what they need here, which is not to be recorded
        work()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    # "thread_local": meanwhile the thread that pins batches asks the GPU for what a recording forbids.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        found = work()

    def again() -> Found:
        graph.replay()
        return found

    return again


class RecordedSteps:
    """Terms and gradients of training steps, by `record` from the second batch of a form on (sizes, which parts)."""

    def __init__(
        self,
        compute: Compute,
        trained: nn.Module,
        device: torch.device,
        record: Callable[[Callable[[], Found], torch.Generator], Callable[[], Found]] = cuda_graph,
    ):
        self._compute, self._record = compute, record
        self._parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]
        self._buffers = list(trained.buffers())
        self._weight, self._generator = torch.zeros((), device=device), torch.Generator(device)
        self._seen: set[tuple] = set()
        self._recorded: dict[tuple, tuple[list[Tensor], Callable[[], Found]]] = {}

    def __call__(self, batch: SceneBatch, masked_weight: float, seed: int) -> Terms:
        """Compute the terms of a batch, on the device or pinned, and set gradients: None where a parameter has no part.

        Raises:
            RunError: the step cannot be recorded, as where it waits for the GPU.
        """
        form = form_of(batch)
        self._weight.fill_(masked_weight)
        if form in self._recorded:
            kept, replay = self._recorded[form]
            for into, tensor in zip(kept, tensors_of(batch), strict=True):
                into.copy_(tensor, non_blocking=True)
        else:
            batch = batch.changed(lambda tensor: tensor.to(self._weight.device, non_blocking=True, copy=True))

            def replay() -> Found:
                return self._found(batch)

            if form in self._seen and len(self._recorded) < AT_MOST:
                replay = self._recording(replay)
                self._recorded[form] = tensors_of(batch), replay
            self._seen.add(form)
        self._generator.manual_seed(seed)
        terms, gradients = replay()
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        return terms

    def _recording(self, work: Callable[[], Found]) -> Callable[[], Found]:
        before = [buffer.clone() for buffer in self._buffers]  # running means, which a step that is tried changes
        try:
            replay = self._record(work, self._generator)
        except RuntimeError as error:
            raise RunError(
                f"hardware.cuda_graph: a step cannot be recorded ({first_line(error)}). Leave it out."
            ) from error
        for buffer, kept in zip(self._buffers, before, strict=True):
            buffer.copy_(kept)
        return replay

    def _found(self, batch: SceneBatch) -> Found:
        # What is kept of weights as they are now is made anew, so that making it is recorded too.
        torch.autograd.graph.increment_version(self._parameters)
        terms = self._compute(batch, self._weight, self._generator)
        found = torch.autograd.grad(terms["total"], self._parameters, allow_unused=True)
        gradients = [
            None if gradient is None else torch.empty_like(parameter).copy_(gradient)  # fused Adam wants one layout
            for parameter, gradient in zip(self._parameters, found, strict=True)
        ]
        return {name: term.detach() for name, term in terms.items()}, gradients


def recorded_steps(compute: Compute, renderer: Renderer, config: Config, device: torch.device) -> RecordedSteps:
    """Record a training's steps.

    Raises:
        SettingsError: something is, or may be, done anew in each step, and not by what a graph records.
    """
    anew = {
        "a training without a GPU": device.type != "cuda",
        "the per_scene stage": config.stage == "per_scene",
        "masking.largest_mask_ratio": config.masking.largest_mask_ratio is not None,
        "several processes, which share gradients": config.hardware.processes > 1,
        "an aggregator with dropout": renderer.aggregator.uses_dropout,
        "a model.aggregator of your own": _is_foreign(config.model.aggregator),
        "a masking.strategy of your own": config.masking.masks and _is_foreign(config.masking.strategy),
    }
    if found := next((what for what, there in anew.items() if there), None):
        raise SettingsError(f"hardware.cuda_graph=true: does not go with {found}. Leave it out.")
    return RecordedSteps(compute, renderer, device)


def _is_foreign(name: str) -> bool:
    """Tell whether `module:function` names something that does not come with this package."""
    return ":" in name and not name.startswith("maskrf_core.")


def tensors_of(batch: SceneBatch) -> list[Tensor]:
    """List all tensors of a batch, always in the same order."""
    found: list[Tensor] = []
    batch.changed(lambda tensor: found.append(tensor) or tensor)
    return found


def form_of(batch: object) -> tuple:
    """Return which parts of a batch are there, and their shapes and types."""
    parts = ((field.name, getattr(batch, field.name)) for field in fields(batch))
    return tuple(
        (name, (tuple(part.shape), part.dtype) if isinstance(part, Tensor) else form_of(part))
        for name, part in parts
        if part is not None
    )
