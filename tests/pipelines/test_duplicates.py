"""Copies of whole pages, planted in a generated crawl, through the whole graph: found, and nothing else.

Paragraph deduplication takes copies within its scope, so those planted here lie in different dumps.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from corpus.dedup.near import words
from corpus.dedup.newest import time_of, url_key
from corpus.recipe import load
from corpus.sample import TEXTS
from tests.pipelines.conftest import COMMAND, ROOT, digests, llama_corpus

_DUMPS = 6
_ORIGINALS = 90
_REPLACED = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.2)  # share of words that a near copy has of its own
_NGRAM = 5
_KILLS = 4
_WORDS_PER_LINE = 12


@dataclass(frozen=True)
class _Page:
    url: str
    date: str
    words: list[str]

    def record(self, name: str) -> bytes:
        lines = [self.words[i : i + _WORDS_PER_LINE] for i in range(0, len(self.words), _WORDS_PER_LINE)]
        body = "\n".join(["A title", *(" ".join(line) for line in lines)]).encode() + b"\n"
        header = (
            f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: {self.url}\r\nWARC-Date: {self.date}\r\n"
            f"WARC-Record-ID: <urn:uuid:{name}>\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return header.encode() + body + b"\r\n\r\n"


def _vocabulary() -> list[str]:
    pages = sorted((TEXTS / "pages/en-reference").glob("*.txt"))
    text = " ".join(p.read_text().split("\n\n", 1)[1] for p in pages)
    return [word for word, n in sorted(Counter(text.split()).items()) for _ in range(n)]


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A first dump of originals, then dumps of copies of them: the same, nearly the same, a newer version."""
    root, rng, vocabulary = tmp_path_factory.mktemp("crawl"), random.Random(11), _vocabulary()

    def fresh() -> list[str]:
        return rng.choices(vocabulary, k=rng.choice((60, 150, 300, 600)))

    def replaced(words_: list[str], share: float) -> list[str]:
        return [rng.choice(vocabulary) if rng.random() < share else word for word in words_]

    originals = [_Page(f"http://x.example/{i}", "2019-05-01T00:00:00Z", fresh()) for i in range(_ORIGINALS)]
    for dump in range(_DUMPS):
        pages = list(originals) if dump == 0 else []
        for i, original in enumerate(originals if dump else []):
            # Dates go down as well as up: the newest of an address is not the last in order.
            date = f"20{rng.randrange(17, 22)}-0{1 + dump}-02T03:04:05Z"
            kind = rng.choice(("none", "same", "near", "near", "version", "recrawl"))
            url = (
                f"https://www.x.example/{i}/"
                if kind in ("version", "recrawl")
                else f"http://y{dump}.example/{i}"
            )
            made = {
                "same": original.words,
                "recrawl": original.words,
                "near": replaced(original.words, rng.choice(_REPLACED)),
                "version": fresh(),
            }
            if kind != "none":
                pages.append(_Page(url, date, made[kind]))
        rng.shuffle(pages)
        half = len(pages) // 2
        for number, part in enumerate((pages[:half], pages[half:])):
            path = root / f"CC-MAIN-2019-{10 + dump}" / f"{number}.warc.wet"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"".join(p.record(f"{dump}/{number}/{i}") for i, p in enumerate(part)))
    return root


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = (ROOT / "corpus/recipes/sample.toml").read_text()
    for old, new in (
        ('scope = "block"', 'scope = "dump"'),
        ("shards_per_block = 50\nbucket_bytes = 268_435_456", "shards_per_block = 50\nbucket_bytes = 16_384"),
        ("300\nbatch_bytes = 16_777_216", "300\nbatch_bytes = 60_000"),
        ('buckets = ["head", "middle"]', 'buckets = ["all"]'),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    text += "\n[commoncrawl.duplicates]\nexact = true\nurl = true\n"
    text += f"\n[commoncrawl.duplicates.near]\nngram = {_NGRAM}\nbands = 14\nrows = 8\nseed = 1\n"
    path = tmp_path_factory.mktemp("recipe") / "duplicates.toml"
    path.write_text(text)
    assert load(str(path)).commoncrawl.duplicates
    return path


def _arguments(crawl: Path, recipe_file: Path, output: Path) -> list[str]:
    models = ("--without", "perplexity", "--without", "reference")
    return [
        *("crawl-filter", "--input", str(crawl), "--recipe", str(recipe_file), "--output", str(output)),
        *models,
    ]


@pytest.fixture(scope="module")
def run(crawl: Path, recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("duplicates") / "run"
    llama_corpus(*_arguments(crawl, recipe_file, output))
    return output


@pytest.fixture(scope="module")
def pages(run: Path) -> list[dict[str, Any]]:
    """Candidates with what was found and decided, in the order of the corpus."""
    rows = []
    for path in sorted((run / "annotated").glob("*.parquet")):
        tables = [
            pq.read_table(run / folder / path.name) for folder in ("annotated", "duplicates", "decisions")
        ]
        for annotated, found, decided in zip(*(t.to_pylist() for t in tables), strict=True):
            assert annotated["id"] == found["id"] == decided["id"]
            if found["near_duplicate_v1"] is not None:
                rows.append({**annotated, **found, **decided})
    return rows


def test_most_pages_take_part(pages: list[dict[str, Any]]) -> None:
    assert len(pages) > 4 * _ORIGINALS
    assert {page["language"] for page in pages} <= {"en", "fr"}


def test_several_buckets_were_merged(run: Path) -> None:
    answers = Counter(path.name.split("-")[0] for path in (run / "duplicates").glob("*.answer"))
    assert answers["near"] >= 8
    assert answers["url"] >= 2


def test_the_newest_page_of_an_address_stays(pages: list[dict[str, Any]]) -> None:
    newest: dict[Any, tuple[int, int]] = {}
    for page in pages:
        rank = (time_of(page["timestamp"]), -int(page["id"][:16], 16))
        newest[url_key(page["key"])] = max(rank, newest.get(url_key(page["key"]), rank))
    for page in pages:
        rank = (time_of(page["timestamp"]), -int(page["id"][:16], 16))
        assert page["url_duplicate_v1"] == (rank != newest[url_key(page["key"])])
    assert sum(page["url_duplicate_v1"] for page in pages) > _ORIGINALS // 4


def _shingles(text: str) -> frozenset[str]:
    bare = words(text)
    return frozenset(" ".join(bare[i : i + _NGRAM]) for i in range(len(bare) - _NGRAM + 1))


def test_texts_are_compared_with_earlier_ones(pages: list[dict[str, Any]]) -> None:
    """Exact copies are found exactly; near ones by the most alike of the earlier pages."""
    earlier: list[frozenset[str]] = []
    texts: set[str] = set()
    likeness: list[tuple[float, bool]] = []
    for page in pages:
        if page["url_duplicate_v1"]:
            assert not page["exact_duplicate_v1"]
            assert not page["near_duplicate_v1"]
            continue
        assert page["exact_duplicate_v1"] == (page["text"] in texts)
        texts.add(page["text"])
        own = _shingles(page["text"])
        best = max((len(own & other) / len(own | other) for other in earlier), default=0.0)
        likeness.append((best, page["near_duplicate_v1"]))
        earlier.append(own)
    alike = [found for best, found in likeness if best >= 0.9]
    not_the_same = [found for best, found in likeness if 0.9 <= best < 1]
    found = [best for best, is_found in likeness if is_found]
    recall, precision = sum(alike) / len(alike), sum(best >= 0.7 for best in found) / len(found)
    print(
        f"\nnear duplicates: {len(found)} of {len(likeness)} pages; recall at J ≥ 0.9 {recall:.3f} of "
        f"{len(alike)} ({len(not_the_same)} of them changed); precision at J ≥ 0.7 {precision:.3f}"
    )
    assert len(not_the_same) > 20
    assert recall >= 0.95
    assert precision >= 0.9
    assert all(best >= 0.3 for best in found)
    assert not any(is_found for best, is_found in likeness if best < 0.3)


def test_the_account_has_the_reasons(run: Path, pages: list[dict[str, Any]]) -> None:
    counters = json.loads((run / "stats.json").read_text())["counters"]
    for reason in ("exact_duplicate", "url_duplicate", "near_duplicate"):
        assert counters[f"rejected/{reason}"] == sum(page["reason"] == reason for page in pages) > 0
    assert counters["in"] == counters["kept"] + counters["rejected"] + counters["bad"]
    llama_corpus("verify", run)


def test_every_family_of_copies_keeps_a_page(pages: list[dict[str, Any]]) -> None:
    """However addresses and texts are entangled, of pages that are copies of each other one is kept."""
    group = {page["id"]: page["id"] for page in pages}

    def root(id_: str) -> str:
        while group[id_] != id_:
            id_ = group[id_]
        return id_

    first: dict[Any, str] = {}
    for page in pages:
        for key in (url_key(page["key"]), page["text"]):
            group[root(page["id"])] = root(first.setdefault(key, page["id"]))
    kept = {
        root(page["id"]) for page in pages if not page["url_duplicate_v1"] and not page["exact_duplicate_v1"]
    }
    assert kept == {root(page["id"]) for page in pages}


def test_two_workers_and_kills_change_no_byte(
    run: Path, crawl: Path, recipe_file: Path, tmp_path: Path
) -> None:
    llama_corpus(*_arguments(crawl, recipe_file, tmp_path / "two"), "--workers", 2)
    assert digests(tmp_path / "two") == digests(run)
    output = tmp_path / "killed"
    command = [*COMMAND, *_arguments(crawl, recipe_file, output)]
    killed = 0
    for _ in range(_KILLS):
        before = len(list((output / "duplicates").glob("*.part.json")))
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Each time amid the stage: when it has some parts more.
        while process.poll() is None and len(list((output / "duplicates").glob("*.part.json"))) < before + 5:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed == _KILLS
    llama_corpus(*_arguments(crawl, recipe_file, output))
    assert digests(output) == digests(run)


def test_thresholds_can_be_changed_without_comparing_again(
    run: Path, crawl: Path, recipe_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    llama_corpus(*_arguments(crawl, recipe_file, output))
    text = recipe_file.read_text()
    sections = text.split("\n[")
    without = "\n[".join(
        s for s in sections if not s.startswith(("commoncrawl.perplexity", "commoncrawl.reference"))
    )
    changed = tmp_path / "changed.toml"
    changed.write_text(without.replace("held_out = 0.05", "held_out = 0.5"))
    llama_corpus("redecide", output, "--recipe", changed)
    before = {k: v for k, v in digests(run).items() if k.startswith(("duplicate", "annotate"))}
    after = {k: v for k, v in digests(output).items() if k.startswith(("duplicate", "annotate"))}
    assert before == after
    counters = json.loads((output / "stats.json").read_text())["counters"]
    assert counters["held_out"] > 0.3 * counters["kept"]
    off = tmp_path / "off.toml"
    off.write_text(without.split("\n[commoncrawl.duplicates]")[0])
    assert "duplicates" in llama_corpus("redecide", output, "--recipe", off, status=2).stderr
