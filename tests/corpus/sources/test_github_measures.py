"""Measures of code equal Python's own `splitlines` and `isalnum`, over every code point."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.kernels.rules_code import code_counts


def plain(text: str) -> list[int]:
    lines = text.splitlines()
    longest = max(map(len, lines), default=0)
    return [len(text), len(lines), longest, sum(map(str.isalnum, text))]


@settings(deadline=None)
@given(
    st.lists(
        st.text(st.sampled_from("a_é 中\n\r\t\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029\u202a😀٣²½")) | st.text()
    )
)
def test_counts_equal_those_of_python(texts: list[str]) -> None:
    encodable = [t.encode("utf-8", "ignore").decode() for t in texts]
    array = pa.array(["before", *encodable], pa.string())[1:]  # a slice: offsets do not begin at 0
    assert code_counts(array).tolist() == [plain(t) for t in encodable]


def test_every_code_point_counts_as_in_python() -> None:
    points = [chr(c) for c in (*range(0xD800), *range(0xE000, 0x110000))]
    found = code_counts(pa.array([f"a{c}b" for c in points]))
    assert found.tolist() == [plain(f"a{c}b") for c in points]
