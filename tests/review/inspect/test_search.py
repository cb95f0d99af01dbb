"""Documents searched: each condition against the rows read plainly."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from corpus.errors import CorruptPartError, UserError
from corpus.review.inspect import search
from corpus.review.inspect.query import Condition, Query, condition
from corpus.review.runs import open_run
from tests.review.inspect.conftest import Inspect

Row = dict[str, Any]
Objects = Callable[..., list[Row]]


@pytest.fixture(scope="module")
def rows(crawl: Path) -> list[Row]:
    """Every annotated row with its decision, in order."""
    found = []
    for path in sorted((crawl / "run" / "annotated").iterdir()):
        beside = crawl / "run" / "decisions" / path.name
        for a, d in zip(pq.read_table(path).to_pylist(), pq.read_table(beside).to_pylist(), strict=True):
            found.append(a | d)
    return found


def _host(row: Row) -> str:
    return urlsplit(row["key"] or "").hostname or ""


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--kept"], lambda r: r["kept"]),
        (["--rejected"], lambda r: not r["kept"]),
        (["--rule", "perplexity"], lambda r: r["reason"] == "perplexity"),
        (["--language", "fr", "--kept"], lambda r: r["language"] == "fr" and r["kept"]),
        (["--bucket", "tail"], lambda r: r["bucket"] == "tail"),
        (["--key", "forum"], lambda r: "forum" in (r["key"] or "")),
        (["--url", ".html"], lambda r: ".html" in (r["key"] or "")),
        (["--domain", "caldwell-library.example"], lambda r: _host(r).endswith("caldwell-library.example")),
        (["--where", "perplexity_v1>500"], lambda r: (r["perplexity_v1"] or 0) > 500),
        (
            ["--where", "perplexity_v1 <= 3e2", "--where", "bytes>=1000"],
            lambda r: r["perplexity_v1"] is not None and r["perplexity_v1"] <= 300 and r["bytes"] >= 1000,
        ),
        (["--text", r"(?i)\bmistletoe\b"], lambda r: re.search(r"(?i)\bmistletoe\b", r["text"])),
    ],
)
def test_a_search_finds_what_fulfils_its_conditions_in_the_order_of_the_run(
    crawl: Path, rows: list[Row], objects: Objects, args: list[str], expected: Callable[[Row], bool]
) -> None:
    found = objects(crawl / "run", *args, "--limit", 1000)
    wanted = [row["id"] for row in rows if expected(row)]
    assert [row["id"] for row in found] == wanted
    assert wanted


def test_a_key_after_an_equals_sign_must_be_the_whole_key(
    crawl: Path, rows: list[Row], objects: Objects
) -> None:
    key = rows[0]["key"]
    assert [row["key"] for row in objects(crawl / "run", "--key", f"={key}")] == [key]


def test_the_columns_asked_for_stand_in_the_table(crawl: Path, rows: list[Row], inspect: Inspect) -> None:
    head, *lines = inspect(crawl / "run", "--columns", "lid_v1_score", "--limit", 2).splitlines()
    assert head.split("\t") == [
        "id",
        "source",
        "language",
        "bucket",
        "reason",
        "bytes",
        "lid_v1_score",
        "key",
    ]
    assert lines[0].split("\t")[0] == rows[0]["id"]
    assert len(lines) == 2


def test_a_random_choice_is_the_same_each_time_and_not_the_first(
    crawl: Path, rows: list[Row], objects: Objects
) -> None:
    one, again = (objects(crawl / "run", "--random", "--limit", 7) for _ in range(2))
    assert one == again
    assert [row["id"] for row in one] != [row["id"] for row in rows[:7]]


def test_a_regular_expression_that_would_never_end_elsewhere_ends(hostile: Path, inspect: Inspect) -> None:
    assert "no document" in inspect(hostile / "run", "--text", "(l*o*n*g* *)*[0-9]{9}$", status=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a>1", Condition("a", ">", 1.0)),
        (" a_v1 <= -2.5e3 ", Condition("a_v1", "<=", -2500.0)),
        ("a!=.5", Condition("a", "!=", 0.5)),
        ("a==1", Condition("a", "==", 1.0)),
    ],
)
def test_a_condition_is_column_operator_number(text: str, expected: Condition) -> None:
    assert condition(text) == expected


@pytest.mark.parametrize(
    "text", ["a", "a>", ">1", "a>b", "a>1;b", "a=>1", "a > nan", "a>1 and b>2", "import os"]
)
def test_nothing_else_is_a_condition(text: str) -> None:
    with pytest.raises(UserError, match="COLUMN OPERATOR NUMBER"):
        condition(text)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--where", "nothing>1"], "'nothing' is not there; there are .*perplexity_v1"),
        (["--where", "key>1"], "'key' holds no numbers"),
        (["--rule", "nothing"], "there are .*perplexity"),
        (["--columns", "nothing"], "--columns nothing: there are"),
        (["--text", "(a"], "no regular expression"),
        (["--text", r"(a)\1"], "no regular expression"),
        (["--id", "xyz"], "32 hex digits"),
        (["--domain", "a b"], "no domain"),
        (["--show"], "give its --id"),
    ],
)
def test_what_is_asked_wrongly_is_said_before_any_work(
    crawl: Path, inspect: Inspect, args: list[str], said: str
) -> None:
    assert re.search(said, inspect(crawl / "run", *args, status=2))


def test_a_document_is_found_by_the_beginning_of_its_id(crawl: Path, rows: list[Row]) -> None:
    run = open_run(str(crawl / "run"))
    for row in rows[::20]:
        (found,) = search.find([run], Query(id=row["id"][:12]))
        assert search.rows_of([found], None)[0]["key"] == row["key"]


def test_an_id_that_is_not_there_is_an_error(crawl: Path, inspect: Inspect) -> None:
    assert "no document with an id that begins with " + "f" * 20 in inspect(
        crawl / "run", "--id", "f" * 20, status=1
    )
    assert "no document" in inspect(crawl / "run", "--id", "f" * 20, "--show", status=1)


def test_a_beginning_that_several_ids_share_is_an_error_that_names_them(
    crawl: Path, rows: list[Row], inspect: Inspect
) -> None:
    said = inspect(crawl / "run", "--id", rows[0]["id"][0], "--show", status=2)
    assert "give more digits" in said
    assert sum(row["id"] in said for row in rows) > 1


def test_a_lookup_by_id_reads_no_text(crawl: Path, rows: list[Row], tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(crawl / "run", root)
    for path in (root / "annotated").iterdir():
        if not pq.read_metadata(path).num_rows:
            continue
        column = pq.read_metadata(path).row_group(0).column(2)
        assert column.path_in_schema == "text"
        with path.open("r+b") as f:
            f.seek(column.data_page_offset)
            f.write(b"\xff" * column.total_compressed_size)
    run = open_run(str(root))
    found = search.find([run], Query(id=rows[-1]["id"]))
    assert search.rows_of(found, ["key"])[0]["key"] == rows[-1]["key"]
    with pytest.raises(CorruptPartError, match="is damaged"):
        search.rows_of(found, ["text"])


def test_a_file_of_another_size_is_named(
    crawl: Path, rows: list[Row], tmp_path: Path, inspect: Inspect
) -> None:
    root = tmp_path / "run"
    shutil.copytree(crawl / "run", root)
    with (root / "decisions" / "part-00000.parquet").open("ab") as f:
        f.write(b"more")
    assert "decisions/part-00000.parquet has" in inspect(root, "--id", rows[0]["id"], status=1)


def test_a_run_that_was_cut_off_or_is_of_an_older_version_is_refused(
    crawl: Path, tmp_path: Path, inspect: Inspect
) -> None:
    root = tmp_path / "run"
    shutil.copytree(crawl / "run", root)
    manifest = root / "decide" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 0'))
    assert "was made by an older version" in inspect(root, status=2)
    (root / "manifest.json").unlink()
    assert "cut off" in inspect(root, status=2)
