"""Shingles of a long text, its chunks, and MinHash signatures of both: UTF-8 in, plain arrays out.

A shingle is `ngram` words (`corpus.kernels.book_text`) joined by one space; its hash is XXH64. A chunk begins
at a shingle whose hash is the least of those around it, so that equal passages are cut alike wherever they
stand. Signatures are datasketch's (scheme ``affine32``): position j is the least a_j·m(x) + b_j mod 2^32 over
the shingles, where x is the lower half of a shingle's hash and m MurmurHash3's finaliser.

Words and hashes go at 130 MB/s of text on one core, 250 permutations at 600 more.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.kernels.arrays import Bytes, Int, Ints, Keys, Positions
from corpus.kernels.book_text import book_table
from corpus.kernels.fold import SLACK, fold
from corpus.kernels.minhash import lower_minima
from corpus.kernels.xxh64 import xxh64

Words32 = npt.NDArray[np.uint32]

_GROWTH = 2  # folded : input bytes at worst: three bytes become four, some of two become three
_WORD = 8
_MIX1, _MIX2 = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)
_SPACE = 32
_BLOCK = 4096  # shingles that every permutation goes over while they are in the first cache


def shingle_hashes(data: bytes, ngram: int) -> Keys:
    """Hashes of the shingles of a text in their order, repeated ones too.

    Args:
        data: valid UTF-8, in composed form (NFC).
        ngram: words a shingle has.

    Returns:
        uint64[n]; none where there are fewer words than a shingle has.
    """
    source = np.frombuffer(data, np.uint8)
    folded = np.empty(_GROWTH * len(data) + SLACK, np.uint8)
    starts = np.empty(len(data) // 2 + 2, np.int32)  # of words, which take two bytes with the space after
    count = _split(source, *book_table(), folded, starts)  # type: ignore[arg-type]
    if count < ngram:
        return np.empty(0, np.uint64)
    starts = starts[: count + 1]
    longest = int((starts[ngram:] - starts[:-ngram]).max())
    hashes = np.empty(count - ngram + 1, np.uint64)
    _hash(folded, starts, ngram, np.zeros(longest // _WORD + 1, np.uint64), hashes)
    return hashes


def chunk_starts(hashes: Keys, chunk_shingles: int) -> Positions:
    """Where the chunks of a text begin, int64[chunks], the first at 0.

    A chunk begins where a hash is less than the `chunk_shingles // 2` before it, and not more than as many
    after it; so it has that many shingles at least, and about `chunk_shingles` on average.
    """
    starts = np.empty(2 + 2 * len(hashes) // max(chunk_shingles, 1), np.int64)
    return starts[: _cut(hashes, max(1, chunk_shingles // 2), starts)]


def chunk_signatures(hashes: Keys, starts: Positions, a: Words32, b: Words32) -> Words32:
    """Signatures of the chunks, uint32[chunks, len(a)]; their least by column is the whole text's."""
    found = np.full((len(starts), len(a)), np.iinfo(np.uint32).max, np.uint32)
    mixed = np.empty(_BLOCK, np.uint32)
    edges = np.append(starts, np.int64(len(hashes)))
    _signatures(hashes, edges, a, b, mixed, found)
    return found


@njit(nogil=True, cache=True)
def _split(
    data: Bytes, ascii_bytes: Bytes, entries: Keys, pool: Bytes, pool_offsets: Ints,
    folded: Bytes, starts: Ints,
) -> int:  # fmt: skip
    """Fold a text and collapse its spaces in place; returns its words. `starts` ends with the bytes."""
    _, m, _, _ = fold(data, 0, len(data), ascii_bytes, entries, pool, pool_offsets, folded, 0)
    w, count = 0, 0
    space = True
    for p in range(m):
        byte = folded[p]
        if byte == _SPACE:
            if not space:
                folded[w] = byte
                w += 1
            space = True
        else:
            if space:
                starts[count] = w
                count += 1
            folded[w] = byte
            w += 1
            space = False
    if not space:
        folded[w] = _SPACE
        w += 1
    starts[count] = w
    return count


@njit(nogil=True, cache=True)
def _hash(folded: Bytes, starts: Ints, ngram: Int, scratch: Keys, hashes: Keys) -> None:
    data = scratch.view(np.uint8)
    for i in range(len(hashes)):
        first = np.int64(starts[i])
        length = np.int64(starts[i + ngram]) - first - 1  # without the last space
        for k in range(length):
            data[k] = folded[first + k]
        hashes[i] = xxh64(data, scratch, length)


@njit(nogil=True, cache=True)
def _cut(hashes: Keys, width: Int, starts: Positions) -> int:
    n = len(hashes)
    if n == 0:
        return 0
    starts[0] = 0
    count = 1
    i = width
    while i < n - width:
        h = hashes[i]
        least = True
        for k in range(i - width, i):
            if hashes[k] <= h:
                least = False
                break
        if least:
            step = 1
            for k in range(i + 1, i + width + 1):
                if hashes[k] < h:
                    least = False
                    break
                step += 1
        if least:
            starts[count] = i
            count += 1
            i += width + 1  # none of those passed is less than this one
        else:
            i += 1
    return count


@njit(nogil=True, cache=True)
def _signatures(
    hashes: Keys, edges: Positions, a: Words32, b: Words32, mixed: Words32, found: Words32
) -> None:
    for chunk in range(len(edges) - 1):
        for start in range(edges[chunk], edges[chunk + 1], len(mixed)):
            n = min(edges[chunk + 1] - start, len(mixed))
            for i in range(n):
                x = np.uint32(hashes[start + i] & np.uint64(0xFFFFFFFF))
                x = np.uint32((x ^ (x >> np.uint32(16))) * _MIX1)
                x = np.uint32((x ^ (x >> np.uint32(13))) * _MIX2)
                mixed[i] = x ^ (x >> np.uint32(16))
            lower_minima(mixed[:n], a, b, found[chunk])
