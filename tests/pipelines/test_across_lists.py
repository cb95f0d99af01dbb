"""What commands across runs found, applied to runs of the crawl filter and of builds."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from corpus.overlap import hosts
from tests.pipelines.across import call, listed, prose, sample_recipe, table
from tests.pipelines.finished import write_run


def test_lists_are_applied_by_redecide(sample_run: Path, tmp_path: Path) -> None:
    """The sample crawl: one page is also in Wikipedia, another quotes an evaluation."""
    crawl = tmp_path / "cc"
    shutil.copytree(sample_run, crawl)
    kept = [row for path in sorted((crawl / "documents").rglob("*.parquet")) for row in table(path)]
    copied, quoting = kept[0], max(kept[1:], key=lambda row: len(row["text"]))
    write_run(tmp_path / "wiki", "wikipedia", [copied["text"].upper(), prose(1, 100)])
    call("cross-dedup", crawl, tmp_path / "wiki", "--output", tmp_path / "cross")
    assert listed(tmp_path / "cross/commoncrawl/removals.txt") == [copied["id"]]

    item = " ".join(quoting["text"].split()[20:40])
    (tmp_path / "e.jsonl").write_text(json.dumps({"text": item}))
    call(
        "decontaminate", crawl, "--evaluations", tmp_path / "e.jsonl", "--remove", "--output", tmp_path / "d"
    )
    assert listed(tmp_path / "d/commoncrawl/removals.txt") == [quoting["id"]]

    lists = [tmp_path / "cross/commoncrawl/removals.txt", tmp_path / "d/commoncrawl/removals.txt"]
    text = sample_recipe()
    assert "[commoncrawl.decide]" in text
    named = f"[commoncrawl.decide]\nremovals = {json.dumps(list(map(str, lists)))}"
    (tmp_path / "r.toml").write_text(text.replace("[commoncrawl.decide]", named))
    call("redecide", crawl, "--recipe", tmp_path / "r.toml")
    left = {row["id"] for path in (crawl / "documents").rglob("*.parquet") for row in table(path)}
    assert left == {row["id"] for row in kept} - {copied["id"], quoting["id"]}
    # The lists were of the run as it was: they are not overwritten by what is found now.
    again = call("cross-dedup", crawl, tmp_path / "wiki", "--output", tmp_path / "cross", status=2)
    assert "holds a cross-dedup of other runs" in again.stderr
    assert listed(tmp_path / "cross/commoncrawl/removals.txt") == [copied["id"]]


def test_lists_are_applied_to_a_build_by_redecide(tmp_path: Path) -> None:
    """The sample of C4: two of its pages are also in Wikipedia, a third quotes an evaluation."""
    c4 = tmp_path / "c4"
    call("build", "c4", "--output", c4)
    kept = [row for path in sorted((c4 / "documents").rglob("*.parquet")) for row in table(path)]
    write_run(tmp_path / "wiki", "wikipedia", [kept[0]["text"], kept[3]["text"].lower()])
    call("cross-dedup", tmp_path / "wiki", c4, "--output", tmp_path / "cross")
    copied = sorted([kept[0]["id"], kept[3]["id"]])
    assert listed(tmp_path / "cross/c4/removals.txt") == copied
    item = " ".join(kept[5]["text"].split()[5:25])
    (tmp_path / "e.jsonl").write_text(json.dumps({"text": item}))
    call("decontaminate", c4, "--evaluations", tmp_path / "e.jsonl", "--remove", "--output", tmp_path / "d")
    lists = [str(tmp_path / "cross/c4/removals.txt"), str(tmp_path / "d/c4/removals.txt")]
    text = sample_recipe()
    before, build = text.split("[build]")
    assert "removals = []" in build
    build = build.replace("removals = []", f"removals = {json.dumps(lists)}", 1)
    (tmp_path / "r.toml").write_text(f"{before}[build]{build}")
    call("redecide", c4, "--recipe", tmp_path / "r.toml")
    left = {row["id"] for path in (c4 / "documents").rglob("*.parquet") for row in table(path)}
    assert left == {row["id"] for row in kept} - {*copied, kept[5]["id"]}
    decisions = [row for path in (c4 / "decisions").rglob("*.parquet") for row in table(path)]
    removed = {row["id"] for row in decisions if row["reason"] == "removed"}
    assert removed == {*copied, kept[5]["id"]}


def test_pages_on_hosts_of_other_sources_are_dropped_by_redecide(
    sample_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample's sites are made up: two of them stand for arXiv's here."""
    crawl = tmp_path / "cc"
    shutil.copytree(sample_run, crawl)
    kept = [row["key"] for path in (crawl / "documents").rglob("*.parquet") for row in table(path)]
    sites = Counter(urlsplit(key).hostname for key in kept)
    mine = [site for site, _ in sites.most_common(2)]
    monkeypatch.setattr(hosts, "_table", lambda: {"arxiv": mine, "wikipedia": ["wikipedia.org"]})
    hosts.hosts_of.cache_clear()
    named = '[commoncrawl.decide]\ndrop_hosts_of = ["wikipedia", "arxiv"]'
    (tmp_path / "r.toml").write_text(sample_recipe().replace("[commoncrawl.decide]", named))
    call("redecide", crawl, "--recipe", tmp_path / "r.toml")
    monkeypatch.undo()
    hosts.hosts_of.cache_clear()
    left = [row["key"] for path in (crawl / "documents").rglob("*.parquet") for row in table(path)]
    assert Counter(urlsplit(key).hostname for key in left) == Counter(
        {site: n for site, n in sites.items() if site not in mine}
    )
    decisions = [row for path in (crawl / "decisions").rglob("*.parquet") for row in table(path)]
    counters = json.loads((crawl / "stats.json").read_bytes())["counters"]
    assert counters["rejected/other_source"] == sum(row["reason"] == "other_source" for row in decisions)
    assert counters["rejected/other_source"] >= sum(sites[site] for site in mine) > 1
