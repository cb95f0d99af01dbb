"""Books: the files of a collection → batches of documents, and bad records.

In: ranges of Project Gutenberg's text files and zip archives, and of other collections' plain text, JSON
Lines and Parquet (format by the name's ending). Out: RecordBatches of `DOCUMENT` and the columns of
`corpus.sources.books.book`, in the order of the file. No book is dropped here, whatever it looks like.

| counter | what it counts |
|---|---|
| `framed` | files, members of archives, lines and rows |
| `in` | of these, those that could be a book |
| `skipped` | `other_format`: files and members that are no text |
| `bad` | of `in`, those that could not be read |
| `out` | books; always `in = out + bad` |
| `characters` | of the books' texts |
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from corpus import storage
from corpus.build.rows import DocumentRows
from corpus.build.source import FileRange, ReadContext
from corpus.raw.damage import Unreadable
from corpus.raw.json_lines import is_lines
from corpus.raw.parquet_rows import is_parquet
from corpus.settings.books import Books
from corpus.sources.books.book import FIELDS, NAME, Known, row_of
from corpus.sources.books.collections import Row, read_json, read_parquet
from corpus.sources.books.encoding import decode
from corpus.sources.books.files import Bad, Skipped, Text, is_text, read_text, read_zip
from corpus.sources.books.header import declared_encoding, language_code
from corpus.tally import FIRST_BYTES, BadRecord, Tally

_HEAD_BYTES = 1 << 16  # in which a file declares its encoding


def read(part: FileRange, context: ReadContext, tally: Tally) -> Iterator[pa.RecordBatch]:
    """Read the books of a range of a file; see `corpus.build.source.BuildSource.read`.

    Raises:
        OSError: the file cannot be opened or read; what it holds raises nothing.
    """
    settings: Books = context.settings
    rows = DocumentRows(NAME, FIELDS, context.batch_bytes)
    for item in _items(part, context):
        tally.count("framed")
        if isinstance(item, Skipped):
            tally.skipped(item.reason)
            continue
        tally.count("in")
        if isinstance(item, Bad):
            _count_bad(tally, part.file.name, item)
            continue
        row = _text_row(item, part, settings) if isinstance(item, Text) else _record_row(item, part, settings)
        tally.count("out")
        tally.count("characters", len(row["text"]))
        if batch := rows.add(row):
            yield batch
    if batch := rows.finish():
        yield batch


def _items(part: FileRange, context: ReadContext) -> Iterator[Text | Row | Skipped | Bad]:
    name, limits, settings = part.file.name, context.limits, context.settings
    lines, parquet, archive = is_lines(name), is_parquet(name), name.lower().endswith(".zip")
    if not (lines or parquet or archive or is_text(name)):
        yield Skipped("other_format")
        return
    if is_text(name) and part.file.size > limits.record_bytes:
        yield Bad(0, Unreadable("record_too_large", f"a file of {part.file.size} bytes"), b"")
        return
    with storage.open_read(part.file.path) as f:
        if lines:
            yield from read_json(f, part.start, part.end, part.file.size, limits, settings.columns)
        elif parquet:
            yield from read_parquet(f, part.start, part.end, limits, settings.columns)
        elif archive:
            yield from read_zip(f, name, limits, settings.zip_members)
        else:
            yield read_text(f, name, limits)


def _text_row(item: Text, part: FileRange, settings: Books) -> dict[str, Any]:
    raw, codec = decode(item.data, declared_encoding(item.data[:_HEAD_BYTES]))
    known = Known(encoding=codec)
    return row_of(
        raw, known, settings, name=item.name, place=item.place, file=part.file.name, offset=item.offset
    )


def _record_row(item: Row, part: FileRange, settings: Books) -> dict[str, Any]:
    fields = item.fields
    known = Known(
        title=_string(fields.get("title")),
        author=_string(fields.get("author")),
        language=language_code(_string(fields.get("language"))),
    )
    given = fields.get("id")
    named = given is not None and given != "" and not isinstance(given, (dict, list))
    name = str(given) if named else f"{part.file.name}#{item.offset}"
    return row_of(
        fields["text"], known, settings, name=name, place=name, file=part.file.name, offset=item.offset
    )


def _string(value: Any) -> str | None:
    """A field's text; of a list of texts, all of them."""
    if isinstance(value, list):
        return ", ".join(v for v in value if isinstance(v, str)) or None
    return value if isinstance(value, str) and value else None


def _count_bad(tally: Tally, name: str, bad: Bad) -> None:
    error, first = bad.error, bad.first_bytes[:FIRST_BYTES]
    tally.bad(BadRecord(NAME, name, bad.offset, "read", error.reason, error.message, first))
