"""Loops over sets of shingles, and over groups of books that share a key; see `corpus.dedup`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.kernels.arrays import Int, Keys, Positions

Words32 = npt.NDArray[np.uint32]


@njit(nogil=True, cache=True)
def count_common(a: Keys, b: Keys, least: Int) -> int:
    """Common keys of two ascending sets, the first not the larger; −1 where they are fewer than `least`."""
    spare = len(a) - least  # of the smaller set, those that may still be missing from the larger
    i, j, found = 0, 0, 0
    while i < len(a):
        if spare < 0:
            return -1
        if j == len(b):
            spare -= len(a) - i
            break
        if a[i] == b[j]:
            found += 1
            i += 1
            j += 1
        elif a[i] < b[j]:
            spare -= 1
            i += 1
        else:
            j += 1
    return found if spare >= 0 else -1


@njit(nogil=True, cache=True)
def count_pairs(edges: Positions, cap: Int) -> Positions:
    """How many pairs each group of books gives; group g is the rows from edges[g] to edges[g + 1]."""
    counts = np.zeros(len(edges) - 1, np.int64)
    for g in range(len(counts)):
        n = edges[g + 1] - edges[g]
        for i in range(n):
            near = min(cap, n - 1 - i)
            counts[g] += near + (1 if i + near < n - 1 else 0)
    return counts


@njit(nogil=True, cache=True)
def fill_pairs(members: Words32, edges: Positions, first: Int, stop: Int, cap: Int, out: Keys) -> None:
    """The pairs of groups [first, stop): each book with the next `cap` ones of its group, and the last."""
    w = 0
    for g in range(first, stop):
        end = edges[g + 1]
        for i in range(edges[g], end):
            last = min(i + cap, end - 1)
            for j in range(i + 1, last + 1):
                out[w] = _pack(members[i], members[j])
                w += 1
            if last < end - 1:
                out[w] = _pack(members[i], members[end - 1])
                w += 1


@njit(nogil=True, cache=True, inline="always")
def _pack(a: np.uint32, b: np.uint32) -> np.uint64:
    low, high = min(a, b), max(a, b)
    return (np.uint64(low) << np.uint64(32)) | np.uint64(high)
