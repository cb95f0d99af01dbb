"""A permutation of 0 … n−1 that is computed, not stored: four Feistel rounds, walked until within n."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.uint64]

_ROUNDS = 4
# Finaliser of SplitMix64 (Steele, Lea and Flood 2014).
_A, _B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def permute(positions: npt.NDArray[Any], n: int, key: int) -> Numbers:
    """Where positions go, each below n, under the permutation of 0 … n−1 with a 64-bit key.

    A number beyond n, below the next power of four, is sent on until it is within.
    """
    values = np.asarray(positions, np.uint64)
    half = np.uint64(max(1, ((n - 1).bit_length() + 1) // 2))
    keys = _mix(np.uint64(key) + np.arange(1, _ROUNDS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    result = _rounds(values, half, keys)
    while (outside := result >= n).any():
        result[outside] = _rounds(result[outside], half, keys)
    return result


def _rounds(values: Numbers, half: np.uint64, keys: Numbers) -> Numbers:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for key in keys:
        left, right = right, left ^ (_mix(right + key) & mask)
    return (left << half) | right


def _mix(z: Any) -> Any:
    z = (z ^ (z >> np.uint64(30))) * _A
    z = (z ^ (z >> np.uint64(27))) * _B
    return z ^ (z >> np.uint64(31))
