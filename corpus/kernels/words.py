"""Documents translated word by word through a bounded cache.

In: an Arrow string array, and a function that encodes words. A word is what stands between U+0020 alone:
other white space is part of it, and is left to the function. Out: `Encoded`, of each document what its
words became, one after the other.

Words are found by hash and compared by their bytes: no collision can change a result, and neither can
what the cache holds or when it is emptied. The function must treat each word by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpus.kernels.arrays import Bools, Bytes, Int, Ints, Positions
from corpus.kernels.arrow_text import text_buffers
from corpus.kernels.equal_bytes import equal_bytes

Values = npt.NDArray[Any]  # UTF-8 as uint8, or int32 numbers

# It bounds the words that the function is given at a time.
_CHUNK_BYTES = 1 << 20

_CACHED_WORDS = 1 << 18
_SLOTS_PER_WORD = 2
_BYTES_PER_WORD = 16
_VALUES_PER_WORD = 24  # bytes of text on average, or many numbers
_LONGEST_CACHED = 64  # bytes; longer words hardly come again

# FNV-1a of 64 bits; its low bits are mixed once more, since they choose the slot.
_BASIS = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)
_SPACE = 32


class Encoded(NamedTuple):
    """Rows (words or documents) in another alphabet.

    Row i is `values[offsets[i]:offsets[i + 1]]`, offsets int64[n + 1], and counts as `pieces[i]`, int64[n].
    """

    values: Values
    offsets: Positions
    pieces: Positions


class WordCache(NamedTuple):
    """What words seen before became; for one thread at a time, and always the same function.

    `slots` int32[2^k, 2]: upper half of a word's hash, and its number; −1 where empty. Word w is
    `text[text_offsets[w]:text_offsets[w + 1]]` (no bytes where it cannot be found again) and became
    `values[offsets[w]:offsets[w + 1]]`, which counts as `pieces[w]`. `used` int64[1]: words.
    """

    slots: Ints
    text: Bytes
    text_offsets: Ints
    values: Values
    offsets: Positions
    pieces: Positions
    used: Positions


Encode = Callable[[list[str]], Encoded]


def new_cache(dtype: npt.DTypeLike, words: int = _CACHED_WORDS) -> WordCache:
    """An empty cache of values of one type, for a power of two of words: 2^18 take some 15 MB."""
    return WordCache(
        slots=np.full((_SLOTS_PER_WORD * words, 2), -1, np.int32),
        text=np.empty(_BYTES_PER_WORD * words, np.uint8),
        text_offsets=np.zeros(words + 1, np.int32),
        values=np.empty(_VALUES_PER_WORD * words, dtype),
        offsets=np.zeros(words + 1, np.int64),
        pieces=np.empty(words, np.int64),
        used=np.zeros(1, np.int64),
    )


def translate(
    text: pa.StringArray, encode: Encode, cache: WordCache, chunk_bytes: int = _CHUNK_BYTES
) -> Encoded:
    """What each document's words become.

    Args:
        text: n documents; a null one has no words.
        encode: m words to m rows; called for words that the cache lacks.
        cache: new, or used with the same function before. After an error it must not be used again.
        chunk_bytes: text translated at a time.

    Raises:
        TypeError, pyarrow.ArrowInvalid: see `text_buffers`.
    """
    data, offsets, valid = text_buffers(text)
    parts, n = [], len(valid)
    start = 0
    while start < n:
        # Whole documents: one that is longer than a chunk is translated by itself.
        limit = int(offsets[start]) + chunk_bytes
        stop = max(start + 1, int(np.searchsorted(offsets, limit, side="right")) - 1)
        parts.append(_translate_chunk(data, offsets[start : stop + 1], valid[start:stop], encode, cache))
        start = stop
    return _concatenated(parts, cache.values.dtype)


def _translate_chunk(data: Bytes, offsets: Ints, valid: Bools, encode: Encode, cache: WordCache) -> Encoded:
    size = int(offsets[-1] - offsets[0])
    known = int(cache.used[0])
    found, ends = np.empty((size + len(valid)) // 2 + 1, np.int32), np.empty(len(valid), np.int64)
    missing = np.empty(size + len(found), np.uint8)
    written = _find(
        data, offsets, valid, cache.slots, cache.text, cache.text_offsets, known, found, ends, missing
    )
    new = encode(missing[: written - 1].tobytes().decode().split(" ") if written else [])
    found = found[: ends[-1]]
    old = Encoded(cache.values, cache.offsets, cache.pieces)
    length = _length(found, known, *old, *new)
    result = Encoded(
        np.empty(length, old.values.dtype), np.zeros(len(ends) + 1, np.int64), np.zeros_like(ends)
    )
    _join(found, ends, known, *old, *new, *result)
    _remember(new, cache)
    return result


def _remember(new: Encoded, cache: WordCache) -> None:
    """Add what new words became; empty the cache where there is no room, so that it follows the text."""
    known, words, start = int(cache.used[0]), len(new.pieces), int(cache.offsets[cache.used[0]])
    if known + words > len(cache.pieces) or start + len(new.values) > len(cache.values):
        cache.slots[:] = -1
        cache.used[0] = 0
        return
    cache.values[start : start + len(new.values)] = new.values
    cache.offsets[known + 1 : known + words + 1] = start + new.offsets[1:]
    cache.pieces[known : known + words] = new.pieces
    cache.used[0] += words


def _concatenated(parts: list[Encoded], dtype: np.dtype[Any]) -> Encoded:
    lengths = [np.diff(part.offsets) for part in parts]
    return Encoded(
        np.concatenate([np.empty(0, dtype), *(part.values for part in parts)]),
        np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths])),
        np.concatenate([np.empty(0, np.int64), *(part.pieces for part in parts)]),
    )


@njit(nogil=True, cache=True)
def _find(
    data: Bytes, offsets: Ints, valid: Bools,
    slots: Ints, text: Bytes, text_offsets: Ints, known: int,
    found: Ints, ends: Positions, missing: Bytes,
) -> Int:  # fmt: skip
    """Number the words: `found` of each word, `ends` of each document the words up to its end.

    Words that the cache lacks get the numbers from `known` on and are written to `missing`, each followed
    by a space; they are put into the cache where it has room. Returns the bytes written.
    """
    k: Int = 0
    number: Int = known
    w: Int = 0
    for i in range(len(valid)):
        p = np.int64(offsets[i])
        stop = np.int64(offsets[i + 1]) if valid[i] else p
        while p < stop:
            if data[p] == _SPACE:
                p += 1
                continue
            s = p
            h = _BASIS
            while p < stop and data[p] != _SPACE:
                h = (h ^ np.uint64(data[p])) * _PRIME
                p += 1
            h ^= h >> np.uint64(32)
            tag = np.int32(h >> np.uint64(32))
            slot = np.int64(h & np.uint64(len(slots) - 1))
            length = p - s
            while slots[slot, 1] >= 0:
                candidate = slots[slot, 1]
                if slots[slot, 0] == tag:
                    first = text_offsets[candidate]
                    if text_offsets[candidate + 1] - first == length and equal_bytes(
                        data, s, text, first, length
                    ):
                        break
                slot = (slot + 1) & (len(slots) - 1)
            if slots[slot, 1] >= 0:
                found[k] = slots[slot, 1]
            else:
                found[k] = number
                if number < len(text_offsets) - 1:
                    first = text_offsets[number]
                    text_offsets[number + 1] = first
                    if length <= _LONGEST_CACHED and first + length <= len(text):
                        slots[slot, 0], slots[slot, 1] = tag, number
                        text[first : first + length] = data[s:p]
                        text_offsets[number + 1] = first + length
                number += 1
                missing[w : w + length] = data[s:p]
                missing[w + length] = _SPACE
                w += length + 1
            k += 1
        ends[i] = k
    return w


@njit(nogil=True, cache=True)
def _length(
    found: Ints, known: int,
    values: Values, offsets: Positions, pieces: Positions,
    new_values: Values, new_offsets: Positions, new_pieces: Positions,
) -> int:  # fmt: skip
    """Values of all words found, one after the other."""
    total = 0
    for number in found:
        j = number - known
        total += offsets[number + 1] - offsets[number] if j < 0 else new_offsets[j + 1] - new_offsets[j]
    return total


@njit(nogil=True, cache=True)
def _join(
    found: Ints, ends: Positions, known: int,
    values: Values, offsets: Positions, pieces: Positions,
    new_values: Values, new_offsets: Positions, new_pieces: Positions,
    out: Values, out_offsets: Positions, out_pieces: Positions,
) -> None:  # fmt: skip
    """Fill the `Encoded` arrays of the documents."""
    k, w = 0, 0
    for i in range(len(ends)):
        total = np.int64(0)
        while k < ends[i]:
            j = found[k] - known
            if j < 0:
                total += pieces[found[k]]
                for q in range(offsets[found[k]], offsets[found[k] + 1]):
                    out[w] = values[q]
                    w += 1
            else:
                total += new_pieces[j]
                for q in range(new_offsets[j], new_offsets[j + 1]):
                    out[w] = new_values[q]
                    w += 1
            k += 1
        out_offsets[i + 1] = w
        out_pieces[i] = total
