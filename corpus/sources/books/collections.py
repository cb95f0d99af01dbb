"""Books of other collections: JSON Lines (plain, gzip, zstd) and Parquet, a book a line or a row.

In: a range of a file: bytes of plain JSON Lines, where a line belongs to the range that it begins in; a
whole compressed file; row groups of Parquet. Out: a `Row` for each book and a `Bad` for each line, row, row
group or file that cannot be read. Fields are found by the recipe's names. Memory is a line, or a few rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from corpus import storage
from corpus.errors import UserError
from corpus.inputs import InputFile
from corpus.raw import json_lines, parquet_rows
from corpus.raw.damage import Damage, Unreadable
from corpus.raw.json_lines import decode, is_lines, read_range
from corpus.raw.parquet_rows import is_parquet, open_parquet, read_rows
from corpus.recipe import Limits
from corpus.settings.books import Columns
from corpus.sources.books.files import Bad

_BATCH_ROWS = 8  # books are large


@dataclass(frozen=True)
class Row:
    """A book: its fields by our names (text, id, title, author, language), and where it stands."""

    offset: int  # of a line in bytes, of a row its number in the file
    fields: Mapping[str, Any]


def cut(file: InputFile, split_bytes: int) -> list[tuple[int, int]]:
    """Ranges of about `split_bytes`: of plain lines, and of row groups; else the whole file."""
    if is_parquet(file.name):
        return parquet_rows.cut(file, split_bytes)
    return json_lines.cut(file, split_bytes) if is_lines(file.name) else [(0, file.size)]


def check_columns(path: str, columns: Columns) -> None:
    """Check that a Parquet file has the column of texts.

    Raises:
        UserError: it has not; a file that is no Parquet raises nothing here, and is bad when it is read.
    """
    with storage.open_read(path) as f:
        try:
            names = pq.read_schema(f).names
        except (pa.ArrowInvalid, OSError):
            return
    if columns.text not in names:
        raise UserError(
            f"{path} has no column {columns.text!r}: name the one with the texts in the recipe, "
            f"books.columns.text (there are {', '.join(names)})"
        )


def read_json(
    file: IO[bytes], start: int, end: int, size: int, limits: Limits, columns: Columns
) -> Iterator[Row | Bad]:
    """The books of a range of JSON Lines."""
    names = vars(columns)
    fields = [(name, str | None if name == "text" else Any, None) for name in names]
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(msgspec.defstruct("Line", fields, rename=names))
    for line in read_range(file, start, end, size, limits):
        if isinstance(line, Damage):
            yield Bad(line.offset, Unreadable(line.reason, line.message), line.first_bytes)
            continue
        try:
            found = decode(decoder, line.data)
            if found.text is None:
                raise Unreadable("no_text", f"no field {columns.text!r}")
        except Unreadable as error:
            yield Bad(line.offset, error, line.data)
            continue
        yield Row(line.offset, {name: getattr(found, name) for name in names})


def read_parquet(
    file: IO[bytes], start: int, end: int, limits: Limits, columns: Columns
) -> Iterator[Row | Bad]:
    """The books of some row groups of a Parquet file."""
    try:
        parquet = open_parquet(file)
    except Unreadable as error:
        yield Bad(-1, error, b"")
        return
    present = {ours: theirs for ours, theirs in vars(columns).items() if theirs in parquet.schema_arrow.names}
    if "text" not in present:
        yield Bad(-1, Unreadable("no_text", f"no column {columns.text!r}"), b"")
        return
    wanted = list(present.values())
    for found in read_rows(parquet, start, end, wanted, _BATCH_ROWS, limits, pa.RecordBatch.to_pylist):
        if isinstance(found, Damage):
            yield Bad(found.offset, Unreadable(found.reason, found.message), b"")
        else:
            number, values = found
            yield _parquet_row(number, {ours: values[theirs] for ours, theirs in present.items()}, limits)


def _parquet_row(offset: int, fields: Mapping[str, Any], limits: Limits) -> Row | Bad:
    text = fields["text"]
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            return Bad(offset, Unreadable("invalid_utf8", f"{error.reason} at byte {error.start}"), text)
    if not isinstance(text, str):
        return Bad(offset, Unreadable("no_text", f"the text is {type(text).__name__}"), b"")
    if len(text) > limits.record_bytes:
        message = f"{len(text)} characters"
        return Bad(offset, Unreadable("record_too_large", message), text[:64].encode())
    return Row(offset, {**fields, "text": text})
