"""What Spark's processes leave when they are killed in the middle of a run (kill -9), and who ends the run.

| killed | the run |
|---|---|
| a Spark worker, with its executor | goes on by itself on the other worker |
| Python workers | goes on by itself in new ones |
| the pool, with its Python workers | fails (a task is tried four times, at once); the same command ends it |
| the driver (`llama-corpus`) | is over, with its job server; the same command ends it |
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corpus.sample import CRAWL
from tests.bench.generator import make_wet_files, seed_pages
from tests.engines.spark_cluster import SparkCluster
from tests.pipelines.conftest import COMMAND, ROOT, digests, llama_corpus

pytestmark = pytest.mark.spark

_FILES = 12
_SECONDS = 600.0


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crawl of twelve files, each of which takes a worker a good while."""
    root = tmp_path_factory.mktemp("crawl")
    make_wet_files(root / "wet", 30_000_000, _FILES, seeds=seed_pages([CRAWL]))
    return root / "wet"


@pytest.fixture(scope="module")
def expected(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the local runner makes of it."""
    output = tmp_path_factory.mktemp("local") / "run"
    llama_corpus("crawl-filter", "--input", crawl, "--output", output)
    return digests(output)


@pytest.fixture
def start(crawl: Path, tmp_path: Path) -> Iterator[Callable[[list[str]], Run]]:
    """Starts a run with an engine's flags, and waits until it has annotated some of its files."""
    started = []

    def start(flags: list[str]) -> Run:
        started.append(Run(crawl, tmp_path / "run", flags))
        started[-1].await_part()
        return started[-1]

    yield start
    for run in started:
        run.process.kill()


class Run:
    """A run of the command on Spark."""

    def __init__(self, crawl: Path, output: Path, flags: list[str]) -> None:
        self.output, self.log = output, output.with_suffix(".log")
        self.args = ["crawl-filter", "--input", str(crawl), "--output", str(output), *flags]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*COMMAND, *self.args], cwd=ROOT, stdout=log, stderr=log)

    def await_part(self) -> None:
        """Wait until it has annotated some of its files."""
        end = time.monotonic() + _SECONDS
        while not self.annotated():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, "nothing was annotated"
            time.sleep(0.01)

    def annotated(self) -> int:
        """How many files' parts are committed."""
        return len(list(self.output.glob("annotate/*.part.json")))

    def wait(self) -> int:
        """Wait for the end of a run that was not near it; its status."""
        assert self.annotated() < _FILES, "the kill came too late"
        return self.process.wait(_SECONDS)


Start = Callable[[list[str]], Run]


def children(pid: int) -> list[int]:
    """Processes that a process has started (Linux)."""
    lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for text in lists for child in text.split()]


def lives(pid: int) -> bool:
    """Whether a process is there, and is not merely waiting to be collected by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def await_end(processes: list[int]) -> None:
    end = time.monotonic() + 10
    while left := [pid for pid in processes if lives(pid)]:
        assert time.monotonic() < end, f"{left} live on"
        time.sleep(0.1)


def test_a_killed_spark_worker_is_done_without(
    start: Start, cluster: SparkCluster, expected: dict[str, str]
) -> None:
    run = start(cluster.flags)
    cluster.kill("worker1")
    assert run.wait() == 0, run.log.read_text()
    assert digests(run.output) == expected


@pytest.mark.slow
def test_killed_python_workers_are_started_again(
    start: Start, cluster: SparkCluster, expected: dict[str, str]
) -> None:
    run = start(cluster.pool_flags)
    workers = children(cluster.processes["pool"].pid)
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    assert run.wait() == 0, run.log.read_text()
    assert digests(run.output) == expected


def test_a_killed_pool_fails_the_run_and_the_same_command_ends_it(
    start: Start, cluster: SparkCluster, expected: dict[str, str]
) -> None:
    run = start(cluster.pool_flags)
    cluster.kill("pool")
    assert run.wait() == 1
    assert "no worker pool answers" in run.log.read_text()
    cluster.start_pool()
    llama_corpus(*run.args)
    assert digests(run.output) == expected


def test_a_killed_driver_takes_its_job_server_along_and_the_same_command_ends_the_run(
    start: Start, cluster: SparkCluster, expected: dict[str, str]
) -> None:
    run = start(cluster.flags)
    servers = children(run.process.pid)
    assert servers, "the job server is a child of the driver"
    run.process.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    await_end(servers)
    llama_corpus(*run.args)
    assert digests(run.output) == expected
