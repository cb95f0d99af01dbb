"""Lines of a raw text that are not in its document, marked."""

from __future__ import annotations

import pytest

from corpus.review.inspect.missing import marked


def _removed(raw: list[str], document: list[str]) -> list[int]:
    return [i for i, (_, there) in enumerate(marked("\n".join(raw), "\n".join(document))) if not there]


@pytest.mark.parametrize("lines", [10, 10_000])
def test_what_stands_before_and_after_a_document_is_marked(lines: int) -> None:
    body = ["A title", "", *(f"line {i}" for i in range(lines))]
    raw = ["A title", "a header", "", *body, "", "the end"]
    assert [i for i in _removed(raw, body) if raw[i]] == [0, 1, len(raw) - 1]


def test_lines_within_are_marked_and_blanks_at_their_ends_make_no_difference() -> None:
    assert _removed(["one ", "two", "\tthree", "four\r"], ["one", "three", "four"]) == [1]


def test_nothing_in_common_is_all_removed() -> None:
    assert _removed(["a", "b"], ["c"]) == [0, 1]


def test_a_raw_text_without_lines_has_none() -> None:
    assert marked("", "a") == []
