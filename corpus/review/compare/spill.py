"""Rows in temporary files, by ranges of their ids, so that rows of two runs meet in memory range by range.

In: batches of rows with ids of 32 hex digits. Out: per range an Arrow file, its rows in the order in which
they came. Ids are hashes, so that equal ranges hold about equally many.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from corpus.errors import CorruptPartError, UserError

ID_DIGITS = 32
_PENDING_BYTES = 64 << 20  # gathered before they are dealt out
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NIBBLES = np.full(256, 255, dtype=np.uint8)
_NIBBLES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


class IdRange(NamedTuple):
    """Ids whose first 16 digits, as a number, lie in [start, start + width)."""

    start: int = 0
    width: int = 1 << 64

    def split(self, pieces: int) -> list[IdRange]:
        """Up to so many ranges in order, together this one."""
        step = -(-self.width // pieces)
        return [
            IdRange(self.start + offset, min(step, self.width - offset))
            for offset in range(0, self.width, step)
        ]


def id_bytes(ids: pa.Array) -> np.ndarray:
    """Ids as uint8[rows, 32].

    Raises:
        CorruptPartError: one has not 32 digits.
    """
    data = ids.buffers()[2]
    offsets = np.frombuffer(ids.buffers()[1], np.int32)[ids.offset : ids.offset + len(ids) + 1]
    if len(ids) and (ids.null_count or (np.diff(offsets) != ID_DIGITS).any()):
        raise CorruptPartError("a document's id is not 32 hex digits: the run's files were altered")
    flat = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    start = int(offsets[0]) if len(ids) else 0
    return flat[start : start + ID_DIGITS * len(ids)].reshape(len(ids), ID_DIGITS)


def id_numbers(ids: pa.Array) -> np.ndarray:
    """The first 16 digits of ids as uint64[rows]."""
    nibbles = _NIBBLES[id_bytes(ids)[:, :16]]
    if (nibbles == 255).any():
        raise CorruptPartError("a document's id is not 32 hex digits: the run's files were altered")
    pairs = np.ascontiguousarray(nibbles[:, ::2] << 4 | nibbles[:, 1::2])
    return pairs.view(">u8").reshape(-1).astype(np.uint64)


def spill(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, ranges: list[IdRange], folder: str
) -> list[str]:
    """Write rows to a file a range below `folder`; returns the files' paths.

    Raises:
        UserError: the disk is full.
    """
    try:
        return _spill(batches, schema, ranges, folder)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UserError(
            f"{folder}: {os.strerror(error.errno or 0)}; runs in different orders are sorted there, some 100 "
            "bytes a document: make room, or set TMPDIR to another folder"
        ) from error


def _spill(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, ranges: list[IdRange], folder: str
) -> list[str]:
    paths = [os.path.join(folder, f"{number:05d}.arrow") for number in range(len(ranges))]
    starts = np.array([r.start for r in ranges], dtype=np.uint64)
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(pa.ipc.new_stream(path, schema, options=options)) for path in paths]
        for table in _gathered(batches, schema):
            owners = np.searchsorted(starts, id_numbers(table["id"].chunk(0)), side="right") - 1
            order = np.argsort(owners, kind="stable")
            dealt = table.take(pa.array(order))
            ends = np.searchsorted(owners[order], np.arange(len(ranges) + 1))
            for number, writer in enumerate(writers):
                count = int(ends[number + 1] - ends[number])
                if count:
                    writer.write_table(dealt.slice(int(ends[number]), count))
    return paths


def read_spilled(path: str) -> Iterator[pa.RecordBatch]:
    """The rows of a file that `spill` wrote."""
    with pa.ipc.open_stream(path) as reader:
        yield from reader


def spilled_bytes(path: str) -> int:
    """How much memory the rows of a file take."""
    return sum(batch.nbytes for batch in read_spilled(path))


def _gathered(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Batches put together to tables of one chunk."""
    pending: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        pending.append(batch)
        size += batch.nbytes
        if size >= _PENDING_BYTES:
            yield pa.Table.from_batches(pending, schema).combine_chunks()
            pending, size = [], 0
    if any(batch.num_rows for batch in pending):
        yield pa.Table.from_batches(pending, schema).combine_chunks()
