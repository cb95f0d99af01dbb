"""Two runs compared document by document: what is counted, paired, shown and written."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.errors import CorruptPartError, UserError
from corpus.parquet_sink import ParquetSink
from corpus.review.compare import pairs
from corpus.review.compare.documents import compare_documents
from corpus.review.compare.output import CHANGED
from corpus.review.runs import open_run
from tests.review.decided import Row, document, write_decided

ABSENT = "not in the run"


def compare(a: Path, b: Path, examples: int = 3) -> dict[str, Any]:
    return compare_documents(open_run(str(a)), open_run(str(b)), examples)


def matrix(found: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(row["a"], row["b"]): row["documents"] for row in found["matrix"]}


def documents(found: dict[str, Any]) -> dict[str, int]:
    return {name: sums["documents"] for name, sums in found["documents"].items()}


def test_what_another_threshold_keeps_and_drops(tmp_path: Path) -> None:
    a = [document(0), document(1), document(2, "reference", bucket="head"), document(3, "short", bucket=None)]
    b = [document(0), document(1, "reference"), document(2, bucket="head"), document(3, "short", bucket=None)]
    found = compare(write_decided(tmp_path / "a", [a]), write_decided(tmp_path / "b", [b]))
    assert matrix(found) == {
        ("kept", "reference"): 1,
        ("reference", "kept"): 1,
        ("kept", "kept"): 1,
        ("short", "short"): 1,
    }
    assert documents(found) == {
        "both": 4,
        "only_a": 0,
        "only_b": 0,
        "kept_both": 1,
        "kept_only_a": 1,
        "kept_only_b": 1,
        "kept_neither": 1,
    }
    assert found["kept"] == [
        {"language": "en", "bucket": "middle", "a": 2, "b": 1}
        | {"dropped": 1, "new": 0, "moved_out": 0, "moved_in": 0},
        {"language": "en", "bucket": "head", "a": 0, "b": 1}
        | {"dropped": 0, "new": 1, "moved_out": 0, "moved_in": 0},
    ]


def test_bytes_are_those_of_either_run(tmp_path: Path) -> None:
    a = write_decided(tmp_path / "a", [[document(0, text="five5"), document(1, text="xx")]])
    b = write_decided(tmp_path / "b", [[document(0, text="4444"), document(2, text="€")]])
    sums = compare(a, b)["documents"]
    assert sums["both"] == {"documents": 1, "bytes_a": 5, "bytes_b": 4}
    assert sums["only_a"] == {"documents": 1, "bytes_a": 2, "bytes_b": 0}
    assert sums["only_b"] == {"documents": 1, "bytes_a": 0, "bytes_b": 3}


def test_what_moves_between_buckets_languages_and_the_held_out_set(tmp_path: Path) -> None:
    a = [document(0, bucket="head"), document(1, held_out=True), document(2), document(3, language="fr")]
    b = [document(0, bucket="middle"), document(1), document(2, held_out=True), document(3, language="en")]
    found = compare(write_decided(tmp_path / "a", [a]), write_decided(tmp_path / "b", [b]))
    assert [(row["a"], row["b"], row["documents"]) for row in found["buckets"]] == [("head", "middle", 1)]
    assert [(row["a"], row["b"], row["documents"]) for row in found["languages"]] == [("fr", "en", 1)]
    assert found["held_out"] == {"a": 1, "b": 1, "both": 0, "for_training_in_a": 1, "for_training_in_b": 1}
    assert [(c["kind"], c["a"], c["b"]) for c in found["changes"]] == [
        ("bucket", "head", "middle"),
        ("held_out", True, False),
        ("held_out", False, True),
        ("language", "fr", "en"),
    ]


def test_a_run_against_itself_does_not_differ(tmp_path: Path) -> None:
    run = write_decided(tmp_path / "run", [[document(0), document(1, "short")], [document(2)]])
    found = compare(run, run)
    assert found["same"]
    assert (found["settings"], found["values"], found["changes"]) == ([], [], [])


def test_other_values_alone_are_a_difference(tmp_path: Path) -> None:
    a = write_decided(tmp_path / "a", [[document(0)]])
    assert not compare(a, write_decided(tmp_path / "b", [[document(0, perplexity_v1=250.5)]]))["same"]


def test_runs_without_documents(tmp_path: Path) -> None:
    empty, one = write_decided(tmp_path / "empty", []), write_decided(tmp_path / "one", [[document(0)]])
    assert compare(empty, empty)["same"]
    assert matrix(compare(empty, one)) == {(ABSENT, "kept"): 1}
    assert matrix(compare(one, empty)) == {("kept", ABSENT): 1}


def test_differences_of_values(tmp_path: Path) -> None:
    a = [document(i, perplexity_v1=100.0 + i, paragraphs_v1=[1, 2]) for i in range(4)]
    b = [document(i, perplexity_v1=100.0 + i + 2 * (i % 2), paragraphs_v1=[1]) for i in range(4)]
    a[2]["reference_v1"] = None
    b[3]["reference_v1"] = None
    found = compare(write_decided(tmp_path / "a", [a]), write_decided(tmp_path / "b", [b]))
    values = {value.pop("column"): value for value in found["values"]}
    assert values["perplexity_v1"] == {
        "compared": 4,
        "only_a": 0,
        "only_b": 0,
        "differ": 2,
        "mean": 2.0,
        "mean_size": 2.0,
        "percentiles": dict.fromkeys(("5", "25", "50", "75", "95"), 2.0),
    }
    assert (values["reference_v1"]["only_a"], values["reference_v1"]["only_b"]) == (1, 1)
    assert values["reference_v1"]["mean"] is None
    assert values["paragraphs_v1"]["mean"] == -1.0  # of a list its length
    assert "lid_v1_score" not in values


def test_settings_that_differ_are_named_with_both_values(tmp_path: Path) -> None:
    check = {
        "column": "gopher_v1_words",
        "reason": "gopher_words",
        "sign": -1,
        "limit": 50.0,
        "strict": False,
    }
    a = write_decided(tmp_path / "a", [[document(0)]], min_score=0.5)
    b = write_decided(tmp_path / "b", [[document(0)]], min_score=0.8, rules=[check])
    assert compare(a, b)["settings"] == [
        {"where": "stages", "key": "decide.min_score", "a": 0.5, "b": 0.8},
        {"where": "stages", "key": "decide.rules.gopher_words", "a": None, "b": "gopher_v1_words ≥ 50"},
    ]


def test_examples_are_those_with_the_smallest_ids_whatever_the_order(tmp_path: Path) -> None:
    a = [document(i) for i in range(20)]
    b = [document(i, "reference") for i in range(20)]
    straight = write_decided(tmp_path / "a", [a])
    first = compare(straight, write_decided(tmp_path / "b", [b]))["changes"]
    again = compare(straight, write_decided(tmp_path / "c", [b[13:], b[:13][::-1]]))["changes"]
    assert first == again
    (change,) = first
    assert change["documents"] == 20
    assert [e["id"] for e in change["examples"]] == sorted(row["id"] for row in a)[:3]


def test_an_example_has_both_reasons_the_values_and_both_thresholds(tmp_path: Path) -> None:
    stricter = {"buckets": ["head"], "held_out": 0.05, "min_reference": 0.75}
    a = write_decided(tmp_path / "a", [[document(0, text="It was kept.")]])
    b = write_decided(tmp_path / "b", [[document(0, "reference", text="It was kept.")]], decide=stricter)
    (change,) = compare(a, b)["changes"]
    (example,) = change["examples"]
    assert example["limits"] == [
        {"column": "reference_v1", "a": 0.7, "b": 0.7, "limit_a": "≥ 0.5", "limit_b": "≥ 0.75"}
    ]
    assert (example["a"]["fate"], example["b"]["fate"]) == ("kept", "reference")
    assert example["a"]["text"] == "It was kept."


def test_texts_are_found_in_any_row_group_and_may_be_missing(tmp_path: Path) -> None:
    rows = [document(i, text=f"Text {i}.") for i in range(3000)]
    a = write_decided(tmp_path / "a", [rows[:2500], rows[2500:]])
    b = write_decided(tmp_path / "b", [[{**row, "text": None} for row in rows[:2700]]])
    (change,) = compare(a, b, examples=300)["changes"]
    wanted = {row["id"]: row["text"] for row in rows}
    assert {e["id"]: e["a"]["text"] for e in change["examples"]} == {
        row["id"]: wanted[row["id"]] for row in rows[2700:]
    }
    found = compare(b, write_decided(tmp_path / "c", [[document(0, "short")]]), examples=1)
    dropped = next(c for c in found["changes"] if c["b"] == "short")
    assert dropped["examples"][0]["a"]["text"] is None
    assert dropped["examples"][0]["b"]["text"] == "Some text."


def test_every_changed_document_is_written(tmp_path: Path) -> None:
    a = write_decided(tmp_path / "a", [[document(0), document(1), document(2), document(3)]])
    b = write_decided(
        tmp_path / "b",
        [[document(0), document(1, "reference", reference_v1=0.2), document(2, held_out=True)]],
    )
    with open(tmp_path / "changed.parquet", "wb") as f:
        sink = ParquetSink(f, CHANGED)
        compare_documents(open_run(str(a)), open_run(str(b)), 0, sink.write)
        sink.close()
    table = pq.read_table(tmp_path / "changed.parquet")
    assert table.schema == CHANGED
    rows = {row["id"]: row for row in table.to_pylist()}
    assert rows.keys() == {document(i)["id"] for i in (1, 2, 3)}
    changed = rows[document(1)["id"]]
    assert (changed["fate_a"], changed["fate_b"], changed["key"]) == ("kept", "reference", document(1)["key"])
    assert {"column": "reference_v1", "a": 0.7, "b": 0.2} in changed["values"]
    assert rows[document(3)["id"]]["fate_b"] is None
    assert rows[document(2)["id"]]["held_out_b"]


def test_an_id_that_a_run_has_twice_is_paired_in_order(tmp_path: Path) -> None:
    copy = document(0, "repeated_row")
    a = write_decided(tmp_path / "a", [[document(0), document(1), copy]])
    b = write_decided(tmp_path / "b", [[document(1), document(0)], [copy, copy]])
    assert matrix(compare(a, b)) == {
        ("kept", "kept"): 2,
        ("repeated_row", "repeated_row"): 1,
        (ABSENT, "repeated_row"): 1,
    }


FATES = st.sampled_from((None, "short", "reference"))
RUNS = st.dictionaries(st.integers(0, 30), FATES, max_size=20)


@given(
    a=RUNS,
    b=RUNS,
    cuts=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    shuffled=st.booleans(),
    range_bytes=st.sampled_from((1, 500, 1 << 20)),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pairs_are_those_of_a_dictionary(
    a: dict[int, str | None],
    b: dict[int, str | None],
    cuts: tuple[int, int],
    shuffled: bool,
    range_bytes: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "_RANGE_BYTES", range_bytes)
        patch.setattr(pairs, "_RANGES", 4)
        patch.setattr("os.fsync", lambda descriptor: None)  # hundreds of files, of which none must last
        runs = []
        for name, fates, cut in zip("ab", (a, b), cuts, strict=True):
            numbers = sorted(fates, reverse=shuffled and name == "b")
            rows = [document(n, fates[n]) for n in numbers]
            runs.append(write_decided(folder / name, [rows[i : i + cut] for i in range(0, len(rows), cut)]))
        found = matrix(compare(*runs))
    expected: dict[tuple[str, str], int] = {}
    for number in a.keys() | b.keys():
        cell = tuple((fates[number] or "kept") if number in fates else ABSENT for fates in (a, b))
        expected[cell] = expected.get(cell, 0) + 1  # type: ignore[index, arg-type]
    assert found == expected


def test_aligned_or_not_the_answer_is_the_same(tmp_path: Path) -> None:
    rows = [document(i, perplexity_v1=float(i)) for i in range(500)]
    other: list[Row] = [
        {**row, "perplexity_v1": i * 1.01, "kept": i % 3 > 0, "reason": None if i % 3 else "perplexity"}
        for i, row in enumerate(rows)
    ]
    a = write_decided(tmp_path / "a", [rows[:300], rows[300:]])
    aligned = write_decided(tmp_path / "aligned", [other[:300], other[300:]])
    cut = write_decided(tmp_path / "cut", [other[250:], other[:250]])
    first, second = compare(a, aligned), compare(a, cut)
    assert first.pop("b") != second.pop("b")
    means = [[v.pop("mean") for v in found["values"]] for found in (first, second)]
    assert means[0] == pytest.approx(means[1])
    sizes = [[v.pop("mean_size") for v in found["values"]] for found in (first, second)]
    assert sizes[0] == pytest.approx(sizes[1])
    assert first == second


def test_ids_that_are_no_ids_are_refused(tmp_path: Path) -> None:
    a = write_decided(tmp_path / "a", [[document(0)]])
    b = write_decided(tmp_path / "b", [[document(0, id="x" * 32)]])
    with pytest.raises(CorruptPartError, match="32 hex digits"):
        compare(a, b)


def test_a_full_disk_is_said_where_runs_are_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    a = write_decided(tmp_path / "a", [[document(0), document(1)]])
    b = write_decided(tmp_path / "b", [[document(1), document(0)]])
    monkeypatch.setattr("pyarrow.ipc.new_stream", full)
    with pytest.raises(UserError, match=r"No space left on device.*TMPDIR"):
        compare(a, b)


def test_texts_that_differ_late_are_shown_where_they_do(tmp_path: Path) -> None:
    same = "word " * 1000
    a = write_decided(tmp_path / "a", [[document(0, text=same + "and so on")]])
    b = write_decided(tmp_path / "b", [[document(0, "reference", text=same + "but no")]])
    (change,) = compare(a, b)["changes"]
    shown = [change["examples"][0][side] for side in "ab"]
    assert shown[0]["text"].endswith("and so on")
    assert shown[1]["text"].endswith("but no")
    assert shown[0]["text_from"] == shown[1]["text_from"] > 4_000
    assert [side["characters"] for side in shown] == [5_009, 5_006]


def test_pairs_have_the_promised_columns(tmp_path: Path) -> None:
    run = open_run(str(write_decided(tmp_path / "a", [[document(0)]])))
    (table,) = pairs.Pairing(run, run, ["perplexity_v1"]).tables()
    assert isinstance(table, pa.Table)
    assert table.schema == pairs.pair_schema(["perplexity_v1"])
