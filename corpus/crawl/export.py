"""Stage `export`: kept documents of a group of parts → one Parquet file per language and bucket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.crawl.job import FOLDERS, CrawlJob
from corpus.errors import CorruptPartError
from corpus.parts import ParquetSink, Part, PartWriter, commit_part, open_part_file

# Columns of annotated parts that say why a page was dropped: null in every kept document.
_DROPPED = ("paragraphs_v1_reason",)
_BATCH_ROWS = 4_096


def export_group(job: CrawlJob, group: int, pairs: Sequence[tuple[Part, Part]]) -> Part:
    """Write the kept documents of (annotated, decision) parts, in order.

    Files: ``documents/LANGUAGE/BUCKET/part-GROUP.parquet``. Counters: ``in`` (decisions kept), ``out``
    (rows written), ``bytes`` (UTF-8 text).
    """
    name = f"part-{group:05d}"
    inputs = [(annotated.digest, decided.digest) for annotated, decided in pairs]

    def work(writer: PartWriter) -> None:
        with contextlib.ExitStack() as stack:
            sinks: dict[tuple[str, str], ParquetSink] = {}
            for annotated, decided in pairs:
                for batch in _kept(job.root, annotated, decided):
                    _write(batch, writer, stack, sinks, name)

    return commit_part(job.root, job.spec("export", name, inputs), work)


def _kept(root: str, annotated: Part, decided: Part) -> Iterator[pa.RecordBatch]:
    """Kept rows with their bucket and held-out mark."""
    with open_part_file(root, annotated.files[0]) as a, open_part_file(root, decided.files[0]) as d:
        documents, decisions = pq.ParquetFile(a), pq.ParquetFile(d)
        if documents.metadata.num_rows != decisions.metadata.num_rows:
            raise CorruptPartError(
                f"{annotated.files[0].path} and {decided.files[0].path} differ in rows: decide again"
            )
        verdicts = decisions.read(columns=["id", "kept", "bucket", "held_out"]).combine_chunks()
        names = [n for n in documents.schema_arrow.names if n not in _DROPPED]
        start = 0
        for batch in documents.iter_batches(batch_size=_BATCH_ROWS, columns=names):
            verdict = verdicts.slice(start, batch.num_rows).combine_chunks().to_batches()
            start += batch.num_rows
            rows = verdict[0]
            if not rows.column("id").equals(batch.column("id")):
                raise CorruptPartError(f"{decided.files[0].path} is not aligned: decide again")
            joined = batch.append_column("bucket", rows.column("bucket"))
            joined = joined.append_column("held_out", rows.column("held_out"))
            kept = joined.filter(rows.column("kept"))
            if kept.num_rows:
                yield kept


def _write(
    batch: pa.RecordBatch,
    writer: PartWriter,
    stack: contextlib.ExitStack,
    sinks: dict[tuple[str, str], ParquetSink],
    name: str,
) -> None:
    languages, buckets = batch.column("language").to_pylist(), batch.column("bucket").to_pylist()
    for key in sorted(set(zip(languages, buckets, strict=True))):
        language, bucket = key
        if key not in sinks:
            path = f"{FOLDERS['export']}/{language}/{bucket}/{name}.parquet"
            sinks[key] = stack.enter_context(writer.parquet(path, batch.schema))
        mask = pc.and_(pc.equal(batch.column("language"), language), pc.equal(batch.column("bucket"), bucket))
        rows = batch.filter(mask)
        if rows.column("text").null_count:
            bad = rows.filter(pc.is_null(rows.column("text"))).column("id")[0]
            raise CorruptPartError(
                f"kept document {bad} has no text: it was annotated under a recipe that did not keep its "
                "language; run crawl-filter with this recipe into another --output"
            )
        writer.tally.count("in", rows.num_rows)
        sinks[key].write(rows)
        writer.tally.count("out", rows.num_rows)
        writer.tally.count("bytes", pc.sum(rows.column("bytes")).as_py())
