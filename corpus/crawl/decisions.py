"""Stage `decide`: an annotated part → a decision part, aligned row by row."""

from __future__ import annotations

import pyarrow.parquet as pq

from corpus.crawl.job import FOLDERS, CrawlJob
from corpus.decide import COLUMNS, decide
from corpus.parts import Part, PartWriter, commit_part, open_part_file
from corpus.schema import DECISION


def decide_part(job: CrawlJob, annotated: Part) -> Part:
    """Decide every row of an annotated part.

    Counters: ``in`` (rows of the Parquet footer), ``kept`` and ``kept/LANGUAGE/BUCKET``, ``rejected`` and
    ``rejected/REASON``, ``held_out``.
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
            present = [name for name in COLUMNS if name in parquet.schema_arrow.names]
            for batch in parquet.iter_batches(batch_size=65_536, columns=present):
                decided = decide(batch, job.settings, cutoffs, removals)
                sink.write(decided)
                _count(writer, decided)

    return commit_part(job.root, job.spec("decide", annotated.name, [annotated.digest]), work)


def _count(writer: PartWriter, decided: object) -> None:
    for row in decided.select(["reason", "language", "bucket", "held_out"]).to_pylist():  # type: ignore[attr-defined]
        if row["reason"] is not None:
            writer.tally.by_reason("rejected", row["reason"])
        else:
            writer.tally.by_reason("kept", f"{row['language']}/{row['bucket']}")
            writer.tally.count("held_out", int(row["held_out"]))
