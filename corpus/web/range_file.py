"""A file on a web server: read by range and some megabytes ahead, or in one pass where there are no ranges.

A file that is another one than when it was opened is an error, never a mixture. Sizes and offsets are bytes.
"""

from __future__ import annotations

import io
import os
import tempfile
from http import HTTPStatus
from typing import IO, Any, cast

import requests

from corpus.web import clients
from corpus.web.answers import (
    BROKEN,
    CONTENT_RANGE,
    Changed,
    check,
    chunks,
    status_line,
    total_size,
    version_of,
)
from corpus.web.clients import Client, Patience

_BUFFER_BYTES = 1 << 18
_FIRST_BLOCK_BYTES = 1 << 20  # enough for who only looks at the first record
_BLOCK_BYTES = 8 << 20
_SPOOL_BYTES = 64 << 20  # held in memory of a file from a server without ranges


def info(url: str) -> tuple[int, str]:
    """Size (0 where the server does not say it) and identity (ETag, else Last-Modified) of a file.

    Raises:
        NotFound, Refused, Unreachable, WebError: it cannot be asked for.
    """
    client = clients.client()
    patience = client.patience(url)
    with client.request("HEAD", url, {}, patience) as answer:
        if answer.status_code not in (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
            check(answer, url)
            return int(answer.headers.get("Content-Length", 0)), version_of(answer).strip('"')
    with client.request("GET", url, {"Range": "bytes=0-0"}, patience) as answer:
        check(answer, url)
        size = total_size(answer)
        if size is None:
            size = int(answer.headers.get("Content-Length", 0))
        return size, version_of(answer).strip('"')


def open_read(url: str) -> IO[bytes]:
    """Open a file for reading, seekable. The first bytes are fetched at once.

    Raises:
        NotFound, Refused, Unreachable, WebError: also while reading, then with `Changed`.
    """
    opened = _RangeFile(clients.client(), url)
    return opened.whole or cast("IO[bytes]", io.BufferedReader(opened, _BUFFER_BYTES))


class _RangeFile(io.RawIOBase):
    """A file read block by block; `whole` is it all, where the server sends nothing less."""

    def __init__(self, client: Client, url: str) -> None:
        super().__init__()
        self._client = client
        self._url = url
        self._position = 0
        self._block = b""
        self._block_start = 0
        self._ahead = _FIRST_BLOCK_BYTES
        self._size: int | None = None  # until the first answer
        self._version = ""
        self.whole: IO[bytes] | None = None
        self._load(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size or 0}[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset}")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position >= (self._size or 0):
            return 0
        if not 0 <= self._position - self._block_start < len(self._block):
            # Read on, it is read further ahead.
            sequential = self._position == self._block_start + len(self._block)
            self._ahead = min(2 * self._ahead, _BLOCK_BYTES) if sequential else _FIRST_BLOCK_BYTES
            self._load(self._position)
        at = self._position - self._block_start
        piece = memoryview(self._block)[at : at + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _load(self, start: int) -> None:
        """Have the block from `start` on."""
        patience = self._client.patience(self._url)
        block = bytearray()
        while True:
            at, stop = start + len(block), start + self._ahead
            headers = {"Range": f"bytes={at}-{stop - 1}", **self._condition()}
            with self._client.request("GET", self._url, headers, patience) as answer:
                if not self._is_range(answer, at):
                    if self._size is not None:
                        patience.failed(f"bytes from {at} were asked for, others came: {status_line(answer)}")
                        continue
                    self.whole = _spool(self._client, self._url, answer, patience)
                    return
                wanted = min(stop, self._size or 0) - start
                broken = "the body ended early"
                try:
                    for chunk in chunks(answer) if len(block) < wanted else ():
                        block += chunk
                        patience.progressed()
                except BROKEN as error:
                    broken = str(error)
            if len(block) >= wanted:
                self._block, self._block_start = bytes(block[:wanted]), start
                return
            patience.failed(f"{broken} (at byte {start + len(block)})")

    def _is_range(self, answer: requests.Response, at: int) -> bool:
        """Whether the answer is the range from `at` on, of the file that was opened.

        Raises:
            Changed: of another file.
            WebError: the server refuses.
        """
        total = total_size(answer)
        if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if at or total:
                raise Changed(f"{self._url} changed while it was read: it ends before byte {at}")
            self._size = 0  # an empty file has no range
            return True
        check(answer, self._url)
        range_ = CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
        partial = answer.status_code == HTTPStatus.PARTIAL_CONTENT
        if not partial or total is None or range_ is None or range_[1] != str(at):
            return False
        version = version_of(answer)
        if self._size is None:
            self._size, self._version = total, version
        elif (total, version) != (self._size, self._version):
            raise Changed(
                f"{self._url} changed while it was read: {self._size} bytes, {self._version!r} before; "
                f"{total} bytes, {version!r} now"
            )
        return True

    def _condition(self) -> dict[str, str]:
        """Asks the server to refuse if the file is another one. A weak ETag would never match."""
        if not self._version or self._version.startswith("W/"):
            return {}
        return {"If-Match" if self._version.startswith('"') else "If-Unmodified-Since": self._version}


def _spool(client: Client, url: str, answer: requests.Response, patience: Patience) -> IO[bytes]:
    """The whole file, from a server that knows no ranges: a break costs all that was read."""
    while True:
        file = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115
        broken = ""
        try:
            with answer:
                check(answer, url)
                for chunk in chunks(answer):
                    file.write(chunk)
        except BROKEN as error:
            broken = str(error)
        except BaseException:
            file.close()
            raise
        if not broken:
            file.seek(0)
            return cast("IO[bytes]", file)
        file.close()
        patience.failed(broken)
        answer = client.request("GET", url, {}, patience)
