"""Framing of crawl files: inflated bytes -> records, and spans that hold none; what WARC and ARC share.

In: a seekable binary file, plain or compressed (a member a record, one member over all, or blocks). Out: in
the order of the file a `Record` for each record framed and a `Damage` for each unreadable record or span;
after damage, reading goes on at the next member, else the next line, that begins a record. Lengths and
offsets are bytes. Memory stays within a few times `Limits.record_bytes`, whatever a header declares.

Own code, as other readers yield short bodies for wrong lengths and truncated members without a word, and
lose the rest of a file after one damaged member.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from corpus.raw.damage import Damage, Unreadable
from corpus.raw.inflate import is_plain, pieces
from corpus.raw.members import Break, RecordStart, size_of
from corpus.recipe import Limits
from corpus.tally import FIRST_BYTES

_NEWLINES = re.compile(rb"[\r\n]+")
_LENGTH_DIGITS = 18


class Unframed(Unreadable):
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


class Framer(ABC):
    """A window over the inflated bytes, and the cutting of records from it; a subclass a format.

    `_pos` is where the next record begins or is looked for. `_wall` is the index of a member that begins a
    record: what lies before it never reaches over it, which confines a wrong length to its own member.

    `start` says what a record begins with, `mark` (at most `mark_bytes` long) where one may begin after a
    line end, `record_end` what ends it as a rule.
    """

    start: RecordStart
    mark: re.Pattern[bytes]
    mark_bytes: int
    record_end: bytes

    def __init__(self, file: IO[bytes], limits: Limits, bodies: frozenset[str]) -> None:
        self._plain_size = size_of(file) if is_plain(file) else None
        self._pieces = pieces(file, limits.compression_ratio, self.start)
        self._limits = limits
        self._bodies = bodies
        self._window = b""
        self._pos = 0
        self._members: list[tuple[int, int]] = []  # (index in the window, offset in the raw file)
        self._wall: int | None = None
        self._break: Break | None = None
        self._ended = False

    def items(self) -> Iterator[Record | Damage]:
        """Records and damage, in the order of the file."""
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
        first_bytes = self._window[self._pos : self._pos + FIRST_BYTES]
        try:
            return self._record(offset)
        except Unreadable as error:
            framed = not isinstance(error, Unframed)
            self._resynchronise()
            return Damage(offset, error.reason, error.message, first_bytes, framed)

    def _record(self, offset: int) -> Record:
        header_bytes = self._header_bytes()
        record_type, headers = self._read_header(self._window[self._pos : self._pos + header_bytes])
        length = content_length(headers)
        if self._plain_size is not None and offset + header_bytes + length > self._plain_size:
            raise Unreadable("truncated_record", f"Content-Length {length} reaches beyond the file")
        if length > self._limits.record_bytes:
            return self._large_record(offset, record_type, headers, header_bytes, length)
        size = header_bytes + length
        available = self._need(size + len(self.record_end))
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

    @abstractmethod
    def _header_bytes(self) -> int:
        """Length of the header at the current position, all of which is then in the window.

        Raises:
            Unframed: there is none.
        """

    @abstractmethod
    def _read_header(self, block: bytes) -> tuple[str, dict[bytes, bytes]]:
        """Type and fields of a record, named as in WARC.

        Raises:
            Unreadable: they contradict each other.
        """

    @abstractmethod
    def _gap(self, size: int) -> int:
        """Length of what lies between the end of a record, `size` bytes on, and the next.

        Raises:
            Unreadable: `wrong_content_length`, judged by what follows.
        """

    @abstractmethod
    def _begins_record(self) -> bool:
        """Whether a header that is one beyond doubt begins at the current position."""

    def _resynchronise(self) -> None:
        """Go to the next line, or member, that begins a record, or to an unreadable member, or to the end."""
        while True:
            found = self.mark.search(self._window, self._pos, self._end())
            if found:
                self._pos = found.start() + 1
                if self._begins_record():
                    return
                continue
            # What could be the beginning of the mark stays in the window.
            self._pos = max(self._pos, self._end() - self.mark_bytes + 1)
            available = self._end() - self._pos
            if self._need(available + 1) > available:
                continue
            self._pos = self._end()
            if self._break is not None and self._break.inside_member:
                self._break = None  # the same damage
                continue
            return

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
                if self.start.begins(item.data):
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

    def _member_begins(self, index: int) -> bool:
        """Whether a member begins at an index of the window."""
        return any(start == index for start, _ in self._members)

    def _cut_short(self, message: str) -> Unreadable:
        return Unreadable(*self._why(message))

    def _why(self, message: str) -> tuple[str, str]:
        """Reason and message of a record that stops early: its member's damage, where that is the cause."""
        if self._break is not None and self._break.inside_member:
            return self._break.reason, self._break.message
        return "truncated_record", message


def content_length(headers: dict[bytes, bytes]) -> int:
    """Length of a record's body in bytes.

    Raises:
        Unreadable: `missing_content_length`, `bad_content_length`.
    """
    value = headers.get(b"content-length")
    if value is None:
        raise Unreadable("missing_content_length", "the header has no Content-Length")
    if not value.isdigit() or len(value) > _LENGTH_DIGITS:
        raise Unreadable("bad_content_length", f"Content-Length {value[:40]!r}")
    return int(value)
