"""The list of cited addresses: the second output, which `llama-corpus train-classifier --cited` takes.

In: column ``wikipedia_v1_cited`` of the annotated parts, of every article that was cleaned. Out, by stage
`cited`: ``cited/part-NNNNN.txt.gz``; by stage `cited_list` all of them in ``cited/urls.txt.gz``. Both are
distinct URLs, one a line, in the order of their UTF-8 bytes.
"""

from __future__ import annotations

import heapq
import io
import itertools
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import IO

import pyarrow.compute as pc
import pyarrow.parquet as pq
from isal import igzip, isal_zlib

from corpus.build.decide import annotated_file
from corpus.build.job import BuildJob
from corpus.parts import Part, PartWriter, open_part_file
from corpus.stages import Stage, Task

COLUMN = "wikipedia_v1_cited"
FOLDER = "cited"
_EXTRACT, _CITED = "extract", "cited"
_ENDING = ".txt.gz"
_LEVEL = 2
_GZIP_WINDOW_BITS = 31
_LINES = 10_000
_BATCH_ROWS = 4096


def stages() -> tuple[Stage, ...]:
    """The stages, to come after `extract`."""
    libraries = ("isal",)
    return (
        Stage(_CITED, _parts_of_extract, write_part, aligned=(_EXTRACT,), libraries=libraries),
        Stage("cited_list", _one, write_list, needs=(_CITED,), libraries=libraries),
    )


def write_part(job: BuildJob, task: Task, writer: PartWriter) -> None:
    """The addresses of one annotated part. Counter: ``urls``."""
    distinct: set[str] = set()
    with open_part_file(job.root, annotated_file(job.part(_EXTRACT, task.name))) as f:
        for batch in pq.ParquetFile(f).iter_batches(batch_size=_BATCH_ROWS, columns=[COLUMN]):
            distinct.update(pc.list_flatten(batch.column(0)).to_pylist())
    with writer.file(f"{FOLDER}/{task.name}{_ENDING}") as out:
        writer.tally.count("urls", _write(out, sorted(distinct)))


def write_list(job: BuildJob, task: Task, writer: PartWriter) -> None:
    """The addresses of all parts, merged as they are read. Counter: ``urls``."""
    with ExitStack() as stack:
        lists = [_lines(stack, job, part) for part in job.parts(_CITED)]
        merged = (line for line, _ in itertools.groupby(heapq.merge(*lists)))
        with writer.file(f"{FOLDER}/urls{_ENDING}") as out:
            writer.tally.count("urls", _write(out, merged))


def _parts_of_extract(job: BuildJob) -> list[Task]:
    return [Task(part.name) for part in job.parts(_EXTRACT)]


def _one(job: BuildJob) -> list[Task]:
    return [Task("urls")]


def _lines(stack: ExitStack, job: BuildJob, part: Part) -> Iterator[str]:
    (file,) = part.files
    raw = stack.enter_context(open_part_file(job.root, file))
    text = stack.enter_context(io.TextIOWrapper(igzip.IGzipFile(fileobj=raw, mode="rb"), encoding="utf-8"))
    return (line.rstrip("\n") for line in text)


def _write(out: IO[bytes], lines: Iterable[str]) -> int:
    """Write lines as gzip without a time or a name; returns how many."""
    deflater = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP_WINDOW_BITS)
    rest = iter(lines)
    count = 0
    while block := list(itertools.islice(rest, _LINES)):
        out.write(deflater.compress("".join(f"{line}\n" for line in block).encode()))
        count += len(block)
    out.write(deflater.flush())
    return count
