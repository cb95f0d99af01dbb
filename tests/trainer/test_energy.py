"""Energy: measured by GPU or processor where they tell it, else watts × time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from trainer.metrics.energy import EnergyMeter, Estimate, Nvml, Rapl, Unavailable

CPU = torch.device("cpu")
UUID = "GPU-00000000-1111-2222-3333-444444444444"


class Driver:
    """Stands in for the module pynvml: one GPU, whose counters a test sets; None is a counter it lacks."""

    class NVMLError(Exception):
        pass

    def __init__(self, millijoules: int | None = 0, milliwatts: int | None = 0) -> None:
        self.millijoules, self.milliwatts = millijoules, milliwatts

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        return self._read(handle, self.millijoules)

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        return self._read(handle, self.milliwatts)

    def _read(self, handle: str, value: int | None) -> int:
        if handle != UUID or value is None:
            raise self.NVMLError("Not Supported")
        return value


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def used(counter: Nvml | Rapl | Estimate) -> Iterator[float]:
    """Joules since the first reading, one a time it is asked."""
    started = counter.joules()
    while True:
        yield counter.joules() - started


def test_a_gpu_tells_its_energy() -> None:
    driver = Driver(millijoules=5_000_000)
    counter = Nvml(driver, UUID)
    joules = used(counter)
    assert counter.origin == "nvml"
    assert next(joules) == 0
    driver.millijoules = 5_250_500
    assert next(joules) == 250.5


def test_a_gpu_without_a_counter_tells_its_power() -> None:
    driver, clock = Driver(millijoules=None, milliwatts=100_000), Clock()
    counter = Nvml(driver, UUID, clock)
    assert counter.origin == "nvml: power × time"
    driver.milliwatts, clock.now = 300_000, 102.0
    assert counter.joules() == 2 * 200  # as much between as halfway from 100 W to 300 W
    clock.now = 105.0
    assert counter.joules() == 2 * 200 + 3 * 300


@pytest.mark.parametrize("lacking", ["millijoules", "milliwatts"])
def test_a_failed_reading_is_made_up_for(lacking: str) -> None:
    driver, clock = Driver(millijoules=0 if lacking == "millijoules" else None, milliwatts=100_000), Clock()
    counter = Nvml(driver, UUID, clock)
    clock.now = 101.0
    setattr(driver, lacking, None)
    assert counter.joules() == 0
    clock.now, driver.millijoules, driver.milliwatts = 104.0, 400_000, 100_000
    assert counter.joules() == 400


def test_a_gpu_that_tells_nothing_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="Not Supported"):
        Nvml(Driver(millijoules=None, milliwatts=None), UUID)
    with pytest.raises(Unavailable):
        Nvml(Driver(), "GPU-of-another-machine")


def zone(folder: Path, number: str, name: str, microjoules: int, greatest: int = 262_143_328_850) -> Path:
    path = folder / f"intel-rapl:{number}"
    path.mkdir(parents=True, exist_ok=True)
    (path / "name").write_text(name + "\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    (path / "max_energy_range_uj").write_text(f"{greatest}\n")
    return path / "energy_uj"


def test_a_processor_tells_its_energy_and_its_memorys(tmp_path: Path) -> None:
    first = zone(tmp_path, "0", "package-0", 1_000_000)
    memory = zone(tmp_path, "0:1", "dram", 500)
    second = zone(tmp_path, "1", "package-1", 0)
    joules = used(Rapl(tmp_path))
    assert next(joules) == 0
    first.write_text("3000000\n")
    memory.write_text("1000500\n")
    second.write_text("500000\n")
    assert next(joules) == 3.5


def test_what_another_zone_holds_counts_once(tmp_path: Path) -> None:
    package = zone(tmp_path, "0", "package-0", 0)
    parts = [zone(tmp_path, n, name, 0) for n, name in (("0:0", "core"), ("0:2", "uncore"), ("1", "psys"))]
    joules = used(Rapl(tmp_path))
    assert next(joules) == 0
    for path in (package, *parts):
        path.write_text("7000000\n")
    assert next(joules) == 7


def test_a_counter_that_wraps_goes_on(tmp_path: Path) -> None:
    energy = zone(tmp_path, "0", "package-0", 9_000_000, greatest=10_000_000)
    joules = used(Rapl(tmp_path))
    assert next(joules) == 0
    for microjoules, expected in ((1_500_000, 2.5), (9_500_000, 10.5), (500_000, 11.5)):
        energy.write_text(f"{microjoules}\n")
        assert next(joules) == expected


def test_a_processors_failed_reading_is_made_up_for(tmp_path: Path) -> None:
    energy = zone(tmp_path, "0", "package-0", 0)
    counter = Rapl(tmp_path)
    energy.unlink()
    assert counter.joules() == 0
    energy.write_text("2000000\n")
    assert counter.joules() == 2


def test_counters_that_may_not_be_read_are_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no zones"):
        Rapl(tmp_path / "missing")
    energy = zone(tmp_path, "0", "package-0", 0)
    energy.unlink()
    energy.mkdir()  # root may read every file, but no folder as one
    with pytest.raises(Unavailable):
        Rapl(tmp_path)


def test_the_meter_measures_a_processor_that_tells(tmp_path: Path) -> None:
    energy = zone(tmp_path, "0", "package-0", 0)
    meter = EnergyMeter(CPU, powercap=tmp_path)
    assert meter.origin == "rapl"
    energy.write_text("2000000\n")
    assert meter.joules() == 2
    meter.start()
    energy.write_text("5000000\n")
    assert meter.joules() == 3


def test_a_machine_counts_once_for_all_its_processes(tmp_path: Path) -> None:
    energy = zone(tmp_path, "0", "package-0", 0)
    meters = [EnergyMeter(CPU, local_rank=rank, powercap=tmp_path) for rank in range(3)]
    energy.write_text("4000000\n")
    assert [meter.joules() for meter in meters] == [4, 0, 0]


def test_a_processor_that_does_not_tell_is_estimated_by_its_cores(tmp_path: Path) -> None:
    meter = EnergyMeter(CPU, powercap=tmp_path)
    assert meter.origin == f"estimate: {12 * torch.get_num_threads()} W"


def test_watts_given_go_before_all_else(tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", 0)
    assert EnergyMeter(CPU, watts=65, powercap=tmp_path).origin == "estimate: 65 W"


def test_an_estimate_is_watts_by_time() -> None:
    clock = Clock()
    joules = used(Estimate(65, clock))
    assert next(joules) == 0
    clock.now += 10
    assert next(joules) == 650
