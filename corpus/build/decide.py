"""Stage `decide`: columns of an annotated part, thresholds, verdicts → kept, or the first reason against.

In: ``annotated/part-NNNNN.parquet`` (its text is not read) and the verdicts over its rows. Out:
``decisions/part-NNNNN.parquet`` (schema `DECISION`), row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.build import verdicts
from corpus.build.extract import FOLDER as ANNOTATED
from corpus.build.extract import reason_column
from corpus.build.job import BuildJob
from corpus.build.source import BuildSource
from corpus.decide import Removals, first_failed, uniform
from corpus.overlap.hosts import REASON as OTHER_SOURCE
from corpus.overlap.hosts import entries_of, hosts_of
from corpus.parts import Part, PartFile, PartWriter, open_part_file
from corpus.recipe import digest
from corpus.schema import DECISION
from corpus.stages import Stage, Task

NAME = "decide"
FOLDER = "decisions"
_BATCH_ROWS = 65_536


def stage(annotated: str, verdict_stages: tuple[str, ...]) -> Stage:
    """The stage, for documents that lie in the parts of stage `annotated`."""
    return Stage(
        name=NAME,
        tasks=_Tasks(annotated),
        work=_Work(annotated, verdict_stages),
        aligned=(annotated,),
        needs=verdict_stages,
        settings=settings,
        folder=FOLDER,
    )


def settings(job: BuildJob) -> dict[str, Any]:
    """The thresholds, the held-out share and the removal lists."""
    return {
        "checks": [asdict(check) for check in job.source.checks(job.settings)],
        "held_out": job.build.held_out,
        "hosts": {source: entries_of(source) for source in _other_sources(job)},
        "removals": digest(sorted(map(sorted, asdict(job.removals()).values()))),
    }


class _Tasks:
    """A task a part of an earlier stage."""

    def __init__(self, earlier: str) -> None:
        self._earlier = earlier

    def __call__(self, job: BuildJob) -> list[Task]:
        return [Task(part.name) for part in job.parts(self._earlier)]


class _Work:
    """Decide every row of an annotated part.

    Counters: ``in`` (rows of the footer), ``kept``, ``kept/LANGUAGE`` where there is one, ``rejected``,
    ``rejected/REASON``, ``held_out``.
    """

    def __init__(self, annotated: str, verdict_stages: tuple[str, ...]) -> None:
        self._annotated = annotated
        self._verdict_stages = verdict_stages

    def __call__(self, job: BuildJob, task: Task, writer: PartWriter) -> None:
        removals = job.removals()
        found = [verdicts.read(job, name, task.name) for name in self._verdict_stages]
        others = _first_verdicts(found)
        start = 0
        with writer.parquet(f"{FOLDER}/{task.name}.parquet", DECISION) as sink:
            file = annotated_file(job.part(self._annotated, task.name))
            for batch in read_columns(job, file, ["id", "key", "language"]):
                decided = decide(batch, job, removals, others, start)
                start += batch.num_rows
                sink.write(decided)
                _count(writer, decided)


def decide(
    batch: pa.RecordBatch, job: BuildJob, removals: Removals, others: dict[int, str], start: int
) -> pa.RecordBatch:
    """Decide a batch of annotated rows.

    The first reason against a document, in this order: ``removed``; ``other_source`` (on a host of those in
    `drop_hosts_of`); the reader's own; the first threshold that it fails; that another stands for it.

    Args:
        batch: ``id``, ``key``, ``language``, the reader's reason and the columns of the checks.
        others: reason by row of the part, of documents that others stand for.
        start: row of the part that the batch begins with.
    """
    ids, keys = batch.column("id").to_pylist(), batch.column("key").to_pylist()
    own = own_reasons(batch, job.source)
    against = against_candidates(batch, job, own)
    hosts = hosts_of(_other_sources(job))
    reasons: list[str | None] = []
    for i, id_ in enumerate(ids):
        if removals.has(id_, keys[i]):
            reasons.append("removed")
        elif hosts.has(keys[i]):
            reasons.append(OTHER_SOURCE)
        else:
            reasons.append(own[i] or against[i] or others.get(start + i))
    columns = [
        pa.array(ids, pa.string()),
        pa.array([reason is None for reason in reasons], pa.bool_()),
        pa.array(reasons, pa.string()),
        batch.column("language").cast(pa.string()),
        pa.nulls(len(ids), pa.string()),
        pa.array(
            [r is None and uniform(i) < job.build.held_out for i, r in zip(ids, reasons, strict=True)],
            pa.bool_(),
        ),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=DECISION)


def _other_sources(job: BuildJob) -> tuple[str, ...]:
    """Sources whose own hosts the source's block leaves out, if it has such a key."""
    return tuple(getattr(job.settings, "drop_hosts_of", ()))


def own_reasons(batch: pa.RecordBatch, source: BuildSource) -> list[str | None]:
    """The reader's reason of each row."""
    column = batch.schema.get_field_index(reason_column(source))
    return [None] * batch.num_rows if column < 0 else batch.column(column).to_pylist()


def against_candidates(batch: pa.RecordBatch, job: BuildJob, own: list[str | None]) -> list[str | None]:
    """The first threshold that each row without a reason of its own fails."""
    candidate = np.array([reason is None for reason in own], bool)
    ids = batch.column("id").to_pylist()
    return first_failed(job.source.checks(job.settings), batch, candidate, ids)


def annotated_file(part: Part) -> PartFile:
    """The file of documents of an annotated part."""
    return next(f for f in part.files if f.path == f"{ANNOTATED}/{part.name}.parquet")


def read_columns(job: BuildJob, file: PartFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The columns named, the reader's reason and those that the checks look at, in batches."""
    wanted = [*columns, reason_column(job.source), *(c.column for c in job.source.checks(job.settings))]
    with open_part_file(job.root, file) as f:
        parquet = pq.ParquetFile(f)
        present = [name for name in dict.fromkeys(wanted) if name in parquet.schema_arrow.names]
        yield from parquet.iter_batches(batch_size=_BATCH_ROWS, columns=present)


def _first_verdicts(found: list[pa.Table]) -> dict[int, str]:
    """Reason by row: of several stages the first, of several rules the first by name."""
    reasons: dict[int, str] = {}
    for table in found:
        for row, reason in zip(
            table.column("row").to_pylist(), table.column("reason").to_pylist(), strict=True
        ):
            reasons.setdefault(row, reason)
    return reasons


def _count(writer: PartWriter, decided: pa.RecordBatch) -> None:
    tally = writer.tally
    tally.count("in", decided.num_rows)
    reasons = decided.column("reason").value_counts().to_pylist()
    for entry in sorted((e for e in reasons if e["values"] is not None), key=lambda e: str(e["values"])):
        tally.by_reason("rejected", entry["values"], entry["counts"])
    kept = decided.filter(decided.column("kept"))
    tally.count("kept", kept.num_rows)
    for entry in kept.column("language").value_counts().to_pylist():
        if entry["values"] is not None:
            tally.count(f"kept/{entry['values']}", entry["counts"])
    tally.count("held_out", pc.sum(decided.column("held_out")).as_py() or 0)
