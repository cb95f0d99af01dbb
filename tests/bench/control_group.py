"""All processes of an engine measured as one, under one memory limit: a control group of Linux.

In: a limit in bytes. Out: CPU seconds, and the peak of anonymous memory (bytes, looked at five times a
second): pages of files that the kernel keeps at hand count against the limit, but not in the peak, as it
drops them when memory is wanted. Needs the right to make control groups (root), of version 1 or 2.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_SECONDS = 0.2
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class ControlGroup:
    """A group of processes, and of all that they start.

    Attributes:
        memory: folder of its memory; `processor`: of its CPU time; the same in version 2.
        peak: most anonymous memory seen; `peak_java`: of it, of Java's processes at that moment.
        java: CPU seconds of each of Java's processes as last seen, by process id.
    """

    memory: Path
    processor: Path
    peak: int = 0
    peak_java: int = 0
    java: dict[int, float] = field(default_factory=dict)

    @classmethod
    @contextlib.contextmanager
    def make(cls, name: str, limit: int | None = None) -> Iterator[ControlGroup]:
        """Make a group, watch it, and in the end kill what is left in it.

        Raises:
            SystemExit: this user or this machine cannot make one.
        """
        new = (_ROOT / "cgroup.controllers").is_file()
        memory = _ROOT / name if new else _ROOT / "memory" / name
        processor = memory if new else _ROOT / "cpuacct" / name
        group = cls(memory, processor)
        try:
            for folder in {memory, processor}:
                folder.mkdir()
            if limit:
                (memory / ("memory.max" if new else "memory.limit_in_bytes")).write_text(str(limit))
        except OSError as error:
            raise SystemExit(f"this benchmark needs a control group with memory and CPU: {error}") from error
        stop = threading.Event()
        watch = threading.Thread(target=group._watch, args=(stop,))
        watch.start()
        try:
            yield group
        finally:
            stop.set()
            watch.join()
            group._remove()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """What is started in here belongs to the group; this process does for as long."""
        before = {folder: _current(folder) for folder in {self.memory, self.processor}}
        for folder in before:
            _move(folder)
        try:
            yield
        finally:
            for folder in before.values():
                _move(folder)

    def cpu(self) -> float:
        """CPU seconds of all that ever was in the group."""
        if self.memory == self.processor:
            return _table(self.processor / "cpu.stat")["usage_usec"] / 1e6
        return int((self.processor / "cpuacct.usage").read_text()) / 1e9

    def killed(self) -> int:
        """How many processes the kernel has killed because of the limit."""
        events = self.memory / "memory.events"
        return _table(events if events.is_file() else self.memory / "memory.oom_control").get("oom_kill", 0)

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(_SECONDS):
            stat = _table(self.memory / "memory.stat")
            anonymous = stat.get("total_rss", stat.get("anon", 0))
            java = sum(self._java(pid) for pid in self._processes())
            if anonymous > self.peak:
                self.peak, self.peak_java = anonymous, java

    def _java(self, pid: int) -> int:
        """Anonymous memory of a process if it is Java, else 0."""
        process = Path("/proc") / str(pid)
        with contextlib.suppress(OSError):
            if (process / "comm").read_text().strip() != "java":
                return 0
            times = (process / "stat").read_text().rpartition(")")[2].split()
            self.java[pid] = (int(times[11]) + int(times[12])) / _TICK
            status = (process / "status").read_text().splitlines()
            return sum(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon:"))
        return 0

    def _processes(self) -> list[int]:
        return [int(pid) for pid in (self.memory / "cgroup.procs").read_text().split()]

    def _remove(self) -> None:
        while left := self._processes():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        for folder in {self.memory, self.processor}:
            folder.rmdir()


def _move(folder: Path) -> None:
    (folder / "cgroup.procs").write_text(str(os.getpid()))


def _current(folder: Path) -> Path:
    """The folder of this process's group, of the same kind as a given one."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        root = _ROOT / controllers.split(",")[0] if controllers else _ROOT
        if root == folder.parent:
            return root / name.lstrip("/")
    raise SystemExit(f"{folder.parent} is not among the control groups of this process")


def _table(path: Path) -> dict[str, int]:
    """A file of lines of a name and a number."""
    return {name: int(value) for name, value in map(str.split, path.read_text().splitlines())}
