"""Deduplication through the whole graph, against the recipe's words in plain Python."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from corpus import inputs, recipe
from corpus.crawl.job import prepare, scopes
from corpus.inputs import Split
from corpus.kernels.ccnet_text import normalize_for_dedup
from corpus.recipe import Recipe
from pipelines import crawl_filter, runners
from tests.pipelines.generated import write_crawl

_DUMPS = ("CC-MAIN-2018-05", "CC-MAIN-2019-30")
_FILES_PER_DUMP = 5
_PAGES_PER_FILE = 12
_MIN_CHARS = 120


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("crawl")
    write_crawl(root, random.Random(7), _DUMPS, _FILES_PER_DUMP, _PAGES_PER_FILE)
    return root


def _recipe(**dedup: Any) -> Recipe:
    sample = recipe.load("sample")
    settings = replace(
        sample.commoncrawl,
        min_chars=_MIN_CHARS,
        batch_bytes=1500,  # several batches a file
        dedup=replace(sample.commoncrawl.dedup, **dedup),
        perplexity=None,
        reference=None,
    )
    return replace(sample, commoncrawl=settings)


def _brute_force(crawl: Path, splits: list[Split], scope: str, policy: str) -> dict[str, str | None]:
    """URL → text after deduplication (None: all of it was duplicate), short pages left out."""
    groups: dict[Any, list[tuple[str, list[str]]]] = defaultdict(list)
    for split in splits:
        group = {"block": (split.dump, split.block), "dump": split.dump, "global": None}[scope]
        for file in split.files:
            for record in (crawl / file.name).read_bytes().decode().split("WARC/1.0\r\n")[1:]:
                header, body = record.split("\r\n\r\n", 1)
                url = header.split("WARC-Target-URI: ")[1].split("\r\n")[0]
                lines = [line.strip() for line in body.rstrip("\r\n").split("\n")[1:]]
                if len("\n".join(lines).rstrip("\n")) >= _MIN_CHARS:
                    groups[group].append((url, lines))
    kept: dict[str, str | None] = {}
    for pages in groups.values():
        documents_with: dict[str, int] = defaultdict(int)
        for _, lines in pages:
            for key in {normalize_for_dedup(line) for line in lines}:
                documents_with[key] += 1
        earlier: set[str] = set()
        for url, lines in pages:
            used: set[str] = set()
            text = []
            for line in lines:
                key = normalize_for_dedup(line)
                gone = documents_with[key] > 1 if policy == "drop-all" else key in earlier
                if key and not gone and key not in used:
                    text.append(line)
                used.add(key)
            earlier |= used
            kept[url] = "\n".join(text) or None
    return kept


@pytest.mark.parametrize("hash_", ["xxh64", "sha1"])
@pytest.mark.parametrize("policy", ["drop-all", "keep-first"])
@pytest.mark.parametrize("scope", ["block", "dump", "global"])
def test_kept_paragraphs_are_those_of_the_plain_rule(
    scope: str, policy: str, hash_: str, crawl: Path, tmp_path: Path
) -> None:
    chosen = _recipe(
        scope=scope, policy=policy, hash=hash_, shards_per_dump=3, shards_per_block=1, bucket_bytes=256
    )
    files = inputs.resolve([str(crawl)])
    # As if the files came from a list of paths: two files a shard, so three blocks a dump.
    files = [replace(f, listed=True) for f in files]
    splits = inputs.plan_splits(files, chosen.commoncrawl.dedup)
    plan = [s for s in scopes(chosen.commoncrawl, splits) if s.kind == "paragraphs"]
    assert len(plan) == {"block": 6, "dump": 2, "global": 1}[scope]
    assert max(s.buckets for s in plan) > 1
    job = prepare(str(tmp_path), chosen, "annotate")
    runners.run(lambda p, w: crawl_filter.build(p, job, splits, "annotate", w), job.root, "local", 1, [])
    rows = [r for path in tmp_path.glob("annotated/*.parquet") for r in pq.read_table(path).to_pylist()]
    assert len(rows) == len(_DUMPS) * _FILES_PER_DUMP * _PAGES_PER_FILE
    found = {
        row["key"]: None if row["paragraphs_v1_reason"] else row["text"]
        for row in rows
        if row["paragraphs_v1_reason"] != "short"
    }
    expected = _brute_force(crawl, splits, scope, policy)
    assert found == expected
    assert None in expected.values()
    assert any(expected.values())
