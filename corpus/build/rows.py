"""Rows of documents, one at a time, gathered into Arrow batches of about the same number of bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from corpus.schema import DOCUMENT


class DocumentRows:
    """Gathers documents of a source into batches of `DOCUMENT` and the source's own columns.

    Column `source` is filled in, and `bytes` from the text; what a row does not name is null.
    """

    def __init__(self, source: str, fields: Sequence[pa.Field], batch_bytes: int) -> None:
        self.schema = pa.schema([*DOCUMENT, *fields])
        self._source = source
        self._batch_bytes = batch_bytes
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0

    def add(self, row: Mapping[str, Any]) -> pa.RecordBatch | None:
        """Add a document; returns a batch when one is full.

        Raises:
            ValueError: a column that the schema does not have.
        """
        if unknown := row.keys() - set(self.schema.names):
            raise ValueError(f"no such columns: {', '.join(sorted(unknown))}")
        self._rows.append(row)
        self._bytes += len(row["text"] or "") + 256  # code points: near enough, and known at once
        return self.finish() if self._bytes >= self._batch_bytes else None

    def finish(self) -> pa.RecordBatch | None:
        """What is left, or None."""
        if not self._rows:
            return None
        arrays = []
        for field in self.schema:
            if field.name == "source":
                values: list[Any] = [self._source] * len(self._rows)
            elif field.name == "bytes":
                values = [len((row["text"] or "").encode()) for row in self._rows]
            else:
                values = [row.get(field.name) for row in self._rows]
            arrays.append(pa.array(values, field.type))
        self._rows, self._bytes = [], 0
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)
