"""One step and one validation of one of two processes: `torchrun --nproc-per-node 2 -m tests.training.two_processes`.

Takes a run folder, and writes `step.pt` there: the gradients before the optimiser uses them, terms, and validation.
"""

import sys
from contextlib import closing
from pathlib import Path

import torch

from maskrf_core.runs import Run
from maskrf_core.training.trainer import Trainer


def main(folder: Path) -> None:
    """As `Trainer.fit` does it, where nothing that a process receives may be unpickled."""
    torch.distributed.distributed_c10d._tensor_to_object = None
    trainer = Trainer(Run.open(folder))
    validation = trainer._judge()
    trainer.optimiser.optimizer.step = lambda *_, **__: None
    with closing(trainer.batches()) as batches:
        draw = next(batches)
        terms = trainer._train_step(draw)
    gradients = {
        name: parameter.grad for name, parameter in trainer.renderer.named_parameters() if parameter.grad is not None
    }
    origins = trainer.together.gathered([draw.origin])
    mean = trainer.together.mean(terms)
    if trainer.together.is_first:
        seen = {"gradients": gradients, "terms": mean, "validation": validation, "origins": origins}
        torch.save(seen, folder / "step.pt")
    # A thread of gloo that still holds what was gathered when Python ends would abort the process.
    trainer.fabric.barrier()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
