"""Builders of WARC bytes, sound and bad, and a reader that returns all there is to assert on."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus.recipe import Limits
from corpus.schema import PAGE
from corpus.sources.commoncrawl import read_pages
from corpus.tally import Tally


def record(
    body: bytes | str = "Title\nfirst line\nsecond line\n",
    number: int = 1,
    kind: str = "conversion",
    length: int | str | None = -1,
    url: str | None = None,
    content_type: str | None = "text/plain",
    extra: str = "",
    end: bytes = b"\r\n\r\n",
) -> bytes:
    """One record. `length`: what Content-Length says; −1 the truth, None no such header."""
    data = body.encode() if isinstance(body, str) else body
    lines = ["WARC/1.0", f"WARC-Type: {kind}", f"WARC-Target-URI: {url or f'http://example.org/{number}'}"]
    lines += [f"WARC-Record-ID: <urn:uuid:{number}>", "WARC-Date: 2024-05-18T01:58:10Z"]
    lines += [f"Content-Type: {content_type}"] if content_type else []
    lines += [extra] if extra else []
    lines += [f"Content-Length: {len(data) if length == -1 else length}"] if length is not None else []
    return "\r\n".join([*lines, "", ""]).encode() + data + end


def response(
    payload: bytes, headers: str = "Content-Type: text/html", number: int = 1, status: str = "200 OK"
) -> bytes:
    """One response record around an HTTP response."""
    block = f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n".encode() + payload
    return record(block, number, "response", content_type="application/http; msgtype=response")


def members(*records: bytes) -> bytes:
    """One gzip member a record."""
    return b"".join(gzip.compress(r, mtime=0) for r in records)


@dataclass
class Read:
    """What came out of a file."""

    pages: list[dict[str, Any]]
    batches: list[pa.RecordBatch]
    counters: dict[str, int]
    bad: list[dict[str, Any]] = field(default_factory=list)

    @property
    def urls(self) -> list[str]:
        return [p["url"].removeprefix("http://example.org/") for p in self.pages]

    @property
    def reasons(self) -> list[str]:
        return [b["reason"] for b in self.bad]


def read_file(path: Path | str, batch_bytes: int = 1 << 20, **limits: int) -> Read:
    """Read a file to its end, and check what holds for every file."""
    bad: list[dict[str, Any]] = []
    tally = Tally(lambda batch: bad.extend(batch.to_pylist()))
    batches = list(read_pages(str(path), "name.warc", Limits(**limits), batch_bytes, tally))
    tally.flush()
    for batch in batches:
        assert batch.schema == PAGE
        batch.validate(full=True)
    pages = [row for batch in batches for row in batch.to_pylist()]
    counters = dict(tally.counters)
    assert counters.get("out", 0) == len(pages)
    assert counters.get("bad", 0) == len(bad)
    assert counters.get("in", 0) == len(pages) + len(bad)
    assert all(page["file"] == "name.warc" for page in pages)
    return Read(pages, batches, counters, bad)
