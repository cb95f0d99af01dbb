"""Evaluation files: every text of every item by field; what is not of its format is an error that says so."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from corpus.errors import UserError
from corpus.overlap.evaluations import EvaluationFile, Text, base_field, find, read
from corpus.overlap.ngrams import chosen, gather, size_for
from tests.shared import DATA, needs

EVALS = DATA / "evals"


def _read(path: Path, data: str | bytes, max_bytes: int = 1 << 20) -> list[tuple[int, str, str]]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    file = EvaluationFile(path.name, str(path), path.stat().st_size)
    return [(t.item, t.field, t.text) for t in read(file, max_bytes)]


def test_json_lines_give_every_string_with_its_path(tmp_path: Path) -> None:
    first = {
        "question": "Why?",
        "n": 3,
        "endings": ["so", "thus"],
        "meta": {"title": "T", "tags": [{"x": "y"}]},
    }
    lines = "\n".join([json.dumps(first), "", json.dumps({"question": "How?", "answer": None})])
    expected = [
        (0, "question", "Why?"),
        (0, "endings[0]", "so"),
        (0, "endings[1]", "thus"),
        (0, "meta.title", "T"),
        (0, "meta.tags[0].x", "y"),
        (1, "question", "How?"),
    ]
    assert _read(tmp_path / "a.jsonl", lines) == expected
    assert _read(tmp_path / "a.NDJSON", lines + "\n") == expected
    assert _read(tmp_path / "a.jsonl.gz", gzip.compress(lines.encode())) == expected
    assert [base_field(field) for _, field, _ in expected[1:5]] == [
        "endings",
        "endings",
        "meta.title",
        "meta.tags.x",
    ]


def test_a_line_separator_within_a_string_ends_no_line(tmp_path: Path) -> None:
    assert _read(tmp_path / "a.jsonl", '{"q": "one\u2028two\x85three"}') == [
        (0, "q", "one\u2028two\x85three")
    ]


def test_csv_with_a_header_byte_order_mark_and_lines_within_cells(tmp_path: Path) -> None:
    data = '\ufeffquestion,,answer\r\n"One, two\nthree",x,""\r\nFour,,five\r\n'
    assert _read(tmp_path / "a.csv", data) == [
        (0, "question", "One, two\nthree"),
        (0, "column2", "x"),
        (0, "answer", ""),
        (1, "question", "Four"),
        (1, "column2", ""),
        (1, "answer", "five"),
    ]


def test_a_first_row_with_a_long_cell_is_no_header(tmp_path: Path) -> None:
    data = "Which of these eight words is the last?,last,A\nWhy?,so,B\n"
    assert [row[:2] for row in _read(tmp_path / "a.csv", data)] == [
        (0, "column1"), (0, "column2"), (0, "column3"), (1, "column1"), (1, "column2"), (1, "column3"),
    ]  # fmt: skip


def test_quotation_marks_within_quotation_marks_lose_no_text(tmp_path: Path) -> None:
    rows = ['"it is in a "plasma torus" around it",yes', '"some "shear", that is to say, motion",no']
    rows += ['"plain",maybe'] * 6
    found = _read(tmp_path / "a.csv", "\n".join(["question,answer", *rows]))
    assert found[0][1] == "question"
    assert found[0][2].replace('"', "") == "it is in a plasma torus around it"
    assert [row[1] for row in found if row[0] == 1] == ["row"]
    spelled = found[2][2].replace('"', "").replace(",", "")
    assert " ".join(spelled.split()) == "some shear that is to say motion no"


def test_tsv_has_no_quoting(tmp_path: Path) -> None:
    data = 'id\tsentence\n1\tHe said "no.\n2\tShe left.\n'
    assert [row for row in _read(tmp_path / "a.tsv", data) if row[1] == "sentence"] == [
        (0, "sentence", 'He said "no.'),
        (1, "sentence", "She left."),
    ]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.csv", b" \n\n", "is empty"),
        ("a.jsonl", b'{"q": "x"}\n{"q": \n', "line 2: not valid JSON"),
        ("a.jsonl", b'["x"]\n', "line 1: not a JSON object"),
        ("a.jsonl", b'{"n": 1}\n', "has no text"),
        ("a.csv", b"question\n", "has no text"),
        ("a.jsonl", '{"q": "é"}'.encode("latin-1"), "not UTF-8"),
        ("a.csv", b"PK\x03\x04\xff\xfe", "not UTF-8"),
        ("a.csv", b"Dear all, hello\nYes, no, and, so on\nor, not, or, what\n", "not valid CSV"),
        ("a.tsv", b"a\tb\nc\td\te\nf\tg\th\n", "not valid TSV"),
        ("a.jsonl.gz", b'{"q": "x"}', "not valid gzip"),
        ("a.jsonl.gz", gzip.compress(random.Random(1).randbytes(9_000))[:5_000], "not valid gzip"),
        ("a.jsonl", b'{"q": "' + b"x" * 70_000 + b'"}', "more than 65,536 bytes"),
        ("a.jsonl.gz", gzip.compress(b"x" * 9_000_000), "more than 65,536 bytes"),
        ("a.jsonl", b'{"q":' * 150 + b'"x"' + b"}" * 150, "nested more than 100 deep"),
    ],
)
def test_what_is_not_of_its_format_is_an_error_that_names_the_file(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        _read(tmp_path / name, data, 65_536)
    assert str(tmp_path / name) in str(caught.value)


def test_folders_give_the_files_of_known_kinds_with_names_below_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "evals/gsm8k/test.jsonl",
        "evals/gsm8k/LICENSE",
        "evals/b/test.CSV",
        "evals/c.tsv.gz",
        "evals/x.json",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    names = ["evals/b/test.CSV", "evals/c.tsv.gz", "evals/gsm8k/test.jsonl"]
    assert [f.name for f in find([f"{tmp_path}/evals/"])] == names
    assert [
        f.name for f in find([f"{tmp_path}/evals", f"{tmp_path}/evals/gsm8k", f"{tmp_path}/evals"])
    ] == names
    assert [f.name for f in find([f"{tmp_path}/evals/*/test.*"])] == ["b/test.CSV", "gsm8k/test.jsonl"]
    assert [f.name for f in find([f"{tmp_path}/evals/gsm8k/test.jsonl"])] == ["test.jsonl"]
    monkeypatch.chdir(tmp_path / "evals")
    assert [f.name for f in find(["."])] == names
    with pytest.raises(UserError, match="LICENSE: its ending tells no format"):
        find([f"{tmp_path}/evals/gsm8k/LICENSE"])
    with pytest.raises(UserError, match="does not exist"):
        find([f"{tmp_path}/none"])
    (tmp_path / "only").mkdir()
    (tmp_path / "only/README.md").write_text("x")
    with pytest.raises(UserError, match="no file of a known kind"):
        find([f"{tmp_path}/only"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other/test.jsonl").write_text("{}")
    with pytest.raises(UserError, match=r"two evaluations are called test.jsonl"):
        find([f"{tmp_path}/evals/gsm8k/test.jsonl", f"{tmp_path}/other/test.jsonl"])


def test_fields_are_chosen_by_path_or_without_their_places() -> None:
    texts = {
        "a": [Text(0, "question", "x"), Text(0, "endings[0]", "y"), Text(0, "endings[1]", "z")],
        "b": [Text(0, "endings[0]", "w")],
    }
    assert chosen(texts, []) == texts
    assert {k: [t.text for t in v] for k, v in chosen(texts, ["endings"]).items()} == {
        "a": ["y", "z"],
        "b": ["w"],
    }
    assert {k: [t.text for t in v] for k, v in chosen(texts, ["endings[0]"]).items()} == {
        "a": ["y"],
        "b": ["w"],
    }
    with pytest.raises(UserError, match=r"no evaluation has a field answer; there are: endings, .*question"):
        chosen(texts, ["question", "answer"])
    with pytest.raises(UserError, match="evaluation b has none of the fields asked for; it has: endings"):
        chosen(texts, ["question"])


def _items(lengths: list[int]) -> list[Text]:
    return [Text(i, "f", " ".join(f"w{j}" for j in range(n))) for i, n in enumerate(lengths)]


def test_auto_is_the_fifth_percentile_of_lengths_within_8_and_13() -> None:
    assert size_for(_items([30] * 100), "auto") == 13
    assert size_for(_items([3] * 100), "auto") == 8
    assert size_for(_items([9] * 5 + [10] + [30] * 94), "auto") == 10
    assert size_for(_items([9] * 6 + [30] * 94), "auto") == 9
    assert size_for([*_items([30] * 99), Text(0, "g", "short"), Text(99, "f", "short")], "auto") == 13
    assert size_for(_items([3]), 5) == 5


def test_the_tables_say_where_each_ngram_stands() -> None:
    texts = {
        "two": [Text(0, "q", "The cat sat. The cat sat!"), Text(3, "a[1]", "a cat sat")],
        "one": [Text(5, "q", "THE CAT SAT"), Text(6, "q", "too short")],
    }
    tables = gather(texts, 3)
    spelled = tables.grams.column("text").to_pylist()
    assert tables.grams.column("key").to_pylist() == sorted(tables.grams.column("key").to_pylist())
    assert sorted(spelled) == ["a cat sat", "cat sat the", "sat the cat", "the cat sat"]
    places = [(spelled[p["gram"]], p["evaluation"], p["item"], p["field"]) for p in tables.places.to_pylist()]
    assert sorted(places) == [
        ("a cat sat", 1, 3, "a[1]"),
        ("cat sat the", 1, 0, "q"),
        ("sat the cat", 1, 0, "q"),
        ("the cat sat", 0, 5, "q"),
        ("the cat sat", 1, 0, "q"),
    ]
    assert tables.evaluations.to_pylist() == [
        {"evaluation": "one", "items": 2, "searched": 1, "ngram": 3, "ngrams": 1},
        {"evaluation": "two", "items": 2, "searched": 2, "ngram": 3, "ngrams": 4},
    ]


@needs(EVALS)
def test_the_real_files_are_read_whole() -> None:
    files = {file.name.removeprefix("evals/"): file for file in find([str(EVALS)])}
    assert len(files) == 65
    counts = {name: len({t.item for t in read(file, 1 << 24)}) for name, file in files.items()}
    assert counts["gsm8k/test.jsonl"] == 1319
    assert counts["humaneval/HumanEval.jsonl.gz"] == 164
    assert counts["crows_pairs/crows_pairs_anonymized.csv"] == 1508
    assert counts["winogender/all_sentences.tsv"] == 720
    assert counts["mmlu/test/astronomy_test.csv"] == 152
    uneven = [t for t in read(files["mmlu/test/computer_security_test.csv"], 1 << 24) if t.field == "row"]
    assert len(uneven) == 5
