"""The measures of C4's rules: documents in, counts of lines by what becomes of them out.

Rules and their order: tensorflow/datasets at 0560e686, tensorflow_datasets/text/c4_utils.py, `clean_page`;
bad words as its later versions have them (`get_badwords_filter_fn`): flanked by what is no `\\w`. The rules
that drop a page are counted here like those that drop a line, and the lines after them are read on.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpus.kernels.arrays import Bools, Bytes, Int, Ints, Keys, Positions
from corpus.kernels.arrow_text import text_buffers
from corpus.kernels.fold import decode
from corpus.kernels.rules_bytes import code_points
from corpus.kernels.rules_text import (
    DIGIT,
    SPACE,
    SPLITLINES,
    WORD,
    after_spaces,
    before_spaces,
    character_classes,
    line_break_bytes,
    line_end,
)

# Columns of the result. Of the lines each is in one of LONG_WORD … KEPT_LINES.
(
    CHARACTERS, LINES, LONG_WORD, NO_END_MARK, FEW_WORDS, LOREM_IPSUM, JAVASCRIPT, CURLY_BRACKET, POLICY,
    KEPT_LINES, BAD_WORDS, SENTENCES,
) = range(12)  # fmt: skip

_PHRASES = {
    "lorem ipsum": LOREM_IPSUM,
    "javascript": JAVASCRIPT,
    "terms of use": POLICY,
    "privacy policy": POLICY,
    "cookie policy": POLICY,
    "uses cookies": POLICY,
    "use of cookies": POLICY,
    "use cookies": POLICY,
}
_CITATIONS = np.frombuffer(b"[edit][citation needed]", np.uint8)
_EDIT = len(b"[edit]")

_PREFIXES = 1 << 16

_LENGTH_SHIFT = np.uint64(32)
_BYTE = np.uint64(0xFF)


class Patterns(NamedTuple):
    """What lines are searched for: pattern i is `text[offsets[i]:offsets[i + 1]]`.

    They are sorted by a hash of their first three bytes: those of hash h are `first[h]` to `first[h + 1]`,
    int32[2¹⁶ + 1]; `any` bool[2¹⁶]: there are some. `kind` int32[k]: the column that counts it.
    """

    text: Bytes
    offsets: Ints
    first: Ints
    any: Bools
    kind: Ints


def patterns(bad_words: Sequence[str]) -> Patterns:
    """The rules' phrases and a list of bad words, to be found in lower-case text.

    Raises:
        ValueError: a word is a single byte, or has a Greek sigma, whose lower case depends on its
            neighbours.
    """
    for word in bad_words:
        if len(word.encode()) < 2 or set(word.lower()) & {"σ", "ς"}:
            raise ValueError(f"bad word {word!r} cannot be looked for")
    found = {(phrase.encode(), kind) for phrase, kind in _PHRASES.items()}
    found |= {(word.encode(), BAD_WORDS) for word in bad_words}
    entries = sorted(
        {
            (int(_prefix(int.from_bytes((text + bytes([third]))[:3], "little"))), text, kind)
            for text, kind in found
            for third in (range(256) if len(text) < 3 else (0,))  # what may stand after a short one
        }
    )
    hashes = [h for h, _, _ in entries]
    some = np.zeros(_PREFIXES, bool)
    some[hashes] = True
    return Patterns(
        np.frombuffer(b"".join(text for _, text, _ in entries), np.uint8),
        np.cumsum([0, *(len(text) for _, text, _ in entries)]).astype(np.int32),
        np.searchsorted(hashes, np.arange(_PREFIXES + 1)).astype(np.int32),
        some,
        np.array([kind for _, _, kind in entries], np.int32),
    )


@njit(nogil=True, cache=True)
def _prefix(three_bytes: Int) -> Int:
    """Hash of the first three bytes of a pattern, first byte lowest: below `_PREFIXES`."""
    return ((three_bytes * 0x9E3779B1) & 0xFFFFFFFF) >> 16


@functools.cache
def lower_case() -> Keys:
    """uint64[0x110000]: UTF-8 of `str.lower` of a code point, first byte lowest, its length from bit 32 on.

    0 where it stays. A capital sigma becomes "σ", also at the end of a word.
    """
    entries = np.zeros(0x110000, np.uint64)
    for cp in (*range(0xD800), *range(0xE000, 0x110000)):
        char = chr(cp)
        lower = char.lower()
        if lower != char:
            data = lower.encode()
            entries[cp] = int.from_bytes(data, "little") | len(data) << 32
    entries.flags.writeable = False
    return entries


def c4_counts(
    text: pa.StringArray, searched: Patterns, *, line_mode: int, end_marks: str, min_words: int,
    words_before_edit: bool, max_word: int,
) -> npt.NDArray[np.int64]:  # fmt: skip
    """Count what the rules do to the lines of each document.

    Args:
        text: n documents without nulls.
        searched: see `patterns`.
        line_mode: `SPLITLINES` or `NEWLINE`.
        end_marks: the code points of which one must end a line, without "..."; none: the rule is off.
        min_words: a line with fewer words is dropped.
        words_before_edit: whether words are counted before citations are taken out.
        max_word: a line with a word of more code points is dropped.

    Returns:
        int64[n, 12], columns `CHARACTERS` … `SENTENCES` of this module. `BAD_WORDS` counts kept lines that
        have one. `SENTENCES` counts, over kept lines, the words that end in ``.``, ``?`` or ``!`` (closing
        quotation marks and brackets passed over), and the line's last word.

    Raises:
        TypeError, pyarrow.ArrowInvalid: see `text_buffers`.
    """
    source = text_buffers(text)
    counts = np.zeros((len(text), 12), np.int64)
    longest = int(np.diff(source.offsets).max(initial=0))
    _count(
        source.data, source.offsets, character_classes(), line_break_bytes(), lower_case(), *searched,
        np.empty(longest + longest // 2 + 8, np.uint8),  # at worst two bytes become three
        line_mode, np.array([ord(c) for c in end_marks], np.int32), min_words, words_before_edit, max_word,
        counts,
    )  # fmt: skip
    return counts


@njit(nogil=True, cache=True)
def _longest_word(data: Bytes, p: Int, end: Int, classes: Bytes) -> Int:
    """Code points of a line's longest word."""
    longest, chars = 0, 0
    while p < end:
        cp, width = decode(data, p)
        chars = 0 if classes[cp] & SPACE else chars + 1
        longest = max(longest, chars)
        p += width
    return longest


