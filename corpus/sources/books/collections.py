"""Books of other collections: JSON Lines (plain, gzip, zstd) and Parquet, a book a line or a row.

In: a range of a file: bytes of plain JSON Lines, where a line belongs to the range that it begins in; a
whole compressed file; row groups of Parquet. Out: a `Row` for each book and a `Bad` for each line, row, row
group or file that cannot be read. Fields are found by the recipe's names. Memory is a line, or a few rows.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from corpus import storage
from corpus.errors import UserError
from corpus.inputs import InputFile
from corpus.raw.damage import Damage, Unreadable
from corpus.raw.inflate import is_plain
from corpus.raw.json_lines import decode, read_lines
from corpus.recipe import Limits
from corpus.settings.books import Columns
from corpus.sources.books.files import Bad

_LINES = (".jsonl", ".ndjson", ".json")
_BATCH_ROWS = 8  # books are large
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Row:
    """A book: its fields by our names (text, id, title, author, language), and where it stands."""

    offset: int  # of a line in bytes, of a row its number in the file
    fields: Mapping[str, Any]


def is_lines(path: str) -> bool:
    """Whether a path is that of JSON Lines."""
    plain = path.lower().removesuffix(".gz").removesuffix(".zst")
    return plain.endswith(_LINES)


def is_parquet(path: str) -> bool:
    """Whether a path is that of Parquet."""
    return path.lower().endswith(".parquet")


def cut(file: InputFile, split_bytes: int) -> list[tuple[int, int]]:
    """Ranges of about `split_bytes`: of plain lines, and of row groups; else the whole file."""
    if is_parquet(file.name):
        return _row_groups(file, split_bytes)
    if not is_lines(file.name) or file.size <= split_bytes:
        return [(0, file.size)]
    with storage.open_read(file.path) as f:
        if not is_plain(f):
            return [(0, file.size)]
    return [(at, min(at + split_bytes, file.size)) for at in range(0, file.size, split_bytes)]


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
    section, base = (file, 0) if (start, end) == (0, size) else _section(file, start, end)
    names = vars(columns)
    fields = [(name, str | None if name == "text" else Any, None) for name in names]
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(msgspec.defstruct("Line", fields, rename=names))
    for line in read_lines(section, limits):
        if isinstance(line, Damage):
            yield Bad(base + line.offset, Unreadable(line.reason, line.message), line.first_bytes)
            continue
        try:
            found = decode(decoder, line.data)
            if found.text is None:
                raise Unreadable("no_text", f"no field {columns.text!r}")
        except Unreadable as error:
            yield Bad(base + line.offset, error, line.data)
            continue
        yield Row(base + line.offset, {name: getattr(found, name) for name in names})


def read_parquet(
    file: IO[bytes], start: int, end: int, limits: Limits, columns: Columns
) -> Iterator[Row | Bad]:
    """The books of some row groups of a Parquet file."""
    try:
        parquet = pq.ParquetFile(file, page_checksum_verification=True)
        metadata = parquet.metadata
    except (pa.ArrowInvalid, OSError) as error:
        yield Bad(-1, Unreadable("bad_parquet", str(error)), b"")
        return
    present = {ours: theirs for ours, theirs in vars(columns).items() if theirs in parquet.schema_arrow.names}
    if "text" not in present:
        yield Bad(-1, Unreadable("no_text", f"no column {columns.text!r}"), b"")
        return
    offset = sum(metadata.row_group(i).num_rows for i in range(start))
    for group in range(start, min(end, metadata.num_row_groups)):
        try:
            _check_ratio(metadata.row_group(group), limits)
            batches = parquet.iter_batches(_BATCH_ROWS, row_groups=[group], columns=list(present.values()))
            done = 0
            for batch in batches:
                for values in batch.to_pylist():
                    yield _parquet_row(offset + done, {o: values[t] for o, t in present.items()}, limits)
                    done += 1
        except Unreadable as error:
            yield Bad(offset, error, b"")
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the file could not be read; what Arrow finds wrong in it has no number
            yield Bad(offset, Unreadable("bad_parquet", f"row group {group}: {error}"), b"")
        offset += metadata.row_group(group).num_rows


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


def _check_ratio(group: Any, limits: Limits) -> None:
    for i in range(group.num_columns):
        column = group.column(i)
        if column.total_uncompressed_size > limits.compression_ratio * max(1, column.total_compressed_size):
            message = f"{column.total_compressed_size} bytes inflate to {column.total_uncompressed_size}"
            raise Unreadable("parquet_bomb", message)


def _row_groups(file: InputFile, split_bytes: int) -> list[tuple[int, int]]:
    with storage.open_read(file.path) as f:
        try:
            count = pq.ParquetFile(f).metadata.num_row_groups
        except (pa.ArrowInvalid, OSError):
            return [(0, 1)]  # its reader says what is wrong
    step = max(1, count * split_bytes // max(file.size, 1))
    return [(at, min(at + step, count)) for at in range(0, count, step)] or [(0, 1)]


def _section(file: IO[bytes], start: int, end: int) -> tuple[IO[bytes], int]:
    """The lines that begin in [start, end), as a file, and where it begins."""
    first, last = _line_start(file, start), _line_start(file, end)
    return io.BufferedReader(_Window(file, first, max(first, last))), first


def _line_start(file: IO[bytes], at: int) -> int:
    """The first byte from `at` on that begins a line."""
    if at == 0:
        return 0
    file.seek(at - 1)
    while block := file.read(_BLOCK):
        found = block.find(b"\n")
        if found >= 0:
            return at + found
        at += len(block)
    return at - 1  # the file's end


class _Window(io.RawIOBase):
    """Part of a file as a file of its own."""

    def __init__(self, file: IO[bytes], start: int, end: int) -> None:
        self._file, self._start, self._size, self._at = file, start, end - start, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._start + self._at)
        data = self._file.read(wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
