"""Pages of a split, read the same way in both passes, and their ids.

Pass one reads the raw files; what was extracted from HTML is kept as Parquet, so that pass two reads a
WET file again (cheap) and a WARC file's text from there (HTML is parsed once).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus import storage, web
from corpus.crawl.job import SOURCE, CrawlJob
from corpus.inputs import InputFile, Split
from corpus.parts import Part, open_part_file
from corpus.registry import SOURCES
from corpus.schema import document_id
from corpus.sources.commoncrawl.warc import Record, read_records
from corpus.tally import Tally


def extracted_path(split_name: str, number: int) -> str:
    """Where the text of the split's WARC file `number` lies, below the run's root."""
    return f"extracted/{split_name}-{number:03d}.parquet"


def run_path(split_name: str, kind: str) -> str:
    """Where a split's run of a kind (see `Scope`) lies, below the run's root."""
    folder = {"url": "duplicate-keys", "exact": "duplicates", "near": "duplicates"}.get(kind, "index")
    return f"{folder}/{split_name}.{kind}.run"


def keys_path(split_name: str) -> str:
    """Where the keys of a split's whole pages lie, below the run's root."""
    return f"duplicate-keys/{split_name}.parquet"


def read_raw(job: CrawlJob, file: InputFile, tally: Tally) -> Iterator[pa.RecordBatch]:
    """`PAGE` batches of a raw file; counts and bad records go to the tally."""
    web.configure(job.recipe.network)
    tally.count("bytes_raw", file.size)
    read = SOURCES[SOURCE]
    return read(file.path, file.name, job.recipe.limits, job.settings.batch_bytes, tally)


def is_wet(job: CrawlJob, file: InputFile) -> bool:
    """Whether a file's first page is text already (a `conversion` record), by content, not by name.

    Only decides whether its text is kept for the second pass; a file of both kinds is read right either way.
    """
    web.configure(job.recipe.network)
    with storage.open_read(file.path) as f:
        for item in read_records(f, job.recipe.limits, frozenset()):
            if isinstance(item, Record) and item.type in ("conversion", "response"):
                return item.type == "conversion"
    return True


def read_again(
    job: CrawlJob, split: Split, index: Part, tally: Tally
) -> Iterator[tuple[InputFile, pa.RecordBatch]]:
    """The pages that pass one saw, in the same batches, each with the file it is from."""
    for number, file in enumerate(split.files):
        extracted = index.file(extracted_path(split.name, number))
        if extracted is None:
            for batch in read_raw(job, file, tally):
                yield file, batch
            continue
        with open_part_file(job.root, extracted) as f:
            parquet = pq.ParquetFile(f)
            for group in range(parquet.num_row_groups):
                for batch in parquet.read_row_group(group).to_batches():
                    tally.count("out", batch.num_rows)
                    yield file, batch


def natural_ids(batch: pa.RecordBatch, file: InputFile) -> list[str]:
    """Ids by WARC record id, else by dump, file and offset (unique, whatever the record ids)."""
    rows = zip(batch.column("record_id").to_pylist(), batch.column("offset").to_pylist(), strict=True)
    return [
        document_id(SOURCE, record_id) if record_id else document_id(SOURCE, file.dump, file.name, offset)
        for record_id, offset in rows
    ]


def repeated_id(record_id: str | None, file: InputFile, offset: int) -> str:
    """Id of a page whose record id an earlier page has."""
    return document_id(SOURCE, record_id or "", file.dump, file.name, offset)


def id_keys(ids: list[str]) -> np.ndarray:
    """First 64 bits of each id, uint64."""
    return np.frombuffer(bytes.fromhex("".join(i[:16] for i in ids)), dtype=">u8").astype(np.uint64)
