"""Word n-grams of documents whose hash may be one of a set: a compiled loop over Arrow buffers.

In: an Arrow string array, and a `Sieve` of the hashes that are looked for. Out: `Candidates`: every n-gram
(words as in `corpus.kernels.ngram_words`) that the sieve lets through: all whose hash is in the set, and
few others. Equal n-grams have equal hashes; that a candidate is what was looked for is for the caller to see.

Hash of a word: FNV-1a over its folded code points, mixed. Hash of an n-gram: Σ word·B^(n−1−i) mod 2^64, which
rolls on from word to word.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.kernels.arrays import Bools, Bytes, Int, Ints, Keys, Positions
from corpus.kernels.arrow_text import text_buffers
from corpus.kernels.fold import decode
from corpus.kernels.ngram_words import SPACE, word_table
from corpus.kernels.rules_bytes import mixed

MAX_WORDS = 64  # of an n-gram; the loop remembers so many words
_BASIS = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)
_BASE = np.uint64(0x9E3779B185EBCA87)  # odd, so that no word's bits are shifted out
_BITS_PER_KEY = 16  # with two bits a key some 1.5 % of all n-grams pass by chance
_BYTES_PER_CANDIDATE = 256  # of text; some three times as many as pass by chance
_SLICE = 1 << 16  # n-grams looked at together
_6, _12, _63 = np.uint64(6), np.uint64(12), np.uint64(63)


class Sieve(NamedTuple):
    """Which hashes may be in a set: `cells` uint64[2^k], two bits a hash, both in one cell.

    An n-gram passes if the hash of its last words, as many as the shortest n-gram has, does, and then its
    own: so one lookup a word is enough for any number of sizes. `sizes` int64[m]: the n's, ascending.
    `power`: B^n of the shortest.
    """

    cells: Keys
    sizes: Positions
    power: np.uint64


class Candidates(NamedTuple):
    """n-grams that pass, in the order of documents and of their last words; one row each.

    `document` int64: row of the text. `start`, `end` int64: bytes from the document's start, from the first
    token to the end of the last. `size` int64: n. `key` uint64: the hash.
    """

    document: Positions
    start: Positions
    end: Positions
    size: Positions
    key: Keys


def sieve_of(keys: Keys, ngrams: pa.StringArray, sizes: list[int]) -> Sieve:
    """A sieve for n-grams.

    Args:
        keys: their hashes, uint64[m].
        ngrams: the same n-grams as texts.
        sizes: of words that they have.

    Raises:
        ValueError: a size is not from 1 to `MAX_WORDS`.
    """
    shortest = every_ngram([min(sizes, default=0)])
    ends = [_last_keys(scan(ngrams.slice(i, _SLICE), shortest)) for i in range(0, len(ngrams), _SLICE)]
    wanted = np.unique(np.concatenate([np.asarray(keys, np.uint64), *ends]))
    bits = max(1, (len(wanted) * _BITS_PER_KEY // 64)).bit_length()
    cells = np.zeros(1 << bits, np.uint64)
    _fill(cells, wanted)
    return _sieve(cells, sizes)


def _last_keys(found: Candidates) -> Keys:
    """Of each document the hash of its last n-gram."""
    last = np.ones(len(found.key), bool)
    last[:-1] = found.document[1:] != found.document[:-1]
    return found.key[last]


def every_ngram(sizes: list[int]) -> Sieve:
    """A sieve that lets all n-grams of the given sizes through.

    Raises:
        ValueError: a size is not from 1 to `MAX_WORDS`.
    """
    return _sieve(np.full(2, ~np.uint64(0), np.uint64), sizes)


def scan(text: pa.StringArray, sieve: Sieve) -> Candidates:
    """Find the n-grams of each document that pass; a null one has none.

    Raises:
        TypeError, pyarrow.ArrowInvalid: see `text_buffers`.
    """
    data, offsets, valid = text_buffers(text)
    room = 1024 + int(offsets[-1] - offsets[0]) // _BYTES_PER_CANDIDATE  # else it is scanned once more
    while True:
        out = np.empty((4, room), np.int64)
        keys = np.empty(room, np.uint64)
        found = _scan(data, offsets, valid, *word_table(), *sieve, out, keys)
        if found <= room:
            return Candidates(out[0, :found], out[1, :found], out[2, :found], out[3, :found], keys[:found])
        room = found


def _sieve(cells: Keys, sizes: list[int]) -> Sieve:
    if not sizes or min(sizes) < 1 or max(sizes) > MAX_WORDS:
        raise ValueError(f"n-grams must have 1 to {MAX_WORDS} words, not {sizes}")
    power = pow(int(_BASE), min(sizes), 1 << 64)
    return Sieve(cells, np.array(sorted(set(sizes)), np.int64), np.uint64(power))


@njit(nogil=True, cache=True)
def _bits_of(key: np.uint64) -> np.uint64:
    return (np.uint64(1) << (key & _63)) | (np.uint64(1) << ((key >> _6) & _63))


@njit(nogil=True, cache=True)
def _passes(key: np.uint64, cells: Keys) -> bool:
    bits = _bits_of(key)
    found: bool = cells[(key >> _12) & np.uint64(len(cells) - 1)] & bits == bits
    return found


@njit(nogil=True, cache=True)
def _fill(cells: Keys, keys: Keys) -> None:
    mask = np.uint64(len(cells) - 1)
    for key in keys:
        cells[(key >> _12) & mask] |= _bits_of(key)


@njit(nogil=True, cache=True)
def _scan(
    data: Bytes, offsets: Ints, valid: Bools,
    folded: Ints, pool: Ints, pool_offsets: Ints,
    cells: Keys, sizes: Positions, power: np.uint64,
    out: Positions, keys: Keys,
) -> int:  # fmt: skip
    """Write candidates as far as there is room; returns how many there are."""
    hashes = np.zeros(MAX_WORDS, np.uint64)  # of the last words: word w at w mod MAX_WORDS
    starts = np.zeros(MAX_WORDS, np.int64)
    shortest = sizes[0]
    found = 0
    for i in range(len(valid)):
        first = np.int64(offsets[i])
        p = first
        stop = np.int64(offsets[i + 1]) if valid[i] else first
        rolling = np.uint64(0)
        w = 0
        while p < stop:
            start = p
            h = _BASIS
            some = False
            while p < stop:
                cp: Int = np.int64(data[p])
                width: Int = 1
                if cp >= 0x80:
                    cp, width = decode(data, p)
                f = folded[cp]
                if f == SPACE:
                    break
                p += width
                if f > 0:
                    some = True
                    h = (h ^ np.uint64(f)) * _PRIME
                elif f < SPACE:
                    some = True
                    for q in range(pool_offsets[-2 - f], pool_offsets[-1 - f]):
                        h = (h ^ np.uint64(pool[q])) * _PRIME
            end = p
            if p < stop:
                p += width  # the space
            if not some:
                continue
            h = mixed(h)
            rolling = rolling * _BASE + h
            if w >= shortest:
                rolling -= hashes[(w - shortest) & (MAX_WORDS - 1)] * power
            hashes[w & (MAX_WORDS - 1)] = h
            starts[w & (MAX_WORDS - 1)] = start
            w += 1
            if w < shortest or not _passes(rolling, cells):
                continue
            for n in sizes:
                if n > w:
                    break
                value = rolling
                if n > shortest:
                    value = np.uint64(0)
                    for q in range(w - n, w):
                        value = value * _BASE + hashes[q & (MAX_WORDS - 1)]
                    if not _passes(value, cells):
                        continue
                if found < len(keys):
                    out[0, found] = i
                    out[1, found] = starts[(w - n) & (MAX_WORDS - 1)] - first
                    out[2, found] = end - first
                    out[3, found] = n
                    keys[found] = value
                found += 1
    return found
