"""Merging a range of keys of all runs of a scope: which keys are to be dropped, run by run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import numpy as np

from corpus.kernels.arrays import Bools
from corpus.kernels.sorted_keys import Lookup, only_repeated
from corpus.runs.layout import RANK, Ranks
from corpus.runs.run_file import KeyRange

Policy = Literal["drop-all", "keep-first"]
Merge = Policy | Literal["keep-newest"]


class _Source(Protocol):
    """Sorted keys in a file, of which any range can be found without reading the rest."""

    @property
    def count(self) -> int:
        """All keys."""

    def position(self, key: int) -> int:
        """How many keys are below this one, 0 ≤ key ≤ 2^64."""


def _repeated(parts: Sequence[KeyRange]) -> Lookup:
    """The keys that two or more runs have."""
    keys = np.concatenate([part.keys for part in parts]) if parts else np.empty(0, np.uint64)
    keys.sort()
    return Lookup(keys[: only_repeated(keys)])


def merge(parts: Sequence[KeyRange], policy: Merge) -> Iterator[Bools]:
    """The bits of each run's keys, run by run; all parts are of one range of keys."""
    repeated = _repeated(parts)
    keep_first = policy == "keep-first"
    taken = np.full(len(repeated.keys), not keep_first)
    for part in parts:
        bits, _ = repeated.claim(part.keys, taken, keep_first)
        yield bits if keep_first else bits | part.flags


def merge_ranked(parts: Sequence[KeyRange]) -> Iterator[Bools]:
    """As `merge`, with keep-newest."""
    repeated = _repeated(parts)
    best = np.zeros(len(repeated.keys), RANK)
    owner = np.full(len(repeated.keys), -1, np.int32)
    for i, part in enumerate(parts):
        if part.ranks is None:
            raise ValueError(f"run {i} has no ranks, so none of its documents is the newest")
        places = repeated(part.keys)
        found = np.flatnonzero(places >= 0)
        at, ranks = places[found], part.ranks[found]
        better = (owner[at] < 0) | outranks(ranks, best[at])
        best[at[better]], owner[at[better]] = ranks[better], i
    for i, part in enumerate(parts):
        places = repeated(part.keys)
        yield (places >= 0) & (owner[places] != i) if len(owner) else np.zeros(len(places), bool)


def outranks(ranks: Ranks, others: Ranks) -> Bools:
    """Whether each of RANK[m] is better than its counterpart."""
    later, same = ranks["time"] > others["time"], ranks["time"] == others["time"]
    better: Bools = later | (same & (ranks["id"] < others["id"]))
    return better


def fitting_ranges(
    sources: Sequence[_Source], low: int, high: int, max_keys: int
) -> Iterator[tuple[int, int]]:
    """Ranges of keys that together are [low, high), ascending, each with at most `max_keys` in all.

    A range of one key is not split. Nothing is looked up where all keys of the sources fit anyway.
    """
    if sum(s.count for s in sources) <= max_keys:
        yield low, high
        return
    edges = [(high, [s.position(high) for s in sources])]
    start, start_positions = low, [s.position(low) for s in sources]
    while edges:
        stop, stop_positions = edges[-1]
        if sum(stop_positions) - sum(start_positions) <= max_keys or stop - start == 1:
            yield start, stop
            start, start_positions = edges.pop()
        else:
            middle = (start + stop) // 2
            edges.append((middle, [s.position(middle) for s in sources]))
