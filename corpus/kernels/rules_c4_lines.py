"""What C4's rules ask of one line, and what they make of it; see `corpus.kernels.rules_c4`.

In: `data` uint8[*] of valid UTF-8 and positions in it. Out: numbers, verdicts, and bytes written to a buffer.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from corpus.kernels.arrays import Bytes, Int, Ints, Keys
from corpus.kernels.fold import decode
from corpus.kernels.rules_c4_search import stands_at
from corpus.kernels.rules_text import DIGIT, SPACE, before_spaces

_CITATIONS = np.frombuffer(b"[edit][citation needed]", np.uint8)
_EDIT = len(b"[edit]")

_LENGTH_SHIFT = np.uint64(32)
_BYTE = np.uint64(0xFF)


@njit(nogil=True, cache=True)
def longest_word(data: Bytes, p: Int, end: Int, classes: Bytes) -> Int:
    """Code points of a line's longest word."""
    longest, chars = 0, 0
    while p < end:
        cp, width = decode(data, p)
        chars = 0 if classes[cp] & SPACE else chars + 1
        longest = max(longest, chars)
        p += width
    return longest


@njit(nogil=True, cache=True)
def _after_citation(data: Bytes, p: Int, end: Int, classes: Bytes) -> Int:
    """End of `\\[\\d*\\]`, `[edit]` or `[citation needed]` that starts at the bracket at p, else p."""
    if stands_at(data, p, end, _CITATIONS, 0, _EDIT):
        return p + _EDIT
    if stands_at(data, p, end, _CITATIONS, _EDIT, len(_CITATIONS)):
        return p + len(_CITATIONS) - _EDIT
    q = p + 1
    while q < end:
        cp, width = decode(data, q)
        if cp == 93:
            return q + 1
        if not classes[cp] & DIGIT:
            return p
        q += width
    return p


@njit(nogil=True, cache=True)
def _lower(data: Bytes, p: Int, lower: Keys, out: Bytes, m: Int) -> tuple[Int, Int]:
    """Write the code point at p in lower case at m; returns where both end."""
    cp, width = decode(data, p)
    entry = lower[cp]
    if entry == 0:
        for k in range(width):
            out[m + k] = data[p + k]
        return p + width, m + width
    size = np.int64(entry >> _LENGTH_SHIFT)
    for k in range(size):
        out[m + k] = np.uint8((entry >> np.uint64(8 * k)) & _BYTE)
    return p + width, m + size


@njit(nogil=True, cache=True)
def lowered(data: Bytes, p: Int, end: Int, lower: Keys, out: Bytes) -> Int:
    """Write a line in lower case; returns the bytes written."""
    m: Int = 0
    while p < end:
        b = data[p]
        if b < 0x80:
            out[m] = b + np.uint8(32) if 65 <= b <= 90 else b
            m += 1
            p += 1
        else:
            p, m = _lower(data, p, lower, out, m)
    return m


@njit(nogil=True, cache=True)
def edit(data: Bytes, p: Int, end: Int, classes: Bytes, lower: Keys, out: Bytes) -> tuple[Int, bool]:
    """Write a line in lower case and without citation marks.

    Returns:
        the bytes written, and whether one is a curly bracket.
    """
    m: Int = 0
    bracket = False
    while p < end:
        b = data[p]
        if b < 0x80:
            if b == 91:
                q = _after_citation(data, p, end, classes)
                if q > p:
                    p = q
                    continue
            bracket |= b == 123
            out[m] = b + np.uint8(32) if 65 <= b <= 90 else b
            m += 1
            p += 1
        else:
            p, m = _lower(data, p, lower, out, m)
    return m, bracket


@njit(nogil=True, cache=True)
def copy(data: Bytes, p: Int, end: Int, classes: Bytes, out: Bytes, m: Int) -> Int:
    """Write a line without citation marks at m; returns where it ends."""
    while p < end:
        if data[p] == 91:
            q = _after_citation(data, p, end, classes)
            if q > p:
                p = q
                continue
        out[m] = data[p]
        m += 1
        p += 1
    return m


@njit(nogil=True, cache=True)
def ends_well(data: Bytes, start: Int, end: Int, end_marks: Ints) -> bool:
    """Whether a line ends in one of the marks, without "..."."""
    if len(end_marks) == 0:
        return True
    if start == end:
        return False
    q = end - 1
    while data[q] & 0xC0 == 0x80:
        q -= 1
    cp, _ = decode(data, q)
    found = False
    for i in range(len(end_marks)):
        found |= cp == end_marks[i]
    dots = end - start >= 3 and data[end - 3] == 46 and data[end - 2] == 46 and data[end - 1] == 46
    return found and not dots


@njit(nogil=True, cache=True)
def has_words(line: Bytes, p: Int, end: Int, least: int, classes: Bytes) -> bool:
    """Whether a line has at least so many words."""
    words: Int = 0
    inside = False
    while p < end and words < least:
        cp, width = decode(line, p)
        space = classes[cp] & SPACE != 0
        words += np.int64(not space and not inside)
        inside = not space
        p += width
    return bool(words >= least)


@njit(nogil=True, cache=True)
def sentences(line: Bytes, end: Int, classes: Bytes) -> Int:
    """See `c4_counts`; of one line."""
    end = before_spaces(line, 0, end, classes)
    if end == 0:
        return 0
    sentences: Int = 1
    p = 0
    while p < end:
        b = line[p]
        p += 1
        if not (b == 46 or b == 63 or b == 33):  # .?!
            continue
        while p < end:  # what may close a sentence: .?! "')]} ”’»
            cp, width = decode(line, p)
            if not (
                cp == 46 or cp == 63 or cp == 33 or cp == 34 or cp == 39 or cp == 41 or cp == 93
                or cp == 125 or cp == 0x201D or cp == 0x2019 or cp == 0xBB
            ):  # fmt: skip
                sentences += np.int64(classes[cp] & SPACE != 0)
                break
            p += width
    return sentences
