"""Parquet as parts hold it: batches in, row groups of about the same number of bytes out."""

from __future__ import annotations

from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

_ROW_GROUP_BYTES = 32 << 20
_DICTIONARY_COLUMNS = frozenset({"source", "language", "file", "license", "bucket", "reason", "stage"})


class ParquetSink:
    """Parquet (zstd) whose row groups close by bytes of data, whatever the size of the batches."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        self.rows = 0
        self._schema = schema
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0
        dictionary = [name for name in schema.names if name in _DICTIONARY_COLUMNS]
        self._writer = pq.ParquetWriter(
            file, schema, compression="zstd", compression_level=3, use_dictionary=dictionary or False
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Append a batch of the sink's schema."""
        if batch.num_rows == 0:
            return
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        self.rows += batch.num_rows
        if self._pending_bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Write the last row group and the footer."""
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        """Give up: write nothing more, not even when collected as garbage."""
        self._writer.is_open = False

    def _flush(self) -> None:
        if self._pending:
            table = pa.Table.from_batches(self._pending, self._schema)
            self._writer.write_table(table, row_group_size=table.num_rows)
            self._pending.clear()
            self._pending_bytes = 0
