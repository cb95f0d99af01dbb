"""Tables of code, JSON lines (plain, gzip, zstd) or Parquet as BigQuery and The Stack have them -> rows.

In: a range of a file: bytes of plain JSON lines, where a line belongs to the range that it begins in; a whole
compressed file; row groups of Parquet. Out: a `Row` for each row and a `Damage` for each line, row, row group
or file that cannot be read. Columns are found by the names in ``columns.toml``. Memory is a line, or some
rows.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import msgspec
import pyarrow as pa

from corpus.inputs import InputFile
from corpus.raw import json_lines, parquet_rows
from corpus.raw.damage import Damage, Unreadable
from corpus.raw.json_lines import Line, decode, is_lines, read_range
from corpus.raw.parquet_rows import is_parquet, open_parquet
from corpus.recipe import Limits
from corpus.tables import read_table
from corpus.tally import FIRST_BYTES

_BATCH_ROWS = 16  # each may be as large as a record may be


@dataclass(frozen=True, slots=True)
class Row:
    """A row: values by our names of the columns, where it has them; the content is text or its bytes."""

    offset: int  # of a line in bytes, of a row of Parquet its number in the file
    values: Mapping[str, Any]


@functools.cache
def columns() -> dict[str, list[str]]:
    """Names of columns by ours, and those that are kept as they are under their own."""
    named = dict(read_table("corpus.sources.github", "columns.toml"))
    return {**{name: [name] for name in named.pop("metadata")}, **named}


@functools.cache
def metadata() -> list[str]:
    """Columns that say more of a file, by our names."""
    described = ("repository", "path", "content", "license", "license_text", "binary", "link", "mode")
    return sorted(set(columns()) - {*described})


def is_rows(name: str) -> bool:
    """Whether a file's name is that of a table."""
    # Plain .json is a file of a repository, not a table of them.
    return is_parquet(name) or (is_lines(name) and not name.lower().endswith(".json"))


def cut(file: InputFile, split_bytes: int) -> list[tuple[int, int]]:
    """Ranges of about `split_bytes`: of plain lines, and of row groups; else the whole file."""
    if is_parquet(file.name):
        return parquet_rows.cut(file, split_bytes)
    return json_lines.cut(file, split_bytes)


def read_rows(
    file: IO[bytes], name: str, start: int, end: int, size: int, limits: Limits
) -> Iterator[Row | Damage]:
    """The rows of a range of a file.

    Args:
        file: seekable.
        name: its name, by which Parquet is known.
        start, end: bytes, or row groups.
        size: bytes of the whole file.
        limits: beyond one of them a row is damaged.
    """
    if is_parquet(name):
        yield from _parquet(file, start, end, limits)
        return
    for item in read_range(file, start, end, size, limits):
        yield item if isinstance(item, Damage) else _json_row(item)


@functools.cache
def _decoder() -> tuple[msgspec.json.Decoder[Any], list[tuple[str, list[str]]]]:
    """A decoder of lines, and of each column, by our name, the fields that may hold it."""
    fields: list[tuple[str, Any, Any]] = []
    renamed: dict[str, str] = {}
    holders = []
    for ours, theirs in columns().items():
        type_ = str | None if ours in ("repository", "path", "content") else Any
        names = [f"{ours}_{i}" for i in range(len(theirs))]
        fields += [(name, type_, None) for name in names]
        renamed |= zip(names, theirs, strict=True)
        holders.append((ours, names))
    return msgspec.json.Decoder(msgspec.defstruct("Line", fields, rename=renamed)), holders


def _json_row(line: Line) -> Row | Damage:
    decoder, holders = _decoder()
    try:
        found = decode(decoder, line.data)
    except Unreadable as error:
        return Damage(line.offset, error.reason, error.message, line.data[:FIRST_BYTES], True)
    values = {}
    for ours, names in holders:
        for name in names:
            if (value := getattr(found, name)) is not None:
                values[ours] = value
                break
    return Row(line.offset, values)


def _parquet(file: IO[bytes], start: int, end: int, limits: Limits) -> Iterator[Row | Damage]:
    try:
        parquet = open_parquet(file)
    except Unreadable as error:
        yield Damage(-1, error.reason, error.message, b"", False)
        return
    there = parquet.schema_arrow.names
    present = {ours: [name for name in theirs if name in there] for ours, theirs in columns().items()}
    wanted = sorted({name for names in present.values() for name in names})
    if not present["content"]:
        yield Damage(-1, "no_content_column", f"columns {', '.join(there)}"[:200], b"", False)
        return
    rows_of = functools.partial(_values, present=present)
    for found in parquet_rows.read_rows(parquet, start, end, wanted, _BATCH_ROWS, limits, rows_of):
        yield found if isinstance(found, Damage) else _bounded(Row(*found), limits)


def _values(batch: pa.RecordBatch, present: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
    """The values of each row by our names. Strings come as bytes, as nobody has checked their UTF-8."""
    lists: dict[str, list[Any]] = {}
    for name in batch.schema.names:
        column = batch.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            lists[name] = column.cast(pa.large_binary()).to_pylist()
        else:
            column.validate(full=True)
            lists[name] = column.to_pylist()
    for i in range(batch.num_rows):
        values = {}
        for ours, theirs in present.items():
            given = (lists[name][i] for name in theirs)
            if (value := next((v for v in given if v is not None), None)) is not None:
                values[ours] = value
        yield values


def _bounded(row: Row, limits: Limits) -> Row | Damage:
    content = row.values.get("content", b"")
    if isinstance(content, bytes) and len(content) > limits.record_bytes:
        message = f"{len(content)} bytes"
        return Damage(row.offset, "record_too_large", message, content[:FIRST_BYTES], True)
    decoded = dict(row.values)
    for name, value in row.values.items():
        if name != "content" and isinstance(value, bytes):
            try:
                decoded[name] = value.decode("utf-8")
            except UnicodeDecodeError as error:
                return Damage(row.offset, "invalid_utf8", f"{name}: {error}", value[:FIRST_BYTES], True)
    return Row(row.offset, decoded)
