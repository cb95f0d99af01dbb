"""Every document that two runs do not say the same of, as Parquet.

In: changed rows of `pair_schema`. Out: rows of `CHANGED`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.review.compare.rows import ABSENT
from corpus.review.compare.values import doubles

_TWICE = (
    pa.field("fate", pa.string()),  # kept, or the reason against; null where the run does not have it
    pa.field("language", pa.string()),
    pa.field("bucket", pa.string()),
    pa.field("held_out", pa.bool_()),
    pa.field("bytes", pa.int64()),  # of its text
)
_VALUE = pa.struct([("column", pa.string()), ("a", pa.float64()), ("b", pa.float64())])
CHANGED = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("key", pa.string()),
        *(field.with_name(f"{field.name}_{side}") for field in _TWICE for side in "ab"),
        pa.field("values", pa.list_(_VALUE)),  # what either run measured
    ]
)


def output_rows(source: str, changed: pa.Table, values: Sequence[str]) -> pa.RecordBatch:
    """Changed rows as a batch of `CHANGED`."""
    table = changed.combine_chunks()
    columns = {
        "source": pa.array([source] * table.num_rows, pa.string()),
        "values": _values(table, values),
    }
    for side in "ab":
        fate = table[f"fate_{side}"]
        there = pc.not_equal(fate, ABSENT)
        columns[f"fate_{side}"] = pc.if_else(there, fate, pa.scalar(None, pa.string()))
    flat = [columns.get(name, table[name] if name in table.column_names else None) for name in CHANGED.names]
    return pa.Table.from_arrays(flat, schema=CHANGED).combine_chunks().to_batches()[0]


def _values(table: pa.Table, names: Sequence[str]) -> pa.Array:
    """Per row a list of the columns that have a value in either run."""
    n = table.num_rows
    sides = [np.empty((n, len(names))) for _ in "ab"]
    for column, name in enumerate(names):
        for side, numbers in zip("ab", sides, strict=True):
            numbers[:, column] = doubles(table, f"{name}_{side}")
    measured = ~np.isnan(sides[0]) | ~np.isnan(sides[1])
    offsets = np.concatenate([[0], np.cumsum(measured.sum(axis=1))]).astype(np.int32)
    which = np.nonzero(measured)[1].astype(np.int32)
    columns = pa.DictionaryArray.from_arrays(pa.array(which), pa.array(list(names), pa.string()))
    flat = [pa.array(numbers[measured], from_pandas=True) for numbers in sides]
    inner = pa.StructArray.from_arrays([columns.cast(pa.string()), *flat], fields=list(_VALUE))
    return pa.ListArray.from_arrays(pa.array(offsets), inner)
