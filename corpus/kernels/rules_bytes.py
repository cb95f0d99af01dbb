"""Spans of UTF-8 eight bytes at a time: hashes, numbers of code points, places of line breaks.

In: `data` uint8[*] and byte positions in it; nothing beyond its end is read. Little-endian machines only.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from corpus.kernels.arrays import Bytes, Int
from corpus.kernels.eight_bytes import HIGH, load

_MULTIPLIER = np.uint64(0x9E3779B185EBCA87)  # primes of xxHash
_SEED = np.uint64(0xC2B2AE3D27D4EB4F)
_ONES = np.uint64(0x0101010101010101)  # a byte of 1 in each
_NEWLINES = np.uint64(0x0A0A0A0A0A0A0A0A)
_SPACES = np.uint64(0x2020202020202020)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_6, _7, _29, _32, _56 = (np.uint64(n) for n in (6, 7, 29, 32, 56))


@njit(nogil=True, cache=True)
def _tail(data: Bytes, p: Int, end: Int) -> np.uint64:
    """Fewer than eight bytes as an integer."""
    if p == end:
        return np.uint64(0)
    if p + 8 <= len(data):
        word: np.uint64 = load(data, p) & (_ALL >> np.uint64(64 - 8 * (end - p)))
        return word
    word = np.uint64(0)
    for q in range(p, end):
        word |= np.uint64(data[q]) << np.uint64(8 * (q - p))
    return word


@njit(nogil=True, cache=True)
def _continuations(word: np.uint64) -> Int:
    """How many of eight bytes continue a code point: those of the form 10xxxxxx."""
    return np.int64((((word >> _7) & ~(word >> _6) & _ONES) * _ONES) >> _56)


@njit(nogil=True, cache=True)
def mixed(h: np.uint64) -> np.uint64:
    """Spread what distinguishes two hashes over all their bits."""
    h = (h ^ (h >> _32)) * _SEED
    h = (h ^ (h >> _29)) * _MULTIPLIER
    return h ^ (h >> _32)


@njit(nogil=True, cache=True)
def span_hash(data: Bytes, start: Int, end: Int) -> tuple[np.uint64, Int]:
    """Hash of a span's bytes, and its number of code points."""
    h = _SEED ^ np.uint64(end - start)
    n: Int = end - start
    if 0 < n <= 8 and start + 8 <= len(data):  # most words
        word = load(data, start) & (_ALL >> np.uint64(64 - 8 * n))
        return mixed((h ^ word) * _MULTIPLIER), n - _continuations(word)
    p = start
    while p + 8 <= end:
        word = load(data, p)
        n -= _continuations(word)
        h = (h ^ word) * _MULTIPLIER
        h ^= h >> _32
        p += 8
    word = _tail(data, p, end)
    n -= _continuations(word)
    return mixed((h ^ word) * _MULTIPLIER), n


@njit(nogil=True, cache=True)
def code_points(data: Bytes, start: Int, end: Int) -> Int:
    """Number of code points of a span."""
    n: Int = end - start
    p = start
    while p + 8 <= end:
        n -= _continuations(load(data, p))
        p += 8
    return n - _continuations(_tail(data, p, end))


@njit(nogil=True, cache=True)
def next_newline(data: Bytes, p: Int, end: Int) -> Int:
    """Where the next line feed is, else `end`."""
    while p + 8 <= end:
        word = load(data, p) ^ _NEWLINES
        if (word - _ONES) & ~word & HIGH:
            break
        p += 8
    while p < end and data[p] != 10:
        p += 1
    return p


@njit(nogil=True, cache=True)
def after_plain(data: Bytes, p: Int, end: Int) -> Int:
    """Beyond as many blocks of eight bytes as hold neither control characters nor what is not ASCII."""
    while p + 8 <= end:
        word = load(data, p)
        if ((word - _SPACES) | word) & HIGH:
            break
        p += 8
    return p


@njit(nogil=True, cache=True)
def count_newlines(data: Bytes, start: Int, end: Int) -> Int:
    """Line feeds of a span."""
    n = 0
    p = next_newline(data, start, end)
    while p < end:
        n += 1
        p = next_newline(data, p + 1, end)
    return n
