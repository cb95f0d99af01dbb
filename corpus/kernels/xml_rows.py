"""Bytes of a `Posts.xml` → its rows: where each stands, its numbers, and the places of its texts.

In: a buffer, uint8[*], that may begin and end anywhere in the file. Out: `Rows`. A dump is one `<row …/>`
after another; a value is quoted and holds no `<` (XML 1.0, section 3.1), so that a row is known by its first
bytes wherever one looks, and after a broken one reading goes on at the next. Nothing is expanded: a document
type is refused, and only the five predefined entities and character references are decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from corpus.kernels.arrays import Bytes, Int, Positions

# Attributes that are read: first numbers, then texts. Columns of `Rows.numbers` and `Rows.texts`.
NUMBERS = ("Id", "PostTypeId", "ParentId", "AcceptedAnswerId", "Score")
TEXTS = ("Title", "Body", "Tags", "CreationDate", "ContentLicense")
ID, TYPE, PARENT, ACCEPTED, SCORE = range(len(NUMBERS))
TITLE, BODY, TAGS, CREATED, LICENSE = range(len(TEXTS))
ABSENT = np.iinfo(np.int64).min

# What is found; all but a row are bad.
ROW, BROKEN, NUMBER, DUPLICATE, GARBAGE, DOCTYPE, TRUNCATED = range(7)
REASONS = {
    BROKEN: ("broken_row", "it is not well-formed XML"),
    NUMBER: ("bad_number", "an id, the type or the score is no integer"),
    DUPLICATE: ("broken_row", "an attribute comes twice"),
    GARBAGE: ("garbage", "bytes between rows"),
    DOCTYPE: ("doctype", "a document type, which could define entities"),
    TRUNCATED: ("truncated_row", "the file ends inside a row"),
}

_NAME_BYTES = 24  # of the longest, and a zero at least
_NAMES = np.frombuffer(
    "".join(name.ljust(_NAME_BYTES, "\0") for name in (*NUMBERS, *TEXTS)).encode(), np.uint8
).copy()
_DIGITS = 18  # at most, of an int64
_START = np.frombuffer(b"<row", np.uint8)
_AMP, _QUOTE, _APOS, _SLASH, _LESS, _EQUAL, _GREATER, _QUESTION, _BANG = b"&\"'/<=>?!"
_NEEDS_MORE = -1


@dataclass(frozen=True)
class Rows:
    """What stands in a buffer; k things found, in order.

    Per thing: `kind` int8[k], a row or why it is bad; `start`, `end` int64[k], bytes in the buffer; `numbers`
    int64[k, 5], `ABSENT` where there is none; `texts` int64[k, 5, 2], spans of the raw values, start −1
    where there is none.

    `used`: bytes of the buffer that need not be seen again. `lost`: what follows is searched for the next
    row. `ended`: `</posts>` was seen. `beyond`: a row of another reader was.
    """

    kind: np.ndarray[Any, Any]
    start: Positions
    end: Positions
    numbers: Positions
    texts: Positions
    used: int
    lost: bool
    ended: bool
    beyond: bool


def find_rows(buffer: bytes, limit: int, lost: bool, final: bool) -> Rows:
    """Find the rows that begin in the first `limit` bytes of a buffer.

    Args:
        buffer: part of a file.
        limit: where rows belong to another reader; the rest of the buffer is for the end of the last row.
        lost: search for the first row, as after a break.
        final: no bytes follow the buffer.
    """
    room = 2 * buffer.count(b"<row") + 3  # before and after each there may be one thing that is bad
    kind, start, end = np.empty(room, np.int8), np.empty(room, np.int64), np.empty(room, np.int64)
    numbers = np.empty((room, len(NUMBERS)), np.int64)
    texts = np.empty((room, len(TEXTS), 2), np.int64)
    data = np.frombuffer(buffer, np.uint8)
    k, *rest = _find(data, limit, lost, final, _NAMES, kind, start, end, numbers, texts)
    return Rows(kind[:k], start[:k], end[:k], numbers[:k], texts[:k], *rest)


@njit(nogil=True, cache=True)
def _is_space(c: Any) -> Any:
    return c == 32 or c == 10 or c == 13 or c == 9


@njit(nogil=True, cache=True)
def _is_name(c: Any) -> Any:
    """Whether a name may have the byte; those of other scripts are let through."""
    return c >= 64 or 48 <= c <= 58 or c == 45 or c == 46


@njit(nogil=True, cache=True)
def _begins_row(data: Bytes, p: Int) -> Any:
    """Whether `<row` and what ends a name stand at p."""
    if p + 4 >= len(data):
        return False
    for i in range(4):
        if data[p + i] != _START[i]:
            return False
    c = data[p + 4]
    return _is_space(c) or c in (_SLASH, _GREATER)


@njit(nogil=True, cache=True)
def _next_row(data: Bytes, p: Int) -> Int:
    """Where the next row begins, or the length of the buffer."""
    while p < len(data):
        if data[p] == _LESS and _begins_row(data, p):
            return p
        p += 1
    return p


@njit(nogil=True, cache=True)
def _matches(data: Bytes, p: Int, text: bytes) -> bool:
    n = len(text)
    i = 0
    while i < n and p + i < len(data) and data[p + i] == text[i]:
        i += 1
    return i == n


@njit(nogil=True, cache=True)
def _beyond(data: Bytes, p: Int, text: bytes) -> Int:
    """Where the bytes after the next `text` begin, or −1."""
    while p + len(text) <= len(data):
        if _matches(data, p, text):
            return p + len(text)
        p += 1
    return _NEEDS_MORE


@njit(nogil=True, cache=True)
def _beyond_doctype(data: Bytes, p: Int) -> Int:
    """Where a document type ends, with its internal subset, or −1."""
    depth, quote = 0, 0
    while p < len(data):
        c = data[p]
        if quote:
            if c == quote:
                quote = 0
        elif c in (_QUOTE, _APOS):
            quote = c
        elif c == _LESS:
            depth += 1
        elif c == _GREATER:
            depth -= 1
            if depth == 0:
                return p + 1
        p += 1
    return _NEEDS_MORE


@njit(nogil=True, cache=True)
def _name(data: Bytes, start: Int, end: Int, names: Bytes) -> Int:
    """Which of the attributes that are read it is, or −1."""
    size = end - start
    if size >= _NAME_BYTES:
        return -1
    for i in range(len(names) // _NAME_BYTES):
        at = i * _NAME_BYTES
        if names[at] == data[start] and names[at + size] == 0:
            same = True
            for j in range(size):
                if names[at + j] != data[start + j]:
                    same = False
                    break
            if same:
                return i
    return -1


@njit(nogil=True, cache=True)
def _integer(data: Bytes, start: Int, end: Int) -> tuple[Int, bool]:
    """A decimal number, and whether it is one."""
    negative = start < end and data[start] == 45
    p = start + 1 if negative else start
    if p == end or end - p > _DIGITS:
        return 0, False
    value = np.int64(0)
    while p < end:
        digit = np.int64(data[p]) - 48
        if digit < 0 or digit > 9:
            return 0, False
        value = value * 10 + digit
        p += 1
    return (-value if negative else value), True


@njit(nogil=True, cache=True)
def _read_row(data: Bytes, p: Int, names: Bytes, numbers: Positions, texts: Positions) -> tuple[Int, Int]:
    """Kind and end of the row at p, with its values filled in; an end of −1 where the buffer ends first.

    A broken row ends at the `<` or the byte that cannot stand there.
    """
    n = len(data)
    numbers[:] = ABSENT
    texts[:] = -1
    kind = ROW
    p += 4
    while True:
        before = p
        while p < n and _is_space(data[p]):
            p += 1
        if p == n:
            return kind, _NEEDS_MORE
        if data[p] == _GREATER:
            return kind, p + 1
        if data[p] == _SLASH:
            if p + 1 == n:
                return kind, _NEEDS_MORE
            return (kind, p + 2) if data[p + 1] == _GREATER else (BROKEN, p + 1)
        name = p
        while p < n and _is_name(data[p]):
            p += 1
        name_end = p
        while p < n and _is_space(data[p]):
            p += 1
        if p == n:
            return kind, _NEEDS_MORE
        if data[p] != _EQUAL or name in (before, name_end):
            return BROKEN, p
        p += 1
        while p < n and _is_space(data[p]):
            p += 1
        if p == n:
            return kind, _NEEDS_MORE
        quote = data[p]
        if quote != _QUOTE and quote != _APOS:
            return BROKEN, p
        p += 1
        value = p
        while p < n and data[p] != quote:
            if data[p] == _LESS:
                return BROKEN, p
            p += 1
        if p == n:
            return kind, _NEEDS_MORE
        which = _name(data, name, name_end, names)
        if 0 <= which < len(numbers):
            if numbers[which] != ABSENT:
                kind = DUPLICATE
            numbers[which], is_number = _integer(data, value, p)
            if not is_number and kind == ROW:
                kind = NUMBER
        elif which >= 0:
            which -= len(numbers)
            if texts[which, 0] >= 0:
                kind = DUPLICATE
            texts[which, 0], texts[which, 1] = value, p
        p += 1


@njit(nogil=True, cache=True)
def _find(
    data: Bytes, limit: Int, lost: Any, final: bool, names: Bytes,
    kind: Any, start: Positions, end: Positions, numbers: Positions, texts: Positions,
) -> Any:  # fmt: skip
    """Fill the arrays of `Rows`. Returns k, `used`, `lost`, `ended`, `beyond`."""
    n = len(data)
    k = 0
    p: Int = 0
    ended: Any = False
    while True:
        if lost:
            p = _next_row(data, p)
            if p == n:  # the last bytes may begin one
                return k, (n if final else max(n - 4, 0)), True, ended, False
            lost = False
        while p < n and _is_space(data[p]):
            p += 1
        if p == n:
            return k, n, False, ended, False
        if not final and n - p < 9:  # room for the longest of what is told apart below
            return k, p, False, ended, False
        stop: Int = _NEEDS_MORE
        what: Int = GARBAGE
        if _begins_row(data, p):
            if p >= limit:
                return k, p, False, ended, True
            what, stop = _read_row(data, p, names, numbers[k], texts[k])
        elif _matches(data, p, b"</row"):
            what, stop = -1, _beyond(data, p, b">")
        elif _matches(data, p, b"</posts"):
            what, stop = -1, _beyond(data, p, b">")
            ended = ended or stop >= 0
        elif _matches(data, p, b"<posts"):
            what, stop = -1, _beyond(data, p, b">")
        elif _matches(data, p, b"<!--"):
            what, stop = -1, _beyond(data, p + 4, b"-->")
        elif _matches(data, p, b"<?"):
            what, stop = -1, _beyond(data, p, b"?>")
        elif _matches(data, p, b"<!DOCTYPE"):
            what, stop = DOCTYPE, _beyond_doctype(data, p)
        elif _matches(data, p, b"\xef\xbb\xbf"):
            what, stop = -1, p + 3
        else:
            stop = p
        if stop < 0 and not final:
            return k, p, False, ended, False
        if stop < 0:
            what, stop = TRUNCATED, n
        if what >= 0:
            kind[k], start[k], end[k] = what, p, stop
            k += 1
        lost = what in (GARBAGE, BROKEN, DOCTYPE, TRUNCATED)
        p = max(stop, p + 1) if lost else stop
