"""Token shards on disk: what a shard's three files hold, and the table of all shards of a corpus.

A shard NAME is

- ``NAME.bin``: tokens, uint16 little-endian, documents one after the other with their marks;
- ``NAME.idx``: Megatron's index of them (NVIDIA/Megatron-LM, megatron/core/datasets/indexed_dataset.py),
  with which Megatron-LM and NeMo read the pair as it is;
- ``NAME.documents.npy``: a row a document (`DOCUMENT`): source, bytes of its text, and where it lies in the
  parts of stage `tokenize`.

``shards.npy`` has a row a shard (`SHARD`), so that thousands open at once. All this needs is numpy.
"""

from __future__ import annotations

import hashlib
import io
import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.uint16]
Table = npt.NDArray[Any]

TOKEN = np.dtype("<u2")
DOCUMENT = np.dtype([("source", "u1"), ("bytes", "<u4"), ("part", "<u4"), ("row", "<u4")])
SHARD = np.dtype([("tokens", "<u8"), ("documents", "<u8"), ("sha256", "u1", 32)])
_MAGIC = b"MMIDIDX\x00\x00"
_HEADER = struct.Struct("<9sQBQQ")  # magic, version, code of the dtype, sequences, document indices
_VERSION, _UINT16 = 1, 8


class ShardError(ValueError):
    """A shard is missing, cut off, altered, or not of the corpus it is said to be of."""


class Index(NamedTuple):
    """Megatron's index: tokens of each document int32[n], and where it begins, in bytes, int64[n]."""

    lengths: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]


def index_bytes(lengths: npt.NDArray[Any]) -> bytes:
    """The ``.idx`` file of documents with so many tokens."""
    lengths = np.asarray(lengths, "<i4")
    n = len(lengths)
    ends = np.cumsum(lengths.astype(np.int64)) * TOKEN.itemsize
    offsets = np.append(np.zeros(min(n, 1), np.int64), ends[:-1])
    documents = np.arange(n + 1, dtype="<i8")
    header = _HEADER.pack(_MAGIC, _VERSION, _UINT16, n, n + 1)
    return header + lengths.tobytes() + offsets.astype("<i8").tobytes() + documents.tobytes()


def parse_index(data: bytes, name: str) -> Index:
    """Read an ``.idx`` file; `name` stands in errors.

    Raises:
        ShardError: it is none of ours.
    """
    if len(data) < _HEADER.size:
        raise ShardError(f"{name} is cut off at byte {len(data)}")
    magic, version, code, n, documents = _HEADER.unpack_from(data)
    if (magic, version, code, documents) != (_MAGIC, _VERSION, _UINT16, n + 1):
        raise ShardError(f"{name} is no Megatron index of 16-bit tokens with a document a sequence")
    if len(data) != _HEADER.size + 12 * n + 8 * documents:
        raise ShardError(f"{name} has {len(data):,} bytes, not those of {n:,} documents")
    lengths = np.frombuffer(data, "<i4", n, _HEADER.size)
    return Index(lengths, np.frombuffer(data, "<i8", n, _HEADER.size + 4 * n))


def array_bytes(table: Table) -> bytes:
    """A table as an ``.npy`` file."""
    f = io.BytesIO()
    np.save(f, table, allow_pickle=False)
    return f.getvalue()


def parse_array(data: bytes, dtype: np.dtype[Any], name: str) -> Table:
    """Read an ``.npy`` file of a known type.

    Raises:
        ShardError: it is none, or holds something else.
    """
    try:
        table: Table = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ShardError(f"{name} cannot be read: {error}") from error
    if table.dtype != dtype or table.ndim != 1:
        raise ShardError(f"{name} holds {table.dtype}, not {dtype}")
    return table


def sha256(data: Any) -> bytes:
    """SHA-256 of bytes or of an array's."""
    return hashlib.sha256(data).digest()
