"""Books that overlap: four stages between extract and decide.

- ``sketch``, a task an annotated part: candidates → their sets of shingles (``.sets``), where each lies
  (``.books.parquet``), and their band keys (``.keys``), in buckets.
- ``pairs``, a task a bucket of keys: books of all parts that share a key → pairs (``.pairs``), in buckets.
- ``overlaps``, a task a bucket of pairs: each pair's common shingles, counted → pairs over the threshold
  (``.edges.parquet``).
- ``clusters``, one task: who stays (`corpus.dedup.book_clusters`) → verdicts. Preferred are Gutenberg's
  texts, then the longest in words, then the one with more characters beyond ASCII (in older editions accents
  were left out), then the smallest id. Of several files of one book, by id, one stays in any case.

No text is read after the first stage; memory is a book, a bucket of keys or pairs, two sets, and in the last
stage some numbers a book.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from corpus import exchange
from corpus.build import verdicts
from corpus.build.job import BuildJob
from corpus.dedup.book_clusters import Edge, Loss, losses
from corpus.dedup.book_pairs import pairs
from corpus.dedup.overlap import common, least_common
from corpus.kernels.arrays import Positions
from corpus.parts import PartWriter
from corpus.sources.books import sketches
from corpus.sources.books.book import PREFERENCE
from corpus.sources.books.sketches import (
    KEYS,
    SKETCH,
    Sets,
    books_of,
    chosen,
    files_of,
    number_of,
    ordinal_of,
    overlap_of,
    place_of,
    read_table,
)
from corpus.stages import Stage, Task

PAIRS, OVERLAPS, CLUSTERS = "pairs", "overlaps", "clusters"

_PAIRS = pa.schema([("a", pa.int64()), ("b", pa.int64())])
_EDGES = pa.schema([*_PAIRS, ("common", pa.int64())])
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def stages() -> tuple[Stage, ...]:
    """The four stages."""
    return (
        sketches.stage(),
        Stage(name=PAIRS, tasks=_pair_tasks, work=_pair, needs=(SKETCH,), settings=_pair_settings),
        Stage(
            name=OVERLAPS,
            tasks=_overlap_tasks,
            work=_verify,
            needs=(SKETCH, PAIRS),
            settings=_overlap_settings,
        ),
        Stage(
            name=CLUSTERS,
            tasks=_cluster_tasks,
            work=_cluster,
            needs=(SKETCH, OVERLAPS),
            settings=_cluster_settings,
        ),
    )


def _pair_settings(job: BuildJob) -> dict[str, Any]:
    return chosen(job, "max_bucket")


def _overlap_settings(job: BuildJob) -> dict[str, Any]:
    return chosen(job, "threshold")


def _cluster_settings(job: BuildJob) -> dict[str, Any]:
    return chosen(job, "threshold", "rule", "omnibus")


def _pair_tasks(job: BuildJob) -> list[Task]:
    """A task a bucket of keys, with its number and that of buckets for all pairs."""
    size = sum(file.bytes for part in job.parts(SKETCH) for file in part.files if file.path.endswith(".sets"))
    buckets = exchange.bucket_count(size, job.build.bucket_bytes)
    tasks = job.stage(SKETCH).tasks(job)
    keys = tasks[0].payload if tasks else 0
    return [Task(f"bucket-{bucket:05d}", (bucket, buckets)) for bucket in range(keys)]


def _overlap_tasks(job: BuildJob) -> list[Task]:
    """A task a bucket of pairs."""
    tasks = job.stage(PAIRS).tasks(job)
    buckets = tasks[0].payload[1] if tasks else 0
    return [Task(f"bucket-{bucket:05d}", bucket) for bucket in range(buckets)]


def _cluster_tasks(job: BuildJob) -> list[Task]:
    return [Task("all")]


def _pair(job: BuildJob, task: Task, writer: PartWriter) -> None:
    """Counters: ``pairs`` (written, some of them repeatedly), ``capped`` (keys that too many books share)."""
    bucket, buckets = task.payload
    tables = [exchange.read(job.root, file, bucket) for file in files_of(job.parts(SKETCH), ".keys")]
    rows = pa.concat_tables([KEYS.empty_table(), *tables])
    del tables
    keys, books, shingles = (np.asarray(rows.column(name)) for name in KEYS.names)
    batches, capped = pairs(keys, books, shingles, overlap_of(job).max_bucket)
    writer.tally.count("capped", capped)
    with (
        writer.file(f"{PAIRS}/{task.name}.pairs") as f,
        exchange.ExchangeWriter(f, _PAIRS, buckets) as out,
    ):
        for found in batches:
            writer.tally.count("pairs", len(found))
            table = pa.table({"a": found[:, 0], "b": found[:, 1]}, schema=_PAIRS)
            out.add(table, found[:, 0].astype(np.uint64) * _SPREAD)


def _verify(job: BuildJob, task: Task, writer: PartWriter) -> None:
    """Counters: ``pairs`` (compared), ``overlaps`` (over the threshold)."""
    tables = [exchange.read(job.root, file, task.payload) for file in files_of(job.parts(PAIRS), ".pairs")]
    rows = pa.concat_tables([_PAIRS.empty_table(), *tables])
    compared = np.unique(np.stack([np.asarray(rows.column(name)) for name in _PAIRS.names], axis=1), axis=0)
    with (
        Sets(job) as sets,
        writer.parquet(f"{OVERLAPS}/{task.name}.edges.parquet", _EDGES) as sink,
    ):
        for a, others in _by_first(compared):
            found = _edges(a, others, sets, overlap_of(job).threshold)
            writer.tally.count("pairs", len(others))
            writer.tally.count("overlaps", found.num_rows)
            sink.write(found)


def _edges(a: int, others: list[int], sets: Sets, threshold: float) -> pa.RecordBatch:
    shingles = sets.read(a)
    found = []
    for b in others:
        other = sets.read(b)
        n = common(shingles, other, least_common(min(len(shingles), len(other)), threshold))
        if n > 0:
            found.append({"a": a, "b": b, "common": n})
    return pa.RecordBatch.from_pylist(found, schema=_EDGES)


def _by_first(ordered: Positions) -> Iterator[tuple[int, list[int]]]:
    """Pairs int64[n, 2], ascending: each first with all its seconds."""
    starts = np.flatnonzero(np.diff(ordered[:, 0], prepend=-1))
    for start, stop in pairwise([*starts.tolist(), len(ordered)]):
        yield int(ordered[start, 0]), ordered[start:stop, 1].tolist()


def _cluster(job: BuildJob, task: Task, writer: PartWriter) -> None:
    """Counters: ``candidates``, ``overlaps``, ``duplicates``."""
    overlap = overlap_of(job)
    books = _preferred(job)
    numbers = books.column("book").to_pylist()
    ids = books.column("id").to_pylist()
    places = {number: place for place, number in enumerate(numbers)}
    edges = [
        Edge(places[a], places[b], n)
        for file in files_of(job.parts(OVERLAPS), ".edges.parquet")
        for a, b, n in zip(*read_table(job, file).to_pydict().values(), strict=True)
    ]
    first: dict[str, int] = {}
    same = [
        (known, place) for place, id_ in enumerate(ids) if (known := first.setdefault(id_, place)) != place
    ]
    sizes = books.column("shingles").to_pylist()
    least = overlap.threshold if overlap.omnibus == "goes" else None
    found = losses(sizes, edges, [pair for pair in same if pair[0] != pair[1]], overlap.rule, least)
    lost = [place_of(numbers[loss.book]) for loss in found]
    table = pa.table(
        {
            "split": [ordinal for ordinal, _ in lost],
            "row": [row for _, row in lost],
            "reason": [_reason(loss, ids) for loss in found],
            "winner": [ids[loss.winner] for loss in found],
        },
        schema=verdicts.VERDICT,
    )
    for name, n in (("candidates", len(ids)), ("overlaps", len(edges)), ("duplicates", len(found))):
        writer.tally.count(name, n)
    with writer.file(f"{CLUSTERS}/{task.name}{verdicts.ENDING}") as f:
        verdicts.write(f, table)


def _reason(loss: Loss, ids: list[str]) -> str:
    if loss.omnibus:
        return "omnibus"
    return "same_book" if ids[loss.book] == ids[loss.winner] else "overlap"


def _preferred(job: BuildJob) -> pa.Table:
    """All candidates, the preferred first."""
    tables = []
    for part in job.parts(SKETCH):
        table = books_of(job, part, ["row", "id", "shingles", *(name for name, _ in PREFERENCE)])
        ordinal = ordinal_of(part.name)
        book = np.asarray(table.column("row")) + number_of(ordinal, 0)
        tables.append(table.append_column("book", pa.array(book, pa.int64())))
    order = [*PREFERENCE, ("id", "ascending"), ("book", "ascending")]
    return pa.concat_tables(tables).sort_by(order)
