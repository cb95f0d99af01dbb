"""The built-in sample, end to end: every stage does something sensible and every page is accounted for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from corpus.sample import CRAWL, TEXTS


def _table(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


@pytest.fixture(scope="module")
def stats(sample_run: Path) -> dict[str, int]:
    counters: dict[str, int] = json.loads((sample_run / "stats.json").read_text())["counters"]
    return counters


@pytest.fixture(scope="module")
def pages(sample_run: Path) -> list[dict[str, Any]]:
    """Annotated pages with their decisions."""
    annotated, decisions = _table(sample_run / "annotated"), _table(sample_run / "decisions")
    assert [p["id"] for p in annotated] == [d["id"] for d in decisions]
    return [{**p, **d} for p, d in zip(annotated, decisions, strict=True)]


@pytest.fixture(scope="module")
def by_url(pages: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {page["key"]: page for page in pages if page["key"]}


def test_every_page_is_accounted_for(stats: dict[str, int], pages: list[dict[str, Any]]) -> None:
    assert stats["in"] == stats["kept"] + stats["rejected"] + stats["bad"] + stats["merged"]
    assert stats["in"] - stats["bad"] == len(pages)
    for name in ("kept", "rejected", "bad", "skipped"):
        assert stats[name] == sum(n for key, n in stats.items() if key.startswith(name + "/")), name


def test_every_rule_of_the_filter_drops_something(stats: dict[str, int]) -> None:
    reasons = ("short", "all_duplicate", "language", "language_score", "perplexity", "reference")
    assert [reason for reason in reasons if not stats.get(f"rejected/{reason}")] == []
    for bucket in ("en/head", "en/middle", "fr/head", "fr/middle"):
        assert stats.get(f"kept/{bucket}", 0) > 0, bucket
    assert stats["held_out"] > 0


def test_each_planted_trouble_is_a_bad_record_with_its_place_and_reason(
    sample_run: Path, stats: dict[str, int]
) -> None:
    bad = _table(sample_run / "bad")
    assert len(bad) == stats["bad"]
    found = sorted((row["file"].rsplit("-", 1)[1].split(".")[0], row["reason"]) for row in bad)
    assert found == sorted(
        [
            ("00003", "invalid_utf8"),
            ("00003", "truncated_record"),
            ("00003", "missing_content_length"),
            ("00003", "garbage"),
            ("00003", "line_too_long"),
            ("00003", "truncated_gzip"),
            ("00005", "html_nesting"),
            ("00005", "truncated_record"),
            ("00005", "garbage"),
            ("00005", "truncated_gzip"),
            ("00006", "empty_file"),
        ]
    )
    sizes = {path.name: path.stat().st_size for path in CRAWL.rglob("*.gz")}
    for row in bad:
        assert -1 <= row["offset"] < max(1, sizes[row["file"].rsplit("/", 1)[1]])
        assert row["message"]


def test_boilerplate_goes_and_prose_stays(by_url: dict[str, dict[str, Any]]) -> None:
    page = by_url["https://www.harbourmuseum.example/collections/fresnel-lens"]
    source = (TEXTS / "pages/en-reference").glob("*.txt")
    body = next(t for t in (p.read_text() for p in source) if page["key"] in t).split("\n\n", 1)[1]
    paragraphs = body.strip().split("\n")
    kept = page["text"].split("\n")
    assert [line for line in kept if line in paragraphs] == paragraphs
    assert page["paragraphs_v1_total"] > len(page["paragraphs_v1"]) == len(kept)


def test_exact_copies_are_dropped_on_both_sides(by_url: dict[str, dict[str, Any]]) -> None:
    for url in (
        "https://help.letterbird.example/faq/photo-books",
        "https://help.letterbird.example/faq/photo-books?session=5d2d8c1f",
    ):
        assert by_url[url]["reason"] == "all_duplicate"


def test_ids_are_unique_although_a_record_id_is_repeated(pages: list[dict[str, Any]]) -> None:
    record_ids = [json.loads(page["metadata"])["record_id"] for page in pages]
    assert len(set(record_ids)) < len(record_ids)
    assert len({page["id"] for page in pages}) == len(pages)


def test_spam_and_reference_pages_fall_on_their_sides(by_url: dict[str, dict[str, Any]]) -> None:
    spam = by_url["http://cheap-meds-direct.example/buy-slimarex-online.html"]
    assert (spam["reason"], spam["bucket"]) == ("perplexity", "tail")
    for url in (
        "https://www.thornhill-observatory.example/learn/cepheid-variables",
        "https://www.measures-society.example/articles/new-kilogram",
    ):
        assert by_url[url]["kept"], by_url[url]


def test_kept_documents_lie_by_language_and_bucket(sample_run: Path, stats: dict[str, int]) -> None:
    folder = sample_run / "documents"
    for language in ("en", "fr"):
        for bucket in ("head", "middle"):
            rows = _table(folder / language / bucket)
            assert len(rows) == stats[f"kept/{language}/{bucket}"]
            assert {(row["language"], row["bucket"]) for row in rows} == {(language, bucket)}
            assert all(row["text"] and row["bytes"] == len(row["text"].encode()) for row in rows)
    assert pq.read_table(folder).num_rows == stats["kept"]


def test_a_kept_text_can_be_rebuilt_from_the_crawl(sample_run: Path) -> None:
    from corpus import recipe
    from corpus.sources.commoncrawl import read_pages
    from corpus.tally import Tally

    raw = {}
    for path in CRAWL.rglob("*.gz"):
        name = str(path.relative_to(CRAWL))
        for batch in read_pages(
            str(path), name, recipe.load("sample").limits, 1 << 20, Tally(lambda batch: None)
        ):
            for row in batch.to_pylist():
                raw[row["file"], row["offset"]] = row["text"].split("\n")
    documents = _table(sample_run / "documents")
    assert documents
    for document in documents:
        lines = raw[document["file"], document["offset"]]
        assert "\n".join(lines[i].strip() for i in document["paragraphs_v1"]) == document["text"]
