"""MinHash signatures of documents: string arrays in, a row of 32-bit minima a document out, then band keys.

A document's shingles are the n-grams of its words, as 32-bit hashes; position j of its signature is the
least of a_j·x + b_j mod 2^32 over its shingles x, so two documents agree at a position with the
probability of their shingles' Jaccard similarity (Broder 1997). The hashes are spread before, so a
multiplication and an addition are permutation enough, and eight or more fit in one vector instruction.
The permutations take a tenth of the time, folding and hashing words the rest: 112 positions at 200 MB/s of
text on one core. From n-grams cut before (19 MB/s in Python), rensa 0.5 makes 95 MB/s, datasketch 2.0 12.

Words are those of `corpus.dedup.near.words`, which is the rule in plain Python.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
from numba import njit

from corpus.kernels.arrays import Bools, Bytes, Int, Ints, Keys
from corpus.kernels.arrow_text import text_buffers
from corpus.kernels.ccnet_text import MARKS
from corpus.kernels.fold import SLACK, fold
from corpus.kernels.unicode_tables import EXACT, LENGTH_SHIFT, SPACE, STOP, FoldTable, language_model_table
from corpus.kernels.xxh64 import xxh64

Words32 = npt.NDArray[np.uint32]

_GROWTH = 3  # folded : input bytes at worst: a Hangul syllable (3) becomes three letters (9)
_ASCII_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
# Deleted, so that a word is the same with and without. Source: huggingface/datatrove,
# src/datatrove/utils/text.py, PUNCTUATION, without the full-width 1 in it, which is a digit.
PUNCTUATION = frozenset({*_ASCII_PUNCTUATION, *MARKS} - {"１"})

_BASE = np.uint64(0x9E3779B97F4A7C15)  # any odd number: words are hashed before they meet it
_MIX1, _MIX2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)  # MurmurHash3's finaliser
_FNV_BASIS, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_SHINGLES_PER_BLOCK = 4096  # 16 KB: stay in the first cache while every permutation goes over them


@dataclass(frozen=True)
class Permutations:
    """k permutations x → a·x + b of the 32-bit numbers; `a` (odd) and `b` uint32[k]."""

    a: Words32
    b: Words32

    @classmethod
    def of(cls, seed: int, count: int) -> Permutations:
        """The permutations of a seed: the same with every version of every library."""
        a, b = (
            np.array([xxhash.xxh32_intdigest(f"{seed}/{name}/{j}".encode()) for j in range(count)], np.uint32)
            for name in "ab"
        )
        return cls(a | np.uint32(1), b)


def signatures(text: pa.StringArray, ngram: int, permutations: Permutations) -> tuple[Words32, Ints]:
    """Signatures of n documents.

    Args:
        text: one document a row.
        ngram: words a shingle has.
        permutations: k of them.

    Returns:
        uint32[n, k], and the number of shingles (repeated ones counted) of each document, int32[n]: 0,
        and a signature that means nothing, where it is null or has fewer words than a shingle.

    Raises:
        TypeError, pyarrow.ArrowInvalid: see `text_buffers`.
    """
    source = text_buffers(text)
    longest = int(np.diff(source.offsets).max(initial=0))
    folded = np.empty(_GROWTH * longest + SLACK, np.uint8)
    # A word and the space after it are two bytes of the text at least: marks that fold to more are deleted.
    hashes = np.empty(longest // 2 + 2, np.uint32)
    found = np.full((len(text), len(permutations.a)), np.iinfo(np.uint32).max, np.uint32)
    shingles = np.zeros(len(text), np.int32)
    _signatures(
        *source, *near_table(), folded, np.empty(ngram, np.uint64), hashes,  # type: ignore[arg-type]
        permutations.a, permutations.b, found, shingles,
    )  # fmt: skip
    return found, shingles


def band_keys(found: Words32, bands: int, rows: int) -> Keys:
    """Keys of the bands of signatures, uint64[n, bands]: XXH64 of a band's number and its rows.

    Equal keys mean equal rows of the same band, but for a chance of 2^-64 a pair.

    Raises:
        ValueError: signatures do not have bands · rows positions.
    """
    if found.shape[1] != bands * rows:
        raise ValueError(f"{found.shape[1]} positions are not {bands} bands of {rows} rows")
    keys = np.empty((len(found), bands), np.uint64)
    _band_keys(found, bands, rows, np.zeros(1 + (rows + 1) // 2, np.uint64), keys)
    return keys


@functools.cache
def near_table() -> FoldTable:
    """`corpus.dedup.near.fold_character` of every code point: as for the language model, but for
    spaces, which become one kind, and punctuation, which goes."""
    table = language_model_table()
    entries = table.entries & ~np.uint64(EXACT)  # a code point alone, by this rule
    spaces = np.flatnonzero(entries & np.uint64(SPACE))
    becomes = entries & np.uint64((1 << LENGTH_SHIFT + 3) - 1)
    ascii_marks = np.array([ord(mark) | 1 << LENGTH_SHIFT for mark in _ASCII_PUNCTUATION], np.uint64)
    entries[np.isin(becomes, ascii_marks)] = 0  # also what an accent is taken from, as of ≠
    for mark in PUNCTUATION:  # also what the language model has become several
        entries[ord(mark)] = 0
    entries[spaces] = np.uint64(ord(" ") | 1 << LENGTH_SHIFT | SPACE)
    for digit in MARKS.keys() - PUNCTUATION:
        entries[ord(digit)] = ord("0") | 1 << LENGTH_SHIFT
    for sigma in "Σς":  # whether a sigma ends its word depends on what is punctuation
        entries[ord(sigma)] = entries[ord("σ")]
    ascii_bytes = np.full(256, STOP, np.uint8)
    ascii_bytes[:0x80] = (entries[:0x80] & np.uint64(0xFF)).astype(np.uint8)
    return FoldTable(ascii_bytes, entries, table.pool, table.pool_offsets)


@njit(nogil=True, cache=True)
def _signatures(
    data: Bytes, offsets: Ints, valid: Bools,
    ascii_bytes: Bytes, entries: Keys, pool: Bytes, pool_offsets: Ints,
    folded: Bytes, ring: Keys, hashes: Words32,
    a: Words32, b: Words32, found: Words32, shingles: Ints,
) -> None:  # fmt: skip
    for i in range(len(valid)):
        if valid[i]:
            _, m, _, _ = fold(
                data, offsets[i], offsets[i + 1], ascii_bytes, entries, pool, pool_offsets, folded, 0
            )
            n = _shingles(folded, m, ring, hashes)
            shingles[i] = n
            for start in range(0, n, _SHINGLES_PER_BLOCK):
                lower_minima(hashes[start : min(n, start + _SHINGLES_PER_BLOCK)], a, b, found[i])


@njit(nogil=True, cache=True)
def _shingles(folded: Bytes, m: Int, ring: Keys, hashes: Words32) -> int:
    """Hashes of the word n-grams of folded text; `ring` holds the last n words. Returns their number.

    A run of the digit 0 is one 0. A word's hash is FNV-1a, an n-gram's the polynomial of its words'.
    """
    n = len(ring)
    top = np.uint64(1)
    for _ in range(n):
        top *= _BASE
    words, count, p = 0, 0, 0
    rolling = np.uint64(0)
    while p < m:
        while p < m and folded[p] == 32:
            p += 1
        if p == m:
            break
        h = _FNV_BASIS
        last = np.uint8(0)
        while p < m and folded[p] != 32:
            byte = folded[p]
            if byte != 48 or last != 48:
                h = (h ^ np.uint64(byte)) * _FNV_PRIME
            last = byte
            p += 1
        h = (h ^ (h >> np.uint64(32))) * _MIX1
        h ^= h >> np.uint64(29)
        place = words % n
        gone = ring[place] if words >= n else np.uint64(0)
        ring[place] = h
        rolling = rolling * _BASE + h - gone * top
        words += 1
        if words >= n:
            x = (rolling ^ (rolling >> np.uint64(33))) * _MIX1
            x = (x ^ (x >> np.uint64(33))) * _MIX2
            hashes[count] = np.uint32(x >> np.uint64(32))
            count += 1
    return count


@njit(nogil=True, cache=True)
def lower_minima(hashes: Words32, a: Words32, b: Words32, minima: Words32) -> None:
    """Lower the minima by some shingles; the inner loop becomes vector instructions."""
    for j in range(len(minima)):
        times, plus, least = a[j], b[j], minima[j]
        for i in range(len(hashes)):
            least = min(least, np.uint32(hashes[i] * times + plus))
        minima[j] = least


@njit(nogil=True, cache=True)
def _band_keys(found: Words32, bands: int, rows: int, words: Keys, keys: Keys) -> None:
    data = words.view(np.uint8)
    halves = words.view(np.uint32)
    for i in range(len(found)):
        for band in range(bands):
            words[0] = band
            for row in range(rows):
                halves[2 + row] = found[i, band * rows + row]
            keys[i, band] = xxh64(data, words, 8 + 4 * rows)
