"""Saves that are killed with SIGKILL: at each of their system calls, and at random moments.

python -m tests.trainer.killed_saves calls|moments FOLDER

Each save is made by a fork of this process; after it is killed, what it left is checked here.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainer.checkpoint import folder as checkpoint
from trainer.checkpoint.folder import Checkpoints, read_state, read_tensors

CALLS = ("mkdir", "fsync", "rename", "unlink", "rmdir")


def tensors(step: int, rows: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(step)
    return {name: torch.randn(rows, 256, generator=generator) for name in ("model.w", "exp_avg.w")}


def go_on(folder: Path, last: int, rows: int) -> None:
    """Save from the step after the latest on, up to `last`; ``done`` beside the folder tells the last one."""
    checkpoints = Checkpoints(folder, 2, 0, 1, f"{os.getpid()}")
    for step in range(max(checkpoints.steps(), default=0) + 1, last + 1):
        checkpoints.save(step, tensors(step, rows), {"step": step})
        checkpoints.wait()
        folder.with_suffix(".done").write_text(f"{step}")


def check(folder: Path, rows: int) -> int:
    """What is there is whole, nothing that was complete is lost, leftovers go at the next start."""
    done = folder.with_suffix(".done")
    complete = checkpoint.steps(folder)
    assert max(complete, default=0) >= (int(done.read_text() or 0) if done.exists() else 0)
    assert len(complete) <= 3  # the two to keep, and the one to delete next
    for step in complete:
        path = checkpoint.find(folder, step)
        assert read_state(path) == {"step": step}
        expected = tensors(step, rows)
        assert all(torch.equal(found, expected[name]) for name, found in read_tensors(path).items())
    if folder.exists():
        Checkpoints(folder, 2, 0, 1, "next")
        assert sorted(path.name for path in folder.iterdir()) == [f"step-{step:08d}" for step in complete]
    return max(complete, default=0)


def fork(run: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        run()
        os._exit(0)
    return child


def die_at(number: int) -> None:
    """Have this process killed in place of one of its system calls, or with half the tensors written."""
    made = 0

    def counted(function: Callable[..., Any], last_words: Callable[..., None]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal made
            made += 1
            if made == number:
                last_words(*args)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    def half(_: Any, path: Path) -> None:
        path.write_bytes(bytes(100))

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name), lambda *args: None))
    checkpoint.save_file = counted(checkpoint.save_file, half)


def at_each_call(root: Path) -> None:
    number, killed = 1, True
    while killed:
        folder = root / f"call-{number}"

        def run(folder: Path = folder, number: int = number) -> None:
            die_at(number)
            go_on(folder, 4, rows=4)

        killed = os.waitpid(fork(run), 0)[1] == signal.SIGKILL
        check(folder, rows=4)
        go_on(folder, 4, rows=4)
        assert check(folder, rows=4) == 4
        number += 1
    print(number - 2)


def at_random_moments(root: Path) -> None:
    folder, moments = root / "moments", random.Random(0)
    for _ in range(12):
        child = fork(lambda: go_on(folder, 1_000_000, rows=4_096))
        time.sleep(moments.uniform(0.02, 0.4))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        latest = check(folder, rows=4_096)
    print(latest)


if __name__ == "__main__":
    (at_each_call if sys.argv[1] == "calls" else at_random_moments)(Path(sys.argv[2]))
