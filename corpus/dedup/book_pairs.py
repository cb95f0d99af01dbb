"""Which books are worth comparing: band keys of many books → pairs of books that share one.

In: rows of key, book and the book's size. Out: pairs, the lower book first. What many books share
(a licence, a popular poem, thousands of copies) must not give the square of their number of pairs: among more
than a bound of books with one key each is paired with as many next ones in the order of size and number, and
with the largest. Copies of one book are neighbours there, and so still join; a part and its omnibus share
further keys, which few others have.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from corpus.kernels.arrays import Keys, Positions
from corpus.kernels.book_sets import Words32, count_pairs, fill_pairs

_PAIRS_AT_ONCE = 1 << 22


def pairs(
    keys: Keys, books: Positions, sizes: Positions, max_bucket: int, pairs_at_once: int = _PAIRS_AT_ONCE
) -> tuple[Iterator[Positions], int]:
    """Pairs of books that share a key.

    Args:
        keys: uint64[n].
        books: int64[n], the number of the book that has the key.
        sizes: int64[n], of that book.
        max_bucket: more books than this that share a key are not all paired with each other.
        pairs_at_once: how many are held; a pair that turns up in several batches comes several times.

    Returns:
        batches int64[m, 2], each ascending and of distinct pairs; the number of keys for which the bound
        was met.
    """
    numbers, dense = np.unique(books, return_inverse=True)
    order = np.lexsort((dense, sizes, keys))
    keys, members = keys[order], dense[order].astype(np.uint32)
    fresh = np.ones(len(keys), bool)
    fresh[1:] = (keys[1:] != keys[:-1]) | (members[1:] != members[:-1])
    keys, members = keys[fresh], members[fresh]
    differs = np.ones(len(keys) + 1, bool)  # from the row before; so does the end
    differs[1:-1] = keys[1:] != keys[:-1]
    edges = np.flatnonzero(differs) if len(keys) else np.zeros(1, np.int64)
    capped = int(np.count_nonzero(np.diff(edges) > max_bucket))
    return _batches(numbers, members, edges, max_bucket, pairs_at_once), capped


def _batches(
    numbers: Positions, members: Words32, edges: Positions, max_bucket: int, at_once: int
) -> Iterator[Positions]:
    counts = count_pairs(edges, max_bucket)
    held = np.empty(0, np.uint64)
    for first, stop in _runs(counts, at_once):
        some = np.empty(int(counts[first:stop].sum()), np.uint64)
        fill_pairs(members, edges, first, stop, max_bucket, some)
        held = distinct(np.concatenate([held, some]))
        if len(held) > at_once // 2:
            yield _unpacked(numbers, held)
            held = np.empty(0, np.uint64)
    yield _unpacked(numbers, held)


def _unpacked(numbers: Positions, packed: Keys) -> Positions:
    low, high = packed >> np.uint64(32), packed & np.uint64(0xFFFFFFFF)
    return np.stack([numbers[low.astype(np.int64)], numbers[high.astype(np.int64)]], axis=1)


def distinct(values: Keys) -> Keys:
    """Ascending, each once; several times faster than `np.unique`, which hashes."""
    ordered = np.sort(values)
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def _runs(counts: Positions, at_once: int) -> Iterator[tuple[int, int]]:
    """Ranges of keys that together give so many pairs, or one key's."""
    ends = np.cumsum(counts)
    first = 0
    while first < len(counts):
        done = int(ends[first - 1]) if first else 0
        stop = max(first + 1, int(np.searchsorted(ends, done + at_once, side="right")))
        yield first, stop
        first = stop
