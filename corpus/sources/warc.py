"""Framing of WARC files: inflated bytes -> records, and spans that hold none.

In: a seekable binary file, plain or gzip (a member a record, one member over all, or blocks). Out: in the
order of the file a `Record` for each record framed and a `Damage` for each unreadable record, span or file;
after damage, reading goes on at the next gzip member, else the next line, that begins a record. Lengths and
offsets are bytes. Memory stays within a few times `Limits.record_bytes`, whatever a header declares.

Own code, as other readers yield short bodies for wrong lengths and truncated members without a word, and
lose the rest of a file after one damaged member.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from corpus.recipe import Limits
from corpus.sources.inflate import GZIP_MAGIC, RECORD_START, Break, pieces, size_of

_VERSION = re.compile(rb"(?i:WARC)/[01]\.\d{1,2}[ \t]*\r?\n")
_VERSION_BYTES = 32  # longer than any version line
_FOLD = re.compile(rb"\r?\n[ \t]+")
_NEWLINES = re.compile(rb"[\r\n]+")
_NEXT_RECORD = b"\n" + RECORD_START
_RECORD_END = b"\r\n\r\n"
_HEADER_BYTES = 4 << 10  # as far as the end of a header is looked for at first
_TAIL_BYTES = 16  # how far newlines after a record are looked at
_LENGTH_DIGITS = 18
_FIRST_BYTES = 64
_WHOLE_FILE = -1
_HELD = 16
# Archives that are not WARC, by their first bytes (inflated where the file is gzip).
_OTHER_FORMATS = {
    b"filedesc:": "ARC",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x5d\x2a\x4d\x18": "zstd with a dictionary",
    b"\x04\x22\x4d\x18": "LZ4",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7z",
}


class Unreadable(Exception):
    """A record cannot be read: `reason` is a short fixed name, `message` says what was found."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class _Unframed(Unreadable):
    """Not even a header could be read."""


@dataclass(frozen=True, slots=True)
class Record:
    """A framed record.

    `offset` is where it begins in the raw file; of the second and later records of one gzip member, the
    member's offset plus theirs in the inflated member. `headers` have lower-case names; of a repeated name
    the first counts. `body` is empty for types not asked for, and only its beginning where `length` is beyond
    `Limits.record_bytes`.
    """

    offset: int
    type: str
    headers: dict[bytes, bytes]
    length: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """A record, span or file (`offset` −1) that cannot be read. `framed`: its header could be."""

    offset: int
    reason: str
    message: str
    first_bytes: bytes
    framed: bool


def read_records(file: IO[bytes], limits: Limits, bodies: frozenset[str]) -> Iterator[Record | Damage]:
    """Frame the records of a file.

    Args:
        file: seekable.
        limits: `record_bytes`, `header_bytes` and `compression_ratio` are used.
        bodies: record types (lower case) whose bodies are wanted.
    """
    if not size_of(file):
        yield Damage(_WHOLE_FILE, "empty_file", "the file has no bytes", b"", False)
        return
    framer = _Framer(file, limits, bodies)
    head = framer.head()
    for magic, name in _OTHER_FORMATS.items():
        if head.startswith(magic):
            message = f"{name} is not supported: convert the file to WARC, plain or gzip"
            yield Damage(_WHOLE_FILE, "unsupported_format", message, head, False)
            return
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
        yield Damage(_WHOLE_FILE, "not_warc", "the file holds no WARC record", head, False)


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


