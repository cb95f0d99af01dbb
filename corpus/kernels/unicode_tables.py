"""Tables that fold one code point: built from Python's own Unicode data when first used.

In: `corpus.kernels.ccnet_text`. Out: a `FoldTable`, one uint64 entry a code point, read by
`corpus.kernels.fold`. What cannot be said of a code point alone is flagged `EXACT`: text that holds
such a code point goes through the plain Python rules.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from corpus.kernels.arrays import Bytes, Ints, Keys
from corpus.kernels.ccnet_text import DIGIT, MARKS, fold_for_language_model, normalize_for_dedup

# An entry: bits 0–31 the UTF-8 bytes it becomes, first byte lowest; bits 32–34 how many (0: deleted).
LENGTH_SHIFT = 32
SPACE = 1 << 40  # str.isspace, as str.strip uses it
EXACT = 1 << 41  # depends on its neighbours
POOLED = 1 << 42  # longer than four bytes: bits 0–31 are a place in the pool

STOP = 0xFF  # in `ascii`: not folded by a byte alone; no byte of UTF-8 has this value

_CODE_POINTS = 0x110000
# Beyond plane 2 and its neighbour only the variation selectors of plane 14 are not themselves. Tests go
# through every code point, so a Unicode version that changes this is noticed.
_RANGES = ((0, 0xD800), (0xE000, 0x30000), (0xE0000, 0xE1000))
_CAPITAL_SIGMA = "Σ"  # the only letter whose lower case depends on its neighbours
_DOTTED_I = "İ"  # the only one whose lower case is two code points


class FoldTable(NamedTuple):
    """How each code point is folded.

    `ascii` uint8[256]: what a byte below 0x80 becomes, 0 deleted, `STOP` for all others.
    `entries` uint64[0x110000]. `pool` uint8[*] and `pool_offsets` int32[*]: foldings of over four bytes.
    """

    ascii: Bytes
    entries: Keys
    pool: Bytes
    pool_offsets: Ints


@functools.cache
def dedup_table() -> FoldTable:
    """`normalize_for_dedup` after strip, code point by code point; newlines stop it."""
    entries = _lower_case_entries()
    for mark in {*MARKS, *map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))}:
        _set(entries, mark, normalize_for_dedup(f"x{mark}x")[1:-1])
    entries[ord(_CAPITAL_SIGMA)] |= np.uint64(EXACT)
    table = _finish(entries, [])
    table.ascii[ord("\n")] = STOP
    return table


@functools.cache
def language_model_table() -> FoldTable:
    """`normalize_for_language_model` after strip, code point by code point.

    NFD is canonical decomposition of each code point, then reordering of neighbours with non-zero
    combining class. All of category Mn is dropped afterwards, so an order can only be seen in the few
    others that combine: those are EXACT.
    """
    entries = dedup_table().entries.copy()  # as lower case; what else it has is all set below
    pool: list[bytes] = []
    for start, stop in _RANGES:
        text = _text(start, stop)
        lowered = _one_to_one_lower(text)
        decomposed = map(functools.partial(unicodedata.normalize, "NFD"), lowered)
        categories = map(unicodedata.category, lowered)
        for char, lower, nfd, category in zip(text, lowered, decomposed, categories, strict=True):
            if nfd != lower or category == "Mn":
                _set(entries, char, fold_for_language_model(lower), pool)
            if (nfd != lower or category == "Mc") and any(map(_reorders, nfd)):
                entries[ord(char)] |= np.uint64(EXACT)
    _set(entries, _DOTTED_I, fold_for_language_model(_DOTTED_I.lower()))
    for mark in {*MARKS, *map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))}:
        _set(entries, mark, fold_for_language_model(mark), pool)
    return _finish(entries, pool)


def table_of(fold: Callable[[str], str]) -> FoldTable:
    """The table of a rule for each code point by itself; `fold` is not asked for those no rule touches."""
    entries, pool = _themselves(), list[bytes]()
    for start, stop in _RANGES:
        for char in _text(start, stop):
            if (folded := fold(char)) != char:
                _set(entries, char, folded, pool)
    return _finish(entries, pool)


def _reorders(char: str) -> bool:
    """Whether NFD may move a code point that is then not dropped."""
    return unicodedata.combining(char) != 0 and unicodedata.category(char) != "Mn"


def _text(start: int, stop: int) -> str:
    """All code points of a range, as one string."""
    return np.arange(start, stop, dtype="<u4").tobytes().decode("utf-32-le")


def _one_to_one_lower(text: str) -> str:
    """Lower case in which each code point stays one; the two that need not are left as they are."""
    pieces = [[part.lower() for part in half.split(_DOTTED_I)] for half in text.split(_CAPITAL_SIGMA)]
    return _CAPITAL_SIGMA.join(_DOTTED_I.join(half) for half in pieces)


def _lower_case_entries() -> Keys:
    """Entries for lower case, digits and spaces, which both normalisations share."""
    itself = _themselves()
    entries = itself.copy()
    for start, stop in _RANGES:
        lowered = DIGIT.sub("0", _one_to_one_lower(_text(start, stop)))
        entries[start:stop] = itself[np.frombuffer(lowered.encode("utf-32-le"), "<u4")]
    for match in re.finditer(r"\s", _text(0, 0xD800)):  # the same test as str.isspace; none lies beyond
        entries[match.start()] |= np.uint64(SPACE)
    _set(entries, _DOTTED_I, _DOTTED_I.lower())
    return entries


def _themselves() -> Keys:
    """Entries of all code points, each of which becomes itself."""
    edges = (0, 0x80, 0x800, 0x10000, _CODE_POINTS)
    return np.concatenate(
        [_utf8(np.arange(a, b, dtype=np.uint64), width) for width, (a, b) in enumerate(pairwise(edges), 1)]
    )


def _utf8(code_points: Keys, width: int) -> Keys:
    """Entries of code points that become themselves, all of one UTF-8 width; (n,) uint64 both."""
    if width == 1:
        return code_points | np.uint64(1 << LENGTH_SHIFT)
    lead = 0xFF & (0xF00 >> width)
    entries = (code_points >> np.uint64(6 * (width - 1))) | np.uint64(lead | width << LENGTH_SHIFT)
    for i in range(1, width):
        tail = (code_points >> np.uint64(6 * (width - 1 - i))) & np.uint64(0x3F)
        entries |= (tail | np.uint64(0x80)) << np.uint64(8 * i)
    return entries


def _set(entries: Keys, char: str, folded: str, pool: list[bytes] | None = None) -> None:
    """Let a code point become `folded`; its flags stay."""
    data = folded.encode()
    flags = int(entries[ord(char)]) & (SPACE | EXACT)
    if len(data) <= 4:
        entries[ord(char)] = int.from_bytes(data, "little") | len(data) << LENGTH_SHIFT | flags
    elif pool is None:
        raise ValueError(f"U+{ord(char):04X} becomes {len(data)} bytes, and this table has no pool")
    else:
        entries[ord(char)] = len(pool) | POOLED | flags
        pool.append(data)


def _finish(entries: Keys, pool: list[bytes]) -> FoldTable:
    ascii_bytes = np.full(256, STOP, np.uint8)
    ascii_bytes[:0x80] = (entries[:0x80] & np.uint64(0xFF)).astype(np.uint8)
    offsets = np.cumsum([0, *map(len, pool)]).astype(np.int32)
    return FoldTable(ascii_bytes, entries, np.frombuffer(b"".join(pool) or b"\0", np.uint8), offsets)
