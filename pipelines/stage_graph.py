"""A job of stages as one Beam graph, one stage after the other.

Elements are names of tasks, and after each stage one element that says it is complete: no text, no hash and
no token passes between steps. Rows of different splits meet in files (`corpus.exchange`).

    start ─ tasks of stage 1 ─ make parts ─┬─ write manifest ─ tasks of stage 2 ─ …
                                           └─ (waits for all)
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import apache_beam as beam

from corpus.stages import StagedJob, Task, close_stage, make_part
from pipelines import runners
from pipelines.engines.on_worker import OnWorker
from pipelines.progress import Progress, StagePlan


def run(
    job: StagedJob, until: str, parts: Mapping[str, int], args: argparse.Namespace, beam_args: list[str]
) -> None:
    """Run the stages of a job up to and with `until`, with progress.

    Args:
        parts: how many parts each stage will have; 0 where only the stages before it know.
        args: as parsed, with the options of `pipelines.options.add_engine_options`.
        beam_args: further options of the engine.
    """
    with Progress(job.root, [StagePlan(name, count) for name, count in parts.items()]):
        runners.run(
            lambda p, on_worker: build(p, job, until, on_worker),
            job.root,
            args.runner,
            args.workers,
            beam_args,
        )


def build(pipeline: beam.Pipeline, job: StagedJob, until: str, on_worker: OnWorker) -> None:
    """Add the graph to a pipeline, up to and with the stage `until`; `on_worker` goes before its work."""
    done = pipeline | "Start" >> beam.Create([0])
    for stage in job.stages():
        label = stage.name.capitalize()
        made = (
            done
            | f"{label}Tasks"
            >> beam.FlatMap(partial(_tasks, job=job, stage_name=stage.name)).with_output_types(Task)
            | f"{label}Spread" >> beam.Reshuffle()
            | f"{label}OnWorker" >> beam.ParDo(on_worker).with_output_types(Task)
            | label >> beam.Map(partial(_make, job=job, stage_name=stage.name)).with_output_types(int)
        )
        # What came before is among the elements, so that a stage without a task is completed too.
        done = (
            (done, made)
            | f"{label}Parts" >> beam.Flatten()
            | f"{label}Keyed" >> beam.Map(_keyed).with_output_types(tuple[int, int])
            | f"{label}Wait" >> beam.GroupByKey()
            | f"{label}Close"
            >> beam.MapTuple(partial(_close, job=job, stage_name=stage.name)).with_output_types(int)
        )
        if stage.name == until:
            return


def _tasks(_: int, job: StagedJob, stage_name: str) -> Iterator[Task]:
    yield from job.stage(stage_name).tasks(job)


def _make(task: Task, job: StagedJob, stage_name: str) -> int:
    make_part(job, job.stage(stage_name), task)
    return 1


def _keyed(count: int) -> tuple[int, int]:
    return 0, count


def _close(_: int, made: Iterable[int], job: StagedJob, stage_name: str) -> int:
    close_stage(job, job.stage(stage_name))
    return 0
