"""Members of a compressed file, one after the other: raw bytes -> pieces of inflated bytes.

In: a seekable binary file made of members (of gzip) or frames (of zstd), here both called members. Out:
`Piece`s, each of one member whose offset is known, and a `Break` where raw bytes could not be inflated;
after a break the pieces go on at the next member that begins a record. What a member is, is said by the
classes of `corpus.raw.inflate` and `corpus.raw.zstd`. Memory is a few pieces, whatever a file holds.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from corpus.tally import FIRST_BYTES

_RAW_BLOCK = 16 << 10  # small, as zlib copies what it has not used at the end of every member
# Bytes read again in search of a member inside a damaged one, before the search only goes forward: a file
# made of overlapping false members would else be inflated once for each of them.
_REREAD_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class RecordStart:
    """How a record is known: `begins` takes the first inflated bytes, `head_bytes` of them if there are."""

    head_bytes: int
    begins: Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Piece:
    """Inflated bytes of one member. `member` is the member's offset in the raw file.

    A member's first piece has `RecordStart.head_bytes` at least, unless the member is shorter.
    """

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


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a member could not be inflated to its end."""

    reason: str
    message: str


class Members(ABC):
    """The members of one file; `pieces` may be called once.

    `magic` begins a member; `probe` is the number of raw bytes that surely inflate to its first bytes.
    """

    magic: bytes
    probe: int

    def __init__(self, file: IO[bytes], ratio: int, start: RecordStart) -> None:
        self._file = file
        self._ratio = ratio
        self._start = start
        self._raw = b""  # raw bytes read and not yet used
        self._next = 0  # raw offset of the first of them
        self._reread = 0

    def pieces(self) -> Iterator[Piece | Break]:
        """The pieces of all members, and the breaks between them."""
        while self._fill(len(self.magic)):
            member = self._next
            first_bytes = self._raw[:FIRST_BYTES]
            if not self._is_member():
                yield Break("garbage", "bytes between members", member, False, first_bytes)
                self._search(member + 1)
                continue
            delivered = False
            broken: Broken | None = None
            held = b""  # a member's first bytes, until they are enough for a piece
            for item in self._member():
                if isinstance(item, Broken):
                    broken = item
                    break
                held = held + item if held else item
                if held and (delivered or len(held) >= self._start.head_bytes):
                    yield Piece(held, member, not delivered)
                    delivered, held = True, b""
            if held:
                yield Piece(held, member, not delivered)
                delivered = True
            if broken:
                furthest = self._next
                yield Break(broken.reason, broken.message, member, delivered, first_bytes)
                if self._reread + furthest - member > _REREAD_BYTES:
                    self._search(furthest)
                else:
                    self._reread += furthest - member
                    self._search(member + 1)

    def _is_member(self) -> bool:
        """Whether the raw bytes begin with a member."""
        return self._raw.startswith(self.magic)

    @abstractmethod
    def _member(self) -> Iterator[bytes | Broken]:
        """Inflated bytes of the member at the head of the raw bytes, which it uses up; `Broken` is last."""

    @abstractmethod
    def _head(self, at: int) -> bytes:
        """First inflated bytes of the member at an index of the raw bytes; none where it is damaged."""

    def _fill(self, wanted: int) -> bool:
        """Have some raw bytes, `wanted` of them unless the file ends; False when there are none."""
        while len(self._raw) < wanted:
            block = self._file.read(max(_RAW_BLOCK, wanted - len(self._raw)))
            if not block:
                break
            self._raw = self._raw + block if self._raw else block
        return bool(self._raw)

    def _go(self, offset: int) -> None:
        """Go on at a raw offset."""
        self._file.seek(offset)
        self._next, self._raw = offset, b""

    def _search(self, start: int) -> None:
        """Go to the next member from `start` on whose inflated bytes begin a record, or to the end."""
        self._go(start)
        while self._fill(2 * self.probe):
            ended = len(self._raw) < 2 * self.probe
            limit = len(self._raw) if ended else len(self._raw) - self.probe
            at = -1
            while (at := self._raw.find(self.magic, at + 1, limit + len(self.magic) - 1)) >= 0:
                if self._start.begins(self._head(at)):
                    self._drop(at)
                    return
            self._drop(limit)

    def _drop(self, n: int) -> None:
        self._raw = self._raw[n:]
        self._next += n


def size_of(file: IO[bytes]) -> int:
    """Bytes of a seekable file; its position is left at the start."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size