@njit(nogil=True, cache=True)
def _equal(data: Bytes, p: Int, end: Int, text: Bytes, start: Int, stop: Int) -> bool:
    """Whether `text[start:stop]` stands at p."""
    if p + stop - start > end:
        return False
    k = 0
    while k < stop - start and data[p + k] == text[start + k]:
        k += 1
    return k == stop - start


@njit(nogil=True, cache=True)
def _after_citation(data: Bytes, p: Int, end: Int, classes: Bytes) -> Int:
    """End of `\\[\\d*\\]`, `[edit]` or `[citation needed]` that starts at the bracket at p, else p."""
    if _equal(data, p, end, _CITATIONS, 0, _EDIT):
        return p + _EDIT
    if _equal(data, p, end, _CITATIONS, _EDIT, len(_CITATIONS)):
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
def _edit(data: Bytes, p: Int, end: Int, classes: Bytes, lower: Keys, out: Bytes) -> tuple[Int, bool]:
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
            continue
        cp, width = decode(data, p)
        entry = lower[cp]
        if entry == 0:
            for k in range(width):
                out[m + k] = data[p + k]
            m += width
        else:
            size = np.int64(entry >> _LENGTH_SHIFT)
            for k in range(size):
                out[m + k] = np.uint8((entry >> np.uint64(8 * k)) & _BYTE)
            m += size
        p += width
    return m, bracket


