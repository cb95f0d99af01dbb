"""A job across runs as one Beam graph: steps, each of tasks, one after the other.

Elements are tasks, which name a file of documents, a bucket or a run; what passes from step to step is that
the one before is complete. All data lies in parts.

    tasks ─ work ─ group all ─ manifest ─ tasks of the next step ─ work ─ …
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import apache_beam as beam

from corpus.overlap.job import OverlapJob, Step, Task, close_step, make_part


def build(pipeline: beam.Pipeline, job: OverlapJob, steps: Sequence[Step]) -> None:
    """Add the graph to a pipeline."""
    before: Any = pipeline | "Begin" >> beam.Create([0])
    for step in steps:
        name = step.name.capitalize()
        before = (
            before
            | f"{name}Tasks" >> beam.FlatMap(partial(_tasks, job=job, step=step))
            | f"Spread{name}" >> beam.Reshuffle()
            | name >> beam.Map(partial(_make, job=job, step=step))
            | f"{name}Complete" >> beam.GroupByKey()
            | f"Close{name}" >> beam.MapTuple(partial(_close, job=job, step=step))
        )


def _tasks(_: int, job: OverlapJob, step: Step) -> list[Task]:
    return step.tasks(job)


def _make(task: Task, job: OverlapJob, step: Step) -> tuple[int, str]:
    return 0, make_part(job, step, task).digest


def _close(_: int, digests: Iterable[str], job: OverlapJob, step: Step) -> int:
    close_step(job, step)
    return 0
