"""HTML of a post's body → running text, in one pass over its tokens.

In: UTF-8. Out: UTF-8 of at most twice the length, plus a list mark for each item. Tokens are HTML's (HTML
Living Standard, section 13.2.5), each looked at once whatever it is nested in; no tree is built, so that
neither depth nor unclosed elements cost anything. Tags go, entities are decoded once. Paragraphs, headings,
quotations, tables and lists stand apart by an empty line; items, rows and other blocks begin a line, an item
with the list mark; cells are parted by tabs. White space is one space, as a browser shows it, but inside
`pre` it stays. (`innerText` of the same standard has the same rules, but for the list mark.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from corpus.kernels.arrays import Bytes, Int, Ints, Keys, Positions
from corpus.kernels.eight_bytes import below_space, equal, load, store
from corpus.kernels.html_entities import LONGEST_NAME
from corpus.kernels.html_tags import (
    BREAK,
    CELL,
    DROPPED,
    ITEM,
    LINE,
    LIST,
    MULTIPLIER,
    PARAGRAPH,
    PRE,
    ROW,
    SLOT_BITS,
)
from corpus.kernels.xml_values import put_code_point

_AMP, _SEMICOLON, _HASH, _LESS, _GREATER, _SLASH, _BANG, _QUESTION = b"&;#<>/!?"
_QUOTE, _APOS, _EQUAL, _NEWLINE, _RETURN, _TAB, _SPACE, _DASH = b"\"'=\n\r\t -"
_SPACE_BYTE, _LESS_BYTE, _AMP_BYTE, _8, _63 = (np.uint64(n) for n in (_SPACE, _LESS, _AMP, 8, 63))
_REPLACEMENT = 0xFFFD
_BEYOND = 0x110000
_MULTIPLIER = np.uint64(MULTIPLIER)
_SHIFT = np.uint64(64 - SLOT_BITS)

# State: bytes written; what is due before the next character.
W, DUE, BREAKS, SPACE, MARK, TABS, HELD = range(7)  # DUE: line ends of blocks, BREAKS: of <br>, HELD: in pre
PRE_DEPTH, LIST_DEPTH, CELLS, FRESH_PRE = range(7, 11)
STATE_SIZE = 11
_BEFORE_NAME, _NAME, _AFTER_NAME, _BEFORE_VALUE, _UNQUOTED = range(5)  # places in a tag


@njit(nogil=True, cache=True)
def _is_space(c: Any) -> Any:
    return c == _SPACE or (9 <= c <= 13 and c != 11)


@njit(nogil=True, cache=True)
def _begin(out: Bytes, s: Positions, mark: Bytes) -> None:
    """Write what is due before a character that is not white space."""
    w = s[W]
    if w:
        lines = max(s[DUE], s[BREAKS]) + s[HELD]
        for _ in range(lines):
            out[w] = _NEWLINE
            w += 1
        for _ in range(s[TABS]):
            out[w] = _TAB
            w += 1
        if s[SPACE] and lines == 0 and s[TABS] == 0:
            out[w] = _SPACE
            w += 1
    if s[MARK]:
        for i in range(len(mark)):
            out[w] = mark[i]
            w += 1
    s[W] = w
    s[DUE] = s[BREAKS] = s[SPACE] = s[MARK] = s[TABS] = s[HELD] = s[FRESH_PRE] = 0


@njit(nogil=True, cache=True)
def _white(c: Int, out: Bytes, s: Positions, mark: Bytes) -> None:
    """Take in one character of white space."""
    if not s[PRE_DEPTH]:
        s[SPACE] = 1
    elif c in (_NEWLINE, _RETURN):
        if not s[FRESH_PRE]:  # a line end right after <pre> is not content
            s[HELD] += 1
    else:
        _begin(out, s, mark)
        out[s[W]] = c
        s[W] += 1
    s[FRESH_PRE] = 0


@njit(nogil=True, cache=True)
def _block(s: Positions, lines: Int) -> None:
    """The edge of a block: at least so many line ends; none after a list mark without its item."""
    if not s[MARK]:
        s[DUE] = max(s[DUE], lines)
        s[TABS] = 0


@njit(nogil=True, cache=True)
def _kind_of(data: Bytes, p: Int, end: Int, keys: Keys, kinds: Bytes) -> tuple[Int, Int, np.uint64]:
    """What the element named at p is, where its name ends, and its key."""
    key, n = np.uint64(0), 0
    while p < end:
        c = data[p]
        if c in (_GREATER, _SLASH) or _is_space(c):
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
def _beyond_tag(data: Bytes, p: Int, end: Int) -> Int:
    """Where the tag ends whose name ends at p, or −1; a quoted value may hold `>`."""
    place = _BEFORE_NAME
    while p < end:
        c = data[p]
        p += 1
        if c == _GREATER:
            return p
        if _is_space(c):
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
def _beyond_comment(data: Bytes, p: Int, end: Int) -> Int:
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
def _beyond_dropped(data: Bytes, p: Int, end: Int, key: np.uint64, keys: Keys, kinds: Bytes) -> Int:
    """Where the end tag of an element that is not text begins."""
    while p + 2 < end:
        if data[p] == _LESS and data[p + 1] == _SLASH and _kind_of(data, p + 2, end, keys, kinds)[2] == key:
            return p
        p += 1
    return end


@njit(nogil=True, cache=True)
def _tag(kind: Int, closing: Any, s: Positions) -> None:
    """What a tag does to the text around it."""
    if kind == BREAK:
        s[BREAKS] += 1
    elif kind == PARAGRAPH:
        _block(s, 2)
    elif kind == PRE:
        if closing:
            s[PRE_DEPTH] = max(s[PRE_DEPTH] - 1, 0)
            s[HELD] = 0
        else:
            s[PRE_DEPTH] += 1
            s[FRESH_PRE] = 1
        _block(s, 2)
    elif kind == LINE:
        _block(s, 1)
    elif kind == LIST:
        if closing:
            s[LIST_DEPTH] = max(s[LIST_DEPTH] - 1, 0)
            s[MARK] = 0
        _block(s, 1 if s[LIST_DEPTH] else 2)
        if not closing:
            s[LIST_DEPTH] += 1
    elif kind == ITEM:
        s[MARK] = 0
        _block(s, 1)
        s[MARK] = 0 if closing else 1
    elif kind == ROW:
        _block(s, 1)
        s[CELLS] = 0
    elif kind == CELL and not closing:
        s[TABS] += 1 if s[CELLS] else 0
        s[CELLS] += 1


@njit(nogil=True, cache=True)
def _named(data: Bytes, p: Int, end: Int, names: Bytes, name_ends: Ints) -> tuple[Int, Int]:
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
def _numeric(data: Bytes, p: Int, end: Int, c1: Ints) -> tuple[Int, Int]:
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
        return _REPLACEMENT, q
    if 0x80 <= value < 0xA0:
        return np.int64(c1[value - 0x80]), q
    return value, q


@njit(nogil=True, cache=True)
def html_to_text(
    data: Bytes, end: Int, out: Bytes, mark: Bytes, s: Positions,
    keys: Keys, kinds: Bytes, names: Bytes, name_ends: Ints, values: Bytes, value_ends: Ints, c1: Ints,
) -> Int:  # fmt: skip
    """Write the text of the HTML in `data[:end]` to `out`; returns its length.

    Args:
        data: uint8[*], UTF-8.
        end: its length.
        out: uint8[*], room as the module says.
        mark: uint8[*], the list mark.
        s: int64[STATE_SIZE], scratch.
        keys, kinds: `corpus.kernels.html_tags.Tags`.
        names, name_ends, values, value_ends, c1: `corpus.kernels.html_entities.References`.
    """
    s[:] = 0
    p: Int = 0
    while p < end:
        c = data[p]
        if c > _SPACE and c != _LESS and c != _AMP:
            _begin(out, s, mark)
            p, s[W] = _copy(data, p, end, out, s[W])
        elif _is_space(c):
            if c == _RETURN and p + 1 < end and data[p + 1] == _NEWLINE:
                p += 1
            _white(c, out, s, mark)
            p += 1
        elif c == _LESS:
            p = _markup(data, p, end, out, mark, s, keys, kinds)
        elif c == _AMP:
            p = _reference(data, p, end, out, mark, s, names, name_ends, values, value_ends, c1)
        else:  # another control character
            _begin(out, s, mark)
            s[W] = put_code_point(out, s[W], c if c else _REPLACEMENT)
            p += 1
    size: Int = s[W]
    return size


@njit(nogil=True, cache=True)
def _copy(data: Bytes, p: Int, end: Int, out: Bytes, w: Int) -> tuple[Int, Int]:
    """Copy words with one space between them, as far as there is nothing else; where both ends are then."""
    while p + 8 <= end:
        word = load(data, p)
        spaces = equal(word, _SPACE_BYTE)
        if below_space(word) | equal(word, _LESS_BYTE) | equal(word, _AMP_BYTE) | (spaces & (spaces >> _8)):
            break
        store(out, w, word)
        size = 7 if spaces >> _63 else 8  # what follows the last byte, a space, is not known yet
        w += size
        p += size
    while p < end:
        c = data[p]
        if c > _SPACE:
            if c in (_LESS, _AMP):
                break
        elif c != _SPACE or p + 1 == end or data[p + 1] <= _SPACE or data[p + 1] in (_LESS, _AMP):
            break
        out[w] = c
        w += 1
        p += 1
    return p, w


@njit(nogil=True, cache=True)
def _letter(c: Any) -> Any:
    return 97 <= c | 32 < 123


@njit(nogil=True, cache=True)
def _markup(
    data: Bytes, p: Int, end: Int, out: Bytes, mark: Bytes, s: Positions, keys: Keys, kinds: Bytes
) -> Int:
    """Take in what begins with the `<` at p; returns where it ends."""
    s[FRESH_PRE] = 0
    q = p + 1
    closing = q < end and data[q] == _SLASH
    if closing:
        q += 1
    if q < end and _letter(data[q]):
        kind, q, key = _kind_of(data, q, end, keys, kinds)
        q = _beyond_tag(data, q, end)
        if q < 0:
            return end  # a tag that does not end is none
        if kind == DROPPED and not closing:
            return _beyond_dropped(data, q, end, key, keys, kinds)
        _tag(kind, closing, s)
        return q
    if q < end and (closing or data[q] == _BANG or data[q] == _QUESTION):
        if not closing and q + 2 < end and data[q] == _BANG and data[q + 1] == _DASH and data[q + 2] == _DASH:
            return _beyond_comment(data, q + 3, end)
        while q < end and data[q] != _GREATER:
            q += 1
        return min(q + 1, end)
    _begin(out, s, mark)
    for i in range(p, q):
        out[s[W]] = data[i]
        s[W] += 1
    return q


@njit(nogil=True, cache=True)
def _reference(
    data: Bytes, p: Int, end: Int, out: Bytes, mark: Bytes, s: Positions,
    names: Bytes, name_ends: Ints, values: Bytes, value_ends: Ints, c1: Ints,
) -> Int:  # fmt: skip
    """Take in the reference, or the plain `&`, at p; returns where it ends."""
    q = p + 1
    if q < end and data[q] == _HASH:
        value, stop = _numeric(data, q + 1, end, c1)
        if stop > q + 1:
            if _is_space(value):
                _white(value, out, s, mark)
            else:
                _begin(out, s, mark)
                s[W] = put_code_point(out, s[W], value)
            return stop
    elif q < end:
        entry, stop = _named(data, q, end, names, name_ends)
        if entry >= 0:
            a, b = value_ends[entry], value_ends[entry + 1]
            if b - a == 1 and values[a] <= _SPACE:
                _white(np.int64(values[a]), out, s, mark)
                return stop
            _begin(out, s, mark)
            for i in range(a, b):
                out[s[W]] = values[i]
                s[W] += 1
            return stop
    _begin(out, s, mark)
    out[s[W]] = _AMP
    s[W] += 1
    return q
