"""Compiled: UTF-8 bytes through a `FoldTable` into a scratch buffer; decoding and stripping.

All positions are byte offsets. The UTF-8 must be valid (`arrow_text.text_buffers` sees to it).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from corpus.kernels.arrays import Bytes, Int, Ints, Keys
from corpus.kernels.unicode_tables import EXACT, LENGTH_SHIFT, POOLED, SPACE, STOP

SLACK = 8  # bytes that `fold` may write beyond what it folds: it stores four at a time

_SHIFT = np.uint64(LENGTH_SHIFT)
_LENGTH = np.uint64(7)
_SPACE = np.uint64(SPACE)
_EXACT = np.uint64(EXACT)
_POOLED = np.uint64(POOLED)
_PAYLOAD = np.uint64((1 << 32) - 1)
_BYTE = np.uint64(0xFF)


@njit(nogil=True, cache=True)
def decode(data: Bytes, p: Int) -> tuple[Int, int]:
    """The code point that starts at p, and its width in bytes."""
    b = np.int64(data[p])
    if b < 0x80:
        return b, 1
    if b < 0xE0:
        return (b & 0x1F) << 6 | np.int64(data[p + 1] & 0x3F), 2
    if b < 0xF0:
        return (b & 0x0F) << 12 | np.int64(data[p + 1] & 0x3F) << 6 | np.int64(data[p + 2] & 0x3F), 3
    return (
        (b & 0x07) << 18
        | np.int64(data[p + 1] & 0x3F) << 12
        | np.int64(data[p + 2] & 0x3F) << 6
        | np.int64(data[p + 3] & 0x3F)
    ), 4


@njit(nogil=True, cache=True)
def first_not_space(data: Bytes, p: Int, end: Int, entries: Keys, newlines: bool) -> Int:
    """Where the first code point that is not a space starts, else `end`; `newlines`: whether they are."""
    while p < end:
        cp, width = decode(data, p)
        if not entries[cp] & _SPACE or (cp == 10 and not newlines):
            return p
        p += width
    return end


@njit(nogil=True, cache=True)
def last_space(data: Bytes, p: Int, start: Int, entries: Keys) -> tuple[Int, np.uint64]:
    """The space that ends before p: where it starts, its entry; (p, 0) where there is none after `start`."""
    if p <= start:
        return p, np.uint64(0)
    q = p - 1
    while data[q] & 0xC0 == 0x80:
        q -= 1
    cp, _ = decode(data, q)
    if entries[cp] & _SPACE:
        return q, entries[cp]
    return p, np.uint64(0)


@njit(nogil=True, cache=True)
def folded_length(entry: np.uint64) -> Int:
    """Bytes that a code point of this entry becomes (not for pooled ones)."""
    return np.int64((entry >> _SHIFT) & _LENGTH)


@njit(nogil=True, cache=True)
def fold(
    data: Bytes, p: Int, end: Int,
    ascii_bytes: Bytes, entries: Keys, pool: Bytes, pool_offsets: Ints, out: Bytes, m: Int,
) -> tuple[Int, Int, Int, bool]:  # fmt: skip
    """Fold from p to `end`, or to the first ASCII byte the table stops at, into `out` from m on.

    The table's arrays come one by one: as a tuple, each call counts references to each of them.

    Returns:
        where it stopped; end of what it wrote; continuation bytes passed (bytes less code points);
        whether the result is only exact by the plain Python rules.
    """
    continuation = 0
    exact = False
    while p < end:
        b = data[p]
        folded = ascii_bytes[b]
        if folded != STOP:
            out[m] = folded
            m += np.int64(folded != 0)
            p += 1
            continue
        if b < 0x80:
            break
        cp, width = decode(data, p)
        entry = entries[cp]
        p += width
        continuation += width - 1
        if entry & _POOLED:
            place = np.int64(entry & _PAYLOAD)
            for i in range(pool_offsets[place], pool_offsets[place + 1]):
                out[m] = pool[i]
                m += 1
        else:
            out[m] = np.uint8(entry & _BYTE)
            out[m + 1] = np.uint8((entry >> np.uint64(8)) & _BYTE)
            out[m + 2] = np.uint8((entry >> np.uint64(16)) & _BYTE)
            out[m + 3] = np.uint8((entry >> np.uint64(24)) & _BYTE)
            m += folded_length(entry)
        if entry & _EXACT:
            exact = True
    return p, m, continuation, exact
