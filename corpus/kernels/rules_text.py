"""What the rule kernels share: classes of code points, lines and words of UTF-8 text.

In: `data` uint8[*] of valid UTF-8 and byte positions in it. Out: byte positions, numbers of code points,
hashes. Classes are Python's own (`str.isspace`, `str.isalpha`, `str.isalnum`), by a table of one byte a
code point, `character_classes`.

Lines and words are told apart by 64-bit hashes, without looking at the text again. Of k of them in one
document two different ones share a hash with odds of about k²/2⁶³: 10⁻¹³ for a page of a thousand words,
10⁻⁹ for one of a hundred thousand.
"""

from __future__ import annotations

import functools
import string

import numpy as np
from numba import njit

from corpus.kernels.arrays import Bytes, Int, Ints, Keys
from corpus.kernels.ccnet_text import MARKS
from corpus.kernels.fold import decode
from corpus.kernels.rules_bytes import after_plain, count_newlines, next_newline, span_hash

SPACE = 1  # str.isspace, `\s`, what str.split and str.strip go by
ALPHA = 2  # str.isalpha
WORD = 4  # `\w`: str.isalnum or "_"
DIGIT = 8  # `\d`: category Nd
SYMBOL = 16  # what a word is not counted for if it holds nothing else
DOT = 32
HASH = 64
ELLIPSIS = 128  # "…"

# huggingface/datatrove at 175a5652, src/datatrove/utils/text.py, PUNCTUATION: ASCII's, CCNet's marks and the
# control characters but tab and line feed. Later versions add the sentence marks of all scripts.
SYMBOLS = frozenset(
    {*string.punctuation, *MARKS, *map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))} - {"\t", "\n"}
)

# How text is cut into lines; the values are what the loops compare.
SPLITLINES = 0  # str.splitlines
NEWLINE = 1  # str.split("\n")
NEWLINES = 2  # re.split("\n+")
BLANK_LINE = 3  # re.split("\n{2,}")

_32 = np.uint64(32)
_TIMES = np.uint64(3)  # bits of an entry that say how often it was seen

# Bytes below 0x80 that end a line of str.splitlines.
_LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e"


@functools.cache
def character_classes() -> Bytes:
    """uint8[0x110000]: the classes of each code point, from Python's own Unicode data."""
    text = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    flags = (
        np.fromiter(map(str.isspace, text), bool, len(text)) * np.uint8(SPACE)
        | np.fromiter(map(str.isalpha, text), bool, len(text)) * np.uint8(ALPHA)
        | np.fromiter(map(str.isalnum, text), bool, len(text)) * np.uint8(WORD)
        | np.fromiter(map(str.isdecimal, text), bool, len(text)) * np.uint8(DIGIT)
    )
    classes = np.concatenate([flags[:0xD800], np.zeros(0x800, np.uint8), flags[0xD800:]])
    for char in SYMBOLS:
        classes[ord(char)] |= SYMBOL
    for char, flag in (("_", WORD), (".", DOT), ("#", HASH), ("…", ELLIPSIS)):
        classes[ord(char)] |= flag
    classes.flags.writeable = False
    return classes


@functools.cache
def line_break_bytes() -> Bytes:
    """uint8[256]: 1 for a byte that ends a line of str.splitlines, 2 for one that may begin such an end."""
    found = np.zeros(256, np.uint8)
    found[[ord(c) for c in _LINE_BREAKS]] = 1
    found[[0xC2, 0xE2]] = 2  # U+0085, U+2028, U+2029
    found.flags.writeable = False
    return found


@njit(nogil=True, cache=True)
def line_end(data: Bytes, p: Int, end: Int, mode: int, breaks: Bytes) -> tuple[Int, Int]:
    """End of the line that starts at p, and where the next starts: beyond `end` where there is none.

    With `SPLITLINES` a next line that starts at `end` is none; else it is an empty one.
    """
    if mode == SPLITLINES:
        while p < end:
            p = after_plain(data, p, end)
            for _ in range(8):
                if p == end:
                    break
                kind = breaks[data[p]]
                if kind == 1:
                    both = data[p] == 13 and p + 1 < end and data[p + 1] == 10
                    return p, p + 1 + np.int64(both)
                if kind == 2:
                    if data[p] == 0xC2 and data[p + 1] == 0x85:
                        return p, p + 2
                    if data[p] == 0xE2 and data[p + 1] == 0x80 and data[p + 2] & 0xFE == 0xA8:
                        return p, p + 3
                p += 1
        return end, end + 1
    least = 2 if mode == BLANK_LINE else 1
    p = next_newline(data, p, end)
    while p < end:
        q = p + 1
        while mode != NEWLINE and q < end and data[q] == 10:
            q += 1
        if q - p >= least:
            return p, q
        p = next_newline(data, q, end)
    return end, end + 1


