"""Energy that training takes, in joules: measured where the machine tells it, estimated where not.

A GPU tells its own energy through NVML, which counts in millijoules from when the driver was loaded. A CPU
tells it through the powercap files of Linux (RAPL), in microjoules, for the whole machine and all that runs
on it. The rest is watts × time. Fans, disks and, where GPUs train, the processor are not in it, as in the
paper.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch

from trainer.metrics.devices import assumed_watts

Clock = Callable[[], float]
POWERCAP = Path("/sys/class/powercap")


class Counter(Protocol):
    """Something that counts energy.

    Attributes:
        origin: what it goes by, for people: "nvml", "rapl", "estimate: 400 W".
    """

    @property
    def origin(self) -> str:
        """As above."""

    def joules(self) -> float:
        """Counted since some fixed time."""


class Unavailable(Exception):
    """This machine does not tell its energy that way."""


class EnergyMeter:
    """The energy of a process's device.

    Every process of a run has one, and the sum of theirs is the run's: RAPL counts a whole machine, so only
    its first process (`local_rank` 0) counts there. Read it at least every 10 minutes: RAPL's counters wrap.

    Args:
        device: that this process computes on.
        watts: what the device draws, given instead of measured.
        local_rank: of this process on its machine.
        powercap: folder of RAPL's files.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        watts: float | None = None,
        local_rank: int = 0,
        powercap: Path = POWERCAP,
    ) -> None:
        self._counter = _counter(device, watts, powercap)
        self._counts = local_rank == 0 or not isinstance(self._counter, Rapl)
        self._started = self._counter.joules()

    @property
    def origin(self) -> str:
        """What the joules go by: "nvml", "nvml: power × time", "rapl" or "estimate: 400 W"."""
        return self._counter.origin

    def start(self) -> None:
        """Count from now."""
        self._started = self._counter.joules()

    def joules(self) -> float:
        """Used since `start`, or since this was made."""
        return self._counter.joules() - self._started if self._counts else 0.0

    def lap(self) -> float:
        """Used since `start`, the lap before, or since this was made, whichever is latest; begins another."""
        joules = self.joules()
        self._started += joules
        return joules


def _counter(device: torch.device, watts: float | None, powercap: Path) -> Counter:
    if watts is not None:
        return Estimate(watts)
    try:
        if device.type == "cpu":
            return Rapl(powercap)
        if device.type == "cuda":
            uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
            return Nvml(importlib.import_module("pynvml"), uuid)
    except (Unavailable, ImportError):
        pass
    return Estimate(assumed_watts(device))


class Estimate:
    """Watts × time."""

    def __init__(self, watts: float, clock: Clock = time.monotonic) -> None:
        self.origin = f"estimate: {watts:g} W"
        self._watts, self._clock = watts, clock

    def joules(self) -> float:
        """By the clock."""
        return self._watts * self._clock()


class Nvml:
    """A GPU's energy counter; where it has none (older than Volta, some virtual ones), power × time.

    Power counts as even between two readings. A reading that fails gives the one before: the next makes up
    for it, and training goes on.

    Args:
        nvml: the module pynvml.
        uuid: of the GPU, "GPU-…": its number would not do where CUDA_VISIBLE_DEVICES hides some.
        clock: seconds.

    Raises:
        Unavailable: no driver, or a GPU that tells neither.
    """

    def __init__(self, nvml: Any, uuid: str, clock: Clock = time.monotonic) -> None:
        self._nvml, self._clock = nvml, clock
        self._joules = 0.0
        try:
            nvml.nvmlInit()
            self._handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        except nvml.NVMLError as error:
            raise Unavailable(str(error)) from error
        try:
            self._joules = self._energy()
            self.origin, self._read = "nvml", self._energy
        except nvml.NVMLError:
            try:
                self._before = clock(), self._watts()
            except nvml.NVMLError as error:
                raise Unavailable(str(error)) from error
            self.origin, self._read = "nvml: power × time", self._power_by_time

    def joules(self) -> float:
        """Since the driver was loaded, or since this was made."""
        try:
            self._joules = self._read()
        except self._nvml.NVMLError:
            return self._joules
        return self._joules

    def _energy(self) -> float:
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1e3

    def _watts(self) -> float:
        return float(self._nvml.nvmlDeviceGetPowerUsage(self._handle)) / 1e3

    def _power_by_time(self) -> float:
        now, watts = self._clock(), self._watts()
        (then, watts_then), self._before = self._before, (now, watts)
        return self._joules + (now - then) * (watts + watts_then) / 2


class Rapl:
    """The counters of a machine's processors and of their memory, where that has one of its own.

    Zones are those of Linux, Documentation/power/powercap/powercap.rst: packages, and in them "dram", which a
    package's counter leaves out; "core" and "uncore" are parts of it, and "psys" holds the packages.

    Raises:
        Unavailable: no zones, or none that this user may read (since Linux 5.10 only root may).
    """

    origin = "rapl"

    def __init__(self, folder: Path = POWERCAP) -> None:
        zones = [
            zone
            for zone in sorted(folder.glob("intel-rapl:*"))
            if _name(zone).startswith(("package", "dram"))
        ]
        try:
            self._ranges = {zone: _number(zone / "max_energy_range_uj") for zone in zones}
            self._before = {zone: _number(zone / "energy_uj") for zone in zones}
        except (OSError, ValueError) as error:
            raise Unavailable(str(error)) from error
        if not zones:
            raise Unavailable(f"{folder} has no zones")
        self._microjoules = 0

    def joules(self) -> float:
        """Since this was made; a counter that stands lower than before has wrapped once."""
        for zone, before in self._before.items():
            try:
                now = _number(zone / "energy_uj")
            except (OSError, ValueError):
                continue  # the next reading makes up for it, and training goes on
            self._microjoules += now - before + (self._ranges[zone] if now < before else 0)
            self._before[zone] = now
        return self._microjoules / 1e6


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text("ascii")
    except OSError:
        return ""


def _number(path: Path) -> int:
    return int(path.read_text("ascii"))
