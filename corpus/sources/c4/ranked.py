"""Pages of all splits compared by ranked runs: of each key the page with the best rank keeps it.

Two stages a kind of key: its runs, a part a split, by a work of its own, and the answers, a part a bucket.
Then `open_filter` says, split by split, which pages lost a key. See `corpus.dedup.newest`.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any

from corpus import storage
from corpus.build.job import BuildJob
from corpus.dedup.newest import NewestFilter, NewestIndex
from corpus.errors import CorruptPartError
from corpus.parts import PartWriter, check_file
from corpus.runs import Run, bucket_count, write_answer
from corpus.stages import Stage, Task


def stages(kind: str, runs: Stage) -> tuple[Stage, Stage]:
    """The stage that writes the runs, as given, and the one that answers them."""
    answers = Stage(
        name=answers_of(kind),
        tasks=_Buckets(kind),
        work=_Answer(kind),
        needs=(runs.name,),
        settings=_bucket_bytes,
        libraries=(),
    )
    return runs, answers


def runs_of(kind: str) -> str:
    """Name of the stage of runs."""
    return f"{kind}-runs"


def answers_of(kind: str) -> str:
    """Name of the stage of answers."""
    return f"{kind}-answers"


@contextlib.contextmanager
def write_run(job: BuildJob, kind: str, task: Task, writer: PartWriter) -> Iterator[NewestIndex]:
    """Gather a split's keys; its run is written when the block ends. Counter: ``keys``, the distinct ones."""
    with NewestIndex(tempfile.gettempdir(), job.build.bucket_bytes) as index:
        yield index
        with writer.file(_run_path(kind, task.name)) as f:
            writer.tally.count("keys", index.write(f))


def open_filter(job: BuildJob, kind: str, name: str) -> NewestFilter:
    """Which pages of a split lost a key to another.

    Raises:
        CorruptPartError: a run or an answer is not as written.
    """
    part = job.part(runs_of(kind), name)
    file = part.file(".run")
    if file is None:
        raise CorruptPartError(f"part {name} of {part.stage} has no run; delete its record and run again")
    if problem := check_file(job.root, file):
        raise CorruptPartError(f"{problem}; delete it and run again")
    place = [p.name for p in job.parts(runs_of(kind))].index(name)
    answers = [(storage.join(job.root, p.files[0].path), place) for p in job.parts(answers_of(kind))]
    return NewestFilter(Run.open(storage.join(job.root, file.path)), answers)


class _Buckets:
    """A task a bucket, as many as the runs' keys need."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __call__(self, job: BuildJob) -> list[Task]:
        keys = sum(part.counters.get("keys", 0) for part in job.parts(runs_of(self._kind)))
        buckets = bucket_count(keys, job.build.bucket_bytes, ranked=True)
        return [Task(f"bucket-{bucket:05d}", [bucket, buckets]) for bucket in range(buckets)]


class _Answer:
    """Answer one bucket of all runs."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __call__(self, job: BuildJob, task: Task, writer: PartWriter) -> None:
        bucket, buckets = task.payload
        names = [part.name for part in job.parts(runs_of(self._kind))]
        # Each section that is read has a checksum of its own.
        runs = [Run.open(storage.join(job.root, _run_path(self._kind, name))) for name in names]
        with writer.file(f"{answers_of(self._kind)}/{task.name}.answer") as f:
            write_answer(f, runs, bucket, buckets, "keep-newest", job.build.bucket_bytes)


def _bucket_bytes(job: BuildJob) -> dict[str, Any]:
    return {"bucket_bytes": job.build.bucket_bytes}


def _run_path(kind: str, name: str) -> str:
    return f"{runs_of(kind)}/{name}.run"
