"""Stage `evaluations` of a decontamination: the n-grams of evaluations as a part, and read again by tasks.

Out: ``grams.parquet``, ``places.parquet``, ``files.parquet``, the tables of `corpus.overlap.ngrams`.
"""

from __future__ import annotations

import functools

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.errors import CorruptPartError
from corpus.overlap.job import OverlapJob
from corpus.overlap.ngrams import EVALUATION, GRAM, PLACE, NgramIndex, Tables
from corpus.parts import Part, PartWriter, open_part_file, read_record

INDEX = "evaluations"  # stage, and name of its only part


def write_index(writer: PartWriter, tables: Tables) -> None:
    """Write the part of stage `evaluations`. Counters: ``files``, ``items``, ``searched``, ``ngrams``."""
    for name, table in (("grams", tables.grams), ("places", tables.places), ("files", tables.evaluations)):
        with writer.parquet(f"{INDEX}/{name}.parquet", table.schema) as sink:
            for batch in table.to_batches():
                sink.write(batch)
    writer.tally.count("files", tables.evaluations.num_rows)
    for name in ("items", "searched"):
        writer.tally.count(name, pc.sum(tables.evaluations.column(name)).as_py() or 0)
    writer.tally.count("ngrams", tables.grams.num_rows)


def read_tables(job: OverlapJob) -> Tables:
    """The n-grams of a job."""
    return _tables(job.root, job.part(INDEX, INDEX))


def index_of(job: OverlapJob) -> NgramIndex:
    """What finds them; loaded once a process."""
    return _index(job.root, job.part(INDEX, INDEX).digest)


def read_part(root: str, part: Part, ending: str) -> pa.Table:
    """The Parquet file of a part whose path ends so.

    Raises:
        CorruptPartError: there is none, or it is not as written.
    """
    file = part.file(ending)
    if file is None:
        raise CorruptPartError(f"part {part.name} of {part.stage} has no {ending}; delete its record")
    with open_part_file(root, file) as f:
        return pq.read_table(f)


@functools.lru_cache(maxsize=1)
def _index(root: str, part_digest: str) -> NgramIndex:
    record = read_record(root, INDEX, INDEX)
    assert record is not None
    assert record[0].digest == part_digest
    tables = _tables(root, record[0])
    return NgramIndex(tables.grams, tables.evaluations.column("ngram").to_pylist())


def _tables(root: str, part: Part) -> Tables:
    grams, places, files = (
        read_part(root, part, f"/{name}.parquet") for name in ("grams", "places", "files")
    )
    return Tables(grams.cast(GRAM), places.cast(PLACE), files.cast(EVALUATION))
