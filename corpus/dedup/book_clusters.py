"""Which of the books that overlap stay: verified overlaps → the losers, and for each the book that stays.

In: books in the order in which they are preferred, and edges between those that overlap. Out: by rule,

- `component`: of books joined by any chain of overlaps the first stays. Stories A and B in an omnibus O are
  one component though A and B have nothing in common; if O is preferred (the longest), both are still there
  within it, but if A is (Gutenberg's first), O goes, and B with it.
- `direct`: books are asked in their order, and go where they overlap one that stays. Here A stays, O goes
  and B stays. What goes is always in a book that stays, up to the threshold, if it is the smaller of the two.

Before either, with `omnibus = "goes"`, the books whose parts are there go: those that overlap several smaller
books which do not overlap each other and which together have more than the threshold of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from corpus.dedup.overlap import least_common

# A part has at most this share of its omnibus's shingles; what has more is another edition of it.
_PART_SHARE = 0.8


@dataclass(frozen=True)
class Edge:
    """Two books, by their places in the order of preference, and the shingles they have in common."""

    a: int
    b: int
    common: int


@dataclass(frozen=True)
class Loss:
    """A book that goes: its place, that of the one that stays, and whether it was an omnibus."""

    book: int
    winner: int
    omnibus: bool = False


def losses(
    sizes: Sequence[int],
    edges: Iterable[Edge],
    same: Iterable[tuple[int, int]],
    rule: Literal["component", "direct"],
    omnibus_threshold: float | None,
) -> list[Loss]:
    """The books that go, by their places.

    Args:
        sizes: of each book, in the order of preference: its number of shingles.
        edges: verified overlaps.
        same: pairs that are one book by their id, whatever their texts are.
        rule: see above.
        omnibus_threshold: the share that an omnibus's parts have to have of it; None: it may stay.
    """
    neighbours: dict[int, dict[int, int]] = defaultdict(dict)
    for edge in edges:
        neighbours[edge.a][edge.b] = edge.common
        neighbours[edge.b][edge.a] = edge.common
    for a, b in same:
        neighbours[a][b] = neighbours[b][a] = max(sizes[a], sizes[b])
    found = [] if omnibus_threshold is None else _omnibuses(sizes, neighbours, omnibus_threshold)
    gone = {loss.book for loss in found}
    for book in gone:
        for other in neighbours.pop(book):
            if other in neighbours:
                del neighbours[other][book]
    found += _components(neighbours) if rule == "component" else _direct(neighbours)
    winners = {loss.book: loss.winner for loss in found}
    return sorted(
        [Loss(loss.book, _last(winners, loss.winner), loss.omnibus) for loss in found],
        key=lambda loss: loss.book,
    )


class Union:
    """Groups of numbers; a group is known by its least."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def find(self, x: int) -> int:
        """The least of the group of a number."""
        root = x
        while (parent := self._parent.get(root, root)) != root:
            root = parent
        while (parent := self._parent.get(x, x)) != root:
            self._parent[x] = root
            x = parent
        return root

    def join(self, a: int, b: int) -> None:
        """Make one group of two."""
        low, high = sorted((self.find(a), self.find(b)))
        self._parent[high] = low


def _last(winners: dict[int, int], book: int) -> int:
    """The book that stays, of one that may itself have gone for another."""
    while book in winners:
        book = winners[book]
    return book


def _components(neighbours: dict[int, dict[int, int]]) -> list[Loss]:
    groups = Union()
    for book, others in neighbours.items():
        for other in others:
            groups.join(book, other)
    return [Loss(book, root) for book in neighbours if (root := groups.find(book)) != book]


def _direct(neighbours: dict[int, dict[int, int]]) -> list[Loss]:
    found = []
    stays: set[int] = set()
    for book in sorted(neighbours):
        winner = min((other for other in neighbours[book] if other in stays), default=None)
        if winner is None:
            stays.add(book)
        else:
            found.append(Loss(book, winner))
    return found


def _omnibuses(sizes: Sequence[int], neighbours: dict[int, dict[int, int]], threshold: float) -> list[Loss]:
    """Largest first, so that an omnibus of omnibuses gives way to them or to their parts."""
    found: list[Loss] = []
    gone: set[int] = set()
    for book in sorted(neighbours, key=lambda b: (-sizes[b], b)):
        parts = [
            part
            for part in sorted(neighbours[book])
            if sizes[part] <= _PART_SHARE * sizes[book] and part not in gone
        ]
        groups, chosen = Union(), set(parts)
        for part in parts:
            for other in neighbours[part].keys() & chosen:
                groups.join(part, other)
        covered: dict[int, int] = {}
        for part in parts:
            root = groups.find(part)
            covered[root] = max(covered.get(root, 0), neighbours[book][part])
        if len(covered) > 1 and sum(covered.values()) >= least_common(sizes[book], threshold):
            found.append(Loss(book, min(covered), omnibus=True))
            gone.add(book)
    return found
