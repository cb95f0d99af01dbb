"""Columns of annotators that run on a part of a batch's rows: which rows, and back into place."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.recipe import Language


def rows_with_text(batch: pa.RecordBatch) -> np.ndarray:
    """Numbers (int64) of the rows whose `text` is neither null nor empty."""
    return np.flatnonzero(pc.fill_null(pc.greater(pc.binary_length(batch.column("text")), 0), False))


def kept_language(batch: pa.RecordBatch, language: Language) -> np.ndarray:
    """Numbers (int64) of the rows with text whose language is kept and sure enough."""
    wanted = pc.is_in(batch.column("language"), pa.array(language.keep, pa.string()))
    sure = pc.greater_equal(batch.column("lid_v1_score"), language.min_score)
    rows = np.flatnonzero(pc.fill_null(pc.and_(wanted, sure), False))
    found: np.ndarray = np.intersect1d(rows_with_text(batch), rows, assume_unique=True)
    return found


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole` (int64[n] → float64[n]); 0 where the whole is 0."""
    shares: np.ndarray = np.divide(part, whole, out=np.zeros(len(part)), where=whole != 0)
    return shares


def scatter(values: pa.Array, rows: np.ndarray, length: int) -> pa.Array:
    """An array of `length` with `values[i]` at `rows[i]` and null elsewhere."""
    index = np.full(length, -1, np.int64)
    index[rows] = np.arange(len(rows))
    return values.take(pa.array(index, mask=index < 0))
