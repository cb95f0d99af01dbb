"""The phrases and words that C4's rules look for, and the search for them in a lower-case line.

In: a list of bad words. Out: `Patterns`; of a line the kinds of what it holds, a bit each. Bad words as in
tensorflow/datasets, tensorflow_datasets/text/c4_utils.py: since version 3 flanked by what is no `\\w`
(`get_badwords_filter_fn`), before by characters other than a to z, of which there must be one on both sides
(`get_clean_page_fn` at 0560e686).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from corpus.kernels.arrays import Bools, Bytes, Int, Ints, Keys
from corpus.kernels.fold import decode
from corpus.kernels.rules_text import WORD

# Columns of `corpus.kernels.rules_c4`. Of the lines each is in one of LONG_WORD … KEPT_LINES.
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
_PREFIXES = 1 << 16


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


@njit(nogil=True, cache=True)
def stands_at(data: Bytes, p: Int, end: Int, text: Bytes, start: Int, stop: Int) -> bool:
    """Whether `text[start:stop]` stands at p."""
    if p + stop - start > end:
        return False
    k = 0
    while k < stop - start and data[p + k] == text[start + k]:
        k += 1
    return k == stop - start


@njit(nogil=True, cache=True)
def _flanked(line: Bytes, p: Int, q: Int, end: Int, classes: Bytes, letters: bool) -> bool:
    """Whether what stands at p … q stands by itself: see `search`."""
    if letters:  # tfds 2: `[^a-z]` before and after
        return bool(p > 0 and q < end and not 97 <= line[p - 1] <= 122 and not 97 <= line[q] <= 122)
    if q < end:
        following, _ = decode(line, q)
        if classes[following] & WORD:
            return False
    if p == 0:
        return True
    p -= 1
    while line[p] & 0xC0 == 0x80:
        p -= 1
    before, _ = decode(line, p)
    return not classes[before] & WORD


@njit(nogil=True, cache=True)
def search(
    line: Bytes, end: Int, classes: Bytes, text: Bytes, offsets: Ints, first: Ints, some: Bools, kind: Ints,
    letters: bool,
) -> int:  # fmt: skip
    """What is in a lower-case line, followed by a 0: a bit a column of `_PHRASES` and `BAD_WORDS`.

    Args:
        letters: bad words are flanked by characters other than a to z, else by what is no `\\w`, or nothing.
    """
    found = 0
    three = np.int64(0)  # bytes p − 2 … p, first byte lowest
    for last in range(end + 1):
        three = three >> 8 | np.int64(line[last]) << 16
        h = _prefix(three)
        if not some[h]:
            continue
        p = last - 2
        for i in range(first[h], first[h + 1]):
            if p < 0 or not stands_at(line, p, end, text, offsets[i], offsets[i + 1]):
                continue
            q = p + offsets[i + 1] - offsets[i]
            if kind[i] != BAD_WORDS or _flanked(line, p, q, end, classes, letters):
                found |= 1 << kind[i]
    return found
