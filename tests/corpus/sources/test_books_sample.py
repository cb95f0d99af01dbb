"""The sample of books is what its texts give, has every planted trouble, and gives the texts back."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.sample import build_books
from corpus.sample.build_books import read_books, text_of
from tests.builds import build_here, rows, sample_of
from tests.corpus.sources.books_texts import chosen


def content(path: str, data: bytes) -> Any:
    """What a file holds, whatever the library that packed it."""
    if path.endswith(".parquet"):
        return pq.read_table(pa.BufferReader(data)).to_pylist()
    if path.endswith("half.txt.gz"):
        return zlib.decompressobj(31).decompress(data)[:1_000]
    if path.endswith(".gz"):
        return gzip.decompress(data)
    if path.endswith(".zip") and not path.endswith("90013.zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    return data[:1_000] if path.endswith(".zip") else data


def test_the_sample_is_what_its_texts_give() -> None:
    committed = {
        path.relative_to(build_books.FOLDER).as_posix(): path.read_bytes()
        for path in build_books.FOLDER.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    fresh = build_books.files()
    assert sorted(fresh) == sorted(committed), "run python -m corpus.sample.build_books"
    assert {p: content(p, d) for p, d in fresh.items()} == {p: content(p, d) for p, d in committed.items()}


def test_the_sample_has_every_trouble_and_gives_back_its_texts(tmp_path: Path) -> None:
    _, counters = build_here(tmp_path, "books", [sample_of("books")], chosen())
    assert counters == {
        "in": 29,
        "kept": 14,
        "kept/de": 1,
        "kept/en": 6,
        "kept/es": 1,
        "kept/fr": 1,
        "kept/it": 1,
        "kept/pl": 1,
        "rejected": 10,
        "rejected/binary": 1,
        "rejected/empty": 1,
        "rejected/not_prose": 1,
        "rejected/overlap": 6,
        "rejected/short": 1,
        "bad": 5,
        "bad/bad_json": 1,
        "bad/bad_zip": 1,
        "bad/no_text": 2,
        "bad/truncated_gzip": 1,
        "skipped": 2,
        "skipped/other_format": 2,
        "merged": 0,
        "held_out": 0,
    }
    found = {row["file"]: row["text"] for row in rows(tmp_path, "annotated")}
    for book in read_books()["book"]:
        archive, inside, _ = book["path"].partition(".zip/")
        text = found[f"{archive}.zip" if inside else book["path"]]
        note = "Transcriber's Note: The spelling of the originals was kept.\n\n\n"
        assert text.removeprefix(note) == text_of(book), book["path"]
    kept = {row["file"] for row in rows(tmp_path, "documents")}
    assert "gutenberg/90003/90003-0.txt" in kept  # the omnibus, in which 90001 and 90002 are
    assert {"gutenberg/90005/90005.txt", "gutenberg/90006/90006.txt"} < kept  # 80 % of each is in the other
