"""How what two runs measured of the same documents differs, column by column.

In: tables of `pair_schema`. Out: per column numbers of documents, and mean and percentiles of B − A.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.review.compare.rows import ABSENT
from corpus.review.compare.spill import id_numbers

PERCENTILES = (5, 25, 50, 75, 95)
_SAMPLE = 10_000  # documents that percentiles are taken from, where more differ


class Values:
    """Differences of the columns, over documents that both runs have.

    Percentiles are exact up to 10,000 documents that differ; of more they are those of the 10,000 with
    the smallest ids, which are hashes.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = {name: _Column() for name in columns}

    def add(self, pairs: pa.Table) -> None:
        """Compare the columns of a table."""
        absent = [pa.compute.equal(pairs[f"fate_{side}"], ABSENT) for side in "ab"]
        both = pairs.filter(pa.compute.invert(pa.compute.or_(*absent))).combine_chunks()
        if not both.num_rows:
            return
        order = id_numbers(both["id"].chunk(0))
        for name, column in self._columns.items():
            a, b = (doubles(both, f"{name}_{side}") for side in "ab")
            column.add(order, a, b)

    def found(self) -> list[dict[str, Any]]:
        """The columns that differ, by name."""
        return [{"column": name, **c.found()} for name, c in sorted(self._columns.items()) if c.differs]


def doubles(table: pa.Table, name: str) -> np.ndarray:
    """A column of numbers as float64[rows], NaN where there is none."""
    return np.asarray(table[name].cast(pa.float64()).fill_null(float("nan")))


class _Column:
    def __init__(self) -> None:
        self._compared = self._only_a = self._only_b = self._differing = 0
        self._sum = self._sum_of_sizes = 0.0
        self._order = np.empty(0, np.uint64)
        self._sample = np.empty(0, np.float64)

    @property
    def differs(self) -> bool:
        """Whether any document has another value."""
        return bool(self._only_a or self._only_b or self._differing)

    def add(self, order: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
        """Values of the same documents; NaN where there is none."""
        has_a, has_b = ~np.isnan(a), ~np.isnan(b)
        both = has_a & has_b
        differing = both & (a != b)
        self._compared += int(both.sum())
        self._only_a += int((has_a & ~has_b).sum())
        self._only_b += int((has_b & ~has_a).sum())
        self._differing += int(differing.sum())
        difference = b[differing] - a[differing]
        self._sum += float(difference.sum())
        self._sum_of_sizes += float(np.abs(difference).sum())
        self._order = np.concatenate([self._order, order[differing]])
        self._sample = np.concatenate([self._sample, difference])
        if len(self._order) > _SAMPLE:
            smallest = np.argsort(self._order, kind="stable")[:_SAMPLE]
            self._order, self._sample = self._order[smallest], self._sample[smallest]

    def found(self) -> dict[str, Any]:
        """Plain data; without a document that differs there is no mean and no percentile."""
        n = self._differing
        return {
            "compared": self._compared,
            "only_a": self._only_a,
            "only_b": self._only_b,
            "differ": n,
            "mean": self._sum / n if n else None,
            "mean_size": self._sum_of_sizes / n if n else None,
            "percentiles": {
                str(p): float(x)
                for p, x in zip(PERCENTILES, np.percentile(self._sample, PERCENTILES), strict=True)
            }
            if n
            else {},
        }
