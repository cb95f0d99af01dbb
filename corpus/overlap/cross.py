"""Exact documents across sources: of a text that several runs have, the first run in priority keeps it.

Steps, each of parts; no text passes between them:

    keys      a file of documents → ``keys/NAME.rows``: hashes (`corpus.overlap.exact`), ids; buckets by hash
    compare   a bucket of all runs' hashes → ``compare/NAME.rows``: ids to remove, in buckets by id
    lists     a run → ``RUN/removals.txt``, its ids in order, a removal list for its recipe, and
              ``RUN/report.parquet``: of each, which document is kept for it

Copies within one run stay: that is the source's own rule. Held-out documents are compared like all others.
Memory is a row group of documents, or one bucket.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from corpus import exchange
from corpus.kernels.arrays import Keys
from corpus.overlap.exact import text_keys
from corpus.overlap.job import OverlapJob, document_tasks, run_tasks
from corpus.parts import PartWriter
from corpus.stages import Stage, Task

_BYTES_PER_ROW = 200  # of a bucket while it is compared: columns, sort keys, their order, the sorted rows
_KEY_ROW = pa.schema(
    [
        pa.field("high", pa.uint64(), nullable=False),
        pa.field("low", pa.uint64(), nullable=False),
        pa.field("id", pa.binary(16), nullable=False),
    ]
)
_REMOVAL = pa.schema(
    [
        pa.field("run", pa.int16(), nullable=False),  # its place in the job
        pa.field("id", pa.binary(16), nullable=False),
        pa.field("kept_run", pa.int16(), nullable=False),
        pa.field("kept_id", pa.binary(16), nullable=False),
    ]
)
REPORT = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("kept_id", pa.string(), nullable=False),  # of the document that has the same text
        pa.field("kept_source", pa.string(), nullable=False),
        pa.field("kept_run", pa.string(), nullable=False),  # its name, as of the folders of the output
    ]
)


def _buckets(job: OverlapJob) -> int:
    return exchange.bucket_count(job.documents * _BYTES_PER_ROW, job.cross.bucket_bytes)


def _keys(job: OverlapJob, task: Task, writer: PartWriter) -> None:
    """Counters: ``in`` (documents), ``empty`` (white space alone: like no other), ``out``, ``bytes_raw``."""
    writer.tally.count("bytes_raw", task.payload.file.bytes)
    with (
        writer.file(f"keys/{task.name}.rows") as f,
        exchange.ExchangeWriter(f, _KEY_ROW, _buckets(job)) as rows,
    ):
        for batch in job.read(task.payload, ("id", "text")):
            keys, present = text_keys(batch.column("text"))
            ids = [
                bytes.fromhex(i) for i, p in zip(batch.column("id").to_pylist(), present, strict=True) if p
            ]
            high, low = keys[present, 0], keys[present, 1]
            columns = [pa.array(high), pa.array(low), pa.array(ids, pa.binary(16))]
            rows.add(pa.RecordBatch.from_arrays(columns, schema=_KEY_ROW), high)
            writer.tally.count("in", batch.num_rows)
            writer.tally.count("empty", batch.num_rows - len(ids))
            writer.tally.count("out", len(ids))


def _bucket_tasks(job: OverlapJob) -> list[Task]:
    return [Task(f"bucket-{bucket:05d}") for bucket in range(_buckets(job))]


def _compare(job: OverlapJob, task: Task, writer: PartWriter) -> None:
    """Counters: ``in`` (rows of the bucket), ``out`` (removals)."""
    bucket = int(task.name.removeprefix("bucket-"))
    tables, runs = [_KEY_ROW.empty_table()], [np.empty(0, np.int16)]
    for key_task in sorted(document_tasks(job), key=lambda t: t.name):
        file = job.part("keys", key_task.name).files[0]
        tables.append(exchange.read(job.root, file, bucket))
        runs.append(np.full(tables[-1].num_rows, key_task.payload.run, np.int16))
    removals = find_copies(pa.concat_tables(tables), np.concatenate(runs))
    writer.tally.count("in", sum(map(len, runs)))
    writer.tally.count("out", removals.num_rows)
    with (
        writer.file(f"compare/{task.name}.rows") as f,
        exchange.ExchangeWriter(f, _REMOVAL, _buckets(job)) as rows,
    ):
        rows.add(removals, _halves(removals.column("id"))[:, 0])


def find_copies(rows: pa.Table, runs: np.ndarray[Any, Any]) -> pa.Table:
    """The documents to remove among rows of hashes.

    Args:
        rows: ``high``, ``low`` (uint64) and ``id`` (16 bytes), in any order.
        runs: int16[rows], the place of each row's run in the order of priority.

    Returns:
        ``run``, ``id``, ``kept_run``, ``kept_id``, sorted by run and id: of the rows with one hash those of
        all runs but the first; what is kept is the smallest id of that.
    """
    high, low = (rows.column(name).to_numpy() for name in ("high", "low"))
    ids = _halves(rows.column("id"))
    order = np.lexsort((ids[:, 1], ids[:, 0], runs, low, high))
    high, low, runs, ids = high[order], low[order], runs[order], ids[order]
    first = np.ones(len(runs), bool)
    first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    starts = np.flatnonzero(first)
    kept = starts[np.cumsum(first) - 1]  # of each row, where the first of its hash stands
    removed = np.flatnonzero(runs != runs[kept])
    removed = removed[np.lexsort((ids[removed, 1], ids[removed, 0], runs[removed]))]
    return pa.table(
        [
            pa.array(runs[removed]),
            _binary(ids[removed]),
            pa.array(runs[kept[removed]]),
            _binary(ids[kept[removed]]),
        ],
        schema=_REMOVAL,
    )


def _lists(job: OverlapJob, task: Task, writer: PartWriter) -> None:
    """Counters: ``out``, and ``out/RUN`` by the run that keeps the text."""
    names = [run.name for run in job.runs]
    with (
        writer.parquet(f"{task.name}/report.parquet", REPORT) as report,
        writer.file(f"{task.name}/removals.txt", rows=lambda: report.rows) as f,
    ):
        for removals in _removals_of(job, names.index(task.name)):
            ids = [value.hex() for value in removals.column("id").to_pylist()]
            kept = [value.hex() for value in removals.column("kept_id").to_pylist()]
            runs = removals.column("kept_run").to_pylist()
            f.write("".join(f"{id_}\n" for id_ in ids).encode())
            columns = {
                "id": ids,
                "source": [job.runs[names.index(task.name)].source] * len(ids),
                "kept_id": kept,
                "kept_source": [job.runs[run].source for run in runs],
                "kept_run": [names[run] for run in runs],
            }
            report.write(pa.RecordBatch.from_pydict(columns, REPORT))
            for run in runs:
                writer.tally.by_reason("out", names[run])


def _removals_of(job: OverlapJob, run: int) -> Iterator[pa.Table]:
    """A run's removals, by id; one bucket of ids after the other."""
    files = [part.files[0] for part in job.parts("compare")]
    for bucket in range(_buckets(job)):
        tables = [exchange.read(job.root, file, bucket) for file in files]
        rows = pa.concat_tables([_REMOVAL.empty_table(), *tables])
        rows = rows.filter(pa.array(rows.column("run").to_numpy() == run))
        ids = _halves(rows.column("id"))
        yield rows.take(pa.array(np.lexsort((ids[:, 1], ids[:, 0]))))


def _halves(ids: pa.ChunkedArray) -> Keys:
    """16-byte values as numbers that sort alike, uint64[n, 2]."""
    data = b"".join(ids.to_pylist())
    return np.frombuffer(data, ">u8").astype(np.uint64).reshape(-1, 2)


def _binary(halves: Keys) -> pa.Array:
    """The counterpart of `_halves`."""
    data = pa.py_buffer(np.ascontiguousarray(halves, ">u8"))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(halves), [None, data])


def _bucketing(job: OverlapJob) -> dict[str, Any]:
    return {"buckets": _buckets(job)}


def _priority(job: OverlapJob) -> dict[str, Any]:
    return {**_bucketing(job), "runs": [[run.name, run.source] for run in job.runs]}


STAGES = (
    Stage("keys", document_tasks, _keys, settings=_bucketing),
    Stage("compare", _bucket_tasks, _compare, settings=_priority, needs=("keys",)),
    Stage("lists", run_tasks, _lists, settings=_priority, needs=("compare",)),
)
