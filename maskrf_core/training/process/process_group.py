"""Processes that train together: one, or several that each draw a batch of their own and share gradients (DDP)."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from maskrf_core.rendering.evaluation import resolve_device
from maskrf_core.settings.config import Config
from maskrf_core.settings.sections import HardwareSettings
from maskrf_core.support.errors import SettingsError
from maskrf_core.support.machine import set_tensor_float32
from maskrf_core.training.process.protocol import ExitCode, forget_places, place_among_processes

if TYPE_CHECKING:
    import lightning_fabric

PATIENCE = timedelta(hours=2)  # of one process for the others: depth that the first one estimates takes its time


def start_fabric(hardware: HardwareSettings) -> "lightning_fabric.Fabric":
    """Set up the device of the run, the first GPUs if there are any, else the CPU, and join the other processes.

    `SettingsError` where this was started as another number of processes than the settings say, or GPUs are missing.
    """
    _, count = place_among_processes()
    if count != hardware.processes:
        raise SettingsError(
            f"hardware.devices={hardware.devices}, hardware.num_nodes={hardware.num_nodes}: the run has "
            f"{hardware.processes} training processes, but {count} were started. Start that many with torchrun "
            "(--nproc-per-node and --nnodes), or ask for a run of another number."
        )
    set_tensor_float32(hardware.precision == "bf16-mixed")
    device = resolve_device(hardware.device)
    if device.type == "cuda" and hardware.devices > torch.cuda.device_count():
        raise SettingsError(f"hardware.devices={hardware.devices}: torch sees {torch.cuda.device_count()} GPUs here.")
    if count == 1:
        forget_places()
    from lightning_fabric import Fabric  # only now: it reads RANK as it is imported
    from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
    from lightning_fabric.strategies import DDPStrategy

    if count == 1:
        fabric = Fabric(accelerator=device.type, devices=1, plugins=[LightningEnvironment()])
    else:
        # Which weights have a part in a step depends on the stage and on the masks drawn; no buffer is trained.
        together = DDPStrategy(find_unused_parameters=True, forward_sync_buffers=False, timeout=PATIENCE)
        nodes, launched = {"devices": hardware.devices, "num_nodes": hardware.num_nodes}, [TorchElasticEnvironment()]
        fabric = Fabric(accelerator=device.type, strategy=together, plugins=launched, **nodes)
    fabric.launch()
    return fabric


def batch_of_several(config: Config) -> list[str]:
    """Describe the batch and learning rate of several processes; return nothing for one."""
    count, rays = config.hardware.processes, config.data.rays
    if count == 1:
        return []
    return [
        f"{count} processes: {count} × {rays} = {count * rays} rays a step, each process with views of its "
        f"own; the learning rate, {config.training.learning_rate:g} at the start, is not changed for that"
    ]


class ProcessGroup:
    """The processes of a training. All of them have to call the same methods in the same order."""

    def __init__(self, fabric: "lightning_fabric.Fabric"):
        self.fabric = fabric
        self.rank, self.count = fabric.global_rank, fabric.world_size
        self.is_first = self.rank == 0  # the one that writes files and speaks

    def share_buffers(self, module: nn.Module) -> None:
        """Give every process the buffers of the first one, such as running statistics: they are what is saved."""
        for buffer in module.buffers() if self.count > 1 else ():
            torch.distributed.broadcast(buffer, src=0)

    def agreed(self, code: ExitCode | None) -> ExitCode | None:
        """Return one answer for all: the code that any of them was asked to stop by."""
        if self.count == 1:
            return code
        heard = self.fabric.all_reduce(torch.tensor(int(code or 0)), reduce_op="max")
        return ExitCode(int(heard)) if int(heard) else None

    def mean(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Return the mean of each number over the processes that have it."""
        gathered = self.gathered([dict(numbers)])
        names = dict.fromkeys(name for each in gathered for name in each)
        having = {name: [each[name] for each in gathered if name in each] for name in names}
        return {name: sum(values) / len(values) for name, values in having.items()}

    def gathered(self, share: Sequence[Any]) -> list[Any]:
        """Return all items, in their order before item i was given to process i mod count: what JSON can hold.

        torch would send them pickled, and so run what another process, or whoever reaches its port, says.
        """
        if self.count == 1:
            return list(share)
        text = torch.frombuffer(bytearray(json.dumps(list(share)).encode()), dtype=torch.uint8)
        lengths = [int(length) for length in self._from_all(torch.tensor([len(text)]))]
        texts = self._from_all(functional.pad(text, (0, max(lengths) - len(text))))
        shares = [json.loads(bytes(each[:length].tolist())) for each, length in zip(texts, lengths, strict=True)]
        return [shares[i % self.count][i // self.count] for i in range(sum(map(len, shares)))]

    def _from_all(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """Return the tensors of all processes, which have one shape and type, in their order."""
        own = tensor.to(self.fabric.device)
        received = [torch.empty_like(own) for _ in range(self.count)]
        torch.distributed.all_gather(received, own)
        return received
