"""What stays of a document around matches, by GPT-3's rule."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.overlap.spans import remains

GOLDEN = Path(__file__).parents[1] / "golden" / "overlap" / "pieces.toml"


@pytest.mark.parametrize("case", tomllib.loads(GOLDEN.read_text())["case"], ids=lambda case: case["why"])
def test_golden_pieces(case: dict[str, Any]) -> None:
    found = remains(case["length"], map(tuple, case["matches"]), 200, 200, 10)
    assert [list(piece) for piece in found.pieces] == case["pieces"]
    assert found.outcome == case["outcome"]


@settings(deadline=None)
@given(
    st.integers(1, 60).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(
                st.tuples(st.integers(0, n - 1), st.integers(1, 9)).map(
                    lambda m: (m[0], min(m[0] + m[1], n))
                ),
                min_size=1,
                max_size=6,
            ),
        )
    ),
    st.integers(0, 8),
    st.integers(0, 8),
    st.integers(1, 4),
)
def test_pieces_are_the_long_stretches_of_what_no_window_covers(
    document: tuple[int, list[tuple[int, int]]], window: int, min_piece: int, max_pieces: int
) -> None:
    length, matches = document
    covered = [any(s - window <= i < e + window for s, e in matches) for i in range(length)]
    stretches, start = [], None
    for i, is_covered in enumerate([*covered, True]):
        if not is_covered and start is None:
            start = i
        elif is_covered and start is not None:
            stretches.append((start, i))
            start = None
    long = [s for s in stretches if s[1] - s[0] >= min_piece]
    found = remains(length, matches, window, min_piece, max_pieces)
    if len(stretches) > max_pieces:
        assert found == ([], "too_many_pieces")
    else:
        assert found == (long, "cut" if long else "nothing_left")
