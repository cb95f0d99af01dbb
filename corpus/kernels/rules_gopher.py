"""The measures of Gopher's quality rules: documents in, counts of words, symbols and lines out.

Rules: Rae et al. 2021 (arXiv 2112.11446), appendix A.1.1, as huggingface/datatrove at 5c254fa5 reads them
(src/datatrove/pipeline/filters/gopher_quality_filter.py); allenai/dolma at 1c696ddf
(python/dolma/taggers/gopher.py) differs where an argument says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpus.kernels.arrays import Bools, Bytes, Int, Ints, Positions
from corpus.kernels.arrow_text import text_buffers
from corpus.kernels.fold import decode
from corpus.kernels.rules_bytes import code_points
from corpus.kernels.rules_text import (
    ALPHA,
    DOT,
    ELLIPSIS,
    HASH,
    SPLITLINES,
    SYMBOL,
    after_spaces,
    before_spaces,
    character_classes,
    line_break_bytes,
    line_end,
    split_words,
)

# Columns of the result.
(
    WORDS, COUNTED_WORDS, COUNTED_CHARACTERS, HASHES, ELLIPSES, ALPHABETIC_WORDS, STOP_WORDS, LINES,
    BULLET_LINES, ELLIPSIS_LINES,
) = range(10)  # fmt: skip

MOST_STOP_WORDS = 64


def gopher_counts(
    text: pa.StringArray, *, split_marks: bool, skip_symbols: bool, symbols_by_word: bool, dots: bool,
    line_mode: int, bullets: str, stop_words: Sequence[str], distinct_stop_words: bool,
) -> npt.NDArray[np.int64]:  # fmt: skip
    """Count what the rules look at, of each document.

    Args:
        text: n documents without nulls.
        split_marks: how words are split, see `split_words`.
        skip_symbols: counted words are those that hold more than `SYMBOL`s; else all.
        symbols_by_word: words with a "#", words with an ellipsis; else the signs themselves.
        dots: "..." is an ellipsis too, beside "…".
        line_mode: `SPLITLINES` or `NEWLINE`.
        bullets: the code points of which one begins a bulleted line, after white space.
        stop_words: at most `MOST_STOP_WORDS`.
        distinct_stop_words: count which of them there are; else how often they are.

    Returns:
        int64[n, 10], columns `WORDS` … `ELLIPSIS_LINES` of this module.

    Raises:
        TypeError, pyarrow.ArrowInvalid: see `text_buffers`.
    """
    source = text_buffers(text)
    encoded = [word.encode() for word in stop_words]
    begins = np.zeros(256, bool)
    begins[[word[0] for word in encoded]] = True
    most = int(np.diff(source.offsets).max(initial=0))  # words; only what is written to costs memory
    counts = np.zeros((len(text), 10), np.int64)
    _count(
        source.data, source.offsets, character_classes(), line_break_bytes(), split_marks, skip_symbols,
        symbols_by_word, dots, line_mode, np.array([ord(c) for c in bullets], np.int32),
        np.frombuffer(b"".join(encoded) + b"\0", np.uint8),
        np.cumsum([0, *map(len, encoded)]).astype(np.int32), begins, distinct_stop_words,
        np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.uint8),
        np.empty(most, np.uint8), counts,
    )  # fmt: skip
    return counts


@njit(nogil=True, cache=True)
def _ellipses(data: Bytes, start: Int, end: Int, dots: bool) -> Int:
    """Ellipses of a span: "…", and each three of a run of dots."""
    n: Int = 0
    run = 0
    for p in range(start, end):
        if data[p] == 46:
            run += 1
            if dots and run == 3:
                n += 1
                run = 0
        else:
            run = 0
            n += np.int64(data[p] == 0xE2 and data[p + 1] == 0x80 and data[p + 2] == 0xA6)
    return n


@njit(nogil=True, cache=True)
def _hashes(data: Bytes, start: Int, end: Int) -> Int:
    n: Int = 0
    for p in range(start, end):
        n += np.int64(data[p] == 35)
    return n


@njit(nogil=True, cache=True)
def _which(data: Bytes, start: Int, end: Int, text: Bytes, offsets: Ints) -> int:
    """Number of the word in a list of words, or −1."""
    for i in range(len(offsets) - 1):
        if offsets[i + 1] - offsets[i] == end - start:
            k = 0
            while k < end - start and data[start + k] == text[offsets[i] + k]:
                k += 1
            if k == end - start:
                return i
    return -1


@njit(nogil=True, cache=True)
def _begins_with(data: Bytes, start: Int, end: Int, code_points: Ints) -> bool:
    if start == end:
        return False
    cp, _ = decode(data, start)
    found = False
    for i in range(len(code_points)):
        found |= cp == code_points[i]
    return found


@njit(nogil=True, cache=True)
def _ends_with_ellipsis(data: Bytes, start: Int, end: Int, dots: bool) -> bool:
    if end - start < 3:
        return False
    a, b, c = data[end - 3], data[end - 2], data[end - 1]
    return bool((dots and a == 46 and b == 46 and c == 46) or (a == 0xE2 and b == 0x80 and c == 0xA6))


@njit(nogil=True, cache=True)
def _count(
    data: Bytes, offsets: Ints, classes: Bytes, breaks: Bytes, split_marks: bool, skip_symbols: bool,
    symbols_by_word: bool, dots: bool, line_mode: int, bullets: Ints, stop_text: Bytes, stop_offsets: Ints,
    begins: Bools, distinct_stop_words: bool, starts: Ints, ends: Ints, some: Bytes, every: Bytes,
    counts: Positions,
) -> None:  # fmt: skip
    for i in range(len(offsets) - 1):
        end = np.int64(offsets[i + 1])
        counted = 0
        characters: Int = 0
        hashes: Int = 0
        ellipses: Int = 0
        alphabetic: Int = 0
        stops: Int = 0
        met = np.uint64(0)  # a bit a stop word
        plain = code_points(data, offsets[i], end) == end - offsets[i]
        words = split_words(data, offsets[i], end, classes, split_marks, starts, ends, some, every)
        for k in range(words):
            first, last = starts[k], ends[k]
            if not (skip_symbols and every[k] & SYMBOL):
                counted += 1
                characters += last - first if plain else code_points(data, first, last)
            alphabetic += np.int64(some[k] & ALPHA != 0)
            if some[k] & HASH:
                found = _hashes(data, first, last)
                hashes += min(found, 1) if symbols_by_word else found
            if some[k] & ELLIPSIS or (some[k] & DOT and last - first >= 3):
                found = _ellipses(data, first, last, dots)
                ellipses += min(found, 1) if symbols_by_word else found
            # A word that no stop word begins like is none.
            which = _which(data, first, last, stop_text, stop_offsets) if begins[data[first]] else -1
            if which >= 0:
                bit = np.uint64(1) << np.uint64(which)
                stops += np.int64(not (distinct_stop_words and met & bit))
                met |= bit
        lines = 0
        bulleted: Int = 0
        trailing: Int = 0
        p: Int = np.int64(offsets[i])
        stop = end if line_mode == SPLITLINES else end + 1
        while p < stop:
            e, following = line_end(data, p, end, line_mode, breaks)
            first = after_spaces(data, p, e, classes)
            lines += 1
            bulleted += np.int64(_begins_with(data, first, e, bullets))
            trailing += np.int64(
                _ends_with_ellipsis(data, first, before_spaces(data, first, e, classes), dots)
            )
            p = following
        row = counts[i]
        row[WORDS], row[COUNTED_WORDS], row[COUNTED_CHARACTERS] = words, counted, characters
        row[HASHES], row[ELLIPSES] = hashes, ellipses
        row[ALPHABETIC_WORDS], row[STOP_WORDS] = alphabetic, stops
        row[LINES], row[BULLET_LINES], row[ELLIPSIS_LINES] = lines, bulleted, trailing
