"""Texts of all kinds of raw data that lie beside the project, as they stand there: markup and all."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from fastwarc.warc import ArchiveIterator, WarcRecordType

DATA = Path(__file__).parents[2] / "shared" / "data"
_NOT_LATIN = ("bg", "ru", "uk", "ja")


def kinds() -> dict[str, Iterator[str]]:
    """By kind, each read when it is asked for; nothing where the data is absent."""
    if not DATA.is_dir():
        return {}
    wikis = sorted((DATA / "wikipedia").glob("*wiki-*.xml*.bz2"))
    return {
        "books": (p.read_text("utf-8", "replace") for p in sorted((DATA / "books").rglob("*.txt"))),
        "c4": _json(DATA / "c4" / "c4-sample.dev.json.gz", "text"),
        "github": _json(DATA / "github" / "github-contents.dev.jsonl.gz", "content"),
        "stackexchange": (t for p in sorted((DATA / "stackexchange").rglob("Posts.xml")) for t in _posts(p)),
        "wikipedia": (t for p in wikis if not p.name.startswith(_NOT_LATIN) for t in _pages(p)),
        "wikipedia, not Latin": (t for p in wikis if p.name.startswith(_NOT_LATIN) for t in _pages(p)),
        "arxiv": (t for p in sorted((DATA / "arxiv").glob("*.tar")) for t in _sources(p)),
        "commoncrawl": (t for p in sorted((DATA / "commoncrawl").rglob("*.wet.gz")) for t in _wet(p)),
        "web pages": (t for p in sorted((DATA / "commoncrawl").glob("html-*.warc.gz")) for t in _html(p)),
    }


def _json(path: Path, key: str) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as f:
        for line in f:
            yield json.loads(line)[key]


def _posts(path: Path) -> Iterator[str]:
    for _, element in ElementTree.iterparse(path):
        if body := element.get("Body"):
            yield body
        element.clear()


def _pages(path: Path) -> Iterator[str]:
    with bz2.open(path) as f:
        for _, element in ElementTree.iterparse(f):
            if element.tag.endswith("}text") and element.text:
                yield element.text
            element.clear()


def _sources(path: Path) -> Iterator[str]:
    with tarfile.open(path) as outer:
        for member in outer:
            if member.name.endswith(".gz"):
                data = gzip.decompress(outer.extractfile(member).read())
                if data[257:262] != b"ustar":
                    yield data.decode("utf-8", "replace")
                    continue
                with tarfile.open(fileobj=io.BytesIO(data)) as inner:
                    for file in inner:
                        if file.name.endswith((".tex", ".bbl")):
                            yield inner.extractfile(file).read().decode("utf-8", "replace")


def _wet(path: Path) -> Iterator[str]:
    with open(path, "rb") as f:
        for record in ArchiveIterator(f, record_types=WarcRecordType.conversion):
            yield record.reader.read().decode("utf-8", "replace")


def _html(path: Path) -> Iterator[str]:
    with open(path, "rb") as f:
        for record in ArchiveIterator(f, record_types=WarcRecordType.response):
            yield record.reader.read().decode("utf-8", "replace")
