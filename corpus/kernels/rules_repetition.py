"""The measures of Gopher's repetition rules: documents in, shares of duplicates in each out.

Rules: Rae et al. 2021 (arXiv 2112.11446), appendix A.1.1 and table A1. Two readings:

- datatrove (huggingface/datatrove, src/datatrove/pipeline/filters/gopher_repetition_filter.py): what came
  before is a duplicate; a duplicate n-gram is stepped over whole; shares are of the text's code points.
- dolma (allenai/dolma at 1c696ddf, python/dolma/taggers/gopher.py): all copies are duplicates, overlapping
  n-grams count each; shares are of the code points of words, or of all n-grams.

N-grams are equal if their words are: datatrove's later versions join the words of an n-gram without spaces
before they compare, so that ("ab", "c") equals ("a", "bc"); its earlier ones (06c98b0f) and dolma do not.

An n-gram can only repeat where the shorter ones in it do, so each length looks only where the one before
found repeats.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpus.kernels.arrays import Bytes, Int, Ints, Keys
from corpus.kernels.arrow_text import text_buffers
from corpus.kernels.rules_bytes import code_points, mixed, span_hash
from corpus.kernels.rules_text import (
    BLANK_LINE,
    NEWLINE,
    NEWLINES,
    character_classes,
    duplicate_spans,
    line_break_bytes,
    split_words,
)

Shares = npt.NDArray[np.float64]

SHORTEST, LONGEST_TOP, LONGEST = 2, 4, 10  # n-grams: the most frequent one up to 4, duplicates above

# Columns of the result; the rest are n-grams, shortest first.
DUPLICATE_PARAGRAPHS, DUPLICATE_PARAGRAPH_CHARACTERS, DUPLICATE_LINES, DUPLICATE_LINE_CHARACTERS = range(4)
N_GRAMS = 4

_STEP = np.uint64(0x165667B19E3779F9)  # a prime of xxHash


def repetition_shares(text: pa.StringArray, *, split_marks: bool, dolma: bool) -> Shares:
    """Shares of duplicate lines, paragraphs and n-grams in each document.

    Args:
        text: n documents without nulls.
        split_marks: how words are split, see `split_words`.
        dolma: its reading, else datatrove's; dolma has no rule for paragraphs, so they are datatrove's.

    Returns:
        float64[n, 13]: columns of this module, then the most frequent 2-, 3-, 4-gram, then duplicate 5- to
        10-grams; 0 for an n longer than the document.

    Raises:
        TypeError, pyarrow.ArrowInvalid: see `text_buffers`.
    """
    source = text_buffers(text)
    shares = np.zeros((len(text), N_GRAMS + LONGEST - SHORTEST + 1))
    # For as many words as the longest document could have; of arrays, only what is written costs memory.
    most = int(np.diff(source.offsets).max(initial=0)) + 1
    size = 1 << (4 * most).bit_length()
    _measure(
        source.data, source.offsets, character_classes(), line_break_bytes(), split_marks, dolma,
        np.empty(most, np.uint64), np.zeros(most + 1, np.int32), np.empty(most, np.int32),
        np.empty(most, np.uint64), np.empty(most, np.int32), np.empty(size, np.uint64),
        np.empty(size, np.int32), np.empty(most, np.uint8), shares,
    )  # fmt: skip
    return shares


@njit(nogil=True, cache=True)
def _measure(
    data: Bytes, offsets: Ints, classes: Bytes, breaks: Bytes, split_marks: bool, dolma: bool,
    words: Keys, chars_before: Ints, position: Ints, key: Keys, slot: Ints, slot_key: Keys, copies: Ints,
    classes_seen: Bytes, shares: Shares,
) -> None:  # fmt: skip
    """Per word: `words` its hash, `chars_before` code points of the words before it.

    Per n-gram looked at, in order: `position` its first word, `key` its hash, `slot` its place in the hash
    table `slot_key`, `copies`. Of words, `position` and `slot` are first their spans.
    """
    table = np.zeros(1024, np.uint64)
    for i in range(len(offsets) - 1):
        start, end = np.int64(offsets[i]), np.int64(offsets[i + 1])
        k = split_words(data, start, end, classes, split_marks, position, slot, classes_seen, classes_seen)
        for j in range(k):
            words[j], chars = span_hash(data, position[j], slot[j])
            chars_before[j + 1] = chars_before[j] + chars
        text_chars = _at_least_1(code_points(data, start, end))
        whole = _at_least_1(chars_before[k]) if dolma else text_chars
        lines, same, chars, table = duplicate_spans(
            data, start, end, NEWLINE if dolma else NEWLINES, breaks, classes, dolma, True, table
        )
        shares[i, DUPLICATE_LINES] = same / lines
        shares[i, DUPLICATE_LINE_CHARACTERS] = chars / whole
        lines, same, chars, table = duplicate_spans(
            data, start, end, BLANK_LINE, breaks, classes, False, True, table
        )
        shares[i, DUPLICATE_PARAGRAPHS] = same / lines
        shares[i, DUPLICATE_PARAGRAPH_CHARACTERS] = chars / text_chars
        found = k
        for j in range(k):
            position[j], key[j] = j, words[j]
        for n in range(SHORTEST, LONGEST + 1):
            if n > k:
                break
            found = _extend(found, n, k, words, position, key)
            _count_copies(found, key, slot, slot_key, copies)
            if n <= LONGEST_TOP:
                joints = 0 if dolma else n - 1
                share = _top(found, n, position, slot, copies, chars_before, joints) / whole
            elif dolma:
                total: Int = 0
                for j in range(k - n + 1):
                    total += chars_before[j + n] - chars_before[j]
                share = _all_copies(found, n, position, slot, copies, chars_before) / _at_least_1(total)
            else:
                share = _repeats(found, n, position, slot, copies, chars_before) / whole
            shares[i, N_GRAMS + n - SHORTEST] = share
            found = _only_repeated(found, position, key, slot, copies)


@njit(nogil=True, cache=True)
def _at_least_1(n: Int) -> Int:
    return n if n > 0 else 1


@njit(nogil=True, cache=True)
def _extend(found: Int, n: Int, k: Int, words: Keys, position: Ints, key: Keys) -> Int:
    """From the (n−1)-grams looked at to the n-grams that may repeat: those that begin and end with one."""
    w: Int = 0
    for c in range(found - 1):
        j = position[c]
        following = words[min(j + n, k) - 1]
        position[w], key[w] = j, mixed(key[c] * _STEP + following)
        w += np.int64(position[c + 1] == j + 1 and j + n <= k)  # no branch: it would often be mispredicted
    return w


@njit(nogil=True, cache=True)
def _count_copies(found: Int, key: Keys, slot: Ints, slot_key: Keys, copies: Ints) -> None:
    size = 4
    while size < 4 * found:
        size *= 2
    copies[:size] = 0
    mask = np.uint64(size - 1)
    for c in range(found):
        j = key[c] & mask
        while copies[j] > 0 and slot_key[j] != key[c]:
            j = (j + np.uint64(1)) & mask
        slot_key[j] = key[c]
        copies[j] += 1
        slot[c] = j


@njit(nogil=True, cache=True)
def _only_repeated(found: Int, position: Ints, key: Keys, slot: Ints, copies: Ints) -> Int:
    w: Int = 0
    for c in range(found):
        position[w], key[w] = position[c], key[c]
        w += np.int64(abs(copies[slot[c]]) > 1)
    return w


@njit(nogil=True, cache=True)
def _top(
    found: Int, n: Int, position: Ints, slot: Ints, copies: Ints, chars_before: Ints, joints: Int
) -> Int:
    """Code points of all copies of the most frequent n-gram, of several the one that comes first."""
    most, first = 1, 0  # where none repeats it is the document's first
    for c in range(found):
        if copies[slot[c]] > most:
            most, first = copies[slot[c]], position[c]
    chars: Int = most * (chars_before[first + n] - chars_before[first] + joints)
    return chars


@njit(nogil=True, cache=True)
def _repeats(found: Int, n: Int, position: Ints, slot: Ints, copies: Ints, chars_before: Ints) -> Int:
    """Code points of n-grams that came before; after one of them the next begins where it ends.

    The copies of an n-gram that was met are made negative.
    """
    chars, free = 0, 0
    for c in range(found):
        j, s = position[c], slot[c]
        if j >= free:
            if copies[s] < 0:
                chars += chars_before[j + n] - chars_before[j]
                free = j + n
            elif copies[s] > 1:
                copies[s] = -copies[s]
    return chars


@njit(nogil=True, cache=True)
def _all_copies(found: Int, n: Int, position: Ints, slot: Ints, copies: Ints, chars_before: Ints) -> Int:
    """Code points of all n-grams that are there more than once, each time."""
    chars = 0
    for c in range(found):
        if copies[slot[c]] > 1:
            chars += chars_before[position[c] + n] - chars_before[position[c]]
    return chars
