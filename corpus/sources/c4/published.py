"""C4 as published: JSON lines of ``text``, ``url`` and ``timestamp`` (allenai/c4) -> documents.

In: a file, plain, gzip or zstd. Also rows in RedPajama's shape, whose address and time lie in ``meta``, and
rows of text alone. Out: batches of `DOCUMENT` and `FIELDS`. Texts are taken as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa
import xxhash

from corpus import storage
from corpus.build.rows import DocumentRows
from corpus.build.source import FileRange, ReadContext
from corpus.raw.damage import Damage, Unreadable
from corpus.raw.json_lines import Line, decode, read_lines
from corpus.recipe import Limits
from corpus.schema import document_id
from corpus.sources.c4.columns import FIELDS, NAME
from corpus.sources.c4.urls import is_validation
from corpus.tally import BadRecord, Tally

LICENSE = "ODC-By-1.0"  # of allenai/c4


class _Meta(msgspec.Struct):
    url: str | None = None
    timestamp: str | None = None
    language: str | None = None


class _Row(msgspec.Struct):
    text: str
    url: str | None = None
    timestamp: str | None = None
    meta: _Meta | None = None


def read(part: FileRange, context: ReadContext, tally: Tally) -> Iterator[pa.RecordBatch]:
    """Read the rows of a file; a document's reason is ``empty`` where it has no text.

    Bad are lines that are no JSON object with a text (`corpus.raw.json_lines`), and ``url_too_long`` and
    ``line_too_long`` by the limits.
    """
    rows = DocumentRows(NAME, FIELDS, context.batch_bytes)
    decoder = msgspec.json.Decoder(_Row)
    with storage.open_read(part.file.path) as file:
        for item in read_lines(file, context.limits):
            tally.count("in")
            if not isinstance(item, Damage) or item.framed:
                tally.count("framed")
            try:
                document = _document(item, decoder, context.limits)
            except Unreadable as error:
                head = item.first_bytes if isinstance(item, Damage) else item.data
                tally.bad(
                    BadRecord(NAME, part.file.name, item.offset, "read", error.reason, error.message, head)
                )
                continue
            batch = rows.add(document | {"file": part.file.name, "offset": item.offset})
            if batch is not None:
                tally.count("out", batch.num_rows)
                yield batch
    last = rows.finish()
    if last is not None:
        tally.count("out", last.num_rows)
        yield last


def _document(item: Line | Damage, decoder: msgspec.json.Decoder[_Row], limits: Limits) -> dict[str, Any]:
    """A row of `DOCUMENT`.

    Raises:
        Unreadable: there is none in it.
    """
    if isinstance(item, Damage):
        raise Unreadable(item.reason, item.message)
    row = decode(decoder, item.data)
    meta = row.meta or _Meta()
    url, timestamp = row.url or meta.url, row.timestamp or meta.timestamp
    if url and len(url.encode()) > limits.url_bytes:
        raise Unreadable("url_too_long", f"an address of {len(url.encode())} bytes")
    if len(item.data) > limits.line_bytes:
        longest = max(len(line.encode()) for line in row.text.split("\n"))
        if longest > limits.line_bytes:
            raise Unreadable("line_too_long", f"a line of {longest} bytes")
    # Without an address a row is known by its text.
    key = (url, timestamp or "") if url else ("text", xxhash.xxh3_128_hexdigest(row.text.encode()))
    return {
        "id": document_id(NAME, *key),
        "text": row.text,
        "key": url or None,
        "timestamp": timestamp or None,
        "language": meta.language or "en",  # allenai/c4's `en`, which does not say so
        "license": LICENSE,
        "c4_v1_reason": None if row.text.strip() else "empty",
        "c4_v1_validation": int(bool(url) and is_validation(url or "")),
        "c4_v1_characters": len(row.text),
    }
