"""Stage `export`: the kept documents of a group of parts → ``documents/[LANGUAGE/]part-NNNNN.parquet``."""

from __future__ import annotations

from typing import Any

from corpus.build.decide import FOLDER as DECISIONS
from corpus.build.decide import NAME as DECIDE
from corpus.build.decide import annotated_file
from corpus.build.extract import reason_column
from corpus.build.job import BuildJob
from corpus.kept import DocumentFiles, kept_rows
from corpus.parts import PartWriter
from corpus.stages import Stage, Task

NAME = "export"
FOLDER = "documents"


def stage(annotated: str) -> Stage:
    """The stage, for documents that lie in the parts of stage `annotated`."""
    return Stage(
        name=NAME,
        tasks=_groups,
        work=_Work(annotated),
        needs=(annotated, DECIDE),
        settings=settings,
        folder=FOLDER,
    )


def settings(job: BuildJob) -> dict[str, Any]:
    """How many parts share a file."""
    return {"splits_per_file": job.build.splits_per_file}


def _groups(job: BuildJob) -> list[Task]:
    """A task a group of decided parts, with their names."""
    names = [part.name for part in job.parts(DECIDE)]
    size = job.build.splits_per_file
    groups = [names[start : start + size] for start in range(0, len(names), size)]
    return [Task(f"part-{number:05d}", group) for number, group in enumerate(groups)]


class _Work:
    """Write the kept documents of a group. Counters: those of `DocumentFiles`."""

    def __init__(self, annotated: str) -> None:
        self._annotated = annotated

    def __call__(self, job: BuildJob, task: Task, writer: PartWriter) -> None:
        leave_out = (reason_column(job.source),)
        with DocumentFiles(writer, FOLDER, ("language",), f"{task.name}.parquet") as files:
            for name in task.payload:
                documents = annotated_file(job.part(self._annotated, name))
                (decisions,) = (
                    f for f in job.part(DECIDE, name).files if f.path == f"{DECISIONS}/{name}.parquet"
                )
                for batch in kept_rows(job.root, documents, decisions, leave_out):
                    files.write(batch)
