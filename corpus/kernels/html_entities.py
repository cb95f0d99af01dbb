"""HTML's character references as tables for a compiled loop (HTML Living Standard, section 13.5).

Names with and without their semicolon, as `html.entities.html5` lists them, in the order of their bytes.
"""

from __future__ import annotations

from functools import cache
from html.entities import html5
from typing import NamedTuple

import numpy as np

from corpus.kernels.arrays import Bytes, Ints

# What numeric references from 0x80 to 0x9F mean: Windows-1252 (section 13.2.5.80).
_C1 = bytes(range(0x80, 0xA0)).decode("cp1252", "replace")
LONGEST_NAME = max(map(len, html5))


class References(NamedTuple):
    """`names` uint8[*] and `values` uint8[*] (UTF-8), entry i at `ends[i]:ends[i + 1]` of each.

    `c1` int32[32]: code points of the numeric references 0x80 to 0x9F.
    """

    names: Bytes
    name_ends: Ints
    values: Bytes
    value_ends: Ints
    c1: Ints


@cache
def references() -> References:
    """The tables; sorted, so that a name is found by halving."""
    entries = sorted((name.encode(), value.encode()) for name, value in html5.items())
    c1 = [0x80 + i if character == "�" else ord(character) for i, character in enumerate(_C1)]
    return References(
        *_packed([name for name, _ in entries]),
        *_packed([value for _, value in entries]),
        np.array(c1, np.int32),
    )


def _packed(texts: list[bytes]) -> tuple[Bytes, Ints]:
    return np.frombuffer(b"".join(texts), np.uint8), np.cumsum([0, *map(len, texts)], dtype=np.int32)