class _Framer:
    """A window over the inflated bytes, and the cutting of records from it.

    `_pos` is where the next record begins or is looked for. `_wall` is the index of a member that begins a
    record: what lies before it never reaches over it, which confines a wrong length to its own member.
    """

    def __init__(self, file: IO[bytes], limits: Limits, bodies: frozenset[str]) -> None:
        file.seek(0)
        plain = file.read(len(GZIP_MAGIC)) != GZIP_MAGIC
        self._plain_size = size_of(file) if plain else None
        self._pieces = pieces(file, limits.compression_ratio)
        self._limits = limits
        self._bodies = bodies
        self._window = b""
        self._pos = 0
        self._members: list[tuple[int, int]] = []  # (index in the window, offset in the raw file)
        self._wall: int | None = None
        self._break: Break | None = None
        self._ended = False

    def head(self) -> bytes:
        """The first inflated bytes of the file, which stay in place."""
        self._need(_FIRST_BYTES)
        return self._window[:_FIRST_BYTES]

    def items(self) -> Iterator[Record | Damage]:
        while True:
            available = self._need(1)
            if available:
                newlines = _NEWLINES.match(self._window, self._pos, self._end())
                if newlines:
                    self._pos = newlines.end()
                else:
                    yield self._next()
            elif self._wall is not None:
                self._wall = None
            elif self._break is not None:
                lost = self._break
                self._break = None
                yield Damage(lost.offset, lost.reason, lost.message, lost.first_bytes, False)
            else:
                return

    def _next(self) -> Record | Damage:
        """The record at the current position, or the damage there; then go to where the next one begins."""
        offset = self._offset()
        first_bytes = self._window[self._pos : self._pos + _FIRST_BYTES]
        try:
            return self._record(offset)
        except Unreadable as error:
            framed = not isinstance(error, _Unframed)
            self._resynchronise()
            return Damage(offset, error.reason, error.message, first_bytes, framed)

    def _record(self, offset: int) -> Record:
        header_bytes = self._header_bytes()
        headers = parse_header(self._window[self._pos : self._pos + header_bytes])
        length = _content_length(headers)
        record_type = headers.get(b"warc-type", b"").decode("latin-1").lower()
        if self._plain_size is not None and offset + header_bytes + length > self._plain_size:
            raise Unreadable("truncated_record", f"Content-Length {length} reaches beyond the file")
        if length > self._limits.record_bytes:
            return self._large_record(offset, record_type, headers, header_bytes, length)
        size = header_bytes + length
        available = self._need(size + len(_RECORD_END))
        if available < size:
            raise self._cut_short(f"{available - header_bytes} of {length} bytes are there")
        gap = self._gap(size)
        end = self._pos + size
        body = self._window[self._pos + header_bytes : end] if record_type in self._bodies else b""
        self._pos = end + gap
        if not self._need(1) and self._break is not None and self._break.inside_member:
            raise self._cut_short("")  # its member's checksum did not hold, or is missing
        return Record(offset, record_type, headers, length, body)

    def _large_record(
        self, offset: int, record_type: str, headers: dict[bytes, bytes], header_bytes: int, length: int
    ) -> Record:
        """A record too large to hold: keep the beginning of its body and pass over the rest."""
        wanted = self._limits.header_bytes if record_type in self._bodies else 0
        available = self._need(header_bytes + min(wanted, length))
        body = self._window[self._pos + header_bytes : self._pos + available]
        self._pos += header_bytes
        left = length
        while left:
            if not self._need(1):
                raise self._cut_short(f"{length - left} of {length} bytes are there")
            step = min(left, self._end() - self._pos)
            self._pos += step
            left -= step
        return Record(offset, record_type, headers, length, body)

    def _header_bytes(self) -> int:
        """Length of the header at the current position, its empty line included."""
        available = self._need(_VERSION_BYTES)
        if not _VERSION.match(self._window, self._pos, self._pos + available):
            line = self._window[self._pos : self._pos + available]
            if not line.upper().startswith(RECORD_START):
                raise _Unframed("garbage", "bytes that begin no record")
            if b"\n" in line or available == _VERSION_BYTES:
                raise _Unframed("bad_version", f"version line {line!r}")
            raise _Unframed(*self._why("the version line is cut short"))
        searched, reach = 0, _HEADER_BYTES
        while True:
            start = self._pos + max(searched - len(_NEXT_RECORD) + 1, 0)
            stop = min(self._end(), self._pos + min(reach, self._limits.header_bytes + 1))
            size = _header_end(self._window, start, stop) - self._pos
            if size > 0:
                return size
            searched = stop - self._pos
            if searched > self._limits.header_bytes:
                raise _Unframed("headers_too_large", f"header beyond {self._limits.header_bytes} bytes")
            if stop == self._end() and self._need(searched + 1) <= searched:
                raise _Unframed(*self._why("the header is cut short"))
            reach *= 8

    def _gap(self, size: int) -> int:
        """Length of what lies between a record of `size` and the next: two line ends, as a rule.

        Fewer or more do no harm where another record or the end follows. Anything else means that
        the length is wrong, unless the usual end is there: then the record stands, and garbage follows it.

        Raises:
            Unreadable: `wrong_content_length`.
        """
        usual = size + len(_RECORD_END)
        if self._need(usual) == usual and self._window.startswith(_RECORD_END, self._pos + size):
            return len(_RECORD_END)
        available = self._need(size + _TAIL_BYTES)
        tail = self._window[self._pos + size : self._pos + available]
        follows = tail.lstrip(b"\r\n")
        harmless = RECORD_START.startswith(follows[: len(RECORD_START)].upper())
        if not harmless and not tail.startswith(_RECORD_END):
            raise Unreadable("wrong_content_length", f"the record is followed by {tail!r}")
        return len(tail) - len(follows)

    def _resynchronise(self) -> None:
        """Go to the next line, or member, that begins a record, or to an unreadable member, or to the end."""
        while True:
            at = self._window.find(_NEXT_RECORD, self._pos, self._end())
            if at >= 0:
                self._pos = at + 1
                if self._begins_record():
                    return
                continue
            # What could be the beginning of the mark stays in the window.
            self._pos = max(self._pos, self._end() - len(_NEXT_RECORD) + 1)
            available = self._end() - self._pos
            if self._need(available + 1) > available:
                continue
            self._pos = self._end()
            if self._break is not None and self._break.inside_member:
                self._break = None  # the same damage
                continue
            return

    def _begins_record(self) -> bool:
        """Whether a header that says its type begins here."""
        try:
            size = self._header_bytes()
        except _Unframed:
            return False
        header = self._window[self._pos : self._pos + size].lower()
        return b"\nwarc-type:" in header

    def _need(self, n: int) -> int:
        """Have `n` bytes from the current position in the window; fewer at a wall, a break or the end."""
        have = self._end() - self._pos
        if have >= n:
            return n
        if self._wall is not None or self._break is not None or self._ended:
            return have
        parts = [self._window[self._pos :]] if have else []
        current = max((i for i, m in enumerate(self._members) if m[0] <= self._pos), default=0)
        self._members = [(index - self._pos, raw) for index, raw in self._members[current:]]
        while have < n and self._wall is None:
            item = next(self._pieces, None)
            if item is None:
                self._ended = True
                break
            if isinstance(item, Break):
                self._break = item
                break
            if item.starts_member:
                self._members.append((have, item.member))
                if item.data.startswith(RECORD_START):
                    self._wall = have
            parts.append(item.data)
            have += len(item.data)
        self._window = parts[0] if len(parts) == 1 else b"".join(parts)
        self._pos = 0
        return min(n, self._end())

    def _end(self) -> int:
        return len(self._window) if self._wall is None else self._wall

    def _offset(self) -> int:
        """Of the current position, in the raw file."""
        index, raw = next(m for m in reversed(self._members) if m[0] <= self._pos)
        return raw + self._pos - index

    def _cut_short(self, message: str) -> Unreadable:
        return Unreadable(*self._why(message))

    def _why(self, message: str) -> tuple[str, str]:
        """Reason and message of a record that stops early: its member's damage, where that is the cause."""
        if self._break is not None and self._break.inside_member:
            return self._break.reason, self._break.message
        return "truncated_record", message


def _header_end(window: bytes, start: int, stop: int) -> int:
    """Index after the first empty line; −1 where there is none.

    Raises:
        _Unframed: `truncated_record`, another record begins before it: two headers are not read as one.
    """
    end = window.find(b"\r\n\r\n", start, stop)
    bare = window.find(b"\n\n", start, stop if end < 0 else end)
    if bare >= 0:
        end = bare + 2
    elif end >= 0:
        end += 4
    if window.find(_NEXT_RECORD, start, stop if end < 0 else end) >= 0:
        raise _Unframed("truncated_record", "the header stops where another record begins")
    return end


def _content_length(headers: dict[bytes, bytes]) -> int:
    value = headers.get(b"content-length")
    if value is None:
        raise Unreadable("missing_content_length", "the header has no Content-Length")
    if not value.isdigit() or len(value) > _LENGTH_DIGITS:
        raise Unreadable("bad_content_length", f"Content-Length {value[:40]!r}")
    return int(value)
