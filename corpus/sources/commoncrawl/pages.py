"""CommonCrawl: WET, WARC and ARC files -> batches of pages, and bad records.

In: one raw file, its format told by its content. Out: RecordBatches of schema PAGE in the order of the file,
each of about `batch_bytes` bytes of text. A page is a `conversion` record (WET: its first line is the title)
or a `response` with status 200 of HTML or plain text (WARC, ARC; a page of an ARC has no record id and no
digest).

| counter | what it counts |
|---|---|
| `framed` | records whose header could be read |
| `in` | framed records that could be a page, and each unreadable record, span or file once |
| `skipped` | framed records that are no page by nature |
| `bad` | of `in`, those that could not be read |
| `out` | pages; always `in = out + bad` |
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from corpus import storage
from corpus.raw.damage import Unreadable
from corpus.raw.html import decode_text, read_html
from corpus.recipe import Limits
from corpus.schema import PAGE
from corpus.sources.commoncrawl.framing import Record
from corpus.sources.commoncrawl.http_response import decode_payload, parse_response
from corpus.sources.commoncrawl.warc import read_records
from corpus.tally import FIRST_BYTES, BadRecord, Tally

SOURCE = "commoncrawl"

_BODIES = frozenset({"conversion", "response"})
_NO_PAGE = frozenset({"warcinfo", "request", "metadata", "revisit", "resource", "continuation", "filedesc"})
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_PLAIN = "text/plain"
_OK = 200

# One page, in the order of PAGE; the text as UTF-8.
_Row = tuple[str | None, str | None, str | None, str | None, str | None, bytes, str, int]


class _Skipped(Exception):
    """A record that is no page by nature; its argument is the reason."""


def read_pages(
    path: str, name: str, limits: Limits, batch_bytes: int, tally: Tally, *, source: str = SOURCE
) -> Iterator[pa.RecordBatch]:
    """Read the pages of one file.

    Args:
        path: address that `corpus.storage` opens.
        name: path relative to the input root, for the column `file`.
        limits: beyond one of them a record is bad.
        batch_bytes: UTF-8 length of text at which a batch is closed.
        tally: takes the counters above and the bad records.
        source: that bad records name.

    Raises:
        OSError: the file cannot be opened or read; what it holds raises nothing.
    """
    rows: list[_Row] = []
    size = 0
    with storage.open_read(path) as file:
        for item in read_records(file, limits, _BODIES):
            if not isinstance(item, Record):
                if item.framed:
                    tally.count("framed")
                _count_bad(tally, source, name, item.offset, item.reason, item.message, item.first_bytes)
                continue
            tally.count("framed")
            try:
                title, text = page_text(item, limits)
                url = _url(item, limits)
            except _Skipped as skipped:
                tally.skipped(str(skipped))
                continue
            except Unreadable as error:
                _count_bad(tally, source, name, item.offset, error.reason, error.message, item.body)
                continue
            digest = b"warc-block-digest" if item.type == "conversion" else b"warc-payload-digest"
            record_id = _field(item, b"warc-record-id")
            rows.append(
                (
                    record_id.strip("<> ") if record_id else None,
                    url,
                    _field(item, b"warc-date"),
                    _field(item, digest),
                    title,
                    text,
                    name,
                    item.offset,
                )
            )
            tally.count("in")
            tally.count("out")
            size += len(text)
            if size >= batch_bytes:
                yield _batch(rows)
                rows, size = [], 0
    if rows:
        yield _batch(rows)


def page_text(record: Record, limits: Limits) -> tuple[str | None, bytes]:
    """Title and text (UTF-8) of a record.

    Raises:
        _Skipped: it is no page by nature.
        Unreadable: it is one, and cannot be read.
    """
    if record.type == "conversion":
        return _conversion(record, limits)
    if record.type == "response":
        title, text = _response(record, limits)
        return title, _bounded_lines(text.encode(), limits)
    if not record.type:
        raise Unreadable("missing_type", "the header has no WARC-Type")
    raise _Skipped(record.type if record.type in _NO_PAGE else "unknown_type")


def _conversion(record: Record, limits: Limits) -> tuple[str, bytes]:
    media_type = record.headers.get(b"content-type", b"").split(b";", 1)[0].strip().lower()
    if media_type not in (b"", b"text/plain"):
        raise _Skipped("not_text")
    _check_size(record, limits)
    body = _bounded_lines(record.body, limits)
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable("invalid_utf8", f"byte {error.start} of the body: {error.reason}") from error
    title, _, text = body.partition(b"\n")
    return title.decode("utf-8").strip(), text.rstrip(b"\r\n")


def _response(record: Record, limits: Limits) -> tuple[str | None, str]:
    block = record.body.lstrip(b"\r\n")  # ClueWeb09: an empty line too many after the record's header
    declared = record.headers.get(b"content-type", b"").lower()
    if not block.startswith(b"HTTP/") and not declared.startswith(b"application/http"):
        raise _Skipped("not_http")
    response = parse_response(block, limits)
    if response.status != _OK:
        raise _Skipped("http_status")
    media_type = response.media_type
    if media_type not in _HTML and media_type != _PLAIN:
        raise _Skipped("not_html")
    _check_size(record, limits)
    payload = decode_payload(response, block, limits)
    if media_type == _PLAIN:
        return None, decode_text(payload, response.charset).rstrip("\r\n")
    return read_html(payload, response.charset, limits.html_nesting)


def _check_size(record: Record, limits: Limits) -> None:
    if record.length > limits.record_bytes:
        raise Unreadable("record_too_large", f"Content-Length {record.length}")


def _bounded_lines(text: bytes, limits: Limits) -> bytes:
    if len(text) > limits.line_bytes and (longest := max(map(len, text.split(b"\n")))) > limits.line_bytes:
        raise Unreadable("line_too_long", f"a line of {longest} bytes")
    return text


def _url(record: Record, limits: Limits) -> str | None:
    url = _field(record, b"warc-target-uri")
    if url is None:
        return None
    if len(url.encode()) > limits.url_bytes:
        raise Unreadable("url_too_long", f"WARC-Target-URI of {len(url.encode())} bytes")
    return url.strip("<> ")


def _field(record: Record, name: bytes) -> str | None:
    """A header's value: UTF-8 by the standard, Latin-1 where it is not."""
    value = record.headers.get(name)
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _count_bad(
    tally: Tally, source: str, name: str, offset: int, reason: str, message: str, first_bytes: bytes
) -> None:
    tally.count("in")
    tally.bad(BadRecord(source, name, offset, "read", reason, message, first_bytes[:FIRST_BYTES]))


def _batch(rows: list[_Row]) -> pa.RecordBatch:
    arrays = []
    for field, column in zip(PAGE, zip(*rows, strict=True), strict=True):
        if field.name == "text":  # known to be UTF-8: joined once, where Arrow would check and grow
            ends = np.cumsum([0, *map(len, column)], dtype=np.int32)
            data = pa.py_buffer(b"".join(column))
            arrays.append(pa.StringArray.from_buffers(len(column), pa.py_buffer(ends), data))
        else:
            arrays.append(pa.array(column, type=field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=PAGE)
