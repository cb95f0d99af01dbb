"""Two stages a rule of uniqueness: of the candidates with an equal key one stays, over all splits.

`index-KIND`, a task an annotated part: the candidates' keys (hashed to 128 bits), order columns, ids and rows
→ ``index-KIND/part-NNNNN.rows`` (`corpus.exchange`). `unique-KIND`, a task a bucket: all splits' rows of it,
sorted → ``unique-KIND/bucket-NNNNN.verdicts``. What a rule takes is no candidate of the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from corpus import exchange
from corpus.build import verdicts
from corpus.build.decide import against_candidates, annotated_file, own_reasons, read_columns
from corpus.build.job import BuildJob
from corpus.build.source import Unique
from corpus.parts import PartWriter
from corpus.stages import Stage, Task

_ROW_BYTES = 400  # of a candidate, while its bucket is sorted; names and paths are short
_SEPARATOR = b"\xff"  # in no UTF-8


def stages(rules: Sequence[Unique], annotated: str) -> tuple[Stage, ...]:
    """The stages of all rules, in their order; without a rule none."""
    found: list[Stage] = []
    for number, rule in enumerate(rules):
        before = names(rules[:number])
        index = f"index-{rule.kind}"
        found.append(
            Stage(
                name=index,
                tasks=_IndexTasks(annotated),
                work=_IndexWork(annotated, number, before),
                aligned=(annotated,),
                needs=before,
                settings=settings,
                libraries=("pyarrow", "xxhash"),
            )
        )
        tasks, work = _Buckets(index), _DecideBucket(index, number)
        found.append(
            Stage(name=f"unique-{rule.kind}", tasks=tasks, work=work, needs=(index,), settings=settings)
        )
    return tuple(found)


def names(rules: Sequence[Unique]) -> tuple[str, ...]:
    """The stages that have verdicts, by rule."""
    return tuple(f"unique-{rule.kind}" for rule in rules)


def bucket_count(rows: int, bucket_bytes: int) -> int:
    """Buckets of a rule for so many annotated rows, such that one is sorted within `bucket_bytes`."""
    return exchange.bucket_count(rows * _ROW_BYTES, bucket_bytes)


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
        found = job.parts(self._annotated)
        rows = sum(annotated_file(part).rows for part in found)
        buckets = bucket_count(rows, job.build.bucket_bytes)
        return [Task(part.name, buckets) for part in found]


class _IndexWork:
    """Write the candidates of an annotated part. Counter: ``candidates``."""

    def __init__(self, annotated: str, number: int, before: tuple[str, ...]) -> None:
        self._annotated = annotated
        self._number = number
        self._before = before

    def __call__(self, job: BuildJob, task: Task, writer: PartWriter) -> None:
        rule = job.source.unique(job.settings)[self._number]
        file = annotated_file(job.part(self._annotated, task.name))
        split = int(task.name.removeprefix("part-"))
        lost = {
            row for stage in self._before for row in verdicts.read(job, stage, task.name)["row"].to_pylist()
        }
        ordered = [column for column, _ in rule.order]
        types = {f.name: f.type for f in job.source_schema()}
        schema = pa.schema(
            [("hash", pa.binary(16)), ("split", pa.int64()), ("row", pa.int64()), ("id", pa.string())]
            + [(name, types[name]) for name in ordered if name != "id"]
        )
        with (
            writer.file(f"index-{rule.kind}/{task.name}.rows") as f,
            exchange.ExchangeWriter(f, schema, task.payload) as out,
        ):
            row = 0
            for batch in read_columns(job, file, list(dict.fromkeys(["id", *rule.key, *ordered]))):
                own = own_reasons(batch, job.source)
                against = against_candidates(batch, job, own)
                chosen = np.array(
                    [
                        a is None and b is None and row + i not in lost
                        for i, (a, b) in enumerate(zip(own, against, strict=True))
                    ],
                    bool,
                )
                table, keys = _candidates(batch, chosen, rule, split, row, schema)
                out.add(table, keys)
                writer.tally.count("candidates", table.num_rows)
                row += batch.num_rows


def _candidates(
    batch: pa.RecordBatch, chosen: np.ndarray, rule: Unique, split: int, start: int, schema: pa.Schema
) -> tuple[pa.Table, np.ndarray]:
    """The rows chosen and their keys."""
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


class _Buckets:
    """A task a bucket; how many there are stands in the tasks of the rule's index."""

    def __init__(self, index: str) -> None:
        self._index = index

    def __call__(self, job: BuildJob) -> list[Task]:
        tasks = job.stage(self._index).tasks(job)
        buckets = tasks[0].payload if tasks else 0
        return [Task(f"bucket-{bucket:05d}", bucket) for bucket in range(buckets)]


class _DecideBucket:
    """Find, of each key, who stays. Counters: ``keys`` (distinct), ``duplicates``."""

    def __init__(self, index: str, number: int) -> None:
        self._index = index
        self._number = number

    def __call__(self, job: BuildJob, task: Task, writer: PartWriter) -> None:
        rule = job.source.unique(job.settings)[self._number]
        files = [file for part in job.parts(self._index) for file in part.files]
        rows = pa.concat_tables(exchange.read(job.root, file, task.payload) for file in files)
        order = [("hash", "ascending"), *rule.order, *((n, "ascending") for n in ("id", "split", "row"))]
        rows = rows.sort_by(list(dict(order).items()))
        with writer.file(f"unique-{rule.kind}/{task.name}{verdicts.ENDING}") as f:
            verdicts.write(f, _losers(rows, rule.reason, writer))


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
