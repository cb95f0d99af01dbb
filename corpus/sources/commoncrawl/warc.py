"""WARC files and what tells them from others: a file -> records and damage.

In: a seekable binary file. Out: the `Record`s and `Damage`s of `framing`, of a WARC file by the rules
here (WARC 0.17 to 1.1, line ends of either kind), of an ARC file by those of `arc`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from corpus.raw.damage import Damage, Unreadable
from corpus.raw.inflate import pieces
from corpus.raw.members import Piece, RecordStart, size_of
from corpus.recipe import Limits
from corpus.sources.commoncrawl.arc import ArcFramer
from corpus.sources.commoncrawl.framing import Framer, Record, Unframed

__all__ = ["Damage", "Record", "Unreadable", "parse_header", "read_records"]

_RECORD_START = b"WARC/"
_VERSION = re.compile(rb"(?i:WARC)/[01]\.\d{1,2}[ \t]*\r?\n")
_VERSION_BYTES = 32  # longer than any version line
_LENGTH_FIELD = re.compile(rb"(?i:\ncontent-length)[ \t]*:")
_FIELD_LINE = rb"[A-Za-z][A-Za-z0-9-]*:[^\n]*\n"
_REST_OF_HEADER = re.compile(
    rb"(?:" + _FIELD_LINE + rb")*?(?i:content-length)[ \t]*:[^\n]*\n(?:" + _FIELD_LINE + rb")*\r?\n"
)
_FOLD = re.compile(rb"\r?\n[ \t]+")
_NEXT_RECORD = b"\n" + _RECORD_START
_HEADER_BYTES = 4 << 10  # as far as the end of a header is looked for at first
_TAIL_BYTES = 16  # how far newlines after a record are looked at
_HEAD_BYTES = 64
_WHOLE_FILE = -1
_HELD = 16
# Archives that we do not read, by their first bytes (inflated where the file is compressed).
_OTHER_FORMATS = {
    b"\x04\x22\x4d\x18": "LZ4",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7z",
}


def read_records(file: IO[bytes], limits: Limits, bodies: frozenset[str]) -> Iterator[Record | Damage]:
    """Frame the records of a file, WARC or ARC by its content.

    Args:
        file: seekable.
        limits: `record_bytes`, `header_bytes` and `compression_ratio` are used.
        bodies: record types (lower case) whose bodies are wanted.
    """
    if not size_of(file):
        yield Damage(_WHOLE_FILE, "empty_file", "the file has no bytes", b"", False)
        return
    head = _head(file, limits)
    for magic, name in _OTHER_FORMATS.items():
        if head.startswith(magic):
            message = f"{name} is not supported: convert the file to WARC, plain, gzip or zstd"
            yield Damage(_WHOLE_FILE, "unsupported_format", message, head[:_HEAD_BYTES], False)
            return
    framer = (ArcFramer if ArcFramer.start.begins(head) else _WarcFramer)(file, limits, bodies)
    # Spans that precede the first record are held back: where there is no record, they are one bad file.
    held: list[Damage] | None = []
    for item in framer.items():
        if held is not None:
            if isinstance(item, Damage) and not item.framed and len(held) < _HELD:
                held.append(item)
                continue
            yield from held
            held = None
        yield item
    if held and held[0].reason != "garbage":
        yield from held
    elif held is not None:
        message = "the file holds no WARC or ARC record"
        yield Damage(_WHOLE_FILE, "not_warc", message, head[:_HEAD_BYTES], False)


def _head(file: IO[bytes], limits: Limits) -> bytes:
    """The first bytes that could be inflated: of the first sound member, or of a later one with a record."""
    for item in pieces(file, limits.compression_ratio, _EITHER):
        if isinstance(item, Piece):
            return item.data[: _EITHER.head_bytes]
    return b""


def parse_header(block: bytes) -> dict[bytes, bytes]:
    """Fields of a header block, its first line left out: lower-case name -> value, the first of a name.

    Lines without a colon are passed over; folded lines are joined by a space.

    Raises:
        Unreadable: `duplicate_content_length`, two of them differ.
    """
    if b"\n " in block or b"\n\t" in block:
        block = _FOLD.sub(b" ", block)
    fields: dict[bytes, bytes] = {}
    for line in block.split(b"\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            value = value.strip()
            first = fields.setdefault(name.strip().lower(), value)
            if first != value and name.strip().lower() == b"content-length":
                raise Unreadable("duplicate_content_length", f"Content-Length {first!r} and {value!r}")
    return fields


def _begins_warc(head: bytes) -> bool:
    return head.startswith(_RECORD_START)


class _WarcFramer(Framer):
    start = RecordStart(_HEAD_BYTES, _begins_warc)
    mark = re.compile(re.escape(_NEXT_RECORD))
    mark_bytes = len(_NEXT_RECORD)
    record_end = b"\r\n\r\n"

    def _read_header(self, block: bytes) -> tuple[str, dict[bytes, bytes]]:
        headers = parse_header(block)
        return headers.get(b"warc-type", b"").decode("latin-1").lower(), headers

    def _header_bytes(self) -> int:
        """Length of the header at the current position, its empty line included."""
        available = self._need(_VERSION_BYTES)
        if not _VERSION.match(self._window, self._pos, self._pos + available):
            line = self._window[self._pos : self._pos + available]
            if not line.upper().startswith(_RECORD_START):
                raise Unframed("garbage", "bytes that begin no record")
            if b"\n" in line or available == _VERSION_BYTES:
                raise Unframed("bad_version", f"version line {line!r}")
            raise Unframed(*self._why("the version line is cut short"))
        searched, reach = 0, _HEADER_BYTES
        while True:
            start = self._pos + max(searched - len(_NEXT_RECORD) + 1, 0)
            stop = min(self._end(), self._pos + min(reach, self._limits.header_bytes + 1))
            size = _header_end(self._window, start, stop) - self._pos
            if size > 0:
                return self._with_rest(size)
            searched = stop - self._pos
            if searched > self._limits.header_bytes:
                raise Unframed("headers_too_large", f"header beyond {self._limits.header_bytes} bytes")
            if stop == self._end() and self._need(searched + 1) <= searched:
                raise Unframed(*self._why("the header is cut short"))
            reach *= 8

    def _with_rest(self, size: int) -> int:
        """Length of a header of `size` bytes, with what follows an empty line that came too early.

        ClueWeb09 has such lines where a URL ended with a line feed. All that follows must be fields, with
        the length that was missing: an HTTP header, which begins with its status, is none.
        """
        if _LENGTH_FIELD.search(self._window, self._pos, self._pos + size):
            return size
        available = self._need(size + _HEADER_BYTES)
        rest = _REST_OF_HEADER.match(self._window, self._pos + size, self._pos + available)
        return rest.end() - self._pos if rest else size

    def _gap(self, size: int) -> int:
        """Length of what lies between a record of `size` and the next: two line ends, as a rule.

        Fewer or more do no harm where another record or the end follows. Anything else means that
        the length is wrong, unless the usual end is there: then the record stands, and garbage follows it.

        Raises:
            Unreadable: `wrong_content_length`.
        """
        usual = size + len(self.record_end)
        if self._need(usual) == usual and self._window.startswith(self.record_end, self._pos + size):
            return len(self.record_end)
        available = self._need(size + _TAIL_BYTES)
        tail = self._window[self._pos + size : self._pos + available]
        follows = tail.lstrip(b"\r\n")
        harmless = _RECORD_START.startswith(follows[: len(_RECORD_START)].upper())
        if not harmless and not tail.startswith(self.record_end):
            raise Unreadable("wrong_content_length", f"the record is followed by {tail!r}")
        return len(tail) - len(follows)

    def _begins_record(self) -> bool:
        """Whether a header that says its type begins here."""
        try:
            size = self._header_bytes()
        except Unframed:
            return False
        header = self._window[self._pos : self._pos + size].lower()
        return b"\nwarc-type:" in header


_EITHER = RecordStart(
    ArcFramer.start.head_bytes, lambda head: _begins_warc(head) or ArcFramer.start.begins(head)
)


def _header_end(window: bytes, start: int, stop: int) -> int:
    """Index after the first empty line; −1 where there is none.

    Raises:
        Unframed: `truncated_record`, another record begins before it: two headers are not read as one.
    """
    end = window.find(b"\r\n\r\n", start, stop)
    bare = window.find(b"\n\n", start, stop if end < 0 else end)
    if bare >= 0:
        end = bare + 2
    elif end >= 0:
        end += 4
    if window.find(_NEXT_RECORD, start, stop if end < 0 else end) >= 0:
        raise Unframed("truncated_record", "the header stops where another record begins")
    return end
