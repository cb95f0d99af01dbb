"""`llama-corpus report`: what it says of runs that are whole, empty, stopped, cut off, old or damaged."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from corpus import recipe, storage
from corpus.accounts import write_json
from corpus.kernels.ccnet_text import normalize_for_dedup
from corpus.recipe import digest
from corpus.review.report.gather import gather
from corpus.review.report.mixture import compare_with_paper
from corpus.review.report.page import render
from corpus.review.report.removed import most_removed
from corpus.review.report.rules import Rules
from corpus.review.runs import open_run, open_runs
from corpus.sources.commoncrawl import read_pages
from corpus.tally import Tally
from pipelines.__main__ import main
from pipelines.verify import find_problems
from tests.builds import sample_of
from tests.conftest import new_bucket
from tests.pipelines.conftest import llama_corpus
from tests.review.conftest import HOSTILE
from tests.review.crawls import page, write_crawl

_TIMES = re.compile(r'<section id="work">.*?</section>', re.DOTALL)


def report(run: Path, capsys: Any, status: int = 0) -> str:
    """Run the command; returns the page, or what it complains of."""
    output = run.parent / "out"
    assert main(["report", str(run), "--output", str(output)]) == status
    complaint: str = capsys.readouterr().err
    return complaint if status else (output / "index.html").read_text()


def test_the_funnel_ends_with_what_was_kept(runs_folder: Path) -> None:
    for found in gather("runs", open_runs([str(runs_folder)])).runs:
        if found.rules:
            assert found.steps[-1].left == found.run.counters["kept"]
            assert (
                sum(step.removed for step in found.steps) == found.run.counters["in"] - found.steps[-1].left
            )


def test_the_crawl_s_rules_stand_in_the_order_in_which_they_are_asked(runs_folder: Path) -> None:
    (found,) = gather("runs", [open_run(str(runs_folder / "commoncrawl"))]).runs
    names = [step.name for step in found.steps]
    assert names == ["bad", "short", "language_score", "language", "perplexity", "reference"]


def test_documents_come_with_the_values_that_decided(runs_folder: Path) -> None:
    (found,) = gather("runs", [open_run(str(runs_folder / "commoncrawl"))]).runs
    (long,) = found.examples["language_score"]
    assert [tuple(c) for c in long.comparisons] == [("language score", "0.2", "at least 0.5", "failed")]
    assert len(long.text or "") + long.more == 3_000_000
    (poor,) = found.examples["reference"]
    assert [(c.measure, c.value, c.verdict) for c in poor.comparisons] == [
        ("language score", "0.9", "passed"),
        ("language", "en", "passed"),
        ("perplexity", "200", "passed"),
        ("reference classifier", "0.1", "failed"),
    ]
    assert len(found.examples[None]) == 10
    assert all(c.verdict == "passed" for kept in found.examples[None] for c in kept.comparisons)


def test_a_copy_names_the_document_that_stays(runs_folder: Path) -> None:
    (found,) = gather("runs", [open_run(str(runs_folder / "c4"))]).runs
    (copy,) = found.examples["repeated_row"]
    assert copy.winner == copy.id  # the same row, twice


def test_every_reason_of_the_samples_is_explained(runs_folder: Path) -> None:
    for found in gather("runs", open_runs([str(runs_folder)])).runs:
        for step in found.steps:
            assert step.says.split(" (asked")[0] != step.name.replace("_", " ")


def test_a_rule_that_nobody_has_described_is_shown_by_its_name() -> None:
    check = {"column": "c4_v1_new_measure", "reason": "new_rule", "sign": 1, "limit": 2.0, "strict": False}
    rules = Rules("c4", {"checks": [check]}, {})
    assert rules.says("new_rule") == "new rule (asked for: new measure at most 2)"
    assert rules.says("another_one") == "another one"


def test_of_a_least_and_a_most_of_one_reason_the_one_that_failed_is_named() -> None:
    checks: list[dict[str, Any]] = [
        {"column": "c4_v1_words", "reason": "words", "sign": -1, "limit": 50.0, "strict": False},
        {"column": "c4_v1_words", "reason": "words", "sign": 1, "limit": 1000.0, "strict": False},
    ]
    rules = Rules("c4", {"checks": checks}, {})
    assert rules.says("words") == "words (asked for: words at least 50, words at most 1,000)"
    assert [tuple(c) for c in rules.comparisons({"c4_v1_words": 2000}, "words")] == [
        ("words", "2,000", "at least 50", "passed"),
        ("words", "2,000", "at most 1,000", "failed"),
    ]


def test_the_paper_s_table_as_in_its_own_numbers(runs_folder: Path) -> None:
    rows = {row.source: row for row in compare_with_paper(open_runs([str(runs_folder)]))}
    assert sum(row.paper_share or 0 for row in rows.values()) == pytest.approx(1)
    assert sum(row.paper_unique or 0 for row in rows.values()) == pytest.approx(1263e9, rel=1e-3)
    assert rows["commoncrawl"].paper_bytes_per_token == pytest.approx(3.87, abs=0.005)
    assert (rows["commoncrawl"].epochs, rows["books"].epochs) == (2.0, None)


def test_equal_runs_give_equal_pages(runs_folder: Path, report_folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / runs_folder.name
    shutil.copytree(runs_folder, copied, ignore=shutil.ignore_patterns("report"))
    again = render(gather(runs_folder.name, open_runs([str(copied)])))
    first = (report_folder / "index.html").read_text()
    assert _TIMES.sub("", again) == _TIMES.sub("", first)


def test_a_report_leaves_the_run_as_it_was_written(tmp_path: Path, capsys: Any) -> None:
    run = write_crawl(tmp_path / "run", [[page(0)]])
    assert main(["report", str(run)]) == 0
    assert {f.name for f in (tmp_path / "run-report").iterdir()} == {"index.html", "datasheet.md"}
    assert find_problems(str(run)) == []
    assert main(["report", str(run), "--output", str(run / "report")]) == 2
    assert "lies in the run" in capsys.readouterr().err


def test_a_run_in_an_object_store(tmp_path: Path, request: pytest.FixtureRequest, capsys: Any) -> None:
    bucket = new_bucket("s3", request)
    local = write_crawl(tmp_path / "run", [[page(0), page(1, language="it")]])
    for file in local.rglob("*"):
        if file.is_file():
            storage.write_bytes(f"{bucket}/run/{file.relative_to(local)}", file.read_bytes())
    assert main(["report", f"{bucket}/run", "--output", f"{bucket}/report"]) == 0
    shown = storage.read_bytes(f"{bucket}/report/index.html").decode()
    assert _TIMES.sub("", shown) == _TIMES.sub("", report(local, capsys))


def test_a_run_without_a_page(tmp_path: Path, capsys: Any) -> None:
    shown = report(write_crawl(tmp_path / "run", []), capsys)
    assert "The raw files hold no record that could be a document." in shown


def test_a_run_that_kept_nothing(tmp_path: Path, capsys: Any) -> None:
    shown = report(
        write_crawl(tmp_path / "run", [[page(0, language="it"), page(1, language="it")], []]), capsys
    )
    assert "No document was kept." in shown
    assert "(2 of 2)" in shown


def test_a_run_that_was_stopped_before_it_decided(tmp_path: Path, capsys: Any) -> None:
    run = write_crawl(tmp_path / "run", [[page(0)]])
    stats = orjson.loads((run / "stats.json").read_bytes())
    del stats["stages"]["decide"], stats["stages"]["export"]
    stats["counters"] = {
        k: 0 if k.startswith(("kept", "rejected")) else v for k, v in stats["counters"].items()
    }
    manifest = orjson.loads((run / "manifest.json").read_bytes())
    del manifest["stages"]["decide"], manifest["stages"]["export"]
    write_json(str(run), "stats.json", stats)
    write_json(str(run), "manifest.json", manifest | {"complete": False, "stats_sha256": digest(stats)})
    assert "stopped before its documents were decided" in report(run, capsys)


def test_a_run_that_was_cut_off_is_refused(tmp_path: Path, capsys: Any) -> None:
    run = write_crawl(tmp_path / "run", [[page(0)]])
    (run / "manifest.json").unlink()
    assert "run its command again" in report(run, capsys, status=2)


def test_beside_finished_runs_one_that_was_cut_off_is_named(tmp_path: Path, capsys: Any) -> None:
    write_crawl(tmp_path / "runs" / "whole", [[page(0)]])
    (write_crawl(tmp_path / "runs" / "half", [[page(0)]]) / "manifest.json").unlink()
    shown = report(tmp_path / "runs", capsys)
    assert "half was cut off before its end and is left out" in shown
    assert "1 source" in shown


def test_a_run_of_an_older_version_is_refused(tmp_path: Path, capsys: Any) -> None:
    run = write_crawl(tmp_path / "run", [[page(0)]])
    path = run / "annotate" / "manifest.json"
    manifest = orjson.loads(path.read_bytes())
    manifest["settings"]["version"] = 0
    path.write_bytes(orjson.dumps(manifest))
    assert "older version (stage annotate: 0" in report(run, capsys, status=2)


def test_a_damaged_file_is_named(tmp_path: Path, capsys: Any) -> None:
    run = write_crawl(tmp_path / "run", [[page(0)]])
    path = run / "annotated" / "part-00000.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    assert "annotated/part-00000.parquet" in report(run, capsys, status=1)
    assert not (tmp_path / "out").exists()


def test_raw_files_that_are_gone_are_said_to_be(tmp_path: Path, capsys: Any) -> None:
    shown = report(write_crawl(tmp_path / "run", [[page(0)]]), capsys)
    assert "The raw files could not be read again: <bdi>FileNotFoundError" in shown


def test_the_data_card_fills_in_what_is_known_and_asks_for_the_rest(report_folder: Path) -> None:
    card = (report_folder / "datasheet.md").read_text()
    for part in (
        "Motivation", "Composition", "Collection", "Preprocessing", "Uses", "Distribution", "Maintenance",
    ):  # fmt: skip
        assert f"\n## {part}\n" in card
    assert card.count("**To be answered by a person:**") >= 6
    assert "| C4 | ODC-By-1.0 | 18 |" in card
    assert "`language.min_score` = `0.5`" in card
    assert (
        "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83" not in card
    )  # of no model used here
    assert HOSTILE.split("\n")[0] not in card


def test_the_paragraphs_removed_most_often_are_those_on_most_pages(tmp_path: Path) -> None:
    llama_corpus("crawl-filter", "--output", tmp_path / "run")
    found = most_removed(open_run(str(tmp_path / "run")))
    assert (found.read_splits, found.read_pages, found.why_not, found.error) == (7, 154, "", 0)
    chosen = recipe.load("sample")
    pages = [
        text
        for path in sorted(sample_of("commoncrawl").rglob("*.gz"))
        for batch in read_pages(str(path), path.name, chosen.limits, 1 << 24, Tally(lambda batch: None))
        for text in batch.column("text").to_pylist()
    ]
    on_pages: Counter[str] = Counter()
    for text in pages:
        lines = [line.strip() for line in text.split("\n")]
        if len("\n".join(lines).strip()) >= chosen.commoncrawl.min_chars:
            on_pages.update({normalize_for_dedup(line) for line in lines} - {""})
    true = [n for _, n in on_pages.most_common(20)]
    assert [n for _, n in found.paragraphs] == true
    assert {normalize_for_dedup(text): n for text, n in found.paragraphs}.items() <= on_pages.items()
