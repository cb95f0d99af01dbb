"""XXH64, seed 0, as a compiled function: bytes in an aligned buffer -> uint64.

Algorithm: Cyan4973/xxHash, doc/xxhash_spec.md, section "XXH64 algorithm description".
"""

from __future__ import annotations

import numpy as np
from numba import njit

from corpus.kernels.arrays import Bytes, Int, Keys

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_ZERO = np.uint64(0)


@njit(nogil=True, cache=True, inline="always")
def _rotate(x: np.uint64, bits: int) -> np.uint64:
    return (x << np.uint64(bits)) | (x >> np.uint64(64 - bits))


@njit(nogil=True, cache=True, inline="always")
def _round(lane: np.uint64, word: np.uint64) -> np.uint64:
    return _rotate(lane + word * _P2, 31) * _P1


@njit(nogil=True, cache=True, inline="always")
def _merge(h: np.uint64, lane: np.uint64) -> np.uint64:
    return (h ^ _round(_ZERO, lane)) * _P1 + _P4


@njit(nogil=True, cache=True)
def xxh64(data: Bytes, words: Keys, length: Int) -> np.uint64:
    """Hash of `data[:length]`; `data` uint8[*] and `words` uint64[*] view the same (little-endian) memory."""
    n_words = length >> 3
    w = 0
    if length >= 32:
        a, b, c, d = _P1 + _P2, _P2, _ZERO, _ZERO - _P1
        while w + 4 <= n_words:
            a = _round(a, words[w])
            b = _round(b, words[w + 1])
            c = _round(c, words[w + 2])
            d = _round(d, words[w + 3])
            w += 4
        h = _rotate(a, 1) + _rotate(b, 7) + _rotate(c, 12) + _rotate(d, 18)
        h = _merge(_merge(_merge(_merge(h, a), b), c), d)
    else:
        h = _P5
    h += np.uint64(length)
    while w < n_words:
        h = _rotate(h ^ _round(_ZERO, words[w]), 27) * _P1 + _P4
        w += 1
    i = w << 3
    if i + 4 <= length:
        half = (
            np.uint64(data[i])
            | np.uint64(data[i + 1]) << np.uint64(8)
            | np.uint64(data[i + 2]) << np.uint64(16)
            | np.uint64(data[i + 3]) << np.uint64(24)
        )
        h = _rotate(h ^ half * _P1, 23) * _P2 + _P3
        i += 4
    while i < length:
        h = _rotate(h ^ np.uint64(data[i]) * _P5, 11) * _P1
        i += 1
    h = (h ^ (h >> np.uint64(33))) * _P2
    h = (h ^ (h >> np.uint64(29))) * _P3
    return h ^ (h >> np.uint64(32))
