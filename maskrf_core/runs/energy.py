"""Energy since a moment, where the driver tells: of GPUs by NVML, else of the CPU packages and their memory by RAPL.

It is what the whole device took, whoever else computed on it. Other nodes and the rest of the computer are not in it.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
READ_EVERY = 60.0
"""Seconds. RAPL's counters begin anew after minutes to hours; whoever reads them less often than that loses energy."""


class EnergyMeter:
    """Counts from when it is made. `gpus` are the UUIDs of those in use, none where the CPU computes."""

    def __init__(self, gpus: Sequence[str] = (), powercap: Path = POWERCAP):
        self._counters = _gpu_counters(gpus) if gpus else _processor_counters(powercap)
        self.source = ("nvml" if gpus else "rapl") if self._counters else None
        """Who tells; None where nobody does."""
        self._lock, self._closed = threading.Lock(), threading.Event()
        if self.source == "rapl":
            threading.Thread(target=self._keep_reading, daemon=True, name="energy").start()

    def joules(self) -> float | None:
        """Since it was made; None where nobody tells, or no longer."""
        if not self._counters:
            return None
        try:
            with self._lock:
                return sum(counter.joules() for counter in self._counters)
        except Exception:  # the driver went away, which says each time something else, and must end no training
            return None

    def close(self) -> None:
        """End the reading in the background."""
        self._closed.set()

    def _keep_reading(self) -> None:
        while not self._closed.wait(READ_EVERY):
            self.joules()


class _Counter:
    """Sums what a counter advances by. `span` is where it begins anew at 0, in its own unit, if it does."""

    def __init__(self, read: Callable[[], int], per_joule: float, span: int | None = None):
        self._read, self._per_joule, self._span = read, per_joule, span
        self._last, self._sum = read(), 0

    def joules(self) -> float:
        value = self._read()
        advance = value - self._last
        self._sum += advance + self._span if advance < 0 and self._span else advance
        self._last = value
        return self._sum / self._per_joule


def _gpu_counters(uuids: Sequence[str]) -> list[_Counter]:
    """One each; none at all unless every GPU counts its energy, which those before Volta do not."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in uuids]
        total = pynvml.nvmlDeviceGetTotalEnergyConsumption
        return [_Counter(lambda handle=handle: total(handle), 1e3) for handle in handles]
    except Exception:  # no driver, no such function, no permission: a class of error for each
        return []


def _processor_counters(powercap: Path) -> list[_Counter]:
    """CPU packages and, where it has a counter of its own, memory; their parts would be counted twice."""
    try:
        zones = [
            zone
            for zone in sorted(powercap.glob("intel-rapl:*"))
            if (zone / "name").read_text().strip().startswith(("package", "dram"))
        ]
        return [
            _Counter(
                lambda zone=zone: int((zone / "energy_uj").read_text()),
                1e6,
                int((zone / "max_energy_range_uj").read_text()),
            )
            for zone in zones
        ]
    except (OSError, ValueError):  # many systems let only root read them
        return []
