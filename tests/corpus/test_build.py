"""Builds: splits, rules of uniqueness, decisions and accounts, with a source of lines `name:number:text`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus import recipe, registry
from corpus.accounts import AccountingError
from corpus.build.job import plan_splits
from corpus.build.line import usual_stages
from corpus.build.rows import DocumentRows
from corpus.build.source import BuildSource, FileRange, ReadContext, Unique
from corpus.errors import CorruptPartError, UserError
from corpus.inputs import InputFile
from corpus.rules import Check
from corpus.schema import document_id
from corpus.settings.books import Books
from corpus.tally import BadRecord, Tally
from tests.builds import build_here, rows, with_build

FIELDS = (pa.field("books_v1_reason", pa.string()), pa.field("books_v1_number", pa.int64()))
ORDER: Any = (("books_v1_number", "descending"), ("text", "ascending"))
LINES = "books"  # any source of the recipe: its block is not looked at


def read(part: FileRange, context: ReadContext, tally: Tally) -> Iterator[pa.RecordBatch]:
    out = DocumentRows(LINES, FIELDS, context.batch_bytes)
    for number, line in enumerate(Path(part.file.path).read_text().splitlines()):
        tally.count("framed")
        if line.startswith("#"):
            tally.skipped("comment")
            continue
        tally.count("in")
        if line.count(":") != 2:
            tally.bad(BadRecord(LINES, part.file.name, number, "read", "fields", "not three", line.encode()))
            continue
        name, value, text = line.split(":")
        row: dict[str, Any] = {"id": document_id(LINES, part.file.name, number), "key": name, "text": text}
        row |= {"file": part.file.name, "offset": number, "books_v1_number": int(value)}
        row["books_v1_reason"] = None if text else "empty"
        tally.count("out")
        if batch := out.add(row):
            yield batch
    if batch := out.finish():
        yield batch


def checks(_: Any) -> list[Check]:
    return [Check("books_v1_number", "too_large", 1, 100.0, False)]


def unique(_: Any) -> tuple[Unique, ...]:
    return (Unique("name", "same_name", ("key",), ORDER),)


SOURCE = BuildSource(LINES, 1, ("pyarrow",), FIELDS, read, checks, usual_stages, unique)
RECIPE = with_build(
    dataclasses.replace(recipe.load("sample"), books=Books()),
    held_out=0.0,
    rejected="text",
    batch_bytes=1_000,
)


def give(monkeypatch: pytest.MonkeyPatch, source: BuildSource) -> None:
    """Have `source` stand for the one that the recipe has a block of."""
    monkeypatch.setattr(registry, "build_source", {LINES: source}.__getitem__)


@pytest.fixture(autouse=True)
def _lines(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, SOURCE)


def build(folder: Path, files: dict[str, str], chosen: recipe.Recipe = RECIPE) -> dict[str, int]:
    (folder / "in").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "in" / name).write_text(text)
    return build_here(folder / "run", LINES, [folder / "in"], chosen)[1]


def test_documents_are_decided_and_accounted_for(tmp_path: Path) -> None:
    counters = build(
        tmp_path,
        {
            "a": "x:1:first\ny:3:other\n# no document\nbroken\n",
            "b": "x:2:second\nx:2:a second\nz:101:large\nw:5:\nz:7:small\n",
        },
        dataclasses.replace(RECIPE, build=dataclasses.replace(RECIPE.build, split_bytes=10)),
    )
    assert [row["text"] for row in rows(tmp_path / "run", "documents")] == ["other", "a second", "small"]
    assert {row["file"] for row in rows(tmp_path / "run", "bad")} == {"a"}
    assert counters == {
        "in": 8,
        "bad": 1,
        "bad/fields": 1,
        "skipped": 1,
        "skipped/comment": 1,
        "merged": 0,
        "held_out": 0,
        "kept": 3,
        "rejected": 4,
        "rejected/empty": 1,
        "rejected/same_name": 2,
        "rejected/too_large": 1,
    }
    manifest = orjson.loads((tmp_path / "run" / "manifest.json").read_bytes())
    assert (manifest["source"], manifest["complete"], manifest["inputs"]["files"]) == (LINES, True, 2)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.tuples(st.sampled_from("pqr"), st.integers(0, 3), st.sampled_from("ab")), max_size=25),
    files=st.integers(1, 4),
    bucket_bytes=st.sampled_from([400, 1 << 20]),
)
def test_of_each_key_the_first_stays_however_the_rows_are_spread(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[tuple[str, int, str]],
    files: int,
    bucket_bytes: int,
) -> None:
    folder = tmp_path_factory.mktemp("unique")
    texts = {f"f{i}": "".join(f"{n}:{v}:{t}\n" for n, v, t in lines[i::files]) for i in range(files)}
    build(folder, texts, with_build(RECIPE, split_bytes=1, bucket_bytes=bucket_bytes))
    found = {row["key"]: (row["books_v1_number"], row["text"]) for row in rows(folder / "run", "documents")}
    best: dict[str, tuple[int, str]] = {}
    for name, value, text in lines:
        best[name] = min(best.get(name, (value, text)), (value, text), key=lambda e: (-e[0], e[1]))
    assert found == best
    assert len(rows(folder / "run", "documents")) == len(best)


def test_a_removed_document_is_rejected_first(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(document_id(LINES, "a", 0) + "\n")
    chosen = with_build(RECIPE, removals=[str(tmp_path / "list.txt")])
    assert build(tmp_path, {"a": "x:101:text\n"}, chosen)["rejected/removed"] == 1


def test_rows_that_are_lost_fail_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(part: FileRange, context: ReadContext, tally: Tally) -> Iterator[pa.RecordBatch]:
        for batch in read(part, context, tally):
            yield batch.slice(1)

    give(monkeypatch, dataclasses.replace(SOURCE, read=forgetful))
    with pytest.raises(AccountingError, match="kept"):
        build(tmp_path, {"a": "x:1:first\ny:2:second\n"})


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    build(tmp_path, {"a": "x:1:first\nx:2:second\n"})
    path = next((tmp_path / "run" / "annotated").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    (tmp_path / "run" / "decide" / "part-00000.part.json").unlink()
    with pytest.raises(CorruptPartError, match=r"part-00000\.parquet does not have the sha256"):
        build(tmp_path, {})


def test_a_source_without_its_block_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no block \[books\]"):
        build(tmp_path, {"a": "x:1:first\n"}, dataclasses.replace(RECIPE, books=None))


def file(name: str, size: int) -> InputFile:
    return InputFile(name, f"in/{name}", size, "", "", False)


def halves(one: InputFile, split_bytes: int) -> list[tuple[int, int]]:
    middle = one.size // 2
    return [(0, middle), (middle, one.size)] if one.size > split_bytes else [(0, one.size)]


def test_small_files_share_a_split_and_large_ones_are_cut() -> None:
    source = dataclasses.replace(SOURCE, cut=halves)
    files = [file("a", 30), file("b", 30), file("c", 50), file("d", 150), file("e", 5)]
    found = plan_splits(files, source, 100)
    assert [[(r.file.name, r.start, r.end) for r in split.ranges] for split in found] == [
        [("a", 0, 30), ("b", 0, 30)],
        [("c", 0, 50)],
        [("d", 0, 75)],
        [("d", 75, 150), ("e", 0, 5)],
    ]
    assert [split.name for split in found] == [f"part-{n:05d}" for n in range(4)]


def test_rules_are_applied_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of q's two texts the larger number stays; so the copy of the other one has nothing that beats it."""
    by_text = Unique("text", "same_text", ("text",), (("key", "ascending"),))
    rules = (*unique(None), by_text)
    give(monkeypatch, dataclasses.replace(SOURCE, unique=lambda _: rules))
    counters = build(tmp_path, {"a": "q:1:shared\nq:2:other\n", "b": "r:5:shared\nz:5:other\n"})
    assert {row["key"]: row["text"] for row in rows(tmp_path / "run", "documents")} == {
        "q": "other",
        "r": "shared",
    }
    assert (counters["rejected/same_name"], counters["rejected/same_text"]) == (1, 1)
