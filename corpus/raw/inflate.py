"""Raw bytes of a file, plain, gzip or zstd, as pieces of inflated bytes whose origin is known.

In: a seekable binary file. Out: `Piece`s of at most 256 KiB inflated, each of one gzip member or zstd frame
(a plain file is one member), and a `Break` where the raw bytes could not be inflated: see
`corpus.raw.members`. Offsets and lengths are bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from isal import isal_zlib  # the same calls as zlib's, a third faster over the whole reader
from isal.igzip_lib import IsalError

from corpus.raw.members import Break, Broken, Members, Piece, RecordStart
from corpus.raw.zstd import ZstdFrames, is_zstd

_GZIP_MAGIC = b"\x1f\x8b\x08"
_MAGIC_BYTES = 4
_PIECE = 256 << 10
_GZIP_WINDOW_BITS = 31  # zlib: gzip framing, 32 KiB window


def pieces(file: IO[bytes], ratio: int, start: RecordStart) -> Iterator[Piece | Break]:
    """Read a file, compressed or not by its first bytes.

    Args:
        file: seekable.
        ratio: bound of inflated : deflated bytes of a member.
        start: what a record begins with, for the search after a break.
    """
    head = _magic(file)
    if head.startswith(_GZIP_MAGIC):
        return _GzipMembers(file, ratio, start).pieces()
    if is_zstd(head):
        return ZstdFrames(file, ratio, start).pieces()
    return _plain(file)


def is_plain(file: IO[bytes]) -> bool:
    """Whether the file is not compressed; its position is left at the start."""
    head = _magic(file)
    return not head.startswith(_GZIP_MAGIC) and not is_zstd(head)


def _magic(file: IO[bytes]) -> bytes:
    file.seek(0)
    head = file.read(_MAGIC_BYTES)
    file.seek(0)
    return head


def _plain(file: IO[bytes]) -> Iterator[Piece]:
    first = True
    while block := file.read(_PIECE):
        yield Piece(block, 0, first)
        first = False


class _GzipMembers(Members):
    magic = _GZIP_MAGIC
    probe = 4 << 10

    def _member(self) -> Iterator[bytes | Broken]:
        member = self._next
        inflater = isal_zlib.decompressobj(_GZIP_WINDOW_BITS)
        inflated = 0
        while not inflater.eof:
            if not self._raw and not self._fill(1):
                size = self._next - member
                yield Broken("truncated_gzip", f"the file ends {size} bytes into a gzip member")
                return
            available = len(self._raw)
            try:
                data = inflater.decompress(self._raw, _PIECE)
            except IsalError as error:  # type: ignore[misc]  # its stubs say that it is no exception
                self._drop(available)
                yield Broken("bad_gzip", str(error))
                return
            self._raw = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            self._next += available - len(self._raw)
            inflated += len(data)
            if inflated > self._ratio * (self._next - member):
                yield Broken("gzip_bomb", f"{self._next - member} bytes inflate to {inflated} and more")
                return
            yield data

    def _head(self, at: int) -> bytes:
        inflater = isal_zlib.decompressobj(_GZIP_WINDOW_BITS)
        try:
            return inflater.decompress(self._raw[at : at + self.probe], self._start.head_bytes)
        except IsalError:  # type: ignore[misc]
            return b""
