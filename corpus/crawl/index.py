"""Stage `index`: the pages of a split, read once, their line keys and ids written as sorted runs.

Out: ``index/part-NNNNN.paragraphs.run`` and ``….ids.run`` (see `corpus.runs`); the text of WARC files as
``extracted/part-NNNNN-FFF.parquet`` (schema `PAGE`); bad records.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pyarrow as pa

from corpus.crawl.job import CrawlJob
from corpus.crawl.pages import extracted_path, id_keys, is_wet, natural_ids, read_raw, run_path
from corpus.dedup.paragraphs import ParagraphIndex
from corpus.inputs import Split
from corpus.kernels.lines import scan
from corpus.parts import Part, PartWriter, commit_part
from corpus.run_builder import RunBuilder
from corpus.runs import write_run
from corpus.schema import PAGE


def index_split(job: CrawlJob, split: Split) -> Part:
    """Read a split and write its runs.

    Counters: those of `read_pages`; ``keys``, distinct line keys.
    """
    inputs = [(f.name, f.size, f.dump) for f in split.files]
    spec = job.spec("index", split.name, inputs, [f.tag for f in split.files])
    return commit_part(job.root, spec, lambda writer: _work(writer, job, split))


def _work(writer: PartWriter, job: CrawlJob, split: Split) -> None:
    settings = job.settings
    memory = settings.dedup.bucket_bytes
    spill = tempfile.gettempdir()
    with ParagraphIndex(spill, memory) as paragraphs, RunBuilder(spill, memory) as ids:
        for number, file in enumerate(split.files):
            batches = read_raw(job, file, writer.tally)
            if not is_wet(job, file):
                batches = _keep(writer, extracted_path(split.name, number), batches)
            for batch in batches:
                paragraphs.add(scan(batch.column("text"), settings.min_chars, settings.dedup.hash))
                ids.add(id_keys(natural_ids(batch, file)))
        with writer.file(run_path(split.name, "paragraphs")) as f:
            writer.tally.count("keys", paragraphs.write(f))
        with writer.file(run_path(split.name, "ids")) as f:
            write_run(f, *ids.finish())


def _keep(writer: PartWriter, path: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Pass batches on, and write them: what was extracted from HTML is not extracted twice."""
    with writer.parquet(path, PAGE) as sink:
        for batch in batches:
            sink.write(batch)
            yield batch
