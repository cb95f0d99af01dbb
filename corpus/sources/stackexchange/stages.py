"""The stages of StackExchange's build before decisions: posts, which sites, questions with their answers.

`extract`, a task a split: raw files → ``posts/part-NNNNN.NNNN.rows``, a file a range of a raw file, in
buckets by question (`corpus.exchange`), and ``posts/part-NNNNN.ranges.parquet``, what is in each. `sites`,
one task: all of these → ``sites/sites.parquet``, with the reason against the dumps that are not used, whose
posts it counts as rejected. `join`, a task some buckets of the dumps that are used, together of about
`bucket_bytes`: → ``annotated/part-NNNNN.parquet``, a row a question.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus import exchange, web
from corpus.build.extract import FOLDER as ANNOTATED
from corpus.build.extract import tasks as a_task_a_split
from corpus.build.job import BuildJob
from corpus.build.line import closing_stages
from corpus.build.source import FileRange, ReadContext
from corpus.inputs import InputFile
from corpus.kernels.arrays import Keys
from corpus.parts import PartFile, PartWriter, open_part_file
from corpus.sources.stackexchange.join import documents
from corpus.sources.stackexchange.posts import POST, read_posts
from corpus.sources.stackexchange.sites import Dump, holds_posts, select, site_of
from corpus.sources.stackexchange.stream import is_plain
from corpus.stages import Stage, Task

EXTRACT, SITES, JOIN = "extract", "sites", "join"
_SITES_FILE = "sites/sites.parquet"
_RANGES_ENDING = ".ranges.parquet"
# Raw bytes become about as many bytes of posts; compressed ones this many times as many (archive.org's
# archives: 5 to 6).
_COMPRESSED = 6
_MULTIPLIER = np.uint64(0x9E3779B185EBCA87)  # a prime of xxHash: neighbouring ids in different buckets

# What a range of a raw file gave; in `sites` also why its dump is not used.
RANGE = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("site", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("rows", pa.string(), nullable=False),  # path of its posts
        pa.field("buckets", pa.int64(), nullable=False),
        pa.field("posts", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),  # of the posts in memory
        pa.field("last", pa.string(), nullable=False),  # time of the latest post; empty where none has one
        pa.field("reason", pa.string()),
    ]
)


def stages(job: BuildJob) -> tuple[Stage, ...]:
    """All stages of the source."""
    extract = Stage(EXTRACT, a_task_a_split, _extract, settings=_reading, version=job.source.version)
    sites = Stage(SITES, _one_task, _sites, needs=(EXTRACT,), settings=_choosing)
    join = Stage(
        JOIN, _groups, _join, needs=(EXTRACT, SITES), settings=_joining, version=job.source.version,
        libraries=("pyarrow", "orjson"), folder=ANNOTATED,
    )  # fmt: skip
    return (extract, sites, join, *closing_stages(job, annotated=JOIN))


def _reading(job: BuildJob) -> dict[str, Any]:
    return {
        "list_mark": job.settings.list_mark,
        "limits": asdict(job.limits),
        "bucket_bytes": job.build.bucket_bytes,
    }


def _choosing(job: BuildJob) -> dict[str, Any]:
    return {name: getattr(job.settings, name) for name in ("largest", "sites", "meta")}


_OTHERS = frozenset({"largest", "sites", "meta", "unanswered", "list_mark"})  # than what `join` looks at


def _joining(job: BuildJob) -> dict[str, Any]:
    block = {name: value for name, value in asdict(job.settings).items() if name not in _OTHERS}
    return {"block": block, "batch_bytes": job.build.batch_bytes, "bucket_bytes": job.build.bucket_bytes}


def _one_task(job: BuildJob) -> list[Task]:
    return [Task("sites")]


def _extract(job: BuildJob, task: Task, writer: PartWriter) -> None:
    web.configure(job.recipe.network)
    ranges = []
    for ordinal, part in enumerate(task.payload.ranges):
        if holds_posts(part.file):
            ranges.append(_extract_range(job, task.name, ordinal, part, writer))
        else:
            writer.tally.skipped("other_file")
        writer.tally.count("bytes_raw", part.end - part.start)
    with writer.parquet(f"posts/{task.name}{_RANGES_ENDING}", RANGE) as sink:
        sink.write(pa.RecordBatch.from_pylist(ranges, RANGE))


def _extract_range(
    job: BuildJob, name: str, ordinal: int, part: FileRange, writer: PartWriter
) -> dict[str, Any]:
    context = ReadContext(job.settings, job.limits, {}, job.build.batch_bytes)
    path, buckets = f"posts/{name}.{ordinal:04d}.rows", _buckets(job, part.file)
    posts, size, last = 0, 0, ""
    with (
        writer.file(path, rows=lambda: posts) as f,
        exchange.ExchangeWriter(f, POST, buckets) as rows,
    ):
        for batch in read_posts(part, context, writer.tally):
            rows.add(batch, _keys(batch.column("question")))
            posts += batch.num_rows
            size += batch.nbytes
            last = max(last, pc.max(batch.column("created")).as_py() or "")
    return {
        "file": part.file.name, "site": site_of(part.file), "part": name, "rows": path, "buckets": buckets,
        "posts": posts, "bytes": size, "last": last, "reason": None,
    }  # fmt: skip


def _buckets(job: BuildJob, file: InputFile) -> int:
    """Buckets of the posts of a file; the same for all its ranges."""
    return exchange.bucket_count(
        file.size * (1 if is_plain(file.name) else _COMPRESSED), job.build.bucket_bytes
    )


def _keys(questions: pa.Array) -> Keys:
    keys: Keys = np.asarray(questions).view(np.uint64) * _MULTIPLIER
    return keys


def _sites(job: BuildJob, task: Task, writer: PartWriter) -> None:
    tables = [RANGE.empty_table()]
    for part in job.parts(EXTRACT):
        (file,) = (f for f in part.files if f.path.endswith(_RANGES_ENDING))
        with open_part_file(job.root, file) as f:
            tables.append(pq.read_table(f, schema=RANGE))
    ranges = pa.concat_tables(tables).to_pylist()
    dumps: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in ranges:
        dumps[row["file"]].append(row)
    reasons = select(
        (
            Dump(file, rows[0]["site"], sum(r["posts"] for r in rows), max(r["last"] for r in rows))
            for file, rows in dumps.items()
        ),
        job.settings,
    )
    for row in ranges:
        row["reason"] = reasons[row["file"]]
        if row["reason"]:
            writer.tally.by_reason("rejected", row["reason"], row["posts"])
    writer.tally.count("sites", len({row["site"] for row in ranges if not row["reason"]}))
    with writer.parquet(_SITES_FILE, RANGE) as sink:
        sink.write(pa.RecordBatch.from_pylist(ranges, RANGE))


def _used(job: BuildJob) -> dict[str, list[dict[str, Any]]]:
    """The ranges of each file that is used, by its name."""
    (part,) = job.parts(SITES)
    (file,) = part.files
    with open_part_file(job.root, file) as f:
        ranges = pq.read_table(f, schema=RANGE).to_pylist()
    used: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in ranges:
        if not row["reason"]:
            used[row["file"]].append(row)
    return dict(sorted(used.items()))


def _groups(job: BuildJob) -> list[Task]:
    """Buckets in their order, [file, bucket], gathered while they fit together."""
    groups: list[list[list[Any]]] = []
    size = 0
    for file, rows in _used(job).items():
        buckets = rows[0]["buckets"]
        each = sum(row["bytes"] for row in rows) // buckets
        for bucket in range(buckets):
            if not groups or size + each > job.build.bucket_bytes:
                groups.append([])
                size = 0
            groups[-1].append([file, bucket])
            size += each
    return [Task(f"part-{number:05d}", group) for number, group in enumerate(groups)]


def _join(job: BuildJob, task: Task, writer: PartWriter) -> None:
    """Counters: those of `documents`."""
    used = _used(job)
    files = {file.path: file for part in job.parts(EXTRACT) for file in part.files}
    with writer.parquet(f"{ANNOTATED}/{task.name}.parquet", job.source_schema()) as sink:
        for file, bucket in task.payload:
            ranges = used[file]
            for batch in documents(
                _bucket(job, [files[row["rows"]] for row in ranges], bucket),
                ranges[0]["site"], file, job.settings, job.build.batch_bytes, writer.tally,
            ):  # fmt: skip
                sink.write(batch)


def _bucket(job: BuildJob, files: list[PartFile], bucket: int) -> pa.Table:
    return pa.concat_tables([exchange.read(job.root, file, bucket) for file in files])
