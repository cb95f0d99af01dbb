"""Stage `sketch` of books: what they are compared by; and how later stages find it again.

In: an annotated part. Out: of its candidates the sets of shingles (``.sets``), where each lies
(``.books.parquet``, schema `BOOKS`), and their band keys in buckets (``.keys``, schema `KEYS`).

A book is known by the number of its place: the ordinal of its part, and its row there.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus import exchange, storage
from corpus.build.decide import against_candidates, annotated_file, own_reasons
from corpus.build.extract import reason_column
from corpus.build.job import BuildJob
from corpus.dedup.books import Sketcher
from corpus.dedup.overlap import SetPlace, SetWriter, read_set
from corpus.errors import CorruptPartError
from corpus.kernels.arrays import Keys
from corpus.parts import Part, PartFile, PartWriter, open_part_file
from corpus.settings.books import Overlap
from corpus.sources.books.book import PREFERENCE
from corpus.stages import Stage, Task

EXTRACT, SKETCH = "extract", "sketch"

KEYS = pa.schema([("key", pa.uint64()), ("book", pa.int64()), ("shingles", pa.int64())])
BOOKS = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        *((name, pa.int64()) for name, _ in PREFERENCE),
        ("offset", pa.int64()),
        ("shingles", pa.int64()),
        ("checksum", pa.int64()),
    ]
)
_SKETCHED = ("ngram", "bands", "rows", "seed", "chunk_shingles", "passage_shingles", "passage_bands")
_TEXT_ROWS = 8  # of annotated parts, read at a time
_KEY_BYTES = 120  # of a row of keys, while its bucket is sorted
_CHARACTERS_PER_WORD = 5  # few, so that there are rather too many buckets
_ROW_BITS = 32
_OPEN_FILES = 32


def stage() -> Stage:
    """The stage."""
    return Stage(
        name=SKETCH,
        tasks=_tasks,
        work=_sketch,
        aligned=(EXTRACT,),
        settings=_settings,
        libraries=("pyarrow", "numpy", "datasketch", "xxhash"),
    )


def overlap_of(job: BuildJob) -> Overlap:
    """The recipe's settings of overlaps."""
    overlap = job.settings.overlap
    if not isinstance(overlap, Overlap):
        raise TypeError("the recipe does not look for overlaps")
    return overlap


def chosen(job: BuildJob, *names: str) -> dict[str, Any]:
    """Some of these settings, as plain data."""
    return {name: getattr(overlap_of(job), name) for name in names}


def number_of(ordinal: int, row: int) -> int:
    """The number of the book in a row of a part."""
    return ordinal << _ROW_BITS | row


def place_of(number: int) -> tuple[int, int]:
    """Ordinal of the part and row of a book's number."""
    return number >> _ROW_BITS, number & ((1 << _ROW_BITS) - 1)


def ordinal_of(part_name: str) -> int:
    """NNNNN of ``part-NNNNN``."""
    return int(part_name.removeprefix("part-"))


def books_of(job: BuildJob, part: Part, columns: list[str]) -> pa.Table:
    """Columns of `BOOKS` of a part of this stage."""
    (file,) = files_of([part], ".books.parquet")
    return read_table(job, file).select(columns)


def read_table(job: BuildJob, file: PartFile) -> pa.Table:
    """A whole Parquet file of a part."""
    with open_part_file(job.root, file) as f:
        return pq.read_table(f)


def files_of(parts: list[Part], ending: str) -> list[PartFile]:
    """The files of parts whose names end so."""
    return [file for part in parts for file in part.files if file.path.endswith(ending)]


