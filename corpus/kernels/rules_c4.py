"""C4's rules over lines: documents in; counts of lines by what becomes of them, and the lines that stay, out.

Rules and their order: tensorflow/datasets at 0560e686, tensorflow_datasets/text/c4_utils.py, `clean_page`.
The rules that drop a page are counted here like those that drop a line, and the lines after them are read on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpus.kernels.arrays import Bools, Bytes, Int, Ints, Keys, Positions
from corpus.kernels.arrow_text import string_array, text_buffers
from corpus.kernels.rules_bytes import code_points
from corpus.kernels.rules_c4_lines import copy, edit, ends_well, has_words, longest_word, lowered, sentences
from corpus.kernels.rules_c4_search import (
    BAD_WORDS,
    CHARACTERS,
    CURLY_BRACKET,
    FEW_WORDS,
    JAVASCRIPT,
    KEPT_LINES,
    LINES,
    LONG_WORD,
    LOREM_IPSUM,
    NO_END_MARK,
    POLICY,
    SENTENCES,
    Patterns,
    lower_case,
    search,
)
from corpus.kernels.rules_text import (
    NEWLINE,
    SPLITLINES,
    after_spaces,
    before_spaces,
    character_classes,
    line_break_bytes,
    line_end,
)


class LineRules(NamedTuple):
    """How lines are read.

    Attributes:
        line_mode: `SPLITLINES` or `NEWLINE`.
        end_marks: the code points of which one must end a line, without "..."; none: the rule is off.
        min_words: a line with fewer words is dropped.
        words_before_edit: whether words are counted before citations are taken out.
        max_word: a line with a word of more code points is dropped.
        letter_flanks: see `corpus.kernels.rules_c4_search.search`.
    """

    line_mode: int = SPLITLINES
    end_marks: str = '.?!"'
    min_words: int = 5
    words_before_edit: bool = False
    max_word: int = 1_000
    letter_flanks: bool = False


def c4_counts(text: pa.StringArray, searched: Patterns, rules: LineRules) -> npt.NDArray[np.int64]:
    """Count what the rules do to the lines of each document.

    Args:
        text: n documents without nulls.
        searched: see `patterns`.
        rules: how lines are read.

    Returns:
        int64[n, 12], columns `CHARACTERS` … `SENTENCES` of `corpus.kernels.rules_c4_search`. `BAD_WORDS`
        counts kept lines that have one. `SENTENCES` counts, over kept lines, the words that end in ``.``,
        ``?`` or ``!`` (closing quotation marks and brackets passed over), and the line's last word.

    Raises:
        TypeError, pyarrow.ArrowInvalid: see `text_buffers`.
    """
    return _run(text, searched, rules, False)[0]


def c4_clean(
    text: pa.StringArray, searched: Patterns, rules: LineRules
) -> tuple[npt.NDArray[np.int64], pa.StringArray]:
    """As `c4_counts`, with the lines that stay: stripped, without citation marks, joined by ``\\n``.

    White space at both ends of a document goes, which a citation mark may have left there.
    """
    counts, out, offsets = _run(text, searched, rules, True)
    return counts, string_array(out[: offsets[-1]], offsets, np.ones(len(text), bool))


def line_measures(
    text: pa.StringArray, searched: Patterns, letter_flanks: bool = False
) -> npt.NDArray[np.int64]:
    """Measure lines to which no rule is applied any more, such as those left of a cleaned document.

    Returns:
        int64[n, 2]: lines (between line feeds) with a bad word; sentences by marks, as `c4_counts` has them.
    """
    source = text_buffers(text)
    measures = np.zeros((len(text), 2), np.int64)
    _measure(
        source.data, source.offsets, character_classes(), line_break_bytes(), lower_case(), *searched,
        _line_buffer(source.offsets), letter_flanks, measures,
    )  # fmt: skip
    return measures


def _run(
    text: pa.StringArray, searched: Patterns, rules: LineRules, keep: bool
) -> tuple[npt.NDArray[np.int64], Bytes, Ints]:
    source = text_buffers(text)
    counts = np.zeros((len(text), 12), np.int64)
    out = np.empty(int(source.offsets[-1]) - int(source.offsets[0]) if keep else 0, np.uint8)
    offsets = np.zeros(len(text) + 1, np.int32)
    _count(
        source.data, source.offsets, character_classes(), line_break_bytes(), lower_case(), *searched,
        _line_buffer(source.offsets),
        rules.line_mode, np.array([ord(c) for c in rules.end_marks], np.int32), rules.min_words,
        rules.words_before_edit, rules.max_word, rules.letter_flanks,
        counts, keep, out, offsets,
    )  # fmt: skip
    return counts, out, offsets


def _line_buffer(offsets: Ints) -> Bytes:
    """Room for the longest line in lower case: at worst two bytes become three."""
    longest = int(np.diff(offsets).max(initial=0))
    return np.empty(longest + longest // 2 + 8, np.uint8)


@njit(nogil=True, cache=True)
def _count(
    data: Bytes, offsets: Ints, classes: Bytes, breaks: Bytes, lower: Keys,
    text: Bytes, text_offsets: Ints, first: Ints, some: Bools, kind: Ints,
    line: Bytes, line_mode: int, end_marks: Ints, min_words: int, words_before_edit: bool, max_word: int,
    letters: bool, counts: Positions, keep: bool, out: Bytes, out_offsets: Ints,
) -> None:  # fmt: skip
    written: Int = 0
    for i in range(len(offsets) - 1):
        row = counts[i]
        begin = written
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
            if e - s > max_word and longest_word(data, s, e, classes) > max_word:
                row[LONG_WORD] += 1
                continue
            if not (e > s and data[e - 1] == 93) and not ends_well(data, s, e, end_marks):
                row[NO_END_MARK] += 1  # and no citation mark after which it could end well
                continue
            m, bracket = edit(data, s, e, classes, lower, line)
            if not ends_well(line, 0, m, end_marks):
                row[NO_END_MARK] += 1
                continue
            enough = (
                has_words(data, s, e, min_words, classes)
                if words_before_edit
                else has_words(line, 0, m, min_words, classes)
            )
            if not enough:
                row[FEW_WORDS] += 1
                continue
            line[m] = 0
            found = search(line, m, classes, text, text_offsets, first, some, kind, letters)
            if found & 1 << LOREM_IPSUM:
                row[LOREM_IPSUM] += 1
            elif found & 1 << JAVASCRIPT:
                row[JAVASCRIPT] += 1
            elif bracket:
                row[CURLY_BRACKET] += 1
            elif found & 1 << POLICY:
                row[POLICY] += 1
            else:
                if keep:
                    if row[KEPT_LINES]:  # the line feed takes the place of what ended the line in the text
                        out[written] = 10
                        written += 1
                    written = copy(data, s, e, classes, out, written)
                row[KEPT_LINES] += 1
                row[BAD_WORDS] += np.int64(found & 1 << BAD_WORDS != 0)
                row[SENTENCES] += sentences(line, m, classes)
        if keep:
            written = before_spaces(out, begin, written, classes)
            s = after_spaces(out, begin, written, classes)
            if s > begin:
                for k in range(written - s):
                    out[begin + k] = out[s + k]
                written -= s - begin
        out_offsets[i + 1] = written


@njit(nogil=True, cache=True)
def _measure(
    data: Bytes, offsets: Ints, classes: Bytes, breaks: Bytes, lower: Keys,
    text: Bytes, text_offsets: Ints, first: Ints, some: Bools, kind: Ints,
    line: Bytes, letters: bool, measures: Positions,
) -> None:  # fmt: skip
    for i in range(len(offsets) - 1):
        end = np.int64(offsets[i + 1])
        p: Int = np.int64(offsets[i])
        while p <= end:
            e, following = line_end(data, p, end, NEWLINE, breaks)
            m = lowered(data, p, e, lower, line)
            line[m] = 0
            found = search(line, m, classes, text, text_offsets, first, some, kind, letters)
            measures[i, 0] += np.int64(found & 1 << BAD_WORDS != 0)
            measures[i, 1] += sentences(line, m, classes)
            p = following
