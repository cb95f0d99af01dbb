"""Sixty files of seventeen works of Project Gutenberg, in several revisions and encodings."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import orjson
import pytest

from tests.builds import build_here, rows
from tests.corpus.sources.books_texts import chosen
from tests.shared import DATA

BOOKS = DATA / "books"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not BOOKS.is_dir():
        pytest.skip("the development data is not here")
    run = tmp_path_factory.mktemp("books") / "run"
    build_here(run, "books", [BOOKS], chosen(split_bytes=8 << 20, bucket_bytes=32 << 20))
    return run


def test_real_revisions_collapse_and_works_do_not(real: Path) -> None:
    by_work: dict[str, Counter[str | None]] = defaultdict(Counter)
    for row, decision in zip(rows(real, "annotated"), rows(real, "decisions"), strict=True):
        by_work[row["file"].split("/")[0]][decision["reason"]] += 1
    assert len(by_work) == 17
    assert all(work[None] == 1 for work in by_work.values())
    assert sum(work["overlap"] for work in by_work.values()) == 42
    assert by_work["pg1342"] == Counter({None: 1, "overlap": 4, "not_prose": 1})
    assert by_work["pg44157"] == Counter({None: 1, "overlap": 1})  # in two encodings
    counters = orjson.loads((real / "stats.json").read_bytes())["counters"]
    assert (counters["in"], counters["kept"], counters["rejected"], counters["bad"]) == (60, 17, 43, 0)


def test_real_pairs_compared_are_those_that_overlap(real: Path) -> None:
    """Every two files of a work, none of two works: 123 pairs over 90 %, and none between 2 % and that."""
    stages = orjson.loads((real / "stats.json").read_bytes())["stages"]
    assert (stages["overlaps"]["pairs"], stages["overlaps"]["overlaps"]) == (123, 123)


PHRASES = (
    "Produced by", "START OF", "SMALL PRINT", "Etext", "EBook", "www.gutenberg", "Project Gutenberg", "@",
)  # fmt: skip
ORIGINS = {"pg2701": "Project Gutenberg", "pg972": "@"}


def test_real_texts_begin_and_end_as_books(real: Path) -> None:
    annotated = [row for row in rows(real, "annotated") if row["file"] != "pg1342/pandp09.txt"]
    assert len(annotated) == 59
    for row in annotated:
        head, tail = row["text"][:300], row["text"][-300:]
        own = ORIGINS.get(row["file"].split("/")[0])  # what its makers say of where the text is from
        for phrase in PHRASES:
            assert phrase not in tail, row["file"]
            assert phrase not in head or phrase == own, row["file"]
        assert row["books_v1_gutenberg"] == 1
        assert row["books_v1_alphabetic_words"] > 0.96
        assert row["books_v1_characters"] > 0.55 * (BOOKS / row["file"]).stat().st_size
    by_file = {row["file"]: json.loads(row["metadata"]) for row in annotated}
    numbers = {name.split("/")[0]: set() for name in by_file}
    for name, metadata in by_file.items():
        if "etext" in metadata:
            numbers[name.split("/")[0]].add(f"pg{metadata['etext']}")
    assert all(found == {work} for work, found in numbers.items())  # each file's own number
    encodings = Counter(metadata["encoding"] for metadata in by_file.values())
    assert encodings == {"ascii": 44, "utf-8": 10, "cp1252": 5}
    languages = Counter(row["language"] for row in annotated)
    assert languages["fr"] == 2
    assert languages["en"] + languages[None] == 57
