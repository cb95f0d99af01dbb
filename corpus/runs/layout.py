"""What run and answer files are made of, in bytes: magic numbers, headers, indexes, checksums, sizes."""

from __future__ import annotations

import struct
from typing import IO, Any

import numpy as np
import xxhash

from corpus.errors import CorruptPartError
from corpus.storage import open_read

# Which of two documents of one key stays with keep-newest: the later `time`, else the smaller `id`.
RANK = np.dtype([("time", "<i8"), ("id", "<u8")])
Ranks = np.ndarray[Any, Any]  # of dtype RANK

KEY_SPACE = 1 << 64
RUN_MAGIC, ANSWER_MAGIC = b"LCRUN\0\0\1", b"LCANSW\0\1"  # the last byte is the version
RANKED_MAGIC = b"LCRUN\0\0\2"
RUN_HEADER = struct.Struct("<8sQQQ")  # magic, keys, section bits, offset of the index; then a checksum
ANSWER_FOOTER = struct.Struct("<8sQQQQQ")  # magic, runs, ranges, bucket, buckets, offset of the index
CHECKSUM = struct.Struct("<Q")
_PLACE = struct.Struct("<QQQQ")  # what a checksum covers before the bytes: where they belong
SECTION = np.dtype([("position", "<u8"), ("offset", "<u8"), ("checksum", "<u8")])
BITMAP = np.dtype([("position", "<u8"), ("count", "<u8"), ("offset", "<u8"), ("checksum", "<u8")])
SECTION_KEYS = 8192  # 66 KB: what a bucket of a scope of thousands of runs needs of each
_READ_AHEAD_BYTES = 256 << 10  # a bucket of a scope of thousands of runs needs a section or two of each
# Working memory of a merge, a key: the runs' keys and flags (9), all of them sorted (8), what repeats of
# them in a lookup (3), the bits of a run (1), one section while it is read.
_MERGE_BYTES_PER_KEY = 22
# … and where runs are ranked: their ranks (16), the best of what repeats and its run (20), what is compared.
_MERGE_BYTES_PER_RANK = 40


def bucket_count(keys: int, bucket_bytes: int, ranked: bool = False) -> int:
    """Buckets, a power of two, such that one of `keys` keys in all merges within `bucket_bytes`."""
    return 1 << max(0, -(-keys * merge_bytes(ranked) // bucket_bytes) - 1).bit_length()


def bytes_of_run(keys: int, section_keys: int = SECTION_KEYS) -> int:
    """Size of a run file of so many keys, spread evenly."""
    sections = 1 << max(0, (keys - 1) // section_keys).bit_length()
    payload = sections * section_bytes(-(-keys // sections), False)
    return RUN_HEADER.size + CHECKSUM.size + payload + (sections + 1) * SECTION.itemsize


def bytes_of_answers(keys: int, runs: float, buckets: int) -> float:
    """Size of all answers of a scope to so many keys in so many runs, where no bucket is split."""
    footer = len(ANSWER_MAGIC) + ANSWER_FOOTER.size + CHECKSUM.size
    return keys / 8 + buckets * (footer + runs * (BITMAP.itemsize + 0.5))


def section_bytes(count: int, ranked: bool) -> int:
    """Bytes of a section: keys, then flag bits padded to whole words, then ranks."""
    return (8 + RANK.itemsize * ranked) * count + 8 * ((count + 63) // 64)


def merge_bytes(ranked: bool) -> int:
    """Working memory of a merge, a key."""
    return _MERGE_BYTES_PER_KEY + _MERGE_BYTES_PER_RANK * ranked


def placed_checksum(number: int, position: int, count: int, offset: int, payload: bytes) -> int:
    """xxh3-64 of a section or bitmap and of where it belongs."""
    digest = xxhash.xxh3_64(_PLACE.pack(number, position, count, offset))
    digest.update(payload)
    return int(digest.intdigest())


def open_run(path: str) -> IO[bytes]:
    """Open a run or answer; a missing one is a `CorruptPartError`."""
    try:
        return open_read(path, _READ_AHEAD_BYTES)
    except FileNotFoundError as error:
        raise CorruptPartError(f"{path} is missing: run the stage that writes it again") from error


def read_at(f: IO[bytes], path: str, offset: int, size: int) -> bytes:
    """So many bytes at a place; a `CorruptPartError` where the file ends before."""
    f.seek(offset)
    data = f.read(size)
    if len(data) != size:
        raise corrupt(path, f"it ends at byte {offset + len(data)}, before {offset + size}")
    return data


def corrupt(path: str, what: str) -> CorruptPartError:
    """The error of a damaged file."""
    return CorruptPartError(f"{path} is damaged: {what}; delete it and run the stage that writes it again")
