"""Counts over any number of documents, in memory that does not grow with them.

In: batches of values. Out: histograms over fixed bins, the most frequent names, rows with the smallest hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import xxhash

_SEED = 0x7265_706F  # "repo": of no other hash of ids, so that what is shown is no other sample


@dataclass
class Histogram:
    """Documents by a measured value, in two series: those kept and those rejected.

    Attributes:
        edges: float64[bins + 1], ascending; the last bin takes its upper edge, and the outermost bins what
            lies beyond.
        counts: int64[2, bins]: kept, rejected.
        missing: documents without the value.
    """

    edges: np.ndarray
    counts: np.ndarray = field(init=False)
    missing: int = 0

    def __post_init__(self) -> None:
        self.counts = np.zeros((2, len(self.edges) - 1), np.int64)

    def add(self, values: np.ndarray, kept: np.ndarray) -> None:
        """Add values, float64[n] (NaN: none), of documents kept or not, bool[n]."""
        there = ~np.isnan(values)
        self.missing += int((~there).sum())
        bins = len(self.edges) - 1
        at = np.clip(np.searchsorted(self.edges, values[there], "right") - 1, 0, bins - 1)
        for series, chosen in enumerate((kept[there], ~kept[there])):
            self.counts[series] += np.bincount(at[chosen], minlength=bins)

    @property
    def total(self) -> int:
        """Documents with the value."""
        return int(self.counts.sum())

    def trimmed(self, most: int) -> Histogram:
        """Without the empty bins at both ends, neighbours joined until there are at most so many."""
        full = np.flatnonzero(self.counts.sum(axis=0))
        if not len(full):
            return self
        edges, counts = self.edges[full[0] : full[-1] + 2], self.counts[:, full[0] : full[-1] + 1]
        width = -(-counts.shape[1] // most)
        starts = np.arange(0, counts.shape[1], width)
        found = Histogram(np.append(edges[:-1][::width], edges[-1]))
        found.counts, found.missing = np.add.reduceat(counts, starts, axis=1), self.missing
        return found


def log_edges(low: float, high: float, per_decade: int) -> np.ndarray:
    """Edges that are equally far apart on a logarithmic axis."""
    decades = np.log10(high / low)
    return np.asarray(low * 10 ** (np.arange(round(decades * per_decade) + 1) / per_decade))


@dataclass
class Frequent:
    """The most frequent names (Misra and Gries 1982), exact while there are at most `capacity` of them.

    A count is too low by at most `error`.
    """

    capacity: int
    counts: dict[str, int] = field(default_factory=dict)
    error: int = 0

    def add(self, names: Iterable[tuple[str, int]]) -> None:
        """Add names, each with its count."""
        for name, n in names:
            self.counts[name] = self.counts.get(name, 0) + n
        if len(self.counts) > 2 * self.capacity:
            least = sorted(self.counts.values())[-self.capacity - 1]
            self.error += least
            self.counts = {name: n - least for name, n in self.counts.items() if n > least}

    def most(self, n: int) -> list[tuple[str, int]]:
        """The n most frequent, of equals the first by name."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))[:n]


class Place(NamedTuple):
    """A row: number of its part among the run's, and of the row in it. `order` is a hash of its id."""

    order: int
    part: int
    row: int


@dataclass
class Chosen:
    """Per reason the rows whose ids have the smallest hash: a random sample that is always the same."""

    size: int
    by_reason: dict[str | None, list[Place]] = field(default_factory=dict)

    def add(self, ids: Sequence[bytes], reasons: Sequence[str | None], part: int, first_row: int) -> None:
        """Add consecutive rows of a part; the reason of a kept one is None."""
        for row, (id_, reason) in enumerate(zip(ids, reasons, strict=True), first_row):
            order = xxhash.xxh3_64_intdigest(id_, seed=_SEED)
            held = self.by_reason.setdefault(reason, [])
            if len(held) < self.size:
                held.append(Place(order, part, row))
                held.sort()
            elif order < held[-1].order:
                held[-1] = Place(order, part, row)
                held.sort()
