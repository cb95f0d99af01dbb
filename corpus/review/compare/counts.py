"""How many documents two runs kept and dropped, from what reason to what reason, by language and bucket.

In: tables of `pair_schema`. Out: counts of documents and bytes (of their texts, UTF-8), as plain data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import pyarrow as pa

from corpus.review.compare.rows import ABSENT, KEPT

_KEYS = tuple(f"{name}_{side}" for name in ("fate", "language", "bucket", "held_out") for side in "ab")
Row = dict[str, Any]


class Cell(NamedTuple):
    """What documents that are counted together have in common."""

    fate_a: str
    fate_b: str
    language_a: str | None
    language_b: str | None
    bucket_a: str | None
    bucket_b: str | None
    held_out_a: bool | None
    held_out_b: bool | None


class Sums(NamedTuple):
    """Documents, and bytes of their texts in either run."""

    documents: int = 0
    bytes_a: int = 0
    bytes_b: int = 0

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(*(x + y for x, y in zip(self, other, strict=True)))


class Counts:
    """Documents by what either run says of them; as many cells as there are combinations."""

    def __init__(self) -> None:
        self._cells: dict[Cell, Sums] = {}

    def add(self, pairs: pa.Table) -> None:
        """Count a table."""
        wanted = [("id", "count"), ("bytes_a", "sum"), ("bytes_b", "sum")]
        for row in pairs.group_by(_KEYS, use_threads=False).aggregate(wanted).to_pylist():
            cell = Cell(*(row[key] for key in _KEYS))
            sums = Sums(row["id_count"], row["bytes_a_sum"] or 0, row["bytes_b_sum"] or 0)
            self._cells[cell] = self._cells.get(cell, Sums()).plus(sums)

    def documents(self) -> dict[str, dict[str, int]]:
        """Sums by presence (both, only_a, only_b) and by what was kept."""
        wanted: dict[str, Callable[[Cell], bool]] = {
            "both": lambda c: ABSENT not in c[:2],
            "only_a": lambda c: c.fate_b == ABSENT,
            "only_b": lambda c: c.fate_a == ABSENT,
            "kept_both": lambda c: c.fate_a == c.fate_b == KEPT,
            "kept_only_a": lambda c: c.fate_a == KEPT != c.fate_b,
            "kept_only_b": lambda c: c.fate_b == KEPT != c.fate_a,
            "kept_neither": lambda c: KEPT not in c[:2],
        }
        return {name: self._sum(has)._asdict() for name, has in wanted.items()}

    def matrix(self) -> list[Row]:
        """Sums by fate in A and fate in B: what only one keeps, other changes, the rest."""
        rows = self._by(lambda c: (c.fate_a, c.fate_b), lambda c: True)
        return sorted(rows, key=lambda row: (row["a"] == row["b"], KEPT not in (row["a"], row["b"])))

    def buckets(self) -> list[Row]:
        """Sums of documents that both keep, in another bucket each."""
        return self._by(
            lambda c: (c.bucket_a, c.bucket_b),
            lambda c: c.fate_a == c.fate_b == KEPT and c.bucket_a != c.bucket_b,
        )

    def languages(self) -> list[Row]:
        """Sums of documents that both runs know the language of, another each."""
        return self._by(
            lambda c: (c.language_a, c.language_b),
            lambda c: None not in (c.language_a, c.language_b) and c.language_a != c.language_b,
        )

    def held_out(self) -> dict[str, int]:
        """Documents held out by A, by B, by both; and what both keep, but for training in one only."""
        kept = [(c, s.documents) for c, s in self._cells.items() if c.fate_a == c.fate_b == KEPT]
        return {
            "a": self._sum(lambda c: bool(c.held_out_a)).documents,
            "b": self._sum(lambda c: bool(c.held_out_b)).documents,
            "both": self._sum(lambda c: bool(c.held_out_a and c.held_out_b)).documents,
            "for_training_in_b": sum(n for c, n in kept if c.held_out_a and not c.held_out_b),
            "for_training_in_a": sum(n for c, n in kept if c.held_out_b and not c.held_out_a),
        }

    def kept(self) -> list[Row]:
        """Kept documents per language and bucket: of A, of B, dropped, new, moved out and in.

        ``a − dropped − moved_out + new + moved_in = b``.
        """
        groups: dict[tuple[str, str], Counter[str]] = {}
        for cell, sums in self._cells.items():
            a = (cell.language_a or "", cell.bucket_a or "") if cell.fate_a == KEPT else None
            b = (cell.language_b or "", cell.bucket_b or "") if cell.fate_b == KEPT else None
            for group, name, change in (
                (a, "a", "dropped" if b is None else "moved_out"),
                (b, "b", "new" if a is None else "moved_in"),
            ):
                if group is not None:
                    counter = groups.setdefault(group, Counter())
                    counter[name] += sums.documents
                    counter[change] += sums.documents if a != b else 0
        names = ("a", "b", "dropped", "new", "moved_out", "moved_in")
        rows = [
            {"language": language, "bucket": bucket, **{name: counter[name] for name in names}}
            for (language, bucket), counter in groups.items()
        ]
        return sorted(
            rows, key=lambda r: (-sum(r[n] for n in names[2:]), -r["a"], r["language"], r["bucket"])
        )

    def _sum(self, has: Callable[[Cell], bool]) -> Sums:
        total = Sums()
        for cell, sums in self._cells.items():
            if has(cell):
                total = total.plus(sums)
        return total

    def _by(self, group: Callable[[Cell], tuple[Any, Any]], has: Callable[[Cell], bool]) -> list[Row]:
        totals: dict[tuple[Any, Any], Sums] = {}
        for cell, sums in self._cells.items():
            if has(cell):
                totals[group(cell)] = totals.get(group(cell), Sums()).plus(sums)
        rows = sorted(totals.items(), key=lambda x: (-x[1].documents, str(x[0])))
        return [{"a": a, "b": b, **sums._asdict()} for (a, b), sums in rows]
