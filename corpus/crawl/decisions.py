"""Stage `decide`: an annotated part, and what is known of its duplicates → a decision part, row by row."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.crawl.job import FOLDERS, CrawlJob
from corpus.decide import columns, decide
from corpus.errors import CorruptPartError
from corpus.parts import Part, PartWriter, commit_part, open_part_file
from corpus.schema import DECISION


def decide_part(job: CrawlJob, annotated: Part, duplicates: Part | None) -> Part:
    """Decide every row of an annotated part.

    Counters: ``in`` (rows of the Parquet footer), ``kept`` and ``kept/LANGUAGE/BUCKET``, ``rejected`` and
    ``rejected/REASON``, ``held_out``.

    Args:
        duplicates: the split's part of stage `duplicates`, where the recipe has it.

    Raises:
        CorruptPartError: a part is not as written, or the two do not belong together.
    """
    cutoffs, removals = job.cutoffs(), job.removals()
    source = annotated.files[0]

    def work(writer: PartWriter) -> None:
        with (
            open_part_file(job.root, source) as f,
            writer.parquet(f"{FOLDERS['decide']}/{annotated.name}.parquet", DECISION) as sink,
        ):
            parquet = pq.ParquetFile(f)
            writer.tally.count("in", parquet.metadata.num_rows)
            present = [name for name in columns(job.settings) if name in parquet.schema_arrow.names]
            found = _columns(job, duplicates, parquet.metadata.num_rows)
            start = 0
            for batch in parquet.iter_batches(batch_size=65_536, columns=present):
                if found is not None:
                    batch = _joined(batch, found.slice(start, batch.num_rows))
                start += batch.num_rows
                decided = decide(batch, job.settings, cutoffs, removals)
                sink.write(decided)
                _count(writer, decided)

    inputs = [annotated.digest, *([duplicates.digest] if duplicates else [])]
    return commit_part(job.root, job.spec("decide", annotated.name, inputs), work)


def _columns(job: CrawlJob, duplicates: Part | None, rows: int) -> pa.Table | None:
    """The columns of a split's duplicates: an id and some bits a row."""
    if duplicates is None:
        return None
    with open_part_file(job.root, duplicates.files[0]) as f:
        found = pq.read_table(f)
    if found.num_rows != rows:
        raise CorruptPartError(
            f"{duplicates.files[0].path} has {found.num_rows:,} rows where {rows:,} are due"
        )
    return found


def _joined(batch: pa.RecordBatch, found: pa.Table) -> pa.RecordBatch:
    if found.column("id").combine_chunks() != batch.column("id"):
        raise CorruptPartError("annotated pages and their duplicates are not aligned: run crawl-filter again")
    for name in found.column_names[1:]:
        batch = batch.append_column(name, found.column(name).combine_chunks())
    return batch


def _count(writer: PartWriter, decided: object) -> None:
    for row in decided.select(["reason", "language", "bucket", "held_out"]).to_pylist():  # type: ignore[attr-defined]
        if row["reason"] is not None:
            writer.tally.by_reason("rejected", row["reason"])
        else:
            writer.tally.by_reason("kept", f"{row['language']}/{row['bucket']}")
            writer.tally.count("held_out", int(row["held_out"]))