class Sets:
    """The sets of all books, read one by one; a context manager that holds a few files open."""

    def __init__(self, job: BuildJob) -> None:
        self._job = job
        self._parts = {part.name: part for part in job.parts(SKETCH)}
        self._open: OrderedDict[int, tuple[IO[bytes], str]] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for f, _ in self._open.values():
            f.close()

    def read(self, book: int) -> Keys:
        """The set of a book: uint64[n], ascending.

        Raises:
            CorruptPartError: a file is missing or is not as written.
        """
        ordinal, row = place_of(book)
        f, path = self._file(ordinal)
        return read_set(f, path, self._places(ordinal)[row])

    def _file(self, ordinal: int) -> tuple[IO[bytes], str]:
        if ordinal not in self._open:
            if len(self._open) == _OPEN_FILES:
                self._open.popitem(last=False)[1][0].close()
            (file,) = files_of([self._part(ordinal)], ".sets")
            path = storage.join(self._job.root, file.path)
            try:
                self._open[ordinal] = storage.open_read(path), path
            except FileNotFoundError as error:
                raise CorruptPartError(f"{path} is missing: run the command again") from error
        self._open.move_to_end(ordinal)
        return self._open[ordinal]

    def _part(self, ordinal: int) -> Part:
        return self._parts[f"part-{ordinal:05d}"]

    @functools.cache  # noqa: B019 - as long-lived as the task
    def _places(self, ordinal: int) -> dict[int, SetPlace]:
        table = books_of(self._job, self._part(ordinal), ["row", "offset", "shingles", "checksum"])
        return {row: SetPlace(*rest) for row, *rest in zip(*table.to_pydict().values(), strict=True)}


def _settings(job: BuildJob) -> dict[str, Any]:
    checks = [asdict(check) for check in job.source.checks(job.settings)]  # they make candidates
    return {"checks": checks, **chosen(job, *_SKETCHED)}


def _tasks(job: BuildJob) -> list[Task]:
    """A task an annotated part, with the number of buckets for all keys."""
    overlap, extracted = overlap_of(job), job.parts(EXTRACT)
    total = {name: sum(part.counters.get(name, 0) for part in extracted) for name in ("characters", "out")}
    words = total["characters"] // _CHARACTERS_PER_WORD
    keys = (words // overlap.chunk_shingles + 2 * total["out"]) * overlap.bands
    keys += (words // overlap.passage_shingles + total["out"]) * overlap.passage_bands
    buckets = exchange.bucket_count(keys * _KEY_BYTES, job.build.bucket_bytes)
    return [Task(part.name, buckets) for part in extracted]


def _sketch(job: BuildJob, task: Task, writer: PartWriter) -> None:
    """Counters: ``candidates``, ``shingles`` (distinct, of each), ``keys``."""
    sketcher, ordinal = Sketcher(overlap_of(job)), ordinal_of(task.name)
    path = f"{SKETCH}/{task.name}"
    with (
        writer.file(f"{path}.sets") as sets_file,
        writer.file(f"{path}.keys") as keys_file,
        writer.parquet(f"{path}.books.parquet", BOOKS) as books,
        exchange.ExchangeWriter(keys_file, KEYS, task.payload) as out,
    ):
        sets = SetWriter(sets_file)
        for number, row in _candidates(job, task.name):
            sketch = sketcher(row["text"])
            place = sets.add(sketch.shingles)
            values = {
                "row": number,
                "id": row["id"],
                **{name: row[name] for name, _ in PREFERENCE},
                "offset": place.offset,
                "shingles": place.count,
                "checksum": place.checksum,
            }
            books.write(pa.RecordBatch.from_pylist([values], schema=BOOKS))
            out.add(_key_rows(sketch.keys, number_of(ordinal, number), place.count), sketch.keys)
            writer.tally.count("candidates")
            writer.tally.count("shingles", place.count)
            writer.tally.count("keys", len(sketch.keys))


def _key_rows(keys: Keys, book: int, shingles: int) -> pa.Table:
    n = len(keys)
    return pa.table({"key": keys, "book": np.full(n, book), "shingles": np.full(n, shingles)}, schema=KEYS)


def _candidates(job: BuildJob, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The candidates of an annotated part, with their rows."""
    wanted = ["id", "text", *(name for name, _ in PREFERENCE), reason_column(job.source)]
    wanted += [check.column for check in job.source.checks(job.settings)]
    start = 0
    with open_part_file(job.root, annotated_file(job.part(EXTRACT, name))) as f:
        batches = pq.ParquetFile(f).iter_batches(_TEXT_ROWS, columns=list(dict.fromkeys(wanted)))
        for batch in batches:
            own = own_reasons(batch, job.source)
            against = against_candidates(batch, job, own)
            for i, (a, b) in enumerate(zip(own, against, strict=True)):
                if a is None and b is None:
                    yield start + i, batch.slice(i, 1).to_pylist()[0]
            start += batch.num_rows
