"""Tables of code, JSON lines (plain, gzip, zstd) or Parquet as BigQuery and The Stack have them -> rows.

In: a range of a file: bytes of plain JSON lines, where a line belongs to the range that it begins in; a whole
compressed file; row groups of Parquet. Out: a `Row` for each row and a `Damage` for each line, row, row group
or file that cannot be read. Columns are found by the names in ``columns.toml``. Memory is a line, or some
rows.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from corpus import storage
from corpus.inputs import InputFile
from corpus.raw.damage import Damage, Unreadable
from corpus.raw.inflate import is_plain
from corpus.raw.json_lines import Line, decode, read_lines
from corpus.recipe import Limits

_PARQUET = ".parquet"
_LINES = (".jsonl", ".ndjson", ".json")
_BATCH_ROWS = 16  # each may be as large as a record may be
_BLOCK = 1 << 16
_FIRST_BYTES = 64
_ARROW_ERRORS = (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError)


@dataclass(frozen=True, slots=True)
class Row:
    """A row: values by our names of the columns, where it has them; the content is text or its bytes."""

    offset: int  # of a line in bytes, of a row of Parquet its number in the file
    values: Mapping[str, Any]


@functools.cache
def columns() -> dict[str, list[str]]:
    """Names of columns by ours, and those that are kept as they are under their own."""
    path = resources.files("corpus.sources.github") / "columns.toml"
    found: dict[str, list[str]] = tomllib.loads(path.read_text("utf-8"))
    return {**{name: [name] for name in found.pop("metadata")}, **found}


@functools.cache
def metadata() -> list[str]:
    """Columns that say more of a file, by our names."""
    described = ("repository", "path", "content", "license", "license_text", "binary", "link", "mode")
    return sorted(set(columns()) - {*described})


def is_rows(name: str) -> bool:
    """Whether a file's name is that of a table."""
    name = name.lower()
    return (
        name.endswith(_PARQUET)
        or name.removesuffix(".gz").removesuffix(".zst").endswith(_LINES[:2])
        or (name.endswith((".json.gz", ".json.zst")))
    )


def cut(file: InputFile, split_bytes: int) -> list[tuple[int, int]]:
    """Ranges of about `split_bytes`: of plain lines, and of row groups; else the whole file."""
    if file.name.lower().endswith(_PARQUET):
        return _row_groups(file, split_bytes)
    if file.size <= split_bytes or not file.name.lower().endswith(_LINES):
        return [(0, file.size)]
    with storage.open_read(file.path) as f:
        if not is_plain(f):
            return [(0, file.size)]
    return [(at, min(at + split_bytes, file.size)) for at in range(0, file.size, split_bytes)]


def _row_groups(file: InputFile, split_bytes: int) -> list[tuple[int, int]]:
    with storage.open_read(file.path) as f:
        try:
            metadata = pq.read_metadata(f)
        except _ARROW_ERRORS:
            return [(0, file.size)]  # bad, when it is read
    ranges, start, size = [], 0, 0
    for group in range(metadata.num_row_groups):
        columns = metadata.row_group(group)
        size += sum(columns.column(i).total_compressed_size for i in range(columns.num_columns))
        if size >= split_bytes:
            ranges.append((start, group + 1))
            start, size = group + 1, 0
    if start < metadata.num_row_groups or not ranges:
        ranges.append((start, metadata.num_row_groups))
    return ranges


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
    if name.lower().endswith(_PARQUET):
        yield from _parquet(file, start, end, limits)
        return
    whole = (start, end) == (0, size)
    for item in read_lines(file, limits) if whole else _plain_lines(file, start, end, limits):
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
        return Damage(line.offset, error.reason, error.message, line.data[:_FIRST_BYTES], True)
    values = {}
    for ours, names in holders:
        for name in names:
            if (value := getattr(found, name)) is not None:
                values[ours] = value
                break
    return Row(line.offset, values)


def _plain_lines(file: IO[bytes], start: int, end: int, limits: Limits) -> Iterator[Line | Damage]:
    """The lines of a plain file that begin in a range of it."""
    at = start
    if start:
        file.seek(start - 1)
        at += _pass_line(file) - 1
    while at < end:
        data = file.readline(limits.record_bytes + 2)
        if not data:
            return
        size, ended = len(data), data.endswith(b"\n")
        data = data.removesuffix(b"\n").removesuffix(b"\r")
        if len(data) > limits.record_bytes:
            size += 0 if ended else _pass_line(file)
            message = f"a line of more than {limits.record_bytes} bytes"
            yield Damage(at, "record_too_large", message, data[:_FIRST_BYTES], True)
        elif data.strip():
            yield Line(at, data)
        at += size


def _pass_line(file: IO[bytes]) -> int:
    """Go to the next line; returns the bytes passed."""
    passed = 0
    while block := file.readline(_BLOCK):
        passed += len(block)
        if block.endswith(b"\n"):
            break
    return passed


def _parquet(file: IO[bytes], start: int, end: int, limits: Limits) -> Iterator[Row | Damage]:
    try:
        parquet = pq.ParquetFile(file, page_checksum_verification=True)
    except _ARROW_ERRORS as error:
        yield Damage(-1, "bad_parquet", str(error), b"", False)
        return
    there = parquet.schema_arrow.names
    present = {ours: [name for name in theirs if name in there] for ours, theirs in columns().items()}
    wanted = sorted({name for names in present.values() for name in names})
    if not present["content"]:
        yield Damage(-1, "no_content_column", f"columns {', '.join(there)}"[:200], b"", False)
        return
    offset = sum(parquet.metadata.row_group(i).num_rows for i in range(start))
    for group in range(start, min(end, parquet.metadata.num_row_groups)):
        done = 0
        try:
            _check_ratio(parquet.metadata.row_group(group), limits)
            for batch in parquet.iter_batches(_BATCH_ROWS, row_groups=[group], columns=wanted):
                for values in _values(batch, present):
                    yield _bounded(Row(offset + done, values), limits)
                    done += 1
        except Unreadable as error:
            yield Damage(offset + done, error.reason, error.message, b"", False)
        except _ARROW_ERRORS as error:
            yield Damage(offset + done, "bad_parquet", f"row group {group}: {error}", b"", False)
        offset += parquet.metadata.row_group(group).num_rows


def _check_ratio(group: Any, limits: Limits) -> None:
    for i in range(group.num_columns):
        column = group.column(i)
        if column.total_uncompressed_size > limits.compression_ratio * max(1, column.total_compressed_size):
            message = f"{column.total_compressed_size} bytes inflate to {column.total_uncompressed_size}"
            raise Unreadable("parquet_bomb", message)


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
        return Damage(row.offset, "record_too_large", message, content[:_FIRST_BYTES], True)
    decoded = dict(row.values)
    for name, value in row.values.items():
        if name != "content" and isinstance(value, bytes):
            try:
                decoded[name] = value.decode("utf-8")
            except UnicodeDecodeError as error:
                return Damage(row.offset, "invalid_utf8", f"{name}: {error}", value[:_FIRST_BYTES], True)
    return Row(row.offset, decoded)
