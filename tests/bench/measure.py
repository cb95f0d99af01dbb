"""Seconds and memory of a step in this process, or of another process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_CHILD = (
    "import resource,subprocess,sys,json;"
    "p=subprocess.run(sys.argv[1:],capture_output=True,text=True);"
    "u=resource.getrusage(resource.RUSAGE_CHILDREN);"
    "print(json.dumps([p.returncode,u.ru_utime+u.ru_stime,u.ru_maxrss*1024,p.stdout,p.stderr]))"
)


@dataclass(frozen=True)
class Cost:
    """What a process took: CPU and wall seconds, peak resident bytes of the largest of its processes."""

    cpu: float
    wall: float
    memory: int
    output: str


def process(command: list[str]) -> Cost:
    """Run a command to its end."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *command], capture_output=True, text=True, check=True
    )
    wall = time.perf_counter() - start
    status, cpu, memory, output, errors = json.loads(done.stdout)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {status}:\n{errors}")
    return Cost(cpu, wall, memory, output)


def step(name: str, size: int, work: Callable[[], Any]) -> Any:
    """Time a step and print its MB/s of `size` bytes; returns its result."""
    start = time.process_time()
    result = work()
    line(name, size, time.process_time() - start)
    return result


def line(name: str, size: int, seconds: float) -> None:
    """Print one figure."""
    print(f"  {name:<42} {seconds:8.2f} s {size / 1e6 / max(seconds, 1e-9):9.1f} MB/s", flush=True)
