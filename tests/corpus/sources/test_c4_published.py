"""JSON lines in every wrapping and condition, and C4's published rows; the sample; real rows."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import recipe
from corpus.errors import UserError
from corpus.inputs import InputFile
from corpus.raw.damage import Damage
from corpus.raw.json_lines import Line, read_lines
from corpus.recipe import Limits
from corpus.sample import build_c4
from corpus.settings.c4 import C4
from corpus.sources.c4 import check_input
from corpus.sources.c4.urls import is_validation
from tests.builds import build_here, rows, sample_of, with_settings
from tests.shared import DATA, needs

PUBLISHED = DATA / "c4"
SMALL = Limits(record_bytes=1 << 20, line_bytes=1 << 16, url_bytes=100)

Row = dict[str, Any]


def lines_of(data: bytes, limits: Limits = SMALL) -> list[tuple[Any, ...]]:
    """Offset and data of lines; offset and reason of damage."""
    return [
        (item.offset, item.data) if isinstance(item, Line) else (item.offset, item.reason)
        for item in read_lines(io.BytesIO(data), limits)
    ]


def row(text: str, **others: Any) -> bytes:
    return json.dumps({"text": text, **others}).encode() + b"\n"


CONTENT = st.lists(
    st.sampled_from([b"{}", b'{"a":1}', b" ", b"", b"\xc3\xa9", b"{" + b"x" * 300, b"\r"]), max_size=30
)


@settings(deadline=None)
@given(CONTENT, st.integers(1, 40), st.booleans())
def test_lines_are_the_same_however_a_file_is_compressed(parts: list[bytes], cut: int, ended: bool) -> None:
    data = b"\n".join(parts) + (b"\n" if ended else b"")
    expected = [li.removesuffix(b"\r") for li in data.split(b"\n") if li.strip()]
    members = [data[i : i + 13 * cut] for i in range(0, len(data), 13 * cut)]
    assert [text for _, text in lines_of(data)] == expected
    assert [text for _, text in lines_of(b"".join(map(gzip.compress, members)))] == expected
    assert [text for _, text in lines_of(b"".join(map(zstandard.compress, members)))] == expected
    assert all(data[at:].startswith(text) for at, text in lines_of(data))


def test_a_line_beyond_the_limit_is_passed_over_and_the_next_is_read() -> None:
    long = b'{"text":"' + b"x" * (3 << 20)
    data = b"{1}\n" + long + b"\n{2}\n" + long
    found = lines_of(data)
    assert found == [
        (0, b"{1}"),
        (4, "record_too_large"),
        (len(long) + 5, b"{2}"),
        (len(long) + 9, "record_too_large"),
    ]
    (damage,) = [d for d in read_lines(io.BytesIO(long), SMALL) if isinstance(d, Damage)]
    assert damage.first_bytes == long[:64]


def test_a_line_of_200_mb_takes_no_memory_worth_the_name() -> None:
    import tracemalloc

    packed = gzip.compress(b'{"text":"' + b"ab" * (100 << 20) + b'"}\n{2}\n', 1)
    tracemalloc.start()
    found = lines_of(packed, Limits(record_bytes=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [text for _, text in found] == ["record_too_large", b"{2}"]
    assert peak < 8 << 20


def test_a_bomb_ends_its_member_only() -> None:
    bomb = gzip.compress(b"\0" * (80 << 20), 9)
    found = lines_of(gzip.compress(b"{1}\n") + bomb + gzip.compress(b"{2}\n"), Limits(compression_ratio=100))
    assert [what for _, what in found] == [b"{1}", "gzip_bomb", b"{2}"]


def test_damage_between_and_inside_members() -> None:
    whole = [gzip.compress(b'{"n":%d}\n{"n":%d}\n' % (i, i + 1)) for i in (1, 3, 5)]
    cut = whole[1][:-9]
    assert [w for _, w in lines_of(whole[0] + b"garbage" + whole[2])] == [
        b'{"n":1}', b'{"n":2}', "garbage", b'{"n":5}', b'{"n":6}',
    ]  # fmt: skip
    reasons = [w for _, w in lines_of(whole[0] + cut + whole[2]) if isinstance(w, str)]
    assert reasons == ["bad_gzip"]
    assert lines_of(whole[0] + cut)[-1][1] == "truncated_gzip"
    # A line that was cut off with its member is no line.
    half = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = half.compress(b'{"n":1}\n{"n":') + half.flush(zlib.Z_SYNC_FLUSH)
    assert [w for _, w in lines_of(data)] == [b'{"n":1}', "truncated_gzip"]


def build(path: Path, out: Path, **changes: Any) -> dict[str, int]:
    chosen = with_settings(recipe.load("sample"), "c4", splits=["train", "validation"], **changes)
    return build_here(out, "c4", [path], chosen)[1]


BAD = {
    "cut short": (b'{"text":"x', "bad_json"),
    "two values": (b'{"text":"x"} {"text":"y"}', "bad_json"),
    "no value": (b"nothing", "bad_json"),
    "not a number": (b'{"text":"x","n":NaN}', "bad_json"),
    "half a surrogate": (b'{"text":"\\ud800"}', "bad_json"),
    "a control character": (b'{"text":"\x01"}', "bad_json"),
    "no text": (b'{"url":"x"}', "wrong_fields"),
    "null text": (b'{"text":null}', "wrong_fields"),
    "an address of another type": (b'{"text":"x","url":["y"]}', "wrong_fields"),
    "an array": (b'["text"]', "wrong_fields"),
    "a string": (b'"text"', "wrong_fields"),
    "not UTF-8": (b'{"text":"\xff"}', "invalid_utf8"),
    "deep": (b'{"text":"x","y":' + b'{"a":[' * 200 + b"]}" * 200 + b"}", "json_too_deep"),
    "very deep, never closed": (b'{"text":"x","y":' + b"[" * 500_000, "json_too_deep"),
    "a string never closed": (b'{"text":"x","y":[' + b"[]," * 300 + b'"' + b'\\"' * 200_000, "bad_json"),
    "a long address": (row("x", url="http://e.example/" + "a" * 70_000).strip(), "url_too_long"),
    "a long line of text": (row("short\n" + "x" * (5 << 20) + "\nshort").strip(), "line_too_long"),
    "brackets in text alone": (row("[{" * 1000 + '"]' * 1000).strip(), None),
    "a long text of short lines": (row("abcdefg\n" * (1 << 20)).strip(), None),
    "a million values elsewhere": (b'{"x":[' + b'{"a":1},' * 100 + b'0],"text":"x"}', None),
}


def test_what_is_no_row_is_bad_and_the_next_row_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"".join(line + b"\n" + row(f"after {why}") for why, (line, _) in BAD.items()))
    counters = build(path, tmp_path / "run")
    bad = {b["first_bytes"][:60]: b["reason"] for b in rows(tmp_path / "run", "bad")}
    assert bad == {line[:60]: reason for line, reason in BAD.values() if reason}
    texts = [r["text"] for r in rows(tmp_path / "run", "annotated")]
    assert [t for t in texts if t.startswith("after ")] == [f"after {why}" for why in BAD]
    assert counters["in"] == 2 * len(BAD) == counters["bad"] + counters["kept"]


def test_rows_by_natural_key_wherever_they_lie(tmp_path: Path) -> None:
    data = (
        row("A", url="http://a.example/", timestamp="2019-04-20T00:00:00Z")
        + row("B")
        + row("C", url="http://c.example/")
    )
    for name, content in (
        ("a.jsonl", data),
        ("b.json.zst", zstandard.compress(data)),
        ("b.json.gz", gzip.compress(data)),
    ):
        (tmp_path / name).write_bytes(content)
    ids = []
    for name in ("a.jsonl", "b.json.zst", "b.json.gz"):
        build(tmp_path / name, tmp_path / f"run-{name}")
        ids.append([r["id"] for r in rows(tmp_path / f"run-{name}", "annotated")])
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids[0])) == 3
    counters = build_here(tmp_path / "both", "c4", sorted(tmp_path.glob("*.json*")))[1]
    assert (counters["kept"], counters["rejected/repeated_row"]) == (3, 6)
    assert {r["file"] for r in rows(tmp_path / "both", "documents")} == {"a.jsonl"}


def test_a_file_of_the_other_mode_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "crawl").write_bytes(gzip.compress(b"WARC/1.0\r\n"))
    (tmp_path / "rows").write_bytes(zstandard.compress(b'\n {"text":""}'))

    def files(*names: str) -> list[InputFile]:
        return [InputFile(n, str(tmp_path / n), 1, "", "", False) for n in names]

    with pytest.raises(UserError, match='set it to "rebuild"'):
        check_input(files("empty", "crawl"), C4())
    with pytest.raises(UserError, match='set it to "published"'):
        check_input(files("rows"), C4(mode="rebuild"))
    check_input(files("empty", "rows", "crawl"), C4())
    check_input(files("crawl"), C4(mode="rebuild"))


def test_the_sample_is_what_its_texts_make_of_it(tmp_path: Path) -> None:
    build_c4.build(tmp_path)
    built = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept = {
        path.relative_to(sample_of("c4")): path.read_bytes()
        for path in sample_of("c4").rglob("*")
        if path.is_file()
    }
    assert built == kept


def test_the_sample(tmp_path: Path) -> None:
    counters = build_here(tmp_path, "c4", [sample_of("c4")])[1]
    expected = {
        "in": 28, "kept": 18, "rejected": 4, "rejected/empty": 1, "rejected/repeated_row": 1,
        "rejected/validation_split": 2, "bad": 6, "bad/bad_gzip": 1, "bad/bad_json": 1, "bad/invalid_utf8": 1,
        "bad/json_too_deep": 1, "bad/wrong_fields": 2, "merged": 0, "skipped": 0, "kept/en": 18,
    }  # fmt: skip
    assert {k: v for k, v in counters.items() if k != "held_out"} == expected
    texts = {r["text"] for r in build_c4.read_rows()}
    assert {r["text"] for r in rows(tmp_path, "documents")} < texts


@needs(PUBLISHED)
def test_real_rows_of_the_validation_split(tmp_path: Path) -> None:
    """All 600 are of C4's own validation split: the rule by which it is found is the published one."""
    with gzip.open(PUBLISHED / "c4-sample.dev.json.gz", "rt", encoding="utf-8") as lines:
        raw = [json.loads(line) for line in lines]
    counters = build(PUBLISHED / "c4-sample.dev.json.gz", tmp_path)
    assert (counters["in"], counters["kept"], counters["bad"]) == (600, 600, 0)
    found = rows(tmp_path, "annotated")
    assert [(r["text"], r["key"], r["timestamp"]) for r in found] == [
        (r["text"], r["url"], r["timestamp"]) for r in raw
    ]
    assert all(is_validation(r["url"]) for r in raw)
    assert {r["c4_v1_validation"] for r in found} == {1}


@needs(PUBLISHED)
def test_real_rows_of_text_alone(tmp_path: Path) -> None:
    counters = build(PUBLISHED / "redpajama-c4-refined.jsonl", tmp_path)
    assert (counters["in"], counters["kept"], counters["bad"]) == (10, 10, 0)
    assert len({r["id"] for r in rows(tmp_path, "documents")}) == 10
