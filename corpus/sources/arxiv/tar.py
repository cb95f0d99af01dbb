"""Tar archives read from a stream: the headers of their members, and the bytes of those that are wanted.

In: bytes that are read forwards once, of a file or of an inflating gzip member. Out: `Member`s in their
order; the bytes of the current one on request. Nothing is extracted, links are not followed, and memory holds
what is asked for, whatever sizes the headers declare. Own code, as Python's tarfile holds extended headers of
any declared size in memory, and after one damaged header gives up the rest of an archive.

Formats: POSIX ustar and pax, GNU (long names, base-256 sizes, old sparse files), and before POSIX.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from corpus.raw.damage import Unreadable
from corpus.sources.arxiv.byte_source import Source

BLOCK = 512
_EXTENDED_BYTES = 1 << 20  # of a long name or a pax header; longer ones are passed over
_MAX_SPARSE_BLOCKS = 10_000
_PAX = re.compile(rb"(\d{1,9}) ([^=\n]{1,100})=")
_KINDS: dict[bytes, Literal["file", "folder"]] = {b"0": "file", b"\0": "file", b"7": "file", b"5": "folder"}
_WITHOUT_DATA = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})  # links, devices, folders


@dataclass(frozen=True, slots=True)
class Member:
    """A member: its name, its size in bytes, and where its header begins in the archive."""

    name: str
    size: int
    kind: Literal["file", "folder", "other"]
    offset: int


class Tar:
    """An archive. Iteration gives its members; `read` and `skip` serve the bytes of the current one."""

    def __init__(self, source: Source, position: int = 0) -> None:
        self._source = source
        self.position = position
        self._left = 0  # bytes of the current member
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        """Members up to the end of the archive.

        Raises:
            Unreadable: ``bad_tar``, ``truncated_tar``; after the former, `resynchronise` can go on.
        """
        name: bytes | None = None
        size: int | None = None
        while True:
            self._finish_member()
            offset = self.position
            block = self._header()
            if block is None:
                return
            kind = block[156:157]
            stored = 0 if kind in _WITHOUT_DATA else _number(block[124:136])
            if kind in (b"L", b"K", b"x", b"X", b"g"):
                extended = self._extended(stored)
                if kind == b"L" and extended:
                    name = extended.split(b"\0", 1)[0]
                elif kind in (b"x", b"X"):
                    name, size = _pax(extended, name, size)
                continue
            if kind == b"S":
                self._sparse_map(block)
            self._left = stored if size is None or kind in _WITHOUT_DATA else size
            self._padding = -self._left % BLOCK
            shown = _name(block) if name is None else name
            yield Member(shown.decode("utf-8", "replace"), self._left, _KINDS.get(kind, "other"), offset)
            name = size = None

    def read(self, n: int) -> bytes:
        """The next bytes of the current member, fewer than `n` only at its end.

        Raises:
            Unreadable: ``truncated_tar``, the archive ends within it.
        """
        wanted = min(n, self._left)
        data = self._source.read(wanted)
        self._left -= len(data)
        self.position += len(data)
        if len(data) < wanted:
            self._left = self._padding = 0
            raise Unreadable("truncated_tar", f"the archive ends {self.position} bytes on, within a member")
        return data

    def skip(self, n: int) -> bool:
        """Pass over bytes of the current member; whether they were there."""
        wanted = min(n, self._left)
        if wanted and not self._source.skip(wanted):
            self._left = self._padding = 0
            raise Unreadable("truncated_tar", "the archive ends within a member")
        self._left -= wanted
        self.position += wanted
        return wanted == n

    def resynchronise(self) -> bool:
        """Go to the next block that is a header beyond doubt, and be there for the next iteration."""
        self._left = self._padding = 0
        while len(block := self._source.read(BLOCK)) == BLOCK:
            if block[257:262] == b"ustar" and is_header(block):
                self._pending = block
                return True
            self.position += BLOCK
        return False

    _pending: bytes | None = None

    def _header(self) -> bytes | None:
        block = self._pending if self._pending is not None else self._source.read(BLOCK)
        self._pending = None
        self.position += len(block)
        if not block or block == bytes(BLOCK):
            return None
        if len(block) < BLOCK:
            raise Unreadable("truncated_tar", f"{len(block)} bytes of a header")
        if not is_header(block):
            raise Unreadable("bad_tar", f"no header in the block {self.position - BLOCK} bytes on")
        return block

    def _finish_member(self) -> None:
        self.skip(self._left)
        padding, self._padding = self._padding, 0
        # Some archives end without their last padding.
        self._source.skip(padding)
        self.position += padding

    def _extended(self, size: int) -> bytes:
        self._left, self._padding = size, -size % BLOCK
        data = self.read(size) if size <= _EXTENDED_BYTES else b""
        self._finish_member()
        return data

    def _sparse_map(self, block: bytes) -> None:
        """Pass over the further blocks of an old GNU sparse file's map."""
        extended = block[482]
        for _ in range(_MAX_SPARSE_BLOCKS):
            if not extended:
                return
            further = self._source.read(BLOCK)
            self.position += len(further)
            if len(further) < BLOCK:
                raise Unreadable("truncated_tar", "the archive ends within the map of a sparse file")
            extended = further[504]
        raise Unreadable("bad_tar", f"a sparse file's map of more than {_MAX_SPARSE_BLOCKS} blocks")


def is_header(block: bytes) -> bool:
    """Whether a block is a member's header: its checksum is right, and its size is a number."""
    if len(block) < BLOCK or block == bytes(BLOCK):
        return False
    digits = block[148:156].strip(b" \0")
    if not re.fullmatch(rb"[0-7]{1,8}", digits):
        return False
    if int(digits, 8) != sum(block[:148]) + 8 * 0x20 + sum(block[156:BLOCK]):
        return False
    try:
        return _number(block[124:136]) >= 0
    except Unreadable:
        return False


def _number(field: bytes) -> int:
    """A size: octal digits, or GNU's base 256."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not digits:
        return 0
    if not re.fullmatch(rb"[0-7]{1,12}", digits):
        raise Unreadable("bad_tar", f"a member of size {field!r}")
    return int(digits, 8)


def _name(block: bytes) -> bytes:
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _pax(data: bytes, name: bytes | None, size: int | None) -> tuple[bytes | None, int | None]:
    """Path and size from pax records ``LENGTH KEY=VALUE\\n``."""
    pos = 0
    while match := _PAX.match(data, pos):
        end = pos + int(match[1])
        value = data[match.end() : end - 1]
        if match[2] == b"path":
            name = value
        elif match[2] == b"size" and re.fullmatch(rb"\d{1,18}", value):
            size = int(value)
        if end <= pos:
            break
        pos = end
    return name, size
