"""Sets of shingles in files, and how much two of them share.

In: ascending uint64 hashes of a book's distinct shingles. Out: a file of such sets one after the other, of
which any one can be read by its place, size and checksum; the exact number of hashes that two have in common.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import IO

import numpy as np
import xxhash

from corpus.errors import CorruptPartError
from corpus.kernels.arrays import Keys
from corpus.kernels.book_sets import count_common

_DTYPE = np.dtype("<u8")


@dataclass(frozen=True)
class SetPlace:
    """Where a set lies: bytes from `offset` on, number of hashes, XXH3-64 of its bytes."""

    offset: int
    count: int
    checksum: int


class SetWriter:
    """Writes sets, one after the other."""

    def __init__(self, f: IO[bytes]) -> None:
        self._f = f
        self._offset = 0

    def add(self, shingles: Keys) -> SetPlace:
        """Write a set: uint64[n], ascending, each once."""
        data = np.ascontiguousarray(shingles, _DTYPE).tobytes()
        self._f.write(data)
        place = SetPlace(self._offset, len(shingles), checksum(data))
        self._offset += len(data)
        return place


def read_set(f: IO[bytes], path: str, place: SetPlace) -> Keys:
    """Read one set; `path` names the file in errors.

    Raises:
        CorruptPartError: the file has not what was written there.
    """
    f.seek(place.offset)
    data = f.read(place.count * _DTYPE.itemsize)
    if len(data) != place.count * _DTYPE.itemsize or checksum(data) != place.checksum:
        raise CorruptPartError(
            f"{path} is damaged at byte {place.offset}; delete it and run the command again"
        )
    return np.frombuffer(data, _DTYPE)


def checksum(data: bytes) -> int:
    """XXH3-64, as a signed number that Arrow's int64 holds."""
    return xxhash.xxh3_64_intdigest(data) - (1 << 63)


def least_common(smaller: int, threshold: float) -> int:
    """The fewest common shingles that are more than a share of `smaller`; the share is taken as written."""
    return math.floor(Fraction(repr(threshold)) * smaller) + 1


def common(a: Keys, b: Keys, least: int) -> int:
    """How many hashes two sets have in common, or −1 once they are sure to be fewer than `least`."""
    return int(count_common(a, b, least)) if len(a) <= len(b) else int(count_common(b, a, least))
