"""bzip2 and xz: raw bytes -> decompressed pieces, one stream after the other.

In: a binary file that is read forwards. Out: pieces of at most 1 MiB. What a stream inflates to is bounded by
a ratio as it comes; memory is a piece and what the decompressor needs.
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Iterator
from typing import IO, Any, Literal

from corpus.raw.damage import Unreadable
from corpus.tally import FIRST_BYTES

BZ2_MAGIC = b"BZh"
XZ_MAGIC = b"\xfd7zXZ\x00"
_RAW_BLOCK = 256 << 10
_PIECE = 1 << 20
_XZ_MEMORY = 128 << 20  # xz -9 takes 65 MiB

Kind = Literal["bz2", "xz"]


class Stream:
    """One stream; `pieces` may be called once.

    Attributes:
        used: its raw bytes read so far; when it has ended, all of them.
        first_bytes: of them.
        rest: raw bytes read beyond its end.
    """

    def __init__(self, kind: Kind, file: IO[bytes], ratio: int, head: bytes = b"") -> None:
        """Begin to read.

        Args:
            kind: of the stream.
            file: to read on from.
            ratio: bound of decompressed : raw bytes.
            head: its first raw bytes, which have been read from the file already.
        """
        self._kind = kind
        self._file = file
        self._ratio = ratio
        self._head = head
        self.used = 0
        self.first_bytes = b""
        self.rest = b""

    def pieces(self) -> Iterator[bytes]:
        """What the stream holds.

        Raises:
            Unreadable: ``bad_bz2``, ``truncated_bz2``, ``bz2_bomb``, and the same of xz.
        """
        decompressor: Any = (
            bz2.BZ2Decompressor()
            if self._kind == "bz2"
            else lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY)
        )
        given = 0
        while not decompressor.eof:
            raw = b""
            if decompressor.needs_input:
                raw, self._head = self._head or self._file.read(_RAW_BLOCK), b""
                self.first_bytes = self.first_bytes or raw[:FIRST_BYTES]
                if not raw:
                    message = f"the file ends {self.used} bytes into a stream"
                    raise Unreadable(f"truncated_{self._kind}", message)
                self.used += len(raw)
            try:
                data = decompressor.decompress(raw, _PIECE)
            except (OSError, lzma.LZMAError) as error:  # bz2 says by the former what is wrong with its data
                raise Unreadable(f"bad_{self._kind}", str(error)) from error
            given += len(data)
            if given > self._ratio * self.used:
                message = f"{self.used} bytes decompress to {given} and more"
                raise Unreadable(f"{self._kind}_bomb", message)
            if data:
                yield data
        self.rest = decompressor.unused_data
        self.used -= len(self.rest)


def all_pieces(kind: Kind, file: IO[bytes], ratio: int) -> Iterator[bytes]:
    """What all streams of a file hold, end to end.

    Raises:
        Unreadable: as `Stream.pieces`; also for what is no stream behind one that is.
    """
    head = file.read(_RAW_BLOCK)
    while True:
        stream = Stream(kind, file, ratio, head)
        yield from stream.pieces()
        head = stream.rest or file.read(_RAW_BLOCK)
        while kind == "xz" and head and not (head := head.lstrip(b"\0")):  # padding (xz format, section 2.2)
            head = file.read(_RAW_BLOCK)
        if not head:
            return
