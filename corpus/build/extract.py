"""Stage `extract`: the documents of a split, read from its raw files and measured.

Out: ``annotated/part-NNNNN.parquet``, a row a document: columns of `DOCUMENT` and the source's own; bad
records.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus import web
from corpus.build.job import BuildJob
from corpus.build.source import BuildSource, BuildSplit, ReadContext
from corpus.parts import PartWriter
from corpus.schema import DOCUMENT
from corpus.stages import Stage, Task

FOLDER = "annotated"


def stage(source: BuildSource) -> Stage:
    """The stage, for a source whose reader yields whole documents."""
    return Stage(
        name="extract",
        tasks=tasks,
        work=work,
        settings=settings,
        version=source.version,
        libraries=source.libraries,
        folder=FOLDER,
    )


def settings(job: BuildJob) -> dict[str, Any]:
    """Everything in the source's block but what only decisions look at, its models, and the limits."""
    block = {
        f.name: getattr(job.settings, f.name)
        for f in fields(job.settings)
        if f.name not in job.source.thresholds
    }
    return {
        "block": {k: asdict(v) if hasattr(v, "__dataclass_fields__") else v for k, v in block.items()},
        "models": job.model_hashes,
        "limits": asdict(job.limits),
        "batch_bytes": job.build.batch_bytes,
        "rejected": job.build.rejected,
    }


def tasks(job: BuildJob) -> list[Task]:
    """A task a split, the largest first: local workers are dealt their tasks once."""
    splits = sorted(job.splits(), key=lambda s: (-_weight(s), s.ordinal))
    return [Task(split.name, split) for split in splits]


def work(job: BuildJob, task: Task, writer: PartWriter) -> None:
    """Read the ranges of a split."""
    with writer.parquet(f"{FOLDER}/{task.name}.parquet", job.source_schema()) as sink:
        for batch in read(job, task.payload, writer):
            sink.write(_without_text(batch, job))


def read(job: BuildJob, split: BuildSplit, writer: PartWriter) -> Iterator[pa.RecordBatch]:
    """The batches of all ranges of a split; counts and bad records go to the writer's tally."""
    source = job.source
    assert source.read is not None
    paths = {name: job.path_of(name) for name in source.assets(job.settings)}
    context = ReadContext(job.settings, job.limits, paths, job.build.batch_bytes)
    web.configure(job.recipe.network)
    for part in split.ranges:
        yield from source.read(part, context, writer.tally)
    writer.tally.count("bytes_raw", _weight(split))


def _without_text(batch: pa.RecordBatch, job: BuildJob) -> pa.RecordBatch:
    """With `rejected = "columns"`: no text of documents that no threshold can bring back."""
    column = batch.schema.get_field_index(reason_column(job.source))
    if job.build.rejected == "text" or column < 0:
        return batch
    index = batch.schema.get_field_index("text")
    text = pc.if_else(batch.column(column).is_null(), batch.column(index), pa.scalar(None, pa.string()))
    return batch.set_column(index, DOCUMENT.field("text"), text)


def reason_column(source: BuildSource) -> str:
    """Name of the column that says why a document cannot be used."""
    return f"{source.name}_v1_reason"


def _weight(split: BuildSplit) -> int:
    return sum(r.bytes for r in split.ranges)
