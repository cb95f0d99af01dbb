"""Columns of annotators that run on a part of a batch's rows: which rows, and back into place."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def rows_with_text(batch: pa.RecordBatch) -> np.ndarray:
    """Numbers (int64) of the rows whose `text` is neither null nor empty."""
    return np.flatnonzero(pc.fill_null(pc.greater(pc.binary_length(batch.column("text")), 0), False))


def scatter(values: pa.Array, rows: np.ndarray, length: int) -> pa.Array:
    """An array of `length` with `values[i]` at `rows[i]` and null elsewhere."""
    index = np.full(length, -1, np.int64)
    index[rows] = np.arange(len(rows))
    return values.take(pa.array(index, mask=index < 0))
