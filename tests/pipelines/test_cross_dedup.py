"""Copies across finished runs, as a user calls it: they go where a better source has them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from corpus.schema import document_id
from tests.pipelines.across import call, listed, prose, sample_recipe, table
from tests.pipelines.conftest import digests, llama_corpus
from tests.pipelines.finished import ids_of, write_run


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that share texts: wikipedia 0 is c4 1 and commoncrawl 2; c4 3 is commoncrawl 0 and 5."""
    root = tmp_path_factory.mktemp("copies")
    own = {name: [prose(1000 * i + j, 60) for j in range(8)] for i, name in enumerate(("w", "c", "b", "cc"))}
    own["c"][1] = own["w"][0].upper().replace("\n", " \n\n ")
    own["cc"][2] = "  " + own["w"][0].replace(" ", "\u00a0")
    own["cc"][0] = own["cc"][5] = own["c"][3]
    own["cc"][4] = own["w"][0].replace(".", "!", 1)  # not the same
    own["b"][6] = own["b"][7]  # copies within a run
    own["w"].append("\n \u00a0")  # nothing but white space, as is
    own["c"].append(" ")
    for name, source in (("w", "wikipedia"), ("c", "c4"), ("b", "books"), ("cc", "commoncrawl")):
        write_run(root / name, source, own[name])
    return root


@pytest.fixture(scope="module")
def deduplicated(copies: Path) -> Path:
    """Given in an order that is not the priority's."""
    output = copies / "cross"
    call("cross-dedup", *(copies / name for name in ("cc", "b", "c", "w")), "--output", output)
    return output


def test_the_source_first_in_priority_keeps_the_text(deduplicated: Path) -> None:
    assert listed(deduplicated / "wikipedia/removals.txt") == []
    assert listed(deduplicated / "books/removals.txt") == []
    assert listed(deduplicated / "c4/removals.txt") == ids_of("c4", 1)
    assert listed(deduplicated / "commoncrawl/removals.txt") == ids_of("commoncrawl", 0, 2, 5)
    report = table(deduplicated / "commoncrawl/report.parquet")
    assert [row["id"] for row in report] == ids_of("commoncrawl", 0, 2, 5)
    kept = {row["id"]: (row["source"], row["kept_source"], row["kept_id"]) for row in report}
    for number, source, other in ((0, "c4", 3), (5, "c4", 3), (2, "wikipedia", 0)):
        assert kept[document_id("commoncrawl", number)] == ("commoncrawl", source, document_id(source, other))
    counters = json.loads((deduplicated / "stats.json").read_bytes())["counters"]
    assert (counters["in"], counters["removed"]) == (34, 4)
    assert counters["removed/commoncrawl"] == 3
    assert counters["removed/commoncrawl/c4"] == 2
    keys = json.loads((deduplicated / "stats.json").read_bytes())["stages"]["keys"]
    assert (keys["in"], keys["empty"], keys["out"]) == (34, 2, 32)


def test_what_it_wrote_is_verified_and_damage_is_named(deduplicated: Path, tmp_path: Path) -> None:
    assert "everything as written" in call("verify", deduplicated).stdout
    copy = tmp_path / "copy"
    shutil.copytree(deduplicated, copy)
    with (copy / "c4/removals.txt").open("a") as f:
        f.write("0" * 32 + "\n")
    assert "c4/removals.txt" in call("verify", copy, status=1).stdout


def test_two_workers_many_buckets_and_another_place_give_the_same_lists(
    deduplicated: Path, copies: Path, tmp_path: Path
) -> None:
    runs = [copies / name for name in ("w", "c", "b", "cc")]
    llama_corpus("cross-dedup", *runs, "--output", tmp_path / "two", "--workers", 2)
    assert digests(tmp_path / "two") == digests(deduplicated)
    recipe = tmp_path / "small.toml"
    recipe.write_text(sample_recipe() + "\n[cross_dedup]\nbucket_bytes = 500\n")
    call("cross-dedup", *runs, "--output", tmp_path / "small", "--recipe", recipe)
    manifest = json.loads((tmp_path / "small/compare/manifest.json").read_bytes())
    assert manifest["parts"] == 16
    for source in ("wikipedia", "c4", "books", "commoncrawl"):
        for name in ("removals.txt", "report.parquet"):
            assert (tmp_path / "small" / source / name).read_bytes() == (
                deduplicated / source / name
            ).read_bytes()


def test_another_priority_and_two_runs_of_one_source(copies: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(sample_recipe() + '\n[cross_dedup]\npriority = ["commoncrawl", "wikipedia", "c4"]\n')
    texts = [row["text"] for path in sorted((copies / "cc").rglob("part-*.parquet")) for row in table(path)]
    write_run(tmp_path / "later", "commoncrawl", [prose(77, 50), texts[2], texts[7]])
    runs = (copies / "cc", tmp_path / "later", copies / "w", copies / "c")
    call("cross-dedup", *runs, "--recipe", recipe, "--output", tmp_path / "out")
    assert listed(tmp_path / "out/commoncrawl-1/removals.txt") == []
    assert listed(tmp_path / "out/commoncrawl-2/removals.txt") == ids_of("commoncrawl", 1, 2)
    assert listed(tmp_path / "out/wikipedia/removals.txt") == ids_of("wikipedia", 0)
    report = table(tmp_path / "out/c4/report.parquet")
    assert {row["id"]: row["kept_run"] for row in report} == {
        document_id("c4", 1): "commoncrawl-1",
        document_id("c4", 3): "commoncrawl-1",
    }
    assert {row["kept_id"] for row in report} == {
        document_id("commoncrawl", 2),
        min(document_id("commoncrawl", 0), document_id("commoncrawl", 5)),
    }
    refused = call(
        "cross-dedup", copies / "b", copies / "c", "--recipe", recipe, "--output", tmp_path / "x", status=2
    )
    assert "its source 'books' is not in the recipe's priority" in refused.stderr
