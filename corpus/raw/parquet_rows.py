"""Parquet from outside, read by row groups: a range of them -> rows, and damage.

In: a seekable binary file. Out: in its order rows, which the caller makes of batches of the columns it wants,
each with its number in the file; a `Damage` for what cannot be read of a row group, after which the next is
read. Memory is a batch and a chunk of each column, whose inflated size `Limits.compression_ratio` bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from corpus import storage
from corpus.inputs import InputFile
from corpus.raw.damage import Damage, Unreadable
from corpus.recipe import Limits

Row = TypeVar("Row")

_ARROW_ERRORS = (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError)


def is_parquet(name: str) -> bool:
    """Whether a file's name is that of Parquet."""
    return name.lower().endswith(".parquet")


def cut(file: InputFile, split_bytes: int) -> list[tuple[int, int]]:
    """Row groups in ranges of about `split_bytes`; one range where it is no Parquet: its reader says so."""
    with storage.open_read(file.path) as f:
        try:
            metadata = pq.read_metadata(f)
        except _ARROW_ERRORS as error:
            _check_ours(error)
            return [(0, 1)]
    ranges, start, size = [], 0, 0
    for group in range(metadata.num_row_groups):
        columns = metadata.row_group(group)
        size += sum(columns.column(i).total_compressed_size for i in range(columns.num_columns))
        if size >= split_bytes:
            ranges.append((start, group + 1))
            start, size = group + 1, 0
    if start < metadata.num_row_groups or not ranges:
        ranges.append((start, metadata.num_row_groups))
    return ranges


def open_parquet(file: IO[bytes]) -> pq.ParquetFile:
    """Open a file; its pages' checksums are verified as they are read.

    Raises:
        Unreadable: ``bad_parquet``.
    """
    try:
        return pq.ParquetFile(file, page_checksum_verification=True)
    except _ARROW_ERRORS as error:
        _check_ours(error)
        raise Unreadable("bad_parquet", str(error)) from error


def read_rows(
    parquet: pq.ParquetFile,
    start: int,
    end: int,
    columns: Sequence[str],
    batch_rows: int,
    limits: Limits,
    rows_of: Callable[[pa.RecordBatch], Iterable[Row]],
) -> Iterator[tuple[int, Row] | Damage]:
    """The rows of row groups [start, end), each with its number in the file.

    Args:
        parquet: the file.
        start, end: row groups; there may be fewer.
        columns: that the rows are made of.
        batch_rows: rows that are read at once.
        limits: of which `compression_ratio` holds for each column of a row group.
        rows_of: the rows of a batch; what Arrow raises in it is damage, too.

    Damage: ``bad_parquet``, from the first row on that is not read; ``parquet_bomb``.
    """
    offset = sum(parquet.metadata.row_group(i).num_rows for i in range(start))
    for group in range(start, min(end, parquet.metadata.num_row_groups)):
        done = 0
        try:
            _check_ratio(parquet.metadata.row_group(group), limits.compression_ratio)
            for batch in parquet.iter_batches(batch_rows, row_groups=[group], columns=list(columns)):
                for row in rows_of(batch):
                    yield offset + done, row
                    done += 1
        except Unreadable as error:
            yield Damage(offset + done, error.reason, error.message, b"", False)
        except _ARROW_ERRORS as error:
            _check_ours(error)
            yield Damage(offset + done, "bad_parquet", f"row group {group}: {error}", b"", False)
        offset += parquet.metadata.row_group(group).num_rows


def _check_ours(error: Exception) -> None:
    """Raise an error of the file system, which has a number; what Arrow finds wrong in a file has none."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error


def _check_ratio(group: Any, ratio: int) -> None:
    for i in range(group.num_columns):
        column = group.column(i)
        if column.total_uncompressed_size > ratio * max(1, column.total_compressed_size):
            message = f"{column.total_compressed_size} bytes inflate to {column.total_uncompressed_size}"
            raise Unreadable("parquet_bomb", message)
