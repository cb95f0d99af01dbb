"""Values of XML attributes, decoded: UTF-8 checked, references replaced, white space made even.

By XML 1.0, sections 2.2 (characters), 2.11 and 3.3.3 (line ends and white space of a value, which become
spaces unless written as references), 4.1 and 4.6 (references). Nothing but the five predefined entities and
character references has a meaning here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from corpus.kernels.arrays import Bytes, Int
from corpus.kernels.eight_bytes import HIGH, below_space, equal, load, store

# Why a value cannot be decoded.
GOOD, NOT_UTF8, BAD_CHARACTER, BAD_REFERENCE = range(4)
REASONS = {
    NOT_UTF8: ("invalid_utf8", "a value is not UTF-8"),
    BAD_CHARACTER: ("bad_character", "a value has a character that XML does not allow"),
    BAD_REFERENCE: ("bad_reference", "a value has a reference that XML does not allow"),
}

_AMP, _SEMICOLON, _HASH, _X = b"&;#x"
_AMPERSAND = np.uint64(_AMP)
_REFERENCE = 12  # bytes between & and ; at most: zeros may lead, within reason


@njit(nogil=True, cache=True)
def put_code_point(out: Bytes, w: Int, c: Int) -> Int:
    """Write a code point as UTF-8; returns where the next goes."""
    if c < 0x80:
        out[w] = c
        return w + 1
    if c < 0x800:
        out[w] = 0xC0 | (c >> 6)
        out[w + 1] = 0x80 | (c & 0x3F)
        return w + 2
    if c < 0x10000:
        out[w] = 0xE0 | (c >> 12)
        out[w + 1] = 0x80 | ((c >> 6) & 0x3F)
        out[w + 2] = 0x80 | (c & 0x3F)
        return w + 3
    out[w] = 0xF0 | (c >> 18)
    out[w + 1] = 0x80 | ((c >> 12) & 0x3F)
    out[w + 2] = 0x80 | ((c >> 6) & 0x3F)
    out[w + 3] = 0x80 | (c & 0x3F)
    return w + 4


@njit(nogil=True, cache=True)
def _allowed(c: Any) -> Any:
    """XML 1.0, production 2."""
    return (
        0x20 <= c < 0xD800
        or c == 9
        or c == 10
        or c == 13
        or 0xE000 <= c <= 0xFFFD
        or 0x10000 <= c <= 0x10FFFF
    )


@njit(nogil=True, cache=True)
def _sequence(data: Bytes, p: Int, end: Int) -> tuple[Int, Int]:
    """Code point and length of the UTF-8 sequence at p; a length of 0 where it is none (RFC 3629)."""
    c = np.int64(data[p])
    if 0xC2 <= c < 0xE0:
        size, value, least = 2, c & 0x1F, 0x80
    elif 0xE0 <= c < 0xF0:
        size, value, least = 3, c & 0x0F, 0x800
    elif 0xF0 <= c < 0xF5:
        size, value, least = 4, c & 0x07, 0x10000
    else:
        return 0, 0
    if p + size > end:
        return 0, 0
    for i in range(1, size):
        continuation = np.int64(data[p + i])
        if continuation & 0xC0 != 0x80:
            return 0, 0
        value = (value << 6) | (continuation & 0x3F)
    if value < least or value > 0x10FFFF or 0xD800 <= value < 0xE000:
        return 0, 0
    return value, size


@njit(nogil=True, cache=True)
def _reference(data: Bytes, p: Int, end: Int) -> tuple[Int, Int]:
    """Code point of the reference whose & stands at p, and where it ends; an end of 0 where it is none."""
    stop = p + 1
    while stop < end and stop - p <= _REFERENCE and data[stop] != _SEMICOLON:
        stop += 1
    if stop == end or data[stop] != _SEMICOLON:
        return 0, 0
    first, size = p + 1, stop - p - 1
    a = data[first]
    if size == 2 and data[first + 1] == 116:  # t
        if a == 108:
            return 60, stop + 1  # lt
        if a == 103:
            return 62, stop + 1  # gt
    elif size == 3 and a == 97 and data[first + 1] == 109 and data[first + 2] == 112:
        return 38, stop + 1  # amp
    elif (
        size == 4
        and a == 113
        and data[first + 1] == 117
        and data[first + 2] == 111
        and data[first + 3] == 116
    ):
        return 34, stop + 1  # quot
    elif (
        size == 4 and a == 97 and data[first + 1] == 112 and data[first + 2] == 111 and data[first + 3] == 115
    ):
        return 39, stop + 1  # apos
    if a != _HASH:
        return 0, 0
    base, q = (16, first + 2) if size > 1 and data[first + 1] == _X else (10, first + 1)
    if q == stop:
        return 0, 0
    value = np.int64(0)
    while q < stop:
        c = np.int64(data[q])
        if 48 <= c < 58:
            digit = c - 48
        elif base == 16 and 97 <= c | 32 < 103:
            digit = (c | 32) - 87
        else:
            return 0, 0
        value = value * base + digit
        q += 1
    return value, stop + 1


@njit(nogil=True, cache=True)
def decode_value(data: Bytes, start: Int, end: Int, out: Bytes) -> tuple[Int, Int]:
    """Write the value `data[start:end]` to `out`, which has as much room.

    Returns the bytes written and `GOOD`, or where it failed and why.
    """
    p: Int = start
    w: Int = 0
    while p < end:
        while p + 8 <= end:
            word = load(data, p)
            if (below_space(word) | equal(word, _AMPERSAND) | word) & HIGH:
                break
            store(out, w, word)
            w += 8
            p += 8
        if p == end:
            break
        c = data[p]
        if 0x20 <= c < 0x80 and c != _AMP:
            out[w] = c
            w += 1
            p += 1
        elif c == _AMP:
            value, stop = _reference(data, p, end)
            if stop == 0 or not _allowed(value):
                return p, BAD_REFERENCE
            w = put_code_point(out, w, value)
            p = stop
        elif c >= 0x80:
            value, size = _sequence(data, p, end)
            if size == 0:
                return p, NOT_UTF8
            if not _allowed(value):
                return p, BAD_CHARACTER
            for i in range(size):
                out[w + i] = data[p + i]
            w += size
            p += size
        elif c == 9 or c == 10 or c == 13:
            out[w] = 32
            w += 1
            p += 2 if c == 13 and p + 1 < end and data[p + 1] == 10 else 1
        else:
            return p, BAD_CHARACTER
    return w, GOOD
