"""A run that was ended in any way goes on as if it had not been: bit for bit, and with each record once."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.corpora import SOURCES, write_corpus
from tests.trainer.runs import (
    BATCH,
    LENGTH,
    LONG,
    PATIENCE,
    STEPS,
    Ended,
    Signal,
    Start,
    curve,
    records,
    run,
    weights,
)
from trainer.checkpoint.folder import steps

ROOT = Path(__file__).parents[2]
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "shards", (35, 35, 35, 35, 35))


@pytest.fixture(scope="module")
def straight(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody ends, on one rank."""
    output = tmp_path_factory.mktemp("straight") / "run"
    assert run(*LONG, "--data", shards, "--output", output).status == 0
    return output


@pytest.fixture(scope="module")
def straight_on_two(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("straight") / "run"
    assert run(*LONG, "--data", shards, "--output", output, world=2).status == 0
    return output


def saved(output: Path) -> list[int]:
    return steps(output / "checkpoints")


def assert_same(output: Path, straight: Path) -> None:
    """Losses by source, norms, rates, positions, held-out scores; parameters and moments."""
    assert curve(output) == curve(straight)
    assert saved(output) == saved(straight)
    assert weights(output) == weights(straight)
    assert len(records(output, "end")) == 1
    assert (output / "loss.png").exists()


def assert_close(output: Path, straight: Path) -> None:
    """The same samples, and losses that differ by the order of sums alone."""
    pairs = list(zip(records(output, "train"), records(straight, "train"), strict=True))
    assert len(pairs) == STEPS
    for one, other in pairs:
        assert [one[key] for key in ("step", "position", "tokens", "tokens_by_source", "learning_rate")] == [
            other[key] for key in ("step", "position", "tokens", "tokens_by_source", "learning_rate")
        ]
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert one["loss_by_source"] == pytest.approx(other["loss_by_source"], abs=1e-4)


def test_a_straight_run_has_each_record_once(straight: Path) -> None:
    train = records(straight, "train")
    assert [record["step"] for record in train] == list(range(1, STEPS + 1))
    assert [record["position"] for record in train] == [BATCH // LENGTH * n for n in range(1, STEPS + 1)]
    assert [record["step"] for record in records(straight, "evaluation")] == [0, 10, 20, 30, 40]
    assert saved(straight) == [30, 40]
    assert len({record["loss"] for record in train}) == STEPS
    assert {source for record in train for source in record["loss_by_source"]} == set(SOURCES)


def test_killed_at_the_worst_moments(straight: Path, shards: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    command = (*LONG, "--data", shards, "--output", output)

    def killed(place: str, call: int, after: bool = False) -> list[int]:
        """The checkpoints there are when a start has killed itself at a call."""
        assert run(*command, signals=[Signal(place, call, after)]).status == KILLED
        return saved(output)

    # Within the third step, and within the record of it, before there is a checkpoint.
    assert killed("trainer.optim:take_step", 3, after=True) == []
    with (output / "metrics.jsonl").open("a") as log:
        log.write('{"kind": "train", "step": 3, "lo')
    # The second checkpoint's tensors are written, its manifest is not.
    assert killed("trainer.checkpoint.folder:write_json", 4) == [10]
    assert [path.name.split("-")[0] for path in (output / "checkpoints").glob("*.tmp-*")] == ["step"]
    # Its folder has just been named.
    assert killed("trainer.checkpoint.folder:sync", 2, after=True) == [10, 20]
    # The oldest one is about to be deleted.
    assert killed("trainer.checkpoint.folder:delete", 1) == [10, 20, 30]
    # All is done but the picture.
    assert killed("trainer.train:loss_curve", 1) == [30, 40]
    ended = run(*command)
    assert ended.status == 0
    assert "trained to its end already" in ended.err
    assert_same(output, straight)


def test_killed_at_random_moments(straight: Path, shards: Path, tmp_path: Path) -> None:
    output, rng = tmp_path / "run", random.Random(0)
    for step in sorted(rng.sample(range(1, STEPS), 3)):
        start = Start(*LONG, "--data", shards, "--output", output)
        start.until(step)
        time.sleep(rng.random() / 50)
        start.send()
        assert start.wait().status == KILLED
    assert run(*LONG, "--data", shards, "--output", output).status == 0
    assert_same(output, straight)


def test_asked_to_stop_it_finishes_the_step_and_saves(straight: Path, shards: Path, tmp_path: Path) -> None:
    """By SIGTERM and by Ctrl-C within a step, by --stop-after; the schedule stays as it is."""
    output = tmp_path / "run"
    command = (*LONG, "--data", shards, "--output", output)

    def stopped(step: int, ended: Ended) -> None:
        assert ended.status == 0
        assert f"stopped after step {step} of {STEPS}" in ended.err
        assert saved(output)[-1] == step
        assert curve(output) == [record for record in curve(straight) if record["step"] <= step]

    # A step has three micro-batches; the second one of the start's 7th step, then of its 9th.
    for number, step, micro_batch in ((signal.SIGTERM, 7, 20), (signal.SIGINT, 16, 26)):
        within = Signal("trainer.loss:losses_and_gradient", micro_batch, number=number)
        stopped(step, run(*command, signals=[within]))
    for step in (23, 23):
        stopped(step, run(*command, "--stop-after", step))
    ended = run(*command)
    assert ended.status == 0
    assert f"going on after step 23 of {STEPS}" in ended.err
    assert_same(output, straight)


def test_a_finished_run_says_so_and_changes_nothing(straight: Path, shards: Path) -> None:
    def files() -> dict[Path, tuple[bytes, int]]:
        paths = (path for path in straight.rglob("*") if path.is_file() and path.suffix != ".png")
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}

    before = files()
    ended = run(*LONG, "--data", shards, "--output", straight)
    assert ended.status == 0
    assert "trained to its end already" in ended.err
    assert files() == before
    last = records(straight, "evaluation")[-1]["bits_per_byte"]
    for source in ("books", "github"):
        (line,) = [line for line in ended.out.splitlines() if line.startswith(source)]
        assert f"{last[source]:.4f}" in line.split()


def test_two_ranks_take_the_samples_of_one(straight: Path, straight_on_two: Path) -> None:
    assert_close(straight_on_two, straight)


def test_another_number_of_ranks_goes_on(straight: Path, shards: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    for world, last in ((2, 13), (1, 26), (2, STEPS)):
        ended = run(*LONG, "--data", shards, "--output", output, "--stop-after", last, world=world)
        assert ended.status == 0
    assert [record["ranks"] for record in records(output, "run")] == [2, 1, 2]
    assert_close(output, straight)


def test_two_ranks_killed_and_asked_to_stop(straight_on_two: Path, shards: Path, tmp_path: Path) -> None:
    """Both are killed; then only one is asked, and both end after the same step."""
    output = tmp_path / "run"
    start = Start(*LONG, "--data", shards, "--output", output, world=2)
    start.until(14)
    start.send()
    assert start.wait().status == KILLED
    start = Start(*LONG, "--data", shards, "--output", output, world=2)
    start.until(22)
    start.send(signal.SIGTERM, ranks=slice(1, 2))
    assert start.wait().status == 0
    assert 22 < saved(output)[-1] < STEPS
    assert run(*LONG, "--data", shards, "--output", output, world=2).status == 0
    assert_same(output, straight_on_two)


def children(pid: int) -> list[int]:
    """A process, and all below it."""
    try:
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(found for child in below for found in children(int(child)))]


def torchrun(shards: Path, output: Path) -> subprocess.Popen[bytes]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    command = [*ranks, "-m", "trainer", *LONG, "--data", str(shards), "--output", str(output)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})


@pytest.mark.slow
def test_torchrun_killed_as_a_whole(straight_on_two: Path, shards: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    for step in (4, 23):
        started = torchrun(shards, output)
        needle = f'{{"kind": "train", "step": {step},'
        end = time.monotonic() + PATIENCE
        log = output / "metrics.jsonl"
        while not (log.exists() and needle in log.read_text()):
            assert started.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        tree = children(started.pid)
        assert len(tree) >= 3
        for pid in tree:
            os.kill(pid, signal.SIGKILL)
        started.wait()
    assert torchrun(shards, output).wait(PATIENCE) == 0
    assert_same(output, straight_on_two)


@pytest.mark.slow
def test_compiled_in_bf16(shards: Path, tmp_path: Path) -> None:
    straight, output = tmp_path / "straight", tmp_path / "run"
    command: tuple[Any, ...] = (*LONG, "--compiled", "--precision", "bf16", "--data", shards)
    assert run(*command, "--output", straight).status == 0
    for step in (6, 17, 34):
        start = Start(*command, "--output", output)
        start.until(step)
        start.send()
        assert start.wait().status == KILLED
    assert run(*command, "--output", output).status == 0
    assert_same(output, straight)
