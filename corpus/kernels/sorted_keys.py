"""Compiled work on sorted uint64 keys: finding them again, and counting what repeats.

In and out: numpy arrays. Keys are hashes, so evenly spread; where they are not, all stays right and
`Lookup` slows to a binary search.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from corpus.kernels.arrays import Bools, Int, Ints, Keys, Positions

_KEYS_PER_PREFIX = 4  # half a cache line: finding a key costs about two misses


class Lookup:
    """Positions of keys in a sorted array of n distinct keys, by a table of their leading bits.

    Costs about two bytes a key beyond the keys themselves.
    """

    def __init__(self, keys: Keys) -> None:
        self.keys = np.ascontiguousarray(keys, np.uint64)
        bits = max(1, (len(keys) // _KEYS_PER_PREFIX).bit_length())
        self._shift = np.uint64(64 - bits)
        size, wide = (1 << bits) + 1, len(keys) > np.iinfo(np.int32).max
        self._starts = np.empty(size, np.int64) if wide else np.empty(size, np.int32)
        _fill_starts(self.keys, self._shift, self._starts)

    def __call__(self, wanted: Keys) -> Positions:
        """Positions of `wanted` uint64[m]: int64[m], −1 for a key that is not there."""
        wanted = np.ascontiguousarray(wanted, np.uint64)
        positions = np.empty(len(wanted), np.int64)
        _positions(self.keys, self._starts, self._shift, wanted, positions)
        return positions

    def claim(self, wanted: Keys, taken: Bools, take: bool) -> tuple[Bools, int]:
        """Whether each wanted key was taken; with `take`, each is from then on, in the order given.

        Args:
            wanted: uint64[m].
            taken: bool[n], aligned with the sorted keys; changed in place.
            take: whether a look takes the key.

        Returns:
            bool[m], False for keys that are not there, and the number of these.
        """
        wanted = np.ascontiguousarray(wanted, np.uint64)
        found = np.empty(len(wanted), bool)
        return found, _claim(self.keys, self._starts, self._shift, wanted, taken, take, found)


@njit(nogil=True, cache=True)
def at_most_twice(keys: Keys) -> int:
    """Keep at most two of each key of a sorted array, in place. Returns how many are left."""
    w = 0
    for i in range(len(keys)):
        if w < 2 or keys[w - 2] != keys[i]:
            keys[w] = keys[i]
            w += 1
    return w


@njit(nogil=True, cache=True)
def distinct(keys: Keys, repeated: Bools) -> int:
    """Keep one of each key of a sorted array, in place, and mark in `repeated` those that were more."""
    w = 0
    for i in range(len(keys)):
        if w > 0 and keys[w - 1] == keys[i]:
            repeated[w - 1] = True
        else:
            keys[w], repeated[w] = keys[i], False
            w += 1
    return w


@njit(nogil=True, cache=True)
def only_repeated(keys: Keys) -> int:
    """Keep one of each key that occurs twice or more in a sorted array, in place."""
    w, i = 0, 0
    while i < len(keys):
        j = i + 1
        while j < len(keys) and keys[j] == keys[i]:
            j += 1
        if j > i + 1:
            keys[w] = keys[i]
            w += 1
        i = j
    return w


@njit(nogil=True, cache=True)
def _fill_starts(keys: Keys, shift: np.uint64, starts: Ints | Positions) -> None:
    """starts[p]: position of the first key with prefix p or above."""
    p = 0
    for i in range(len(keys)):
        prefix = np.int64(keys[i] >> shift)
        while p <= prefix:
            starts[p] = i
            p += 1
    while p < len(starts):
        starts[p] = len(keys)
        p += 1


@njit(nogil=True, cache=True)
def _find(keys: Keys, starts: Ints | Positions, shift: np.uint64, key: np.uint64) -> Int:
    prefix = np.int64(key >> shift)
    low, high = np.int64(starts[prefix]), np.int64(starts[prefix + 1])
    end = high
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < end and keys[low] == key else -1


@njit(nogil=True, cache=True)
def _positions(
    keys: Keys, starts: Ints | Positions, shift: np.uint64, wanted: Keys, positions: Positions
) -> None:
    for i in range(len(wanted)):
        positions[i] = _find(keys, starts, shift, wanted[i])


@njit(nogil=True, cache=True)
def _claim(
    keys: Keys,
    starts: Ints | Positions,
    shift: np.uint64,
    wanted: Keys,
    taken: Bools,
    take: bool,
    found: Bools,
) -> int:
    missing = 0
    for i in range(len(wanted)):
        at = _find(keys, starts, shift, wanted[i])
        if at < 0:
            found[i] = False
            missing += 1
        else:
            found[i] = taken[at]
            if take:
                taken[at] = True
    return missing
