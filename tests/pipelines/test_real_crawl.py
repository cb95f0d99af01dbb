"""Real crawl files, through the whole filter: every file and record accounted for.

The counts come from `tests/corpus/sources/expected_commoncrawl.toml`, written from the bytes before ours ran.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.pipelines.conftest import ROOT, llama_corpus
from tests.shared import DATA, needs

CRAWL = DATA / "commoncrawl"
EXPECTED = tomllib.loads((ROOT / "tests/corpus/sources/expected_commoncrawl.toml").read_text())

pytestmark = needs(CRAWL)

# Two forms of the same pages: run together, drop-all rightly deletes both.
ALONE = [
    "IAH-20080430204825-00000-blackbook.warc.gz",
    "whirlwind/whirlwind.warc.gz",
    "whirlwind/whirlwind.warc.wet.gz",
    "edge-fastwarc/warcfile.warc.gz",
]


def _expected(names: list[str]) -> Counter[str]:
    total: Counter[str] = Counter()
    for name in names:
        entry = EXPECTED[name]
        total["in"] += entry["in"]
        for kind in ("bad", "skipped"):
            for reason, n in entry[kind].items():
                total[kind] += n
                total[f"{kind}/{reason}"] += n
    return total


def _counters(run: Path) -> dict[str, int]:
    counters: dict[str, int] = json.loads((run / "stats.json").read_text())["counters"]
    return counters


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [r for path in sorted(folder.rglob("*.parquet")) for r in pq.read_table(path).to_pylist()]


def test_a_folder_of_good_and_broken_files_is_accounted_for_file_by_file(tmp_path: Path) -> None:
    llama_corpus("crawl-filter", "--input", CRAWL, "--output", tmp_path)
    found, expected = _counters(tmp_path), _expected(list(EXPECTED))
    assert len(EXPECTED) == sum(path.is_file() for path in CRAWL.rglob("*"))
    of_reading = ("in", "bad", "skipped")
    assert {k: v for k, v in found.items() if k.split("/")[0] in of_reading} == expected
    assert found["in"] == found["kept"] + found["rejected"] + found["bad"]
    pages = Counter(row["file"] for row in _rows(tmp_path / "annotated"))
    bad = Counter(row["file"] for row in _rows(tmp_path / "bad"))
    for name, entry in EXPECTED.items():
        assert (pages[name], bad[name]) == (entry["out"], entry["in"] - entry["out"]), name
    llama_corpus("verify", tmp_path)


@pytest.mark.parametrize("name", ALONE)
def test_one_of_a_pair_run_alone_keeps_its_text(name: str, tmp_path: Path) -> None:
    llama_corpus("crawl-filter", "--input", CRAWL / name, "--output", tmp_path)
    found = _counters(tmp_path)
    expected = _expected([name])
    assert (found["in"], found["bad"], found["skipped"]) == (
        expected["in"],
        expected["bad"],
        expected["skipped"],
    )
    pages = _rows(tmp_path / "annotated")
    with_text = [page for page in pages if page["paragraphs_v1_reason"] is None]
    assert with_text
    assert all(page["language"] for page in with_text)


def test_the_classifier_learns_from_real_pages_and_real_citations(tmp_path: Path) -> None:
    pages = [*CRAWL.glob("html-*.warc.gz"), CRAWL / "sample-0000.warc.gz", *CRAWL.glob("edge-fastwarc/*.gz")]
    bootstrap = ("--until", "annotate", "--without", "reference")
    llama_corpus("crawl-filter", "--input", *pages, "--output", tmp_path / "run", *bootstrap)
    cited = DATA / "wikipedia" / "external-refs-en.txt.gz"
    small = ("--match", "host", "--dim", 16, "--epochs", 25, "--learning-rate", 0.5, "--min-count", 2)
    options = ("--run", tmp_path / "run", "--cited", cited, "--output", tmp_path, "--held-out", 0.2, *small)
    llama_corpus("train-classifier", *options)
    manifest = json.loads((tmp_path / "reference.manifest.json").read_text())
    assert manifest["pages"]["of_each_class"] >= 30
    assert manifest["auc"] > 0.75  # by chance 0.5; so few pages say little more
