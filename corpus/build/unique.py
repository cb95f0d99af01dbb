"""Stages `index` and `unique`: of the candidates with an equal key one stays, over all splits.

`index`, a task an annotated part: the candidates' keys (hashed to 128 bits), order columns, ids and rows →
``index/part-NNNNN.KIND.rows`` (`corpus.exchange`). `unique`, a task a bucket: all splits' rows of it, sorted
→ ``unique/bucket-NNNNN.verdicts``. No text is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from corpus import exchange
from corpus.build import verdicts
from corpus.build.decide import (
    against_candidates,
    annotated_file,
    own_reasons,
    parts_of,
    read_columns,
)
from corpus.build.job import BuildJob
from corpus.build.source import BuildSource, Unique
from corpus.parts import PartWriter
from corpus.stages import Stage, Task

INDEX = "index"
NAME = "unique"
_ROW_BYTES = 400  # of a candidate, while its bucket is sorted; names and paths are short
_SEPARATOR = b"\xff"  # in no UTF-8


def stages(source: BuildSource, annotated: str) -> tuple[Stage, Stage]:
    """Both stages; without a rule they make no part."""
    index = Stage(
        name=INDEX,
        tasks=_IndexTasks(annotated),
        work=_IndexWork(annotated),
        aligned=(annotated,),
        settings=settings,
        libraries=("pyarrow", "xxhash"),
    )
    return index, Stage(name=NAME, tasks=_buckets, work=_decide_bucket, needs=(INDEX,), settings=settings)


def settings(job: BuildJob) -> dict[str, Any]:
    """The rules, and the thresholds that make candidates."""
    return {
        "unique": [asdict(rule) for rule in job.source.unique(job.settings)],
        "checks": [asdict(check) for check in job.source.checks(job.settings)],
    }


class _IndexTasks:
    """A task an annotated part, with the number of buckets that their rows need."""

    def __init__(self, annotated: str) -> None:
        self._annotated = annotated

    def __call__(self, job: BuildJob) -> list[Task]:
        if not job.source.unique(job.settings):
            return []
        rows = sum(annotated_file(job, self._annotated, t.name).rows for t in parts_of(self._annotated)(job))
        buckets = exchange.bucket_count(rows * _ROW_BYTES, job.build.bucket_bytes)
        return [Task(part.name, buckets) for part in parts_of(self._annotated)(job)]


class _IndexWork:
    """Write the candidates of an annotated part. Counter: ``candidates``."""

    def __init__(self, annotated: str) -> None:
        self._annotated = annotated

    def __call__(self, job: BuildJob, task: Task, writer: PartWriter) -> None:
        file = annotated_file(job, self._annotated, task.name)
        split = int(task.name.removeprefix("part-"))
        for rule in job.source.unique(job.settings):
            ordered = [column for column, _ in rule.order]
            columns = list(dict.fromkeys(["id", *rule.key, *ordered]))
            fields = {f.name: f.type for f in job.source_schema()}
            schema = pa.schema(
                [("hash", pa.binary(16)), ("split", pa.int64()), ("row", pa.int64()), ("id", pa.string())]
                + [(name, fields[name]) for name in ordered]
            )
            with (
                writer.file(f"{INDEX}/{task.name}.{rule.kind}.rows") as f,
                exchange.ExchangeWriter(f, schema, task.payload) as out,
            ):
                row = 0
                for batch in read_columns(job, file, columns):
                    table, keys = _candidates(batch, job, rule, split, row, schema)
                    out.add(table, keys)
                    writer.tally.count("candidates", table.num_rows)
                    row += batch.num_rows


def _candidates(
    batch: pa.RecordBatch, job: BuildJob, rule: Unique, split: int, start: int, schema: pa.Schema
) -> tuple[pa.Table, np.ndarray]:
    own = own_reasons(batch, job.source)
    against = against_candidates(batch, job, own)
    chosen = np.array([a is None and b is None for a, b in zip(own, against, strict=True)], bool)
    rows = pa.Table.from_batches([batch]).filter(pa.array(chosen))
    values = [rows.column(name).to_pylist() for name in rule.key]
    hashes = [_hash(parts) for parts in zip(*values, strict=True)]
    keys = np.frombuffer(b"".join(h[:8] for h in hashes), ">u8").astype(np.uint64)
    columns = {
        "hash": pa.array(hashes, pa.binary(16)),
        "split": pa.array(np.full(len(hashes), split), pa.int64()),
        "row": pa.array(start + np.flatnonzero(chosen), pa.int64()),
    }
    columns |= {name: rows.column(name) for name in schema.names if name not in columns}
    return pa.table(columns, schema=schema), keys


def _hash(values: Iterable[Any]) -> bytes:
    """128 bits of a row's key: each value as UTF-8 of its text, or of the hex digits of its bytes."""
    texts = (v.hex() if isinstance(v, bytes) else str(v) for v in values)
    return xxhash.xxh3_128_digest(_SEPARATOR.join(t.encode("utf-8", "surrogatepass") for t in texts))


def _buckets(job: BuildJob) -> list[Task]:
    """A task a bucket; the number of buckets stands in the tasks of `index`."""
    tasks = job.stage(INDEX).tasks(job)
    return [Task(f"bucket-{bucket:05d}", bucket) for bucket in range(tasks[0].payload)] if tasks else []


def _decide_bucket(job: BuildJob, task: Task, writer: PartWriter) -> None:
    """Find, of each key, who stays. Counters: ``keys`` (distinct), ``duplicates``."""
    indexed = job.parts(INDEX)
    found = []
    for rule in job.source.unique(job.settings):
        files = [f for part in indexed for f in part.files if f.path.endswith(f".{rule.kind}.rows")]
        rows = pa.concat_tables(exchange.read(job.root, f, task.payload) for f in files)
        order = [("hash", "ascending"), *rule.order, *((n, "ascending") for n in ("id", "split", "row"))]
        rows = rows.sort_by(list(dict(order).items()))
        found.append(_losers(rows, rule.reason, writer))
    with writer.file(f"{NAME}/{task.name}{verdicts.ENDING}") as f:
        verdicts.write(f, pa.concat_tables(found))


def _losers(rows: pa.Table, reason: str, writer: PartWriter) -> pa.Table:
    """All rows but the first of each hash, which is their winner; `rows` are sorted."""
    hashes = np.frombuffer(b"".join(rows.column("hash").to_pylist()), "V16")
    first = np.ones(len(hashes), bool)
    first[1:] = hashes[1:] != hashes[:-1]
    winner = np.flatnonzero(first)[np.cumsum(first) - 1] if len(hashes) else np.zeros(0, np.int64)
    lost = np.flatnonzero(~first)
    writer.tally.count("keys", int(first.sum()))
    writer.tally.count("duplicates", len(lost))
    beaten = rows.take(pa.array(lost))
    return pa.table(
        {
            "split": beaten.column("split"),
            "row": beaten.column("row"),
            "reason": pa.repeat(pa.scalar(reason), len(lost)),
            "winner": rows.column("id").take(pa.array(winner[lost])),
        },
        schema=verdicts.VERDICT,
    )