@njit(nogil=True, cache=True)
def after_spaces(data: Bytes, p: Int, end: Int, classes: Bytes) -> Int:
    """Where the first code point from p on that is not a space starts, else `end`."""
    while p < end:
        cp, width = decode(data, p)
        if not classes[cp] & SPACE:
            return p
        p += width
    return end


@njit(nogil=True, cache=True)
def before_spaces(data: Bytes, start: Int, end: Int, classes: Bytes) -> Int:
    """Where the last code point before `end` that is not a space ends, else `start`."""
    while end > start:
        p = end - 1
        while data[p] & 0xC0 == 0x80:
            p -= 1
        cp, _ = decode(data, p)
        if not classes[cp] & SPACE:
            return end
        end = p
    return start


@njit(nogil=True, cache=True)
def split_words(
    data: Bytes, p: Int, end: Int, classes: Bytes, split_marks: bool,
    starts: Ints, ends: Ints, some: Bytes, every: Bytes,
) -> Int:  # fmt: skip
    """Cut a text into words.

    Args:
        split_marks: words are `\\w+|[^\\w\\s]+` (nltk's WordPunctTokenizer), else `\\S+` (str.split).
        starts, ends: filled with the words' spans.
        some, every: filled with the classes that some code point of a word has, and that all have.

    Returns:
        the number of words.
    """
    k = 0
    differs = WORD if split_marks else 0
    while p < end:
        b: Int = np.int64(data[p])
        width = 1
        if b >= 0x80:
            b, width = decode(data, p)
        c: Int = np.int64(classes[b])
        if c & SPACE:
            p += width
            continue
        starts[k] = p
        kind = c
        some_: Int = 0
        every_: Int = 0xFF
        while not ((c ^ kind) & differs | c & SPACE):
            some_ |= c
            every_ &= c
            p += width
            if p >= end:
                break
            b, width = np.int64(data[p]), 1
            if b >= 0x80:
                b, width = decode(data, p)
            c = np.int64(classes[b])
        ends[k], some[k], every[k] = p, some_, every_
        k += 1
    return k


@njit(nogil=True, cache=True)
def count_words(data: Bytes, p: Int, end: Int, classes: Bytes, split_marks: bool) -> Int:
    """Number of words, as `split_words` cuts them."""
    k: Int = 0
    before: Int = SPACE
    kinds = SPACE | WORD if split_marks else SPACE
    while p < end:
        b: Int = np.int64(data[p])
        width = 1
        if b >= 0x80:
            b, width = decode(data, p)
        kind = np.int64(classes[b]) & kinds
        k += np.int64(kind != before and not kind & SPACE)
        before = kind
        p += width
    return k


@njit(nogil=True, cache=True)
def emptied(table: Keys, entries: Int) -> tuple[Keys, Int]:
    """A table for that many hashes, the one given or a larger one, and how much of it is used and empty."""
    size = 4
    while size < 2 * entries:
        size *= 2
    if size > len(table):
        return np.zeros(size, np.uint64), size
    table[:size] = 0
    return table, size


@njit(nogil=True, cache=True)
def times_seen(table: Keys, size: Int, key: np.uint64) -> Int:
    """How often a hash was asked for before: 0, 1, or 2 for more."""
    key &= ~_TIMES
    mask = np.uint64(size - 1)
    j = (key >> _32) & mask
    while table[j] != 0:
        if table[j] & ~_TIMES == key:
            times = np.int64(table[j] & _TIMES)
            table[j] = key | np.uint64(2)
            return times
        j = (j + np.uint64(1)) & mask
    table[j] = key | np.uint64(1)
    return 0


@njit(nogil=True, cache=True)
def duplicate_spans(
    data: Bytes, start: Int, end: Int, mode: int, breaks: Bytes, classes: Bytes, all_copies: bool,
    blank: bool, table: Keys,
) -> tuple[Int, Int, Int, Keys]:  # fmt: skip
    """Lines of a text that came before in it.

    Args:
        mode: how the text is cut; with `BLANK_LINE` it is stripped first.
        all_copies: the first of several equal lines counts too.
        blank: lines of white space count too.
        table: to be used for the next text again.

    Returns:
        number of lines, of duplicates, of their code points; the table.
    """
    if mode == BLANK_LINE:
        start = after_spaces(data, start, end, classes)
        end = before_spaces(data, start, end, classes)
    table, size = emptied(table, count_newlines(data, start, end) + 1)
    lines, duplicates, chars = 0, 0, 0
    p = start
    while p <= end:
        e, following = line_end(data, p, end, mode, breaks)
        if p == start and e == end:  # a text of one line, as most are of one paragraph
            return np.int64(blank or after_spaces(data, p, e, classes) < e), 0, 0, table
        if blank or after_spaces(data, p, e, classes) < e:
            h, n = span_hash(data, p, e)
            times = times_seen(table, size, h)
            lines += 1
            if times > 0:
                copies = 2 if times == 1 and all_copies else 1
                duplicates += copies
                chars += copies * n
        p = following
    return lines, duplicates, chars, table
