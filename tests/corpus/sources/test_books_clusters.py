"""Pairs of books that share a key, within a bound; and who stays of those that overlap."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup.book_clusters import Edge, Loss, losses
from tests.corpus.sources.books_texts import all_pairs


def test_all_pairs_of_a_small_bucket() -> None:
    keys = np.array([7, 7, 9, 9, 7, 7], np.uint64)
    books = np.array([3, 1, 3, 1, 1, 2])
    assert all_pairs(keys, books, np.full(6, 10), 8) == ([[1, 2], [1, 3], [2, 3]], 0)
    assert all_pairs(keys[:0], books[:0], books[:0], 8) == ([], 0)


@settings(deadline=None)
@given(st.integers(2, 60), st.integers(2, 8), st.integers(1, 50), st.randoms())
def test_large_buckets_are_bounded_and_join_all_copies(
    count: int, cap: int, at_once: int, chance: random.Random
) -> None:
    sizes = np.array([chance.randrange(100) for _ in range(count)])
    keys, books = np.full(count, 5, np.uint64), np.arange(count)
    got, capped = all_pairs(keys, books, sizes, cap, at_once)
    assert capped == (count > cap)
    assert len(got) <= count * (cap + 1)
    if count <= cap:
        assert len(got) == count * (count - 1) // 2
    order = chance.sample(range(count), count)
    assert all_pairs(keys, books[order], sizes[order], cap)[0] == got  # whatever the order of arrival
    edges = [Edge(a, b, 1) for a, b in got]
    assert len(losses(sizes.tolist(), edges, [], "component", None)) == count - 1
    largest = max(range(count), key=lambda i: (sizes[i], i))
    assert all(any({i, largest} == {a, b} for a, b in got) for i in range(count) if i != largest)


# Places in the order of preference; an omnibus O of parts A and B.
OMNIBUS_FIRST = ([30_000, 10_000, 9_000], [Edge(0, 1, 9_900), Edge(0, 2, 8_900)])
PART_FIRST = ([10_000, 30_000, 9_000], [Edge(0, 1, 9_900), Edge(1, 2, 8_900)])


def test_of_a_component_the_first_stays() -> None:
    assert losses(*OMNIBUS_FIRST, [], "component", None) == [Loss(1, 0), Loss(2, 0)]
    assert losses(*PART_FIRST, [], "component", None) == [Loss(1, 0), Loss(2, 0)]  # B goes for A


def test_directly_only_what_overlaps_one_that_stays_goes() -> None:
    assert losses(*OMNIBUS_FIRST, [], "direct", None) == [Loss(1, 0), Loss(2, 0)]
    assert losses(*PART_FIRST, [], "direct", None) == [Loss(1, 0)]  # B stays: it is nowhere else


def test_an_omnibus_gives_way_to_parts_that_cover_it() -> None:
    sizes, edges = [20_000, 10_000, 9_000], [Edge(0, 1, 9_900), Edge(0, 2, 8_900)]
    assert losses(sizes, edges, [], "component", 0.9) == [Loss(0, 1, omnibus=True)]
    assert losses(*OMNIBUS_FIRST, [], "component", 0.9) == [Loss(1, 0), Loss(2, 0)]  # they are 63 % of it
    # Two editions of one story are one part, and do not cover what they are not.
    twice = [*edges, Edge(1, 2, 8_500)]
    assert losses(sizes, twice, [], "component", 0.9) == [Loss(1, 0), Loss(2, 0)]


def test_an_omnibus_of_omnibuses_gives_way_and_names_what_stays() -> None:
    sizes = [40_000, 20_000, 20_000, 10_000, 10_000]
    edges = [Edge(0, 1, 19_900), Edge(0, 2, 19_900), Edge(1, 3, 9_900), Edge(1, 4, 9_900)]
    edges += [Edge(0, 3, 9_900), Edge(0, 4, 9_900)]
    assert losses(sizes, edges, [], "direct", 0.9) == [
        Loss(0, 3, omnibus=True),
        Loss(1, 3, omnibus=True),
    ]


def test_files_of_one_book_are_one_whatever_their_texts() -> None:
    for rule in ("component", "direct"):
        assert losses([5, 5, 5], [], [(0, 2)], rule, None) == [Loss(2, 0)]
