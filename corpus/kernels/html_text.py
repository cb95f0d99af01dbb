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
from corpus.kernels.html_tags import (
    BREAK,
    CELL,
    DROPPED,
    ITEM,
    LINE,
    LIST,
    PARAGRAPH,
    PRE,
    ROW,
)
from corpus.kernels.html_tokens import (
    REPLACEMENT,
    beyond_comment,
    beyond_dropped,
    beyond_tag,
    is_letter,
    is_space,
    kind_of,
    named_reference,
    numeric_reference,
)
from corpus.kernels.xml_values import put_code_point

_AMP, _HASH, _LESS, _GREATER, _SLASH, _BANG, _QUESTION, _DASH = b"&#<>/!?-"
_NEWLINE, _RETURN, _TAB, _SPACE = b"\n\r\t "
_SPACE_BYTE, _LESS_BYTE, _AMP_BYTE, _8, _63 = (np.uint64(n) for n in (_SPACE, _LESS, _AMP, 8, 63))

# State: bytes written; what is due before the next character.
W, DUE, BREAKS, SPACE, MARK, TABS, HELD = range(7)  # DUE: line ends of blocks, BREAKS: of <br>, HELD: in pre
PRE_DEPTH, LIST_DEPTH, CELLS, FRESH_PRE = range(7, 11)
STATE_SIZE = 11


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
        elif is_space(c):
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
            s[W] = put_code_point(out, s[W], c if c else REPLACEMENT)
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
def _markup(
    data: Bytes, p: Int, end: Int, out: Bytes, mark: Bytes, s: Positions, keys: Keys, kinds: Bytes
) -> Int:
    """Take in what begins with the `<` at p; returns where it ends."""
    s[FRESH_PRE] = 0
    q = p + 1
    closing = q < end and data[q] == _SLASH
    if closing:
        q += 1
    if q < end and is_letter(data[q]):
        kind, q, key = kind_of(data, q, end, keys, kinds)
        q = beyond_tag(data, q, end)
        if q < 0:
            return end  # a tag that does not end is none
        if kind == DROPPED and not closing:
            return beyond_dropped(data, q, end, key, keys, kinds)
        _tag(kind, closing, s)
        return q
    if q < end and (closing or data[q] == _BANG or data[q] == _QUESTION):
        if not closing and q + 2 < end and data[q] == _BANG and data[q + 1] == _DASH and data[q + 2] == _DASH:
            return beyond_comment(data, q + 3, end)
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
        value, stop = numeric_reference(data, q + 1, end, c1)
        if stop > q + 1:
            if is_space(value):
                _white(value, out, s, mark)
            else:
                _begin(out, s, mark)
                s[W] = put_code_point(out, s[W], value)
            return stop
    elif q < end:
        entry, stop = named_reference(data, q, end, names, name_ends)
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
