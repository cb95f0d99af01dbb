"""Tokens of HTML for compiled loops: where tags, comments and references end, and what they are.

In: uint8[*], UTF-8, and byte positions in it. By the HTML Living Standard, section 13.2.5; each byte is
looked at once, but for names of references, which are short.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from corpus.kernels.arrays import Bytes, Int, Ints, Keys
from corpus.kernels.html_entities import LONGEST_NAME
from corpus.kernels.html_tags import MULTIPLIER, SLOT_BITS

REPLACEMENT = 0xFFFD
_SEMICOLON, _GREATER, _SLASH, _BANG, _LESS, _QUOTE, _APOS, _EQUAL, _SPACE, _DASH = b";>/!<\"'= -"
_BEYOND = 0x110000
_MULTIPLIER = np.uint64(MULTIPLIER)
_SHIFT = np.uint64(64 - SLOT_BITS)
_BEFORE_NAME, _NAME, _AFTER_NAME, _BEFORE_VALUE, _UNQUOTED = range(5)  # places in a tag


@njit(nogil=True, cache=True)
def is_space(c: Any) -> Any:
    """Whether a character is HTML's white space."""
    return c == _SPACE or (9 <= c <= 13 and c != 11)


@njit(nogil=True, cache=True)
def kind_of(data: Bytes, p: Int, end: Int, keys: Keys, kinds: Bytes) -> tuple[Int, Int, np.uint64]:
    """What the element named at p is, where its name ends, and its key."""
    key, n = np.uint64(0), 0
    while p < end:
        c = data[p]
        if c in (_GREATER, _SLASH) or is_space(c):
            break
        if 65 <= c <= 90:
            c |= 32
        if n < 8:
            key |= np.uint64(c) << np.uint64(8 * n)
        else:
            key = key * np.uint64(31) + np.uint64(c)
        n += 1
        p += 1
    at = np.int64((key * _MULTIPLIER) >> _SHIFT)
    while keys[at]:
        if keys[at] == key:
            return np.int64(kinds[at]), p, key
        at = (at + 1) & (len(keys) - 1)
    return 0, p, key


@njit(nogil=True, cache=True)
def beyond_tag(data: Bytes, p: Int, end: Int) -> Int:
    """Where the tag ends whose name ends at p, or −1; a quoted value may hold `>`."""
    place = _BEFORE_NAME
    while p < end:
        c = data[p]
        p += 1
        if c == _GREATER:
            return p
        if is_space(c):
            if place == _NAME:
                place = _AFTER_NAME
            elif place == _UNQUOTED:
                place = _BEFORE_NAME
        elif place == _BEFORE_VALUE:
            if c in (_QUOTE, _APOS):
                while p < end and data[p] != c:
                    p += 1
                p += 1
                place = _BEFORE_NAME
            else:
                place = _UNQUOTED
        elif place != _UNQUOTED:
            if c == _SLASH:
                place = _BEFORE_NAME
            elif c == _EQUAL and place != _BEFORE_NAME:
                place = _BEFORE_VALUE
            else:
                place = _NAME
    return -1


@njit(nogil=True, cache=True)
def beyond_comment(data: Bytes, p: Int, end: Int) -> Int:
    """Where the comment whose text begins at p ends."""
    if p < end and data[p] == _GREATER:
        return p + 1
    if p + 1 < end and data[p] == _DASH and data[p + 1] == _GREATER:
        return p + 2
    while p + 2 < end:
        if data[p] == _DASH and data[p + 1] == _DASH:
            if data[p + 2] == _GREATER:
                return p + 3
            if data[p + 2] == _BANG and p + 3 < end and data[p + 3] == _GREATER:
                return p + 4
        p += 1
    return end


@njit(nogil=True, cache=True)
def beyond_dropped(data: Bytes, p: Int, end: Int, key: np.uint64, keys: Keys, kinds: Bytes) -> Int:
    """Where the end tag of an element that is not text begins."""
    while p + 2 < end:
        if data[p] == _LESS and data[p + 1] == _SLASH and kind_of(data, p + 2, end, keys, kinds)[2] == key:
            return p
        p += 1
    return end


@njit(nogil=True, cache=True)
def named_reference(data: Bytes, p: Int, end: Int, names: Bytes, name_ends: Ints) -> tuple[Int, Int]:
    """The longest reference whose name begins at p: its entry, or −1, and where it ends."""
    stop = p
    while stop < end and stop - p < LONGEST_NAME:
        c = data[stop]
        if not (48 <= c < 58 or 65 <= c < 91 or 97 <= c < 123):
            break
        stop += 1
    if stop < end and data[stop] == _SEMICOLON:
        stop += 1
    while stop > p + 1:
        low, high = 0, len(name_ends) - 1
        while low < high:
            middle = (low + high) >> 1
            a, b = name_ends[middle], name_ends[middle + 1]
            order: Any = 0
            i = 0
            while order == 0 and i < stop - p and a + i < b:
                order = np.int64(data[p + i]) - np.int64(names[a + i])
                i += 1
            if order == 0:
                order = (stop - p) - (b - a)
            if order == 0:
                return middle, stop
            if order < 0:
                high = middle
            else:
                low = middle + 1
        stop -= 1
    return -1, p


@njit(nogil=True, cache=True)
def numeric_reference(data: Bytes, p: Int, end: Int, c1: Ints) -> tuple[Int, Int]:
    """Code point of the numeric reference that begins at p, after `&#`, and where it ends; 0, p: none."""
    base, q = (16, p + 1) if p < end and data[p] | 32 == 120 else (10, p)
    start = q
    value: Any = np.int64(0)
    while q < end:
        c: Any = np.int64(data[q])
        if 48 <= c < 58:
            c -= 48
        elif base == 16 and 97 <= c | 32 < 103:
            c = (c | 32) - 87
        else:
            break
        value = min(value * base + c, _BEYOND)
        q += 1
    if q == start:
        return 0, p
    if q < end and data[q] == _SEMICOLON:
        q += 1
    if value == 0 or value >= _BEYOND or 0xD800 <= value < 0xE000:
        return REPLACEMENT, q
    if 0x80 <= value < 0xA0:
        return np.int64(c1[value - 0x80]), q
    return value, q


@njit(nogil=True, cache=True)
def is_letter(c: Any) -> Any:
    """Whether a character is a letter of ASCII, as tags' names begin with."""
    return 97 <= c | 32 < 123
