"""Reading books: text files, zip archives, JSON Lines and Parquet; and what is bad about them."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus import inputs
from corpus.build.source import FileRange, ReadContext
from corpus.errors import UserError
from corpus.recipe import Limits
from corpus.schema import document_id
from corpus.settings.books import Books, Columns
from corpus.sources.books import SOURCE
from corpus.tally import Tally

LIMITS = Limits(record_bytes=20_000, compression_ratio=100)
START = "*** START OF THIS PROJECT GUTENBERG EBOOK THE LAMPLIGHTER ***"
BOOK = f"Title: The Lamplighter\n\nRelease Date: May, 1995 [EBook #90012]\n\n{START}\n\nFive lamps.\n"

Row = dict[str, Any]


class Found:
    """What came of reading files."""

    def __init__(self, rows: list[Row], bad: list[Row], counters: dict[str, int]) -> None:
        self.rows, self.bad, self.counters = rows, bad, counters

    @property
    def texts(self) -> list[str]:
        return [row["text"] for row in self.rows]

    @property
    def reasons(self) -> list[tuple[int, str]]:
        return [(row["offset"], row["reason"]) for row in self.bad]


def read(
    folder: Path, block: Books | None = None, split_bytes: int = 1 << 20, limits: Limits = LIMITS
) -> Found:
    block = block or Books()
    bad: list[Row] = []
    tally = Tally(lambda records: bad.extend(records.to_pylist()))
    files = inputs.resolve([str(folder)], str(folder))
    SOURCE.check_input(files, block)
    context = ReadContext(block, limits, {}, 1_000)
    ranges = [FileRange(f, *r) for f in files for r in SOURCE.cut(f, split_bytes)]
    rows = [row for r in ranges for batch in SOURCE.read(r, context, tally) for row in batch.to_pylist()]
    tally.flush()
    counters = dict(tally.counters)
    assert counters.get("in", 0) == counters.get("out", 0) + counters.get("bad", 0)
    assert counters["framed"] == counters.get("in", 0) + counters.get("skipped", 0)
    return Found(rows, bad, counters)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def lines(*objects: Any) -> bytes:
    return b"".join(json.dumps(o).encode() + b"\n" for o in objects)


def parquet(path: Path, columns: dict[str, Any], row_group_size: int = 2) -> None:
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)


def test_a_gutenberg_text(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    data = BOOK.replace("\n", "\r\n").replace("Five", "F\xefve") + "\x1a"
    (tmp_path / "old" / "lampl10.txt").write_bytes(data.encode("latin-1"))
    (row,) = read(tmp_path).rows
    assert row["id"] == document_id("books", "gutenberg", 90012, "lampl10")
    assert row["text"] == "Fïve lamps."
    assert (row["key"], row["language"], row["timestamp"]) == ("The Lamplighter", None, "1995-05")
    assert (row["file"], row["offset"], row["bytes"]) == ("old/lampl10.txt", 0, 12)
    assert json.loads(row["metadata"]) == {
        "title": "The Lamplighter",
        "collection": "gutenberg",
        "name": "lampl10",
        "etext": 90012,
        "encoding": "cp1252",
        "begun": "starred",
    }
    measured = {name: row[f"books_v1_{name}"] for name in ("characters", "words", "gutenberg", "copyrighted")}
    assert measured == {"characters": 11, "words": 2, "gutenberg": 1, "copyrighted": 0}
    assert row["books_v1_reason"] is None


def test_a_book_of_gutenberg_is_the_same_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "90012-0.txt").write_text(BOOK)
    (tmp_path / "90012-0.txt").write_text(BOOK)
    (tmp_path / "90012-0.zip").write_bytes(zipped({"90012-0.txt": BOOK.encode()}))
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(BOOK.encode()))
    *same, other = read(tmp_path).rows
    assert len({row["id"] for row in same}) == 1
    assert other["id"] != same[0]["id"]  # another file of the book


def test_texts_without_markers_are_another_collection_and_known_by_their_place(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "book.txt").write_text("Five lamps.\n")
    rows = read(tmp_path, Books(collection="harbour")).rows
    assert [r["id"] for r in rows] == [document_id("books", "harbour", f"{f}/book.txt") for f in ("x", "y")]
    assert [r["books_v1_gutenberg"] for r in rows] == [0, 0]
    assert [r["key"] for r in rows] == ["book", "book"]


def test_two_numbers_in_files_of_one_name_are_two_books(tmp_path: Path) -> None:
    for number in ("90012", "90013"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "book.txt").write_text(BOOK.replace("90012", number))
    assert len({row["id"] for row in read(tmp_path).rows}) == 2


def test_reasons_of_texts_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "b.txt").write_text(f"x\n{START}\n\n")
    (tmp_path / "c.txt").write_bytes(b"MZ\x00\x01 program")
    (tmp_path / "d.txt").write_text("Lamps.")
    (tmp_path / "cover.jpg").write_bytes(b"\xff\xd8")
    found = read(tmp_path)
    assert [row["books_v1_reason"] for row in found.rows] == ["empty", "empty", "binary", None]
    assert found.counters["skipped/other_format"] == 1


def test_languages_by_switch(tmp_path: Path) -> None:
    for language in ("English", "Finnish", "Middle English"):
        header = f"Language: {language}\n{START}\nLamps.\n"
        (tmp_path / f"{language}.txt").write_text(header)

    def reasons(block: Books) -> list[str | None]:
        return [row["books_v1_reason"] for row in read(tmp_path, block).rows]

    assert reasons(Books()) == [None, None, None]
    assert reasons(Books(languages=["en"])) == [None, "language", None]
    assert reasons(Books(languages=["en"], unknown_language="reject")) == [None, "language", "language"]


def test_members_of_zip_archives(tmp_path: Path) -> None:
    members = {
        "90012.txt": BOOK.encode(),
        "90012-h/90012-h.htm": b"<html>",
        "../../escape.txt": b"Only a name: nothing is written anywhere.",
        "large.txt": b"a b c d" * 5_000,
        "bomb.txt": b"a" * 19_999,
        "folder/": b"",
    }
    (tmp_path / "a.zip").write_bytes(zipped(members))
    found = read(tmp_path)
    assert found.texts == ["Five lamps.", "Only a name: nothing is written anywhere."]
    assert [reason for _, reason in found.reasons] == ["record_too_large", "zip_bomb"]
    assert found.counters["skipped/other_format"] == 1
    assert all(row["file"] == "a.zip" for row in found.rows)
    assert found.rows[1]["offset"] > 0
    assert not (tmp_path.parent / "escape.txt").exists()


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


GOOD_ZIP = zipped({"x.txt": b"Five lamps on the pier. " * 20})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (GOOD_ZIP[: len(GOOD_ZIP) // 2], "bad_zip"),
        (b"", "bad_zip"),
        (b"PK\x03\x04 no archive", "bad_zip"),
        (_flip(GOOD_ZIP, 50), "bad_zip"),  # inside the deflated text
        (_flip(GOOD_ZIP, 2), "bad_zip"),  # the member's own header
        (GOOD_ZIP.replace(b"PK\x01\x02", b"PK\x01\x03"), "bad_zip"),  # the directory
        (zipped({"x.txt": b"text"}, zipfile.ZIP_BZIP2), "zip_method"),
        (zipped({f"{i}.txt": b"" for i in range(1_001)}), "too_many_members"),
    ],
)
def test_bad_zip_archives(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    (tmp_path / "b.txt").write_text("The rest goes on.")
    found = read(tmp_path)
    assert [r for _, r in found.reasons] == [reason]
    assert found.texts == ["The rest goes on."]


def test_encrypted_members_are_bad(tmp_path: Path) -> None:
    data = bytearray(GOOD_ZIP)
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        struct.pack_into("<H", data, data.find(mark) + flags, 1)
    (tmp_path / "a.zip").write_bytes(bytes(data))
    assert [r for _, r in read(tmp_path).reasons] == ["encrypted"]


def test_an_archive_that_declares_less_than_it_holds_is_bad(tmp_path: Path) -> None:
    data = bytearray(zipped({"x.txt": b"word " * 3_000}))
    for mark, size in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.find(mark) + size, 10)
    (tmp_path / "a.zip").write_bytes(bytes(data))
    assert [r for _, r in read(tmp_path).reasons] == ["bad_zip"]


def test_text_files_beyond_limits(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a" * 20_001)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(bytes(range(256)) * 100))
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"a" * 2_000_000))
    (tmp_path / "d.txt.gz").write_bytes(gzip.compress(b"Five lamps" * 50)[:-9])
    (tmp_path / "e.txt.zst").write_bytes(zstandard.compress(b"Five lamps."))
    found = read(tmp_path)
    assert [r for _, r in found.reasons] == [
        "record_too_large", "record_too_large", "gzip_bomb", "truncated_gzip",
    ]  # fmt: skip
    assert found.texts == ["Five lamps."]


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("x.jsonl", bytes),
        ("x.json.gz", gzip.compress),
        ("x.jsonl.zst", zstandard.compress),
    ],
)
def test_json_lines(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    data = lines(
        {"text": "Five lamps.", "id": 7, "title": "Lamps", "author": ["A", "B"], "language": "English"},
        {"text": "No id.", "meta": {"deep": [1, 2]}},
        {"text": BOOK, "id": "x", "title": "of the collection"},
        {"title": "no text"},
        {"text": 5},
        ["no object"],
    )
    data += b'{"text": "cut\n\n' + b'{"text": "\xff"}\n' + b'{"text": "lone \\ud800"}\n'
    data += b'{"text": "' + b"a b" * 7_000 + b'"}\n' + b'{"x": ' + b"[" * 3_000 + b"\n"
    data += lines({"text": "The last."})
    (tmp_path / name).write_bytes(pack(data))
    found = read(tmp_path)
    assert found.texts == ["Five lamps.", "No id.", "Five lamps.", "The last."]
    reasons = [reason for _, reason in found.reasons]
    assert reasons[:3] == ["no_text", "wrong_fields", "wrong_fields"]
    assert len(reasons) == 8
    assert {"record_too_large", "json_too_deep", "bad_json"} < set(reasons)
    first, second, third, _ = found.rows
    assert first["id"] == document_id("books", "books", 7)
    assert (first["key"], first["language"]) == ("Lamps", "en")
    assert json.loads(first["metadata"]) == {
        "author": "A, B",
        "title": "Lamps",
        "collection": "books",
        "name": "7",
    }
    assert second["id"] == document_id("books", "books", f"{name}#{second['offset']}")
    assert third["books_v1_gutenberg"] == 1
    assert third["key"] == "The Lamplighter"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=30), min_size=1, max_size=12), st.integers(1, 300))
def test_ranges_of_json_lines_give_each_line_once(tmp_path: Path, texts: list[str], split: int) -> None:
    data = b"\n".join(json.dumps({"text": t, "id": i}).encode() for i, t in enumerate(texts))
    (tmp_path / "x.jsonl").write_bytes(data)
    whole, parts = read(tmp_path), read(tmp_path, split_bytes=split)
    assert parts.rows == whole.rows
    assert len(whole.rows) == len(texts)


def test_columns_by_other_names(tmp_path: Path) -> None:
    columns = Columns(text="body", id="key", title="name", language="lang")
    (tmp_path / "x.jsonl").write_bytes(lines({"body": "Five lamps.", "key": "k", "name": "N", "lang": "fr"}))
    parquet(tmp_path / "y.parquet", {"body": ["Six lamps."], "key": ["l"], "name": ["M"], "lang": ["fi"]})
    found = read(tmp_path, Books(columns=columns))
    assert [(r["text"], r["key"], r["language"]) for r in found.rows] == [
        ("Five lamps.", "N", "fr"),
        ("Six lamps.", "M", "fi"),
    ]


@pytest.mark.parametrize("split", [1, 1 << 20])
def test_parquet_by_row_groups(tmp_path: Path, split: int) -> None:
    columns = {
        "id": [f"b{i}" for i in range(7)],
        "text": [*(f"Lamp {i}." for i in range(5)), None, "Six lamps. " * 3_000],
        "other": list(range(7)),
    }
    parquet(tmp_path / "x.parquet", columns)
    found = read(tmp_path, split_bytes=split)
    assert found.texts == [f"Lamp {i}." for i in range(5)]
    assert [r["offset"] for r in found.rows] == [0, 1, 2, 3, 4]
    assert found.reasons == [(5, "no_text"), (6, "record_too_large")]


def test_parquet_of_bytes_and_large_strings(tmp_path: Path) -> None:
    parquet(tmp_path / "x.parquet", {"text": pa.array([b"Five", b"\xff"], pa.binary())})
    parquet(tmp_path / "y.parquet", {"text": pa.array(["Six"], pa.large_string())})
    found = read(tmp_path)
    assert found.texts == ["Five", "Six"]
    assert found.reasons == [(1, "invalid_utf8")]


def test_damaged_parquet(tmp_path: Path) -> None:
    parquet(tmp_path / "x.parquet", {"text": [f"{i} " * 50 for i in range(6)]}, row_group_size=2)
    data = (tmp_path / "x.parquet").read_bytes()
    place = pq.ParquetFile(tmp_path / "x.parquet").metadata.row_group(1).column(0).data_page_offset
    (tmp_path / "x.parquet").write_bytes(_flip(_flip(data, place), place + 1))
    (tmp_path / "y.parquet").write_bytes(data[: len(data) // 2])
    (tmp_path / "z.parquet").write_bytes(b"")
    found = read(tmp_path)
    assert len(found.rows) == 4
    assert found.reasons == [(2, "bad_parquet"), (-1, "bad_parquet"), (-1, "bad_parquet")]


def test_a_parquet_bomb_is_bad(tmp_path: Path) -> None:
    table = pa.table({"text": ["a" * 10_000_000]})
    pq.write_table(table, tmp_path / "x.parquet", compression="zstd", use_dictionary=False)
    assert read(tmp_path).reasons == [(0, "parquet_bomb")]


def test_parquet_without_the_column_is_the_users_error(tmp_path: Path) -> None:
    parquet(tmp_path / "x.parquet", {"content": ["Five"]})
    with pytest.raises(UserError, match=r"no column 'text'.*there are content"):
        read(tmp_path)
