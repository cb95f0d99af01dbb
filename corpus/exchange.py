"""Rows of different splits that must meet: files in buckets, written by splits, read bucket by bucket.

In: tables of any columns with a 64-bit key a row. Out: Parquet files whose row groups each hold rows of one
bucket, the buckets named in the footer. Bucket b of B, a power of two, holds the keys with
⌊key·B / 2^64⌋ = b, so that a task which reads one bucket of every split's file sees all rows of its keys.
Within a file a bucket's rows keep the order in which they were added. Pages carry checksums, checked on
reading. (For keys and bits alone `corpus.runs` is several times smaller.)
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus import storage
from corpus.errors import CorruptPartError
from corpus.kernels.arrays import Keys
from corpus.parts import PartFile

_BUCKETS = b"llama_corpus_buckets"


def bucket_count(total_bytes: int, bucket_bytes: int) -> int:
    """Buckets, a power of two, such that one of so many bytes in all is within `bucket_bytes`."""
    return 1 << max(0, -(-total_bytes // bucket_bytes) - 1).bit_length()


class ExchangeWriter:
    """Writes one split's rows; a context manager: the file is whole when the block ends well.

    Rows wait until they take `memory_bytes`, then every bucket's go to a row group of their own.
    """

    def __init__(self, f: IO[bytes], schema: pa.Schema, buckets: int, memory_bytes: int = 64 << 20) -> None:
        if buckets < 1 or buckets & (buckets - 1):
            raise ValueError(f"the number of buckets must be a power of two, not {buckets}")
        self._shift = np.uint64(64 - (buckets - 1).bit_length())
        self._memory = memory_bytes
        self._schema = schema
        self._buckets = buckets
        self._written: list[int] = []  # the bucket of each row group
        self._tables: list[pa.Table] = []
        self._keys: list[Keys] = []
        self._bytes = 0
        self._writer = pq.ParquetWriter(
            f, schema, compression="zstd", write_statistics=False, write_page_checksum=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        if exception[0] is not None:
            self._writer.is_open = False  # write nothing more, not even when collected as garbage
            return
        self._flush()
        self._writer.add_key_value_metadata({_BUCKETS: json.dumps(self._written)})
        self._writer.close()

    def add(self, table: pa.Table | pa.RecordBatch, keys: Keys) -> None:
        """Add rows and their keys, uint64[rows]."""
        if table.num_rows != len(keys):
            raise ValueError(f"{table.num_rows} rows and {len(keys)} keys")
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        self._tables.append(table.select(self._schema.names).cast(self._schema))
        self._keys.append(np.asarray(keys, np.uint64))
        self._bytes += table.nbytes
        if self._bytes >= self._memory:
            self._flush()

    def _flush(self) -> None:
        table = pa.concat_tables([self._schema.empty_table(), *self._tables])
        if not table.num_rows:
            return
        keys = np.concatenate(self._keys)
        self._tables, self._keys, self._bytes = [], [], 0
        # A shift by 64 is undefined: one bucket holds all.
        bucket = keys >> self._shift if self._buckets > 1 else np.zeros(len(keys), np.uint64)
        order = np.argsort(bucket, kind="stable")
        table, bucket = table.take(pa.array(order)), bucket[order]
        edges = np.flatnonzero(bucket[1:] != bucket[:-1]) + 1
        for start, stop in itertools.pairwise([0, *edges.tolist(), len(bucket)]):
            rows = table.slice(start, stop - start)
            self._writer.write_table(rows, row_group_size=rows.num_rows)
            self._written.append(int(bucket[start]))


@contextlib.contextmanager
def open_parquet(root: str, file: PartFile) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file of which a few row groups are wanted: its size is checked, and every page read.

    Raises:
        CorruptPartError: the file is missing, has another size, or is damaged.
    """
    path = storage.join(root, file.path)
    try:
        size = storage.info(path).size
    except FileNotFoundError as error:
        raise CorruptPartError(f"{path} is missing: run the command again") from error
    if size != file.bytes:
        raise CorruptPartError(
            f"{path} has {size:,} bytes where its record says {file.bytes:,}; delete it and run again"
        )
    with storage.open_read(path) as f:
        try:
            yield pq.ParquetFile(f, page_checksum_verification=True)
        except (pa.ArrowInvalid, OSError) as error:
            raise CorruptPartError(f"{path} is damaged ({error}); delete it and run again") from error


def read(root: str, file: PartFile, bucket: int, columns: list[str] | None = None) -> pa.Table:
    """The rows of one bucket of a file that an `ExchangeWriter` wrote.

    Raises:
        CorruptPartError: as `open_parquet`.
    """
    with open_parquet(root, file) as parquet:
        row_groups = json.loads(parquet.metadata.metadata[_BUCKETS])
        groups = [i for i, b in enumerate(row_groups) if b == bucket]
        return parquet.read_row_groups(groups, columns=columns)
