"""JSON lines, plain, gzip or zstd: a file or a range of it -> lines, and damage where some cannot be read.

In: a seekable binary file. Out: in the order of the file a `Line` for each line that is not blank, and a
`Damage` for each line that is too long or span that could not be inflated; reading goes on after it. Memory
is a line, of `Limits.record_bytes` at most, and a piece of inflated bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO, TypeVar

import msgspec

from corpus import storage
from corpus.inputs import InputFile
from corpus.raw.damage import Damage, Unreadable
from corpus.raw.inflate import is_plain, pieces
from corpus.raw.members import Break, RecordStart
from corpus.raw.ranges import byte_ranges
from corpus.raw.window import Window
from corpus.recipe import Limits
from corpus.tally import FIRST_BYTES

_ENDINGS = (".jsonl", ".ndjson", ".json")
_BLOCK = 1 << 16
_BOM = b"\xef\xbb\xbf"
# Nesting beyond which a line is bad: far below where Python's own limit lies, which depends on the caller.
_NESTING = 256
_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|([\[{])|([\]}])', re.DOTALL)
_START = RecordStart(8, lambda head: head.removeprefix(_BOM).lstrip().startswith(b"{"))

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end. `offset`: of a plain file in bytes; else of its gzip member or zstd frame, plus
    its own in what that inflates to.
    """

    offset: int
    data: bytes


def is_lines(name: str) -> bool:
    """Whether a file's name is that of JSON lines, compressed or not."""
    return name.lower().removesuffix(".gz").removesuffix(".zst").endswith(_ENDINGS)


def cut(file: InputFile, split_bytes: int) -> list[tuple[int, int]]:
    """Ranges of about `split_bytes` of a plain file; all of a compressed one."""
    whole = [(0, file.size)]
    if file.size <= split_bytes or not file.name.lower().endswith(_ENDINGS):
        return whole
    with storage.open_read(file.path) as f:
        return byte_ranges(file.size, split_bytes) if is_plain(f) else whole


def read_lines(file: IO[bytes], limits: Limits) -> Iterator[Line | Damage]:
    """The lines of a file, compressed or not by its first bytes.

    Damage: ``record_too_large``; what `corpus.raw.inflate` cannot read, once for each span.
    """
    held: list[bytes] = []  # of the line that has begun, and not ended
    size, start, member_start, too_large = 0, 0, 0, False

    def close() -> Iterator[Line | Damage]:
        nonlocal size, too_large
        data = b"".join(held)
        if too_large:
            message = f"a line of more than {limits.record_bytes} bytes"
            yield Damage(start, "record_too_large", message, data[:FIRST_BYTES], True)
        elif data.strip():
            yield Line(start, data.removeprefix(_BOM).removesuffix(b"\r"))
        held.clear()
        size, too_large = 0, False

    for piece in pieces(file, limits.compression_ratio, _START):
        if isinstance(piece, Break):
            if piece.inside_member and size:
                held.clear()  # the rest of the line is in what could not be inflated
                size, too_large = 0, False
            else:
                yield from close()
            yield Damage(piece.offset, piece.reason, piece.message, piece.first_bytes, False)
            continue
        if piece.starts_member:
            member_start = piece.member
        data, at = piece.data, 0
        while at < len(data):
            if not size:
                start = member_start + at
            end = data.find(b"\n", at)
            stop = len(data) if end < 0 else end
            size += stop - at
            if size > limits.record_bytes and not too_large:
                held[:] = [b"".join([*held, data[at : at + FIRST_BYTES]])[:FIRST_BYTES]]
                too_large = True
            elif not too_large:
                held.append(data[at:stop])
            if end >= 0:
                yield from close()
            at = stop + 1
        member_start += len(data)
    yield from close()


def read_range(file: IO[bytes], start: int, end: int, size: int, limits: Limits) -> Iterator[Line | Damage]:
    """The lines that begin in [start, end) of a plain file; all of a file of `size` bytes, whatever it is."""
    if (start, end) == (0, size):
        yield from read_lines(file, limits)
        return
    first, last = _line_start(file, start), _line_start(file, end)
    for item in read_lines(io.BufferedReader(Window(file, first, max(first, last))), limits):
        yield replace(item, offset=first + item.offset)


def decode(decoder: msgspec.json.Decoder[Row], line: bytes) -> Row:
    """One line as a row; fields that the decoder's type does not name are passed over, not built.

    Raises:
        Unreadable: ``bad_json``; ``wrong_fields``, JSON of another shape; ``json_too_deep``;
            ``invalid_utf8``.
    """
    if line.count(b"[") + line.count(b"{") > _NESTING:
        _check_nesting(line)
    try:
        return decoder.decode(line)
    except msgspec.ValidationError as error:
        raise Unreadable("wrong_fields", str(error)) from error
    except msgspec.DecodeError as error:
        raise Unreadable("bad_json", str(error)) from error
    except UnicodeDecodeError as error:
        raise Unreadable("invalid_utf8", f"{error.reason} at byte {error.start} of a string") from error


def _check_nesting(line: bytes) -> None:
    depth = 0
    for found in _STRUCTURE.finditer(line):
        if found[1]:
            depth += 1
            if depth > _NESTING:
                raise Unreadable("json_too_deep", f"more than {_NESTING} brackets are open")
        elif found[2]:
            depth -= 1


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
