"""Raw bytes of a crawl file, plain or gzip, as pieces of inflated bytes whose origin is known.

In: a seekable binary file. Out: `Piece`s of at most 256 KiB inflated, each of one gzip member (a plain
file is one member), and a `Break` where the raw bytes could not be inflated; after a break the pieces go
on at the next member that begins a WARC record. Memory is a few pieces, whatever the file holds.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

GZIP_MAGIC = b"\x1f\x8b\x08"
RECORD_START = b"WARC/"

_RAW_BLOCK = 16 << 10  # small, as zlib copies what it has not used at the end of every member
_PIECE = 256 << 10
_PLAIN_BLOCK = 256 << 10
_PROBE = 4 << 10  # raw bytes that surely inflate to the first bytes of a member
_FIRST_PIECE = 64  # a member's first piece is never shorter, unless the member is
_GZIP_WINDOW_BITS = 31  # zlib: gzip framing, 32 KiB window
# Bytes read again in search of a member inside a damaged one, before the search only goes forward: a file
# made of overlapping false members would else be inflated once for each of them.
_REREAD_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """Inflated bytes of one member. `member` is the member's offset in the raw file."""

    data: bytes
    member: int
    starts_member: bool


@dataclass(frozen=True, slots=True)
class Break:
    """Raw bytes that could not be inflated, from `offset` on to where the next piece begins.

    `inside_member`: pieces of the damaged member were handed on before.
    """

    reason: str
    message: str
    offset: int
    inside_member: bool
    first_bytes: bytes


def pieces(file: IO[bytes], ratio: int) -> Iterator[Piece | Break]:
    """Read a file, plain or gzip by its first bytes; `ratio` bounds inflated : deflated of a member."""
    file.seek(0)
    head = file.read(len(GZIP_MAGIC))
    file.seek(0)
    if head == GZIP_MAGIC:
        return _Members(file, ratio).pieces()
    return _plain(file)


def _plain(file: IO[bytes]) -> Iterator[Piece]:
    first = True
    while block := file.read(_PLAIN_BLOCK):
        yield Piece(block, 0, first)
        first = False


class _Members:
    """The members of a gzip file, one after the other."""

    def __init__(self, file: IO[bytes], ratio: int) -> None:
        self._file = file
        self._ratio = ratio
        self._raw = b""  # raw bytes read and not yet used
        self._next = 0  # raw offset of the first of them
        self._reread = 0

    def pieces(self) -> Iterator[Piece | Break]:
        while self._fill(len(GZIP_MAGIC)):
            member = self._next
            if not self._raw.startswith(GZIP_MAGIC):
                yield Break("garbage", "bytes between gzip members", member, False, self._raw[:64])
                self._search(member + 1)
                continue
            first_bytes = self._raw[:64]
            delivered = False
            for item in self._member(member):
                if isinstance(item, Piece):
                    yield item
                    delivered = True
                else:
                    reason, message = item
                    furthest = self._next
                    yield Break(reason, message, member, delivered, first_bytes)
                    again = furthest - member
                    if self._reread + again > _REREAD_BYTES:
                        self._search(furthest)
                    else:
                        self._reread += again
                        self._search(member + 1)

    def _member(self, member: int) -> Iterator[Piece | tuple[str, str]]:
        """Pieces of the member at the head of the raw bytes, then a reason and message if it is damaged."""
        inflater = zlib.decompressobj(_GZIP_WINDOW_BITS)
        inflated = 0
        held = b""  # a member's first bytes, until they are enough for a piece
        first = True
        while not inflater.eof:
            if not self._raw and not self._fill(1):
                if held:
                    yield Piece(held, member, first)
                yield "truncated_gzip", f"the file ends {self._next - member} bytes into a gzip member"
                return
            available = len(self._raw)
            try:
                data = inflater.decompress(self._raw, _PIECE)
            except zlib.error as error:
                self._next += available
                self._raw = b""
                yield "bad_gzip", str(error)
                return
            self._raw = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            self._next += available - len(self._raw)
            inflated += len(data)
            if inflated > self._ratio * (self._next - member):
                yield "gzip_bomb", f"{self._next - member} bytes inflate to {inflated} and more"
                return
            held = held + data if held else data
            if len(held) >= _FIRST_PIECE or inflater.eof or not first:
                if held:
                    yield Piece(held, member, first)
                    first = False
                held = b""

    def _fill(self, wanted: int) -> bool:
        """Have some raw bytes, `wanted` of them unless the file ends; False when there are none."""
        while len(self._raw) < wanted:
            block = self._file.read(_RAW_BLOCK)
            if not block:
                break
            self._raw = self._raw + block if self._raw else block
        return bool(self._raw)

    def _search(self, start: int) -> None:
        """Go to the next member from `start` on whose inflated bytes begin a WARC record, or to the end."""
        self._file.seek(start)
        self._next, self._raw = start, b""
        while self._fill(_PROBE):
            at = self._raw.find(GZIP_MAGIC)
            if at < 0:
                keep = len(GZIP_MAGIC) - 1
                if len(self._raw) < _PROBE:  # the end of the file
                    keep = 0
                self._drop(len(self._raw) - keep)
                continue
            self._drop(at)
            self._fill(_PROBE)
            if _begins_record(self._raw[:_PROBE]):
                return
            self._drop(1)

    def _drop(self, n: int) -> None:
        self._raw = self._raw[n:]
        self._next += n


def _begins_record(raw: bytes) -> bool:
    """Whether a gzip member begins here and inflates to the beginning of a record."""
    try:
        head = zlib.decompressobj(_GZIP_WINDOW_BITS).decompress(raw, len(RECORD_START))
    except zlib.error:
        return False
    return head == RECORD_START


def size_of(file: IO[bytes]) -> int:
    """Bytes of a seekable file; its position is left at the start."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size
