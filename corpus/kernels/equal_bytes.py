"""Compiled: whether two spans of bytes are the same; word caches ask it after their hashes agree."""

from __future__ import annotations

from numba import njit

from corpus.kernels.arrays import Bytes, Int


@njit(nogil=True, cache=True)
def equal_bytes(a: Bytes, p: Int, b: Bytes, q: Int, length: Int) -> bool:
    """Whether `length` bytes of `a` from p on are those of `b` from q on."""
    for i in range(length):  # noqa: SIM110, a compiled loop
        if a[p + i] != b[q + i]:
            return False
    return True
