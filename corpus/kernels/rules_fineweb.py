"""The measures of FineWeb's rules: documents in, counts of lines, words and characters out.

Rules: Penedo et al. 2024 (arXiv 2406.17557), section 3.5, as huggingface/datatrove reads them
(src/datatrove/pipeline/filters/fineweb_quality_filter.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpus.kernels.arrays import Bytes, Int, Ints, Positions
from corpus.kernels.arrow_text import text_buffers
from corpus.kernels.fold import decode
from corpus.kernels.rules_bytes import code_points, count_newlines
from corpus.kernels.rules_text import (
    NEWLINE,
    after_spaces,
    character_classes,
    count_words,
    duplicate_spans,
    line_break_bytes,
    line_end,
)

# Columns of the result.
LINES, TERMINAL_LINES, SHORT_LINES, DUPLICATE_CHARACTERS, CHARACTERS, NEWLINES, WORDS = range(7)


def fineweb_counts(
    text: pa.StringArray, *, split_marks: bool, blank_lines: bool, terminal: str, short_characters: int
) -> npt.NDArray[np.int64]:
    """Count what the rules look at, of each document; lines end at line feeds alone and are not stripped.

    Args:
        text: n documents without nulls.
        split_marks: how words are split, see `split_words`.
        blank_lines: lines of white space count as lines (never as duplicates).
        terminal: the code points of which one ends a terminal line.
        short_characters: a line of at most so many code points is short.

    Returns:
        int64[n, 7], columns `LINES` … `WORDS` of this module; `CHARACTERS` are those that are no line feed.

    Raises:
        TypeError, pyarrow.ArrowInvalid: see `text_buffers`.
    """
    source = text_buffers(text)
    counts = np.zeros((len(text), 7), np.int64)
    _count(
        source.data, source.offsets, character_classes(), line_break_bytes(), split_marks, blank_lines,
        np.array([ord(c) for c in terminal], np.int32), short_characters, counts,
    )  # fmt: skip
    return counts


@njit(nogil=True, cache=True)
def _count(
    data: Bytes, offsets: Ints, classes: Bytes, breaks: Bytes, split_marks: bool, blank_lines: bool,
    terminal: Ints, short_characters: int, counts: Positions,
) -> None:  # fmt: skip
    table = np.zeros(1024, np.uint64)
    for i in range(len(offsets) - 1):
        start, end = np.int64(offsets[i]), np.int64(offsets[i + 1])
        lines = 0
        ended: Int = 0
        short: Int = 0
        p: Int = start
        while p <= end:
            e, following = line_end(data, p, end, NEWLINE, breaks)
            if blank_lines or after_spaces(data, p, e, classes) < e:
                lines += 1
                short += np.int64(code_points(data, p, e) <= short_characters)
                if e > p:
                    q = e - 1
                    while data[q] & 0xC0 == 0x80:
                        q -= 1
                    cp, _ = decode(data, q)
                    found = False
                    for t in range(len(terminal)):
                        found |= cp == terminal[t]
                    ended += np.int64(found)
            p = following
        _, _, duplicate, table = duplicate_spans(
            data, start, end, NEWLINE, breaks, classes, False, False, table
        )
        words = count_words(data, start, end, classes, split_marks)
        newlines = count_newlines(data, start, end)
        row = counts[i]
        row[LINES], row[TERMINAL_LINES], row[SHORT_LINES] = lines, ended, short
        row[DUPLICATE_CHARACTERS], row[CHARACTERS] = duplicate, code_points(data, start, end) - newlines
        row[NEWLINES], row[WORDS] = newlines, words
