"""Decisions: the first reason against a page, in a fixed order, and nothing from text."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpus import recipe
from corpus.decide import Cutoffs, Removals, decide, read_removals
from corpus.errors import UserError
from corpus.recipe import CommonCrawl

SETTINGS: CommonCrawl = recipe.load("sample").commoncrawl
CUTOFFS = {"en": Cutoffs(100.0, 200.0), "fr": Cutoffs(50.0, 80.0)}
GOOD: dict[str, Any] = {
    "id": "0" * 32,
    "key": "https://a.example/page",
    "language": "en",
    "lid_v1_score": 0.9,
    "paragraphs_v1_reason": None,
    "perplexity_v1": 150.0,
    "reference_v1": 0.8,
}
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("key", pa.string()),
        ("language", pa.string()),
        ("lid_v1_score", pa.float64()),
        ("paragraphs_v1_reason", pa.string()),
        ("perplexity_v1", pa.float64()),
        ("reference_v1", pa.float64()),
    ]
)


def _decide(
    *changes: dict[str, Any], settings: CommonCrawl = SETTINGS, removals: Removals | None = None
) -> list[Any]:
    rows = [{**GOOD, **change} for change in changes]
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    rows = decide(batch, settings, CUTOFFS, removals or Removals()).to_pylist()
    return [(row["reason"], row["bucket"]) for row in rows]


def test_buckets_by_the_cutoffs_of_the_language() -> None:
    assert _decide(
        {"perplexity_v1": 99.9},
        {"perplexity_v1": 100.0},
        {"perplexity_v1": 199.9},
        {"perplexity_v1": 200.0},
        {"language": "fr", "perplexity_v1": 60.0, "reference_v1": None},
    ) == [(None, "head"), (None, "middle"), (None, "middle"), ("perplexity", "tail"), (None, "middle")]


def test_the_first_reason_counts() -> None:
    unscored = {"perplexity_v1": None, "reference_v1": None}
    assert _decide(
        {"lid_v1_score": 0.49, "language": "de", **unscored},
        {"language": "de", **unscored},
        {"perplexity_v1": 900.0, "reference_v1": 0.0},
        {"reference_v1": 0.49},
        {"reference_v1": 0.5},
        {"paragraphs_v1_reason": "short", "language": None, "lid_v1_score": None, **unscored},
        {"paragraphs_v1_reason": "all_duplicate", "language": None, "lid_v1_score": None, **unscored},
    ) == [
        ("language_score", None),
        ("language", None),
        ("perplexity", "tail"),
        ("reference", "middle"),
        (None, "middle"),
        ("short", None),
        ("all_duplicate", None),
    ]


def test_without_a_language_model_a_page_is_in_bucket_all() -> None:
    settings = replace(
        SETTINGS, perplexity=None, reference=None, decide=replace(SETTINGS.decide, buckets=["all"])
    )
    unscored = {"perplexity_v1": None, "reference_v1": None}
    assert _decide(unscored, settings=settings) == [(None, "all")]


def test_a_widened_threshold_that_needs_missing_values_is_an_error() -> None:
    with pytest.raises(UserError, match="perplexity_v1 is empty"):
        _decide({"perplexity_v1": None})
    with pytest.raises(UserError, match="reference_v1 is empty for 1 pages"):
        _decide({"reference_v1": None}, {})


def test_removal_lists_take_ids_urls_and_domains(tmp_path: Path) -> None:
    path = tmp_path / "removals.txt"
    path.write_text(f"# asked for\n{'f' * 32}\nhttps://b.example/one\nc.example\n\n")
    removals = read_removals([str(path)])
    reasons = _decide(
        {"id": "f" * 32},
        {"key": "https://b.example/one"},
        {"key": "https://b.example/two"},
        {"key": "http://www.c.example:8080/x"},
        {"key": "http://notc.example/"},
        {"key": "http://[broken/"},
        {"key": None},
        removals=removals,
    )
    assert [reason for reason, _ in reasons] == ["removed", "removed", None, "removed", None, None, None]


def test_a_line_that_is_nothing_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "removals.txt"
    path.write_text("c.example\nwhat is this\n")
    with pytest.raises(UserError, match=r"removals.txt:2: 'what is this'"):
        read_removals([str(path)])
    with pytest.raises(UserError, match="cannot be read"):
        read_removals([str(tmp_path / "none.txt")])


def test_the_held_out_share_depends_on_the_id_alone() -> None:
    settings = replace(SETTINGS, decide=replace(SETTINGS.decide, held_out=0.25))
    rows = [{**GOOD, "id": f"{i:032x}"} for i in range(4000)]
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    held = decide(batch, settings, CUTOFFS, Removals()).column("held_out").to_pylist()
    backwards = pa.RecordBatch.from_pylist(rows[::-1], schema=SCHEMA)
    again = decide(backwards, settings, CUTOFFS, Removals()).column("held_out").to_pylist()
    assert held == again[::-1]
    assert 900 < sum(held) < 1100
