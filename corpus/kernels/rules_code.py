"""The measures of code: documents in, numbers of lines and code points out.

Rules: togethercomputer/RedPajama-Data, branch rp_v1, data_prep/github/github_clean_dedup_local.py,
`get_filecontent_stats`: lines are those of str.splitlines, their length is without their ends.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpus.kernels.arrays import Bytes, Int, Ints, Positions
from corpus.kernels.arrow_text import text_buffers
from corpus.kernels.fold import decode
from corpus.kernels.rules_text import WORD, character_classes, line_break_bytes

# Columns of the result.
CHARACTERS, LINES, LONGEST_LINE, ALPHANUMERIC = range(4)

_ALPHANUMERIC, _BREAK, _WIDE = 1, 2, 4


@functools.cache
def _byte_classes() -> Bytes:
    """uint8[256]: of bytes below 0x80 whether they are alphanumeric, or end a line; of others `_WIDE`."""
    found = np.where(line_break_bytes() == 1, _BREAK, 0).astype(np.uint8)
    found[:0x80] |= np.where(_alphanumeric()[:0x80], _ALPHANUMERIC, 0).astype(np.uint8)
    found[0x80:] = _WIDE
    found.flags.writeable = False
    return found


@functools.cache
def _alphanumeric() -> Bytes:
    """uint8[0x110000]: str.isalnum; the characters of words but "_"."""
    found: Bytes = (character_classes() & WORD != 0).astype(np.uint8)
    found[ord("_")] = 0
    found.flags.writeable = False
    return found


def code_counts(text: pa.StringArray) -> npt.NDArray[np.int64]:
    """Count lines and code points of each document.

    Args:
        text: n documents without nulls.

    Returns:
        int64[n, 4], columns `CHARACTERS` … `ALPHANUMERIC` of this module: code points, lines, code points of
        the longest line, code points of which str.isalnum is true.

    Raises:
        TypeError, pyarrow.ArrowInvalid: see `text_buffers`.
    """
    source = text_buffers(text)
    counts = np.zeros((len(text), 4), np.int64)
    _count(source.data, source.offsets, _byte_classes(), _alphanumeric(), counts)
    return counts


@njit(nogil=True, cache=True)
def _count(data: Bytes, offsets: Ints, byte_classes: Bytes, alphanumeric: Bytes, counts: Positions) -> None:
    for i in range(len(offsets) - 1):
        p: Int = np.int64(offsets[i])
        end = np.int64(offsets[i + 1])
        # Of the line: where it begins, and how many bytes of it continue a code point.
        begin: Int = p
        continuation: Int = 0
        continuations: Int = 0
        longest: Int = 0
        alnum: Int = 0
        lines = 0
        while p < end:
            kind = byte_classes[data[p]]
            if kind < _BREAK:
                alnum += np.int64(kind)
                p += 1
                continue
            width = 1
            ends_line = kind == _BREAK
            if not ends_line:
                cp, width = decode(data, p)
                alnum += np.int64(alphanumeric[cp])
                ends_line = cp == 0x85 or cp == 0x2028 or cp == 0x2029
            if not ends_line:
                continuation += width - 1
                p += width
                continue
            longest = max(longest, p - begin - continuation)
            lines += 1
            continuations += continuation + width - 1
            continuation = 0
            both = data[p] == 13 and p + 1 < end and data[p + 1] == 10
            p += width + np.int64(both)
            begin = p
        if p > begin:
            longest = max(longest, p - begin - continuation)
            lines += 1
        row = counts[i]
        row[CHARACTERS] = end - np.int64(offsets[i]) - continuations - continuation
        row[LINES], row[LONGEST_LINE], row[ALPHANUMERIC] = lines, longest, alnum
