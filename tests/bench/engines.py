"""`python -m tests.bench.engines`: the same crawl filter on every engine, one after the other in one run.

CPU seconds are of all processes of an engine (job server, master, workers, executors, Python workers) from
the command's start to its end; memory is the peak of their anonymous pages together; start-up is from the
command to the first task of a worker. Spark's cluster (a master, two workers of one core) stands before the
clock starts, as a cluster does; Flink and Prism are started by the command. MB are 10^6 bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from tests.bench.control_group import ControlGroup
from tests.bench.generator import make_wet_files
from tests.engines.jobs import digest
from tests.engines.spark_cluster import SparkCluster
from tests.pipelines.conftest import COMMAND, ROOT

FLAGS = {
    "local, 1 worker": [],
    "local, 2 workers": ["--workers", "2"],
    "spark": [],  # those of a cluster that is started for the run
    "flink": ["--runner", "flink", "--flink_master", "[local]", "--workers", "2"],
    "prism": ["--runner", "prism"],
}


@dataclass(frozen=True)
class Taken:
    """What a run took.

    Attributes:
        wall, start: seconds until the end, and until the first task.
        cpu: CPU seconds; `cpu_java`: of them, of Java's processes.
        memory: bytes of peak; `memory_java`: of them, of Java's processes.
        killed: processes that the kernel killed because of the limit.
        shuffled: bytes written to the engine's shuffle, where it tells them.
    """

    wall: float
    start: float
    cpu: float
    cpu_java: float
    memory: int
    memory_java: int
    killed: int
    shuffled: int | None


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=80, help="text of the crawl (default 80)")
    parser.add_argument("--files", type=int, default=8, help="WET files of it (default 8)")
    parser.add_argument("--engines", nargs="+", choices=FLAGS, default=list(FLAGS), metavar="ENGINE")
    parser.epilog = "Other options go to every engine but the local one."
    args, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="llama-corpus-engines-") as temporary:
        folder = Path(temporary)
        crawl = folder / "crawl"
        text = make_wet_files(crawl, args.megabytes * 10**6, args.files)
        raw = sum(f.stat().st_size for f in crawl.iterdir())
        print(f"crawl filter, {args.files} WET files, {mb(text)} of text, {mb(raw)} compressed\n", flush=True)
        command = ["crawl-filter", "--input", str(crawl)]
        counted = folder / "counted"
        grouped = grouped_bytes([*command, "--output", str(counted)])
        taken, digests = {}, {"counted": digest(counted)}
        for engine in args.engines:
            output = folder / engine.replace(", ", "-").replace(" ", "-")
            given = [] if engine.startswith("local") else options
            taken[engine] = run_on(engine, [*command, *given], output)
            digests[engine] = digest(output)
        print_table(taken)
        print(f"\nthrough the folder (runs and answers) {exchanged_bytes(counted):,} bytes;")
        print(f"through the engine, as the graph encodes what it groups, {grouped:,} bytes")
        print(f"SHA-256 of all files of a run: {', '.join(sorted(set(digests.values())))}")
        if len(set(digests.values())) > 1:
            raise SystemExit(f"the engines have written different bytes: {digests}")


def run_on(engine: str, command: Sequence[str], output: Path, limit: int | None = None) -> Taken:
    """Run a subcommand on an engine, all of whose processes together may have `limit` bytes of memory."""
    group_name = f"llama-corpus-bench-{time.monotonic_ns()}"
    with ControlGroup.make(group_name, limit) as group, contextlib.ExitStack() as stack:
        flags, events = FLAGS[engine], output.with_name(f"{output.name}-events")
        if engine == "spark":
            with group.entered():
                cluster = stack.enter_context(SparkCluster.start(output.with_name(f"{output.name}-cluster")))
            cluster.kill("pool")  # the executors start the Python workers
            flags = [*cluster.flags, *_event_log(events)]
        cpu, java, begin = group.cpu(), sum(group.java.values()), time.perf_counter()
        log = stack.enter_context(output.with_name(f"{output.name}.log").open("w+"))
        arguments = [*COMMAND, *command, "--output", str(output), *flags]
        with group.entered():
            process = subprocess.Popen(arguments, cwd=ROOT, stdout=log, stderr=log)
        start = 0.0
        while process.poll() is None:
            if not start and (output / ".worker.json").exists():
                start = time.perf_counter() - begin
            time.sleep(0.01)
        wall = time.perf_counter() - begin
        if process.returncode:
            log.seek(0)
            raise SystemExit(f"{engine} ended with {process.returncode}:\n{log.read()[-4000:]}")
        return Taken(
            wall,
            start,
            group.cpu() - cpu,
            sum(group.java.values()) - java,
            group.peak,
            group.peak_java,
            group.killed(),
            _shuffled(events) if engine == "spark" else None,
        )


def grouped_bytes(command: Sequence[str]) -> int:
    """Run a subcommand in this process: bytes of the encoded elements that its graph groups."""
    from apache_beam.runners.portability.fn_api_runner.execution import GroupingBuffer

    from pipelines.__main__ import main as llama_corpus

    append, sizes = GroupingBuffer.append, []

    def count(buffer: GroupingBuffer, elements: bytes) -> None:
        sizes.append(len(elements))
        append(buffer, elements)

    said = io.StringIO()
    with (
        mock.patch.object(GroupingBuffer, "append", count),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        status = llama_corpus(list(command))
    if status:
        raise SystemExit(said.getvalue())
    return sum(sizes)


def exchanged_bytes(run: Path) -> int:
    """Bytes of runs and answers, through which splits meet."""
    files = (f for stage in ("index", "dedup") for f in (run / stage).iterdir())
    return sum(f.stat().st_size for f in files if f.suffix in (".run", ".answer"))


def print_table(taken: Mapping[str, Taken]) -> None:
    """A line an engine; in parentheses times the first."""
    base = next(iter(taken.values()))
    print(_row("", "wall s", "start", "CPU s", "Java", "memory MB", "Java", "shuffle B"))
    for engine, t in taken.items():
        wall = f"{t.wall:.1f} ({t.wall / base.wall:.2f})"
        cpu = f"{t.cpu:.1f} ({t.cpu / base.cpu:.2f})"
        memory = f"{t.memory / 1e6:.0f} ({t.memory / base.memory:.2f})"
        java = f"{t.memory_java / 1e6:.0f}"
        shuffled = "" if t.shuffled is None else f"{t.shuffled:,}"
        print(_row(engine, wall, f"{t.start:.1f}", cpu, f"{t.cpu_java:.1f}", memory, java, shuffled))


def _row(*cells: str) -> str:
    widths = (-18, 15, 7, 15, 7, 16, 7, 11)
    return "".join(
        cell.ljust(-width) if width < 0 else cell.rjust(width)
        for cell, width in zip(cells, widths, strict=True)
    )


def mb(size: int) -> str:
    """A size for people."""
    return f"{size / 1e6:.0f} MB"


def _event_log(folder: Path) -> Iterator[str]:
    """Options that have Spark write its events."""
    folder.mkdir()
    for setting in ("enabled=true", f"dir={folder.as_uri()}"):
        yield f"--job_server_jvm_property=-Dspark.eventLog.{setting}"


def _shuffled(events: Path) -> int:
    """Bytes that the tasks of a Spark job wrote to its shuffle."""
    written = 0
    for path in events.iterdir():
        for line in path.read_text().splitlines():
            metrics = json.loads(line).get("Task Metrics", {})
            written += metrics.get("Shuffle Write Metrics", {}).get("Shuffle Bytes Written", 0)
    return written


if __name__ == "__main__":
    main()
