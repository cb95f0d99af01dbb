"""Stage `export`: kept documents of a group of parts → one Parquet file per language and bucket."""

from __future__ import annotations

from collections.abc import Sequence

from corpus.crawl.job import FOLDERS, CrawlJob
from corpus.kept import DocumentFiles, kept_rows
from corpus.parts import Part, PartWriter, commit_part

# Columns of annotated parts that say why a page was dropped: null in every kept document.
_DROPPED = ("paragraphs_v1_reason",)


def export_group(job: CrawlJob, group: int, pairs: Sequence[tuple[Part, Part]]) -> Part:
    """Write the kept documents of (annotated, decision) parts, in order.

    Files: ``documents/LANGUAGE/BUCKET/part-GROUP.parquet``. Counters: those of `DocumentFiles`.
    """
    name = f"part-{group:05d}"
    inputs = [(annotated.digest, decided.digest) for annotated, decided in pairs]

    def work(writer: PartWriter) -> None:
        with DocumentFiles(writer, FOLDERS["export"], ("language", "bucket"), f"{name}.parquet") as files:
            for annotated, decided in pairs:
                for batch in kept_rows(job.root, annotated.files[0], decided.files[0], _DROPPED):
                    files.write(batch)

    return commit_part(job.root, job.spec("export", name, inputs), work)
