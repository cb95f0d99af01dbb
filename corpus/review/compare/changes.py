"""Documents that two runs do not say the same of, and some of them as examples.

In: tables of `pair_schema`. Out: their rows that changed; per kind of change the documents with the smallest
ids, which are hashes: a sample that is the same on every run.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from corpus.review.compare.rows import KEPT

# What may change, in the order in which it is told.
KINDS = ("fate", "bucket", "held_out", "language")


class Change(NamedTuple):
    """A kind of change, and what it was in A and is in B."""

    kind: str
    a: Any
    b: Any


def changed(pairs: pa.Table) -> pa.Table:
    """The rows whose fate, language, bucket or held-out flag differ."""
    masks = [_differs(pairs, kind) for kind in KINDS]
    any_ = masks[0]
    for mask in masks[1:]:
        any_ = pc.or_(any_, mask)
    return pairs.filter(any_)


class Examples:
    """The documents with the smallest ids of each change, as rows of `pair_schema`."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._found: dict[Change, list[dict[str, Any]]] = {}

    def add(self, rows: pa.Table) -> None:
        """Look at a table of changed rows."""
        if not self._number or not rows.num_rows:
            return
        rows = rows.take(pc.sort_indices(rows["id"]))
        for kind in KINDS:
            self._add(kind, rows.filter(_example(rows, kind)))

    def found(self) -> dict[Change, list[dict[str, Any]]]:
        """Examples by change."""
        return self._found

    def _add(self, kind: str, rows: pa.Table) -> None:
        names = [f"{kind}_a", f"{kind}_b"]
        numbered = rows.select(names).append_column("at", pa.array(range(rows.num_rows), pa.int64()))
        for group in numbered.group_by(names, use_threads=False).aggregate([("at", "list")]).to_pylist():
            change = Change(kind, group[names[0]], group[names[1]])
            first = rows.take(pa.array(group["at_list"][: self._number])).to_pylist()
            together = [*self._found.get(change, ()), *first]
            self._found[change] = sorted(together, key=lambda row: str(row["id"]))[: self._number]


def _differs(pairs: pa.Table, kind: str) -> pa.ChunkedArray:
    a, b = (pc.fill_null(pairs[f"{kind}_{side}"].cast(pa.string()), "") for side in "ab")
    return pc.not_equal(a, b)


def _example(rows: pa.Table, kind: str) -> pa.ChunkedArray:
    """Where a change of this kind is one of its own, not what another brings with it."""
    differs = _differs(rows, kind)
    if kind == "fate":
        return differs
    if kind == "language":  # of a text that was not looked at there is none
        known = [pc.is_valid(rows[f"language_{side}"]) for side in "ab"]
        return pc.and_(differs, pc.and_(*known))
    kept = [pc.equal(rows[f"fate_{side}"], KEPT) for side in "ab"]
    return pc.and_(differs, pc.and_(*kept))
