"""Energy is what the driver's counters advance by, and unknown where there are none."""

import sys
from types import SimpleNamespace

import pytest

from maskrf_core.runs import energy
from maskrf_core.runs.energy import EnergyMeter


def make_zone(folder, name, microjoules, span=10**7):
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{span}\n")
    return folder / "energy_uj"


def test_packages_and_memory_are_added_and_their_parts_and_the_whole_are_not(tmp_path):
    package = make_zone(tmp_path / "intel-rapl:0", "package-0", 5_000_000)
    core = make_zone(tmp_path / "intel-rapl:0:0", "core", 1_000_000)
    memory = make_zone(tmp_path / "intel-rapl:0:1", "dram", 2_000_000)
    whole = make_zone(tmp_path / "intel-rapl:1", "psys", 3_000_000)
    meter = EnergyMeter(powercap=tmp_path)
    assert meter.source == "rapl"
    assert meter.joules() == 0
    for counter, value in ((package, 6_500_000), (core, 9_000_000), (memory, 2_250_000), (whole, 9_000_000)):
        counter.write_text(str(value))
    assert meter.joules() == pytest.approx(1.75)
    meter.close()


def test_a_counter_that_begins_anew_goes_on(tmp_path):
    counter = make_zone(tmp_path / "intel-rapl:0", "package-0", 9_000_000, span=10**7)
    meter = EnergyMeter(powercap=tmp_path)
    for value, joules in ((500_000, 1.5), (9_500_000, 10.5), (0, 11.0)):
        counter.write_text(str(value))
        assert meter.joules() == pytest.approx(joules)
    meter.close()


def test_it_is_read_often_enough_by_itself(tmp_path, monkeypatch):
    """Two rounds of the counter between two questions."""
    monkeypatch.setattr(energy, "READ_EVERY", 0.01)
    counter = make_zone(tmp_path / "intel-rapl:0", "package-0", 9_000_000, span=10**7)
    meter = EnergyMeter(powercap=tmp_path)
    read = meter._counters[0]
    for value in (1_000_000, 9_000_000, 1_000_000):
        counter.write_text(str(value))
        while read._last != value:
            meter._closed.wait(0.001)
    assert meter.joules() == pytest.approx(12.0)
    meter.close()


def test_nobody_tells(tmp_path):
    meter = EnergyMeter(powercap=tmp_path / "absent")
    assert (meter.source, meter.joules()) == (None, None)
    make_zone(tmp_path / "intel-rapl:0", "package-0", 1).unlink()  # as where only root may read it
    assert EnergyMeter(powercap=tmp_path).joules() is None


def test_a_counter_that_goes_away_tells_nothing(tmp_path):
    counter = make_zone(tmp_path / "intel-rapl:0", "package-0", 1)
    meter = EnergyMeter(powercap=tmp_path)
    counter.unlink()
    assert meter.joules() is None
    meter.close()


class Driver(SimpleNamespace):
    """Of two GPUs, in millijoules."""

    def __init__(self):
        super().__init__(counted={"GPU-a": 1_000, "GPU-b": 70_000}, nvmlInit=lambda: None)

    def nvmlDeviceGetHandleByUUID(self, uuid):
        if uuid not in self.counted:
            raise RuntimeError("Not Found")
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        return self.counted[handle]


@pytest.fixture
def driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", driver := Driver())
    return driver


def test_gpus_in_use_are_added_and_others_are_not(driver):
    driver.counted["GPU-c"] = 0
    meter = EnergyMeter(["GPU-a", "GPU-b"])
    driver.counted |= {"GPU-a": 3_500, "GPU-b": 70_250, "GPU-c": 10**6}
    assert meter.source == "nvml"
    assert meter.joules() == pytest.approx(2.75)


@pytest.mark.usefixtures("driver")
def test_part_of_the_gpus_is_not_taken_for_all(tmp_path):
    make_zone(tmp_path / "intel-rapl:0", "package-0", 1)
    meter = EnergyMeter(["GPU-a", "GPU-unknown"], powercap=tmp_path)
    assert (meter.source, meter.joules()) == (None, None)


def test_the_functions_are_those_of_the_installed_binding():
    import pynvml

    assert all(callable(getattr(pynvml, name)) for name in ("nvmlInit", *(n for n in dir(Driver) if n[:4] == "nvml")))
