"""Keys by which whole pages are compared, written by `annotate` beside a split's annotated part.

In: annotated batches. Out: ``duplicate-keys/part-NNNNN.parquet``, aligned with the annotated part row by
row, with the columns of the kinds that the recipe's `duplicates` asks for:

- ``id``; ``candidate``: the page takes part: its language is kept, with a sufficient score;
- ``exact`` (uint64): XXH64 of the text's UTF-8. Of 10^10 pages three are expected to share one by chance
  (n²/2^65): less than are lost to unreadable records, so 64 bits are enough;
- ``url`` (uint64) and ``time`` (int64): see `corpus.dedup.newest`; null where there is no address;
- ``near`` (uint64s, little-endian, as one binary value): see `corpus.dedup.near`; null where the text is too
  short;

and ``….url.run``, the ranked run of the addresses. Keys of pages that are no candidates are null.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from corpus.crawl.job import CrawlJob
from corpus.crawl.pages import id_keys, keys_path, run_path
from corpus.dedup.near import NearKeys
from corpus.dedup.newest import NewestIndex, time_of, url_key
from corpus.kernels.arrays import Bools, Keys
from corpus.kernels.arrow_text import validity
from corpus.parquet_sink import ParquetSink
from corpus.parts import PartWriter
from corpus.recipe import Duplicates, Language
from corpus.runs import RANK, Ranks


class PageKeys:
    """Turns annotated batches into rows of keys, and gathers the addresses."""

    def __init__(
        self, settings: Duplicates, language: Language, sink: ParquetSink, newest: NewestIndex
    ) -> None:
        self._settings = settings
        self._language = language
        self._near = NearKeys(settings.near) if settings.near else None
        self._schema = keys_schema(settings)
        self._sink = sink
        self._newest = newest

    def add(self, batch: pa.RecordBatch) -> None:
        """Write the keys of an annotated batch."""
        candidate = candidates(batch, self._language)
        text = pc.if_else(candidate, batch.column("text"), pa.scalar(None, pa.string()))
        columns = {"id": batch.column("id"), "candidate": candidate}
        if self._settings.exact:
            found = [
                None if t is None else xxhash.xxh64_intdigest(t) for t in text.cast(pa.binary()).to_pylist()
            ]
            columns["exact"] = pa.array(found, pa.uint64())
        if self._settings.url:
            urls = pc.if_else(candidate, batch.column("key"), pa.scalar(None, pa.string()))
            columns["url"] = pa.array([url_key(url) for url in urls.to_pylist()], pa.uint64())
            times = [time_of(timestamp) for timestamp in batch.column("timestamp").to_pylist()]
            columns["time"] = pa.array(times, pa.int64())
        if self._near:
            keys, has_keys = self._near(text)
            columns["near"] = _rows_of_keys(keys, has_keys)
        rows = pa.RecordBatch.from_pydict(columns, self._schema)
        if self._settings.url:
            self._newest.add(*addresses(rows))
        self._sink.write(rows)


@contextlib.contextmanager
def write_keys(
    writer: PartWriter, job: CrawlJob, split_name: str, settings: Duplicates
) -> Iterator[PageKeys]:
    """Open a split's key file; its run of addresses is written when the block ends."""
    with (
        NewestIndex(tempfile.gettempdir(), job.settings.dedup.bucket_bytes) as newest,
        writer.parquet(keys_path(split_name), keys_schema(settings)) as sink,
    ):
        yield PageKeys(settings, job.settings.language, sink, newest)
        if settings.url:
            with writer.file(run_path(split_name, "url")) as f:
                newest.write(f)


def keys_schema(settings: Duplicates) -> pa.Schema:
    """Columns of a key file."""
    fields = [pa.field("id", pa.string(), False), pa.field("candidate", pa.bool_(), False)]
    if settings.exact:
        fields.append(pa.field("exact", pa.uint64()))
    if settings.url:
        fields += [pa.field("url", pa.uint64()), pa.field("time", pa.int64(), False)]
    if settings.near:
        fields.append(pa.field("near", pa.binary(8 * settings.near.bands)))
    return pa.schema(fields)


def candidates(batch: pa.RecordBatch, language: Language) -> pa.BooleanArray:
    """Pages whose language, and so whose text, is there and kept, with a sufficient score; no nulls."""
    sure = pc.fill_null(pc.greater_equal(batch.column("lid_v1_score"), language.min_score), False)
    return pc.and_(sure, pc.is_in(batch.column("language"), pa.array(language.keep)))


def keys_of(rows: pa.RecordBatch, kind: str, wanted: Bools) -> Keys:
    """Keys of the wanted rows, none of them null, uint64[m, keys of a page]."""
    column = rows.column(kind).filter(pa.array(wanted))
    if kind != "near":
        return np.asarray(column.to_numpy()).reshape(-1, 1)
    width = column.type.byte_width // 8
    data = np.frombuffer(column.buffers()[1] or b"", "<u8", len(column) * width, 8 * width * column.offset)
    return data.astype(np.uint64).reshape(len(column), width)


def _rows_of_keys(keys: Keys, valid: Bools) -> pa.FixedSizeBinaryArray:
    """The counterpart of `keys_of`: uint64[n, k] as n values, null where `valid` bool[n] is not."""
    bitmap, _ = validity(valid)
    data = pa.py_buffer(np.ascontiguousarray(keys, "<u8"))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(8 * keys.shape[1]), len(keys), [bitmap, data])


def addresses(rows: pa.RecordBatch) -> tuple[Keys, Ranks]:
    """Keys and ranks of the rows that have an address."""
    has_url = pc.is_valid(rows.column("url"))
    kept = rows.select(["id", "url", "time"]).filter(has_url)
    ranks = np.empty(kept.num_rows, RANK)
    ranks["time"], ranks["id"] = kept.column("time").to_numpy(), id_keys(kept.column("id").to_pylist())
    return kept.column("url").to_numpy(), ranks
