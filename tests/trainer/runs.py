"""Starts of `python -m trainer` in processes of their own, and what is left of them.

A start is a fork of a process that has imported the trainer, and nothing else, so that it takes no seconds;
one on several ranks is a fork a rank. Each computes with one thread, on the CPU.
"""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import torch

from trainer.__main__ import main
from trainer.checkpoint.folder import find, read_tensors
from trainer.metrics.log import read_metrics

STEPS, BATCH, LENGTH = 40, 256, 32
SMALL = (
    *("--preset", "tiny", "--length", f"{LENGTH}", "--batch-tokens", f"{BATCH}", "--micro-batch", "3"),
    *("--warmup-steps", "5", "--no-compiled", "--device", "cpu", "--evaluate-tokens", "400", "--watts", "10"),
)
LONG = (*SMALL, "--tokens", f"{STEPS * BATCH}", "--checkpoint-every", "10", "--evaluate-every", "10")
VOCAB = 400  # of the shards that `FEW` is for
FEW_STEPS = 12
FEW = (*SMALL, "--tokens", FEW_STEPS * BATCH, "--checkpoint-every", 4, "--evaluate-every", 6)
PATIENCE = 120.0  # seconds; what is waited for longer hangs

_TIMED = ("tokens_per_second", "mfu_6n", "mfu_attention", "step_seconds", "wait_seconds", "joules")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Signal:
    """A signal that a process sends itself at a call of a function, before or after what the call does.

    Attributes:
        place: ``module:name``.
        call: which one, from 1.
        after: whether it is sent when the call is done.
        number: of the signal.
    """

    place: str
    call: int
    after: bool = False
    number: int = signal.SIGKILL

    def install(self) -> None:
        module, name = self.place.split(":")
        *owners, last = name.split(".")
        owner: Any = importlib.import_module(module)
        owner = attrgetter(".".join(owners))(owner) if owners else owner
        function, calls = getattr(owner, last), 0

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == self.call and not self.after:
                os.kill(os.getpid(), self.number)
            result = function(*args, **kwargs)
            if calls == self.call and self.after:
                os.kill(os.getpid(), self.number)
            return result

        setattr(owner, last, wrapped)


class Ended(NamedTuple):
    """How a start ended: exit status (negative: by a signal), and what it wrote."""

    status: int
    out: str
    err: str


class Start:
    """A start under way, of one rank or several."""

    def __init__(
        self,
        *arguments: object,
        world: int = 1,
        signals: Sequence[Signal] = (),
        terminal: str | None = None,
        streams: Path | None = None,
    ) -> None:
        """Start with a command line.

        Args:
            arguments: of the command line.
            world: ranks.
            signals: that each rank sends itself.
            terminal: device that is its standard error; None for a file.
            streams: files of what it writes bear this name, with .out and .err; by default --output's.
        """
        words = [str(word) for word in arguments]
        output = Path(words[words.index("--output") + 1])
        self._log = output / "metrics.jsonl"
        base = streams or output
        self._streams = [base.with_name(f"{base.name}.{name}") for name in ("out", "err")]
        for path in self._streams:
            path.write_bytes(b"")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        together = {"WORLD_SIZE": f"{world}", "LOCAL_WORLD_SIZE": f"{world}"}
        together |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{port}"}
        files = [str(self._streams[0]), terminal or str(self._streams[1])]
        self._processes: list[ForkServerProcess] = []
        for rank in range(world):
            environment = together | {"RANK": f"{rank}", "LOCAL_RANK": f"{rank}"} if world > 1 else {}
            process = _context.Process(target=_main, args=(words, files, environment, signals))
            process.start()
            self._processes.append(process)

    @property
    def alive(self) -> bool:
        """Whether all its processes are."""
        return all(process.is_alive() for process in self._processes)

    def until(self, step: int) -> None:
        """Wait until a step is in the log, or the end has come."""
        end = time.monotonic() + PATIENCE
        needle = f'{{"kind": "train", "step": {step},'.encode()
        while self.alive and not (self._log.exists() and needle in self._log.read_bytes()):
            if time.monotonic() > end:
                self.send()
                raise TimeoutError(f"step {step} did not come within {PATIENCE:g} s")
            time.sleep(0.002)

    def send(self, number: int = signal.SIGKILL, ranks: slice = slice(None)) -> None:
        """Send a signal to its processes, to all unless some are given."""
        for process in self._processes[ranks]:
            if process.is_alive():
                assert process.pid is not None
                os.kill(process.pid, number)

    def wait(self) -> Ended:
        """Wait for its end; the status is rank 0's."""
        for process in self._processes:
            process.join(PATIENCE)
        if self.alive:
            self.send()
            raise TimeoutError(f"still at work after {PATIENCE:g} s: {self._streams[1].read_text()}")
        status = self._processes[0].exitcode
        assert status is not None
        return Ended(status, *(path.read_text() for path in self._streams))


def _main(
    words: list[str], streams: list[str], environment: dict[str, str], signals: Sequence[Signal]
) -> None:
    os.environ.update(environment)
    for number, path in enumerate(streams, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    torch.set_num_threads(1)
    for at in signals:
        at.install()
    sys.exit(main(words))


def run(*arguments: object, **how: Any) -> Ended:
    """Start and wait for the end; see `Start`."""
    return Start(*arguments, **how).wait()


def records(output: Path, kind: str) -> list[dict[str, Any]]:
    """Of one kind, in a run's log."""
    return [record for record in read_metrics(output / "metrics.jsonl") if record["kind"] == kind]


def curve(output: Path) -> list[dict[str, Any]]:
    """All records that have to be the same bit for bit, in order, without what is measured in seconds."""
    return [
        {key: value for key, value in record.items() if key not in _TIMED}
        for record in read_metrics(output / "metrics.jsonl")
        if record["kind"] not in ("run", "end")
    ]


def weights(output: Path, step: int | None = None) -> dict[str, bytes]:
    """Bytes of the parameters and moments of a checkpoint, of the last one if no step is given."""
    tensors = read_tensors(find(output / "checkpoints", step))
    return {name: tensor.contiguous().view(torch.uint8).numpy().tobytes() for name, tensor in tensors.items()}


def assert_told(ended: Ended, *needles: str, status: int = 2) -> None:
    """One line on stderr that says what is wrong."""
    assert ended.status == status, ended.err
    lines = [line for line in ended.err.splitlines() if line.startswith("trainer: ")]
    assert len(lines) == 1, ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    for needle in needles:
        assert re.search(needle, lines[0]), lines[0]
    others = [line for line in ended.err.splitlines() if line not in lines]
    if status == 2:
        assert all(line.startswith("step 0: ") for line in others), others


def flip(path: Path, byte: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(data)
