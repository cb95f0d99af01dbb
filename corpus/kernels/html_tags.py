"""What tags do to text, as numbers for a compiled loop: `html_tags.toml` → a small hash table."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from corpus.kernels.arrays import Bytes, Keys
from corpus.tables import read_table

# What an element is, in `html_tags.toml`; 0 is any other. `PRE` is a paragraph of its own kind.
PARAGRAPH, LINE, LIST, ITEM, BREAK, ROW, CELL, DROPPED, PRE = range(1, 10)
_KINDS = {
    "paragraph": PARAGRAPH, "line": LINE, "list": LIST, "item": ITEM, "break": BREAK, "row": ROW,
    "cell": CELL, "dropped": DROPPED,
}  # fmt: skip
SLOT_BITS = 9  # a table with ten times the room that the names need
MULTIPLIER = 0x9E3779B185EBCA87  # a prime of xxHash
_MASK = (1 << 64) - 1


class Tags(NamedTuple):
    """`keys` uint64[2^SLOT_BITS], 0 where free; `kinds` uint8 of the same length."""

    keys: Keys
    kinds: Bytes


def slot(key: int) -> int:
    """Where the search for a key begins."""
    return (key * MULTIPLIER & _MASK) >> (64 - SLOT_BITS)


def tag_key(name: str) -> int:
    """A name, lower case, as 64 bits: its bytes, where they are more than eight folded together."""
    data = name.encode()
    key = int.from_bytes(data[:8], "little")
    for byte in data[8:]:
        key = ((key * 31) + byte) & _MASK
    return key


@cache
def tags() -> Tags:
    """The table of `html_tags.toml`."""
    table = read_table("corpus.kernels", "html_tags.toml")
    kinds = {name: _KINDS[kind] for kind, names in table.items() for name in names}
    kinds["pre"] = PRE
    found, values = np.zeros(1 << SLOT_BITS, np.uint64), np.zeros(1 << SLOT_BITS, np.uint8)
    for name, kind in kinds.items():
        at = slot(tag_key(name))
        while found[at]:
            at = (at + 1) % len(found)
        found[at], values[at] = tag_key(name), kind
    return Tags(found, values)
