"""The rows of a decided run as two runs are compared by: ids, decisions, and every number measured.

In: an opened run and some of its parts. Out: batches of `schema`, without texts, in the run's order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.errors import CorruptPartError
from corpus.exchange import open_parquet
from corpus.review.runs import DecidedPart, OpenedRun, decided_parts, read_decided
from corpus.schema import DOCUMENT

# What became of a document: the reason against it, or one of these.
KEPT = "kept"
ABSENT = "not in the run"

# Columns besides the values; `part` and `row` say where the document lies in the run.
FATE = (
    pa.field("kept", pa.bool_()),
    pa.field("fate", pa.string()),
    pa.field("language", pa.string()),
    pa.field("bucket", pa.string()),
    pa.field("held_out", pa.bool_()),
    pa.field("bytes", pa.int64()),
    pa.field("part", pa.int32()),
    pa.field("row", pa.int64()),
)


def schema(values: Sequence[str]) -> pa.Schema:
    """Of rows: id, key, `FATE`, and the values as doubles."""
    measured = [pa.field(name, pa.float64()) for name in values]
    return pa.schema([pa.field("id", pa.string()), pa.field("key", pa.string()), *FATE, *measured])


def value_columns(run: OpenedRun) -> list[str]:
    """Names of what a run measured of its documents: numbers, truths, and lists, of which the length counts.

    Raises:
        CorruptPartError: a file cannot be read.
    """
    for part in decided_parts(run)[:1]:
        with open_parquet(run.root, part.annotated) as parquet:
            found = parquet.schema_arrow
        return [
            field.name for field in found if field.name not in DOCUMENT.names and _is_measured(field.type)
        ]
    return []


def read_rows(
    run: OpenedRun, chosen: Iterable[tuple[int, DecidedPart]], values: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Rows of parts, given with their ordinals, as batches of `schema`; columns that are not there are null.

    Raises:
        CorruptPartError: a file is not what its record says.
    """
    columns = ["id", "key", "bytes", *values]
    for ordinal, part in chosen:
        start = 0
        for annotated, decisions in read_decided(run, part, columns, hashed=False):
            if not annotated["id"].equals(decisions["id"]):
                raise CorruptPartError(
                    f"{run.root}/{part.decisions.path} has not the ids of {part.annotated.path}: "
                    "run its command again"
                )
            yield _rows(annotated, decisions, ordinal, start, values)
            start += annotated.num_rows


def _is_measured(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_list(kind)
    )


def _rows(
    annotated: pa.RecordBatch, decisions: pa.RecordBatch, part: int, start: int, values: Sequence[str]
) -> pa.RecordBatch:
    n = annotated.num_rows
    columns = [
        annotated["id"],
        annotated["key"],
        decisions["kept"],
        pc.if_else(decisions["kept"], KEPT, decisions["reason"]),
        decisions["language"],
        decisions["bucket"],
        decisions["held_out"],
        annotated["bytes"],
        pa.array(np.full(n, part, dtype=np.int32)),
        pa.array(np.arange(start, start + n)),
        *(_numbers(annotated, name) for name in values),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema(values))


def _numbers(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column as doubles, NaN as null."""
    if batch.schema.get_field_index(name) < 0:
        return pa.nulls(batch.num_rows, pa.float64())
    column = batch[name]
    if pa.types.is_list(column.type):
        column = pc.list_value_length(column)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    column = column.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
