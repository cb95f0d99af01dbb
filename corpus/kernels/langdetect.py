"""langdetect's detection, compiled: code points of a text in, the probability of each language out.

What the library (langdetect 1.0.9, detector.py, ngram.py) does with Python's strings and its `random`, to the
last bit: n-grams of one to three characters that some profile has; seven trials that each draw n-grams at
random until one language is all but sure. The random numbers are those of `random.Random(0)`, as tfds seeds
it, so the same text always gives the same probabilities. They are summed one by one, as Python's `sum` did
before 3.12, so that they do not depend on its version.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.kernels.arrays import Bools, Int, Ints, Keys

Floats = npt.NDArray[np.float64]
CodePoints = npt.NDArray[np.uint32]

MAX_CHARACTERS = 10_000  # what the library looks at
_TRIALS = 7
_ALPHA, _ALPHA_WIDTH = 0.5, 0.05
_BASE_FREQUENCY = 10_000
_CONVERGED = 0.99999
_ITERATIONS = 1_000
# Outputs of the generator. A detection takes 7·1,001 draws at most, of which the worst number of n-grams
# rejects about half, and 16 for the normal distribution.
_DRAWS = 1 << 16

_21, _32 = np.uint64(21), np.uint64(32)
_MULTIPLIER = np.uint64(0x9E3779B185EBCA87)


class Profiles(NamedTuple):
    """The languages' n-grams.

    `slots` uint64[2^k]: a hash table of their keys (0: free). `rows` int32[2^k]: of each slot its row in
    `probabilities` float64[n, languages]. `normal` uint32[0x110000]: the library's normal form of a code
    point. `upper` bool[0x110000]: `str.isupper`.
    """

    slots: Keys
    rows: Ints
    probabilities: Floats
    normal: CodePoints
    upper: Bools


class Stream(NamedTuple):
    """`random.Random(0)`.

    `draws` uint64[n]: 32 bits each. `normal` float64[n, 2]: what `gauss` makes of four draws, and then keeps
    for its next call.
    """

    draws: Keys
    normal: Floats


@functools.cache
def stream() -> Stream:
    """The generator's first outputs."""
    generator = random.Random(0)
    draws = [generator.getrandbits(32) for _ in range(_DRAWS)]
    pairs = itertools.pairwise(draws)
    floats = [((a >> 5) * 67108864 + (b >> 6)) / 9007199254740992 for a, b in pairs]
    normal = np.zeros((_DRAWS, 2))
    for i in range(_DRAWS - 3):
        turn, length = floats[i] * math.tau, math.sqrt(-2.0 * math.log(1.0 - floats[i + 2]))
        normal[i] = math.cos(turn) * length, math.sin(turn) * length
    return Stream(np.array(draws, np.uint64), normal)


def gram_key(gram: str) -> int:
    """One to three characters as an integer, the last lowest."""
    key = 0
    for char in gram:
        key = key << 21 | ord(char)
    return key


def hash_table(keys: Keys) -> tuple[Keys, Ints]:
    """Slots and rows of `Profiles`, of distinct keys in the order of their rows."""
    size = 1 << (4 * len(keys) - 1).bit_length()
    slots, rows = np.zeros(size, np.uint64), np.zeros(size, np.int32)
    _fill(keys, slots, rows)
    return slots, rows


def probabilities(text: CodePoints, profiles: Profiles, numbers: Stream) -> Floats | None:
    """Probability of each language, float64[languages]; None where no n-gram is known.

    Args:
        text: its addresses already taken out; the first `MAX_CHARACTERS` are looked at.
        profiles: of the languages.
        numbers: see `stream`.
    """
    grams = np.empty(3 * min(len(text), MAX_CHARACTERS), np.int32)
    n = _extract(text[:MAX_CHARACTERS], *profiles[:2], *profiles[3:], grams)
    if n == 0:
        return None
    found = np.zeros(profiles.probabilities.shape[1])
    if not _detect(grams[:n], profiles.probabilities, *numbers, found):
        raise RuntimeError(f"{_DRAWS} random numbers do not suffice for {n} n-grams")
    return found


