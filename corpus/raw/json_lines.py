"""JSON lines, plain, gzip or zstd: raw bytes -> lines, and damage where bytes or lines cannot be read.

In: a seekable binary file. Out: in the order of the file a `Line` for each line that is not blank, and a
`Damage` for each line that is too long or span that could not be inflated; reading goes on after it. Memory
is a line, of `Limits.record_bytes` at most, and a piece of inflated bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TypeVar

import msgspec

from corpus.raw.damage import Damage, Unreadable
from corpus.raw.inflate import pieces
from corpus.raw.members import Break, RecordStart
from corpus.recipe import Limits

_FIRST_BYTES = 64
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
            yield Damage(start, "record_too_large", message, data[:_FIRST_BYTES], True)
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
                held[:] = [b"".join([*held, data[at : at + _FIRST_BYTES]])[:_FIRST_BYTES]]
                too_large = True
            elif not too_large:
                held.append(data[at:stop])
            if end >= 0:
                yield from close()
            at = stop + 1
        member_start += len(data)
    yield from close()


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
