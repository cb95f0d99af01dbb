"""What a report counts in bounded memory: right whatever the batches, and how wrong it may be else."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.review.report.counting import Chosen, Frequent, Histogram, log_edges

ANY_SPEED = settings(deadline=None)
NAMES = st.lists(st.sampled_from("abcdefghij"), max_size=60)


def histogram(values: list[float], kept: list[bool]) -> Histogram:
    made = Histogram(log_edges(1, 1000, 10))
    made.add(np.array(values), np.array(kept, bool))
    return made


def test_values_are_counted_in_their_bins_and_beyond_the_ends_in_the_outermost() -> None:
    made = Histogram(np.array([0.0, 0.5, 1.0]))
    made.add(np.array([0.0, 0.49, 0.5, 1.0, 7.0, -1.0, np.nan]), np.array([True, False] * 3 + [True]))
    assert made.counts.tolist() == [[1, 2], [2, 1]]
    assert (made.missing, made.total) == (1, 6)


@ANY_SPEED
@given(st.lists(st.tuples(st.floats(1, 999), st.booleans()), min_size=1, max_size=50), st.integers(1, 8))
def test_joined_bins_lose_no_document(pairs: list[tuple[float, bool]], most: int) -> None:
    made = histogram(*map(list, zip(*pairs, strict=True)))  # type: ignore[arg-type]
    shown = made.trimmed(most)
    assert shown.counts.shape[1] <= most
    assert shown.counts.sum(axis=1).tolist() == made.counts.sum(axis=1).tolist()
    assert shown.edges[0] <= min(value for value, _ in pairs)
    assert shown.edges[-1] >= max(value for value, _ in pairs)


@ANY_SPEED
@given(st.lists(NAMES, max_size=8), st.integers(1, 4))
def test_frequent_names_are_too_low_by_at_most_the_error(batches: list[list[str]], capacity: int) -> None:
    found, true = Frequent(capacity), Counter[str]()
    for batch in batches:
        found.add(Counter(batch).items())
        true.update(batch)
        assert len(found.counts) <= 2 * capacity + len(set(batch))
    for name, n in true.items():
        assert n - found.error <= found.counts.get(name, 0) <= n


def test_few_names_are_counted_exactly_and_equals_stand_by_name() -> None:
    found = Frequent(10)
    found.add([("b", 2), ("a", 2), ("c", 5)])
    assert (found.most(2), found.error) == ([("c", 5), ("a", 2)], 0)


@ANY_SPEED
@given(st.lists(st.integers(0, 500), unique=True, max_size=60), st.integers(1, 7))
def test_the_chosen_rows_do_not_depend_on_the_batches(numbers: list[int], size: int) -> None:
    ids = [str(n).encode() for n in numbers]
    reasons = ["short" if n % 3 else None for n in numbers]
    whole, cut = Chosen(5), Chosen(5)
    whole.add(ids, reasons, 0, 0)
    for start in range(0, len(ids), size):
        cut.add(ids[start : start + size], reasons[start : start + size], 0, start)
    assert whole.by_reason == cut.by_reason
    assert all(len(places) <= 5 for places in whole.by_reason.values())