@njit(nogil=True, cache=True)
def _place(slots: Keys, key: np.uint64) -> np.uint64:
    """The key's slot, or the free one where it would stand."""
    mask = np.uint64(len(slots) - 1)
    at = ((key * _MULTIPLIER) >> _32) & mask
    while slots[at] != 0 and slots[at] != key:
        at = (at + np.uint64(1)) & mask
    return at


@njit(nogil=True, cache=True)
def _fill(keys: Keys, slots: Keys, rows: Ints) -> None:
    for row in range(len(keys)):
        at = _place(slots, keys[row])
        slots[at], rows[at] = keys[row], row


@njit(nogil=True, cache=True)
def _without_latin(text: CodePoints) -> bool:
    """Whether "A" … "z" are left out: they are fewer than half of what lies beyond U+02FF.

    The library means to except Latin Extended Additional, but compares a number with its name.
    """
    latin, other = 0, 0
    space = False
    for i in range(len(text)):
        if space and text[i] == 32:
            continue
        space = text[i] == 32
        latin += 65 <= text[i] <= 122
        other += text[i] >= 0x300
    return latin * 2 < other


@njit(nogil=True, cache=True)
def _extract(text: CodePoints, slots: Keys, rows: Ints, normal: CodePoints, upper: Bools, grams: Ints) -> Int:
    """Rows of the n-grams of a text in their order; returns their number."""
    skip = _without_latin(text)
    n = 0
    a, b, c = np.uint64(0), np.uint64(0), np.uint64(32)  # the last three characters, c the last
    held = 1
    capitals, space = False, False
    for i in range(len(text)):
        if space and text[i] == 32:
            continue
        space = text[i] == 32
        if skip and 65 <= text[i] <= 122:
            continue
        char = np.uint64(normal[text[i]])
        last = c
        if last == 32:
            held, capitals = 1, False
        if last != 32 or char != 32:
            a, b, c = b, c, char
            held = min(held + 1, 3)
            if upper[char]:
                capitals |= upper[last]
            else:
                capitals = False
        if capitals:
            continue
        key = c
        for size in range(1, held + 1):
            if size == 2:
                key |= b << _21
            elif size == 3:
                key |= a << (_21 + _21)
            if key == 32:
                continue
            at = _place(slots, key)
            if slots[at] != 0:
                grams[n] = rows[at]
                n += 1
    return n


@njit(nogil=True, cache=True)
def _normalized(chances: Floats) -> float:
    """Make the chances add up to 1; returns the largest."""
    total = 0.0
    for i in range(len(chances)):
        total += chances[i]
    largest = 0.0
    for i in range(len(chances)):
        chances[i] /= total
        largest = max(largest, chances[i])
    return largest


@njit(nogil=True, cache=True)
def _detect(grams: Ints, table: Floats, draws: Keys, normal: Floats, found: Floats) -> bool:
    """Add the mean of all trials to `found`; False where the random numbers end."""
    n = np.uint64(len(grams))
    bits = 0
    while n >> np.uint64(bits):
        bits += 1
    shift = np.uint64(32 - bits)
    at = 0
    second = 0.0
    chances = np.empty(len(found))
    for trial in range(_TRIALS):
        chances[:] = 1.0 / len(found)
        if trial % 2 == 0:
            if at + 4 > len(draws):
                return False
            gauss, second = normal[at, 0], normal[at, 1]
            at += 4
        else:
            gauss = second
        weight = (_ALPHA + gauss * _ALPHA_WIDTH) / _BASE_FREQUENCY
        i = 0
        while True:
            choice = n
            while choice >= n:
                if at == len(draws):
                    return False
                choice = draws[at] >> shift
                at += 1
            row = grams[choice]
            for k in range(len(chances)):
                chances[k] *= weight + table[row, k]
            if i % 5 == 0 and (_normalized(chances) > _CONVERGED or i >= _ITERATIONS):
                break
            i += 1
        for k in range(len(found)):
            found[k] += chances[k] / _TRIALS
    return True
