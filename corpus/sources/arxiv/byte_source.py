"""Bytes that are read forwards once: of a file, or inflated from gzip members.

In: a seekable file, or another source. Out: as many bytes as are asked for; what is passed over is not held.
"""

from __future__ import annotations

from typing import IO, Protocol

from isal import isal_zlib
from isal.igzip_lib import IsalError

from corpus.raw.damage import Unreadable

_CHUNK = 256 << 10
_GZIP_MAGIC = b"\x1f\x8b\x08"
_GZIP_WINDOW_BITS = 31


class Source(Protocol):
    """Bytes that are read forwards."""

    def read(self, n: int) -> bytes:
        """The next `n` bytes, fewer only at the end."""

    def skip(self, n: int) -> bool:
        """Pass over `n` bytes; whether they were there."""


class FileSource:
    """Bytes of a seekable file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        file.seek(0, 2)
        self._size = file.tell()
        file.seek(0)
        self.position = 0

    def read(self, n: int) -> bytes:
        """See `Source`."""
        parts = []
        while n > 0 and (data := self._file.read(n)):
            parts.append(data)
            n -= len(data)
            self.position += len(data)
        return b"".join(parts)

    def skip(self, n: int) -> bool:
        """See `Source`."""
        there = min(n, self._size - self.position)
        self.position += there
        self._file.seek(self.position)
        return there == n


class GzipSource:
    """Inflated bytes of a source that holds gzip members.

    Reading raises `Unreadable`: ``bad_gzip``, ``truncated_gzip``, ``gzip_bomb``, ``submission_too_large``.
    """

    def __init__(self, raw: Source, ratio: int, limit: int) -> None:
        self._raw = raw
        self._ratio = ratio
        self._limit = limit
        self._deflated = b""
        self._read = self._inflated = 0
        self._window = b""
        self._inflater = isal_zlib.decompressobj(_GZIP_WINDOW_BITS)
        self._ended = False

    def read(self, n: int) -> bytes:
        """See `Source`."""
        parts = []
        while n > 0 and self._fill():
            data = self._window[:n]
            self._window = self._window[n:]
            parts.append(data)
            n -= len(data)
        return b"".join(parts)

    def skip(self, n: int) -> bool:
        """See `Source`."""
        while n > 0 and self._fill():
            step = min(n, len(self._window))
            self._window = self._window[step:]
            n -= step
        return n == 0

    def _fill(self) -> bool:
        """Have at least one byte in the window; False at the end."""
        while not self._window and not self._ended:
            if self._inflater.eof:
                rest = self._inflater.unused_data or self._more()
                if not rest.startswith(_GZIP_MAGIC):  # padding
                    self._ended = True
                    return False
                self._inflater = isal_zlib.decompressobj(_GZIP_WINDOW_BITS)
                self._deflated = rest
            elif not self._deflated and not self._refill():
                raise Unreadable("truncated_gzip", f"it ends after {self._inflated} inflated bytes")
            try:
                self._window = self._inflater.decompress(self._deflated, _CHUNK)
            except IsalError as error:  # type: ignore[misc]  # its stubs say that it is no exception
                raise Unreadable("bad_gzip", str(error)) from error
            self._deflated = self._inflater.unconsumed_tail
            self._inflated += len(self._window)
            if self._inflated > self._ratio * self._read:
                raise Unreadable("gzip_bomb", f"{self._read} bytes inflate to {self._inflated} and more")
            if self._inflated > self._limit:
                raise Unreadable("submission_too_large", f"it inflates to {self._inflated} bytes and more")
        return bool(self._window)

    def _refill(self) -> bool:
        self._deflated = self._more()
        return bool(self._deflated)

    def _more(self) -> bytes:
        data = self._raw.read(_CHUNK)
        self._read += len(data)
        return data