@njit(nogil=True, cache=True)
def _ends_well(data: Bytes, start: Int, end: Int, end_marks: Ints) -> bool:
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
def _follows_word(line: Bytes, p: Int, classes: Bytes) -> bool:
    """Whether the code point before p is a `\\w`."""
    if p == 0:
        return False
    p -= 1
    while line[p] & 0xC0 == 0x80:
        p -= 1
    cp, _ = decode(line, p)
    return bool(classes[cp] & WORD)


@njit(nogil=True, cache=True)
def _search(
    line: Bytes, end: Int, classes: Bytes, text: Bytes, offsets: Ints, first: Ints, some: Bools, kind: Ints
) -> int:
    """What is in a lower-case line, followed by a 0: a bit a column of `_PHRASES` and `BAD_WORDS`."""
    found = 0
    three = np.int64(0)  # bytes p − 2 … p, first byte lowest
    for last in range(end + 1):
        three = three >> 8 | np.int64(line[last]) << 16
        h = _prefix(three)
        if not some[h]:
            continue
        p = last - 2
        for i in range(first[h], first[h + 1]):
            if p < 0 or not _equal(line, p, end, text, offsets[i], offsets[i + 1]):
                continue
            if kind[i] == BAD_WORDS:
                q = p + offsets[i + 1] - offsets[i]
                if _follows_word(line, p, classes):
                    continue
                if q < end:
                    following, _ = decode(line, q)
                    if classes[following] & WORD:
                        continue
            found |= 1 << kind[i]
    return found


@njit(nogil=True, cache=True)
def _has_words(line: Bytes, p: Int, end: Int, least: int, classes: Bytes) -> bool:
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
def _sentences(line: Bytes, end: Int, classes: Bytes) -> Int:
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


@njit(nogil=True, cache=True)
def _count(
    data: Bytes, offsets: Ints, classes: Bytes, breaks: Bytes, lower: Keys,
    text: Bytes, text_offsets: Ints, first: Ints, some: Bools, kind: Ints,
    line: Bytes, line_mode: int, end_marks: Ints, min_words: int, words_before_edit: bool, max_word: int,
    counts: Positions,
) -> None:  # fmt: skip
    for i in range(len(offsets) - 1):
        row = counts[i]
        end = np.int64(offsets[i + 1])
        row[CHARACTERS] = code_points(data, offsets[i], end)
        p: Int = np.int64(offsets[i])
        stop = end if line_mode == SPLITLINES else end + 1
        while p < stop:
            e, following = line_end(data, p, end, line_mode, breaks)
            s = after_spaces(data, p, e, classes)
            e = before_spaces(data, s, e, classes)
            p = following
            row[LINES] += 1
            if e - s > max_word and _longest_word(data, s, e, classes) > max_word:
                row[LONG_WORD] += 1
                continue
            if not (e > s and data[e - 1] == 93) and not _ends_well(data, s, e, end_marks):
                row[NO_END_MARK] += 1  # and no citation mark after which it could end well
                continue
            m, bracket = _edit(data, s, e, classes, lower, line)
            if not _ends_well(line, 0, m, end_marks):
                row[NO_END_MARK] += 1
                continue
            enough = (
                _has_words(data, s, e, min_words, classes)
                if words_before_edit
                else _has_words(line, 0, m, min_words, classes)
            )
            if not enough:
                row[FEW_WORDS] += 1
                continue
            line[m] = 0
            found = _search(line, m, classes, text, text_offsets, first, some, kind)
            if found & 1 << LOREM_IPSUM:
                row[LOREM_IPSUM] += 1
            elif found & 1 << JAVASCRIPT:
                row[JAVASCRIPT] += 1
            elif bracket:
                row[CURLY_BRACKET] += 1
            elif found & 1 << POLICY:
                row[POLICY] += 1
            else:
                row[KEPT_LINES] += 1
                row[BAD_WORDS] += np.int64(found & 1 << BAD_WORDS != 0)
                row[SENTENCES] += _sentences(line, m, classes)
