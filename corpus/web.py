"""Files on web servers: an address -> bytes read by range, and size and identity.

In: `https://` and `http://` addresses. Out: seekable files that are read some megabytes ahead, and answers
for `corpus.storage` and `corpus.downloads`. What goes wrong for the moment (a busy server, a broken
connection, a slow answer) is tried again after pauses that double, from the byte that was reached, at a
bounded pace of requests; what does not get better is an error that names the address. A file that is another
one than when it was opened is an error, never a mixture. Sizes and offsets are bytes, times are seconds.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import IO, Any, cast

import requests
from urllib3.exceptions import HTTPError, InvalidHeader, NameResolutionError
from urllib3.util import Retry

from corpus.recipe import Network

_SCHEMES = ("https://", "http://")
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})  # timeouts, too many requests, troubles of the server
_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, HTTPError)
_TRIES_OF_A_NAME = 3
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_LONGEST_RETRY_AFTER_SECONDS = 600.0
_CHUNK_BYTES = 16 << 10  # what of a body may be lost when nothing more comes
_BUFFER_BYTES = 1 << 18
_FIRST_BLOCK_BYTES = 1 << 20  # enough for who only looks at the first record
_BLOCK_BYTES = 8 << 20
_SPOOL_BYTES = 64 << 20  # held in memory of a file from a server without ranges
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")

_log = logging.getLogger(__name__)


class WebError(OSError):
    """An address cannot be read; the message names it."""


class Unreachable(WebError):
    """It could not be read for the moment, after all tries: the same run may succeed later."""


class Changed(WebError):
    """The file is another one than when it was opened."""


class NotFound(WebError, FileNotFoundError):
    """There is no such file."""


class Refused(WebError, PermissionError):
    """The server does not give the file to us."""


def is_web(path: str) -> bool:
    """Whether an address is one that this module reads."""
    return path.startswith(_SCHEMES)


def _no_such_name(error: Exception) -> bool:
    """Whether a host's name could not be looked up."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NameResolutionError)


class Patience:
    """The failures in a row at one address, and the pauses after them."""

    def __init__(self, url: str, tries: int, sleep: Callable[[float], None]) -> None:
        self._url = url
        self._tries = tries
        self._sleep = sleep
        self._failures = 0

    def progressed(self) -> None:
        """Bytes came: the count begins anew."""
        self._failures = 0

    def failed(self, what: str, retry_after: str | None = None, tries: int | None = None) -> None:
        """Count a failure and wait: 1, 2, 4 … 60 seconds, or longer where the server asks for it.

        Args:
            tries: fewer than usual, for a failure that seldom passes.

        Raises:
            Unreachable: it was the last try.
        """
        self._failures += 1
        if self._failures >= min(self._tries, tries or self._tries):
            message = f"{self._url} cannot be reached for now, tried {self._failures} times: {what}"
            raise Unreachable(message)
        pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** (self._failures - 1), _LONGEST_PAUSE_SECONDS)
        pause = max(pause, _seconds(retry_after))
        _log.warning("%s: %s; asking again in %.0f s", self._url, what, pause)
        self._sleep(pause)


class Client:
    """One process's requests: a connection pool, a pace, and the number of tries."""

    def __init__(
        self,
        network: Network,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.network = network
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = clock()  # when the next request may start
        self._sessions: dict[int, requests.Session] = {}  # by process: a fork must not share connections

    def patience(self, url: str) -> Patience:
        """A new count of failures for one undertaking."""
        return Patience(url, self.network.tries, self._sleep)

    def request(
        self, method: str, url: str, headers: Mapping[str, str], patience: Patience
    ) -> requests.Response:
        """An answer that is no failure of the moment; its body is not read yet.

        Raises:
            Unreachable: all tries failed.
            WebError: the address is none.
        """
        # Ranges count the bytes as stored: no compression on the way.
        headers = {"Accept-Encoding": "identity", "User-Agent": "llama-corpus", **headers}
        while True:
            self._wait_for_turn()
            try:
                answer = self._session().request(
                    method, url, headers=headers, stream=True, timeout=self.network.timeout_seconds
                )
            except _BROKEN as error:
                # Without a connection nobody should wait for minutes to be told so.
                patience.failed(str(error), tries=_TRIES_OF_A_NAME if _no_such_name(error) else None)
                continue
            except requests.RequestException as error:
                raise WebError(f"{url} cannot be read: {error}") from error
            if answer.status_code not in _TRANSIENT:
                return answer
            answer.close()
            patience.failed(_status(answer), answer.headers.get("Retry-After"))

    def _wait_for_turn(self) -> None:
        with self._lock:
            now = self._clock()
            turn = max(now, self._free_at)
            self._free_at = turn + 1 / self.network.requests_per_second
        if turn > now:
            self._sleep(turn - now)

    def _session(self) -> requests.Session:
        with self._lock:
            return self._sessions.setdefault(os.getpid(), requests.Session())


_client = Client(Network())


def configure(network: Network) -> None:
    """Set pace and patience of this process's requests; the same settings again change nothing."""
    global _client
    if _client.network != network:
        _client = Client(network)


def client() -> Client:
    """The process's client."""
    return _client


def info(url: str) -> tuple[int, str]:
    """Size (0 where the server does not say it) and identity (ETag, else Last-Modified) of a file.

    Raises:
        NotFound, Refused, Unreachable, WebError: it cannot be asked for.
    """
    patience = _client.patience(url)
    with _client.request("HEAD", url, {}, patience) as answer:
        if answer.status_code not in (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
            check(answer, url)
            return int(answer.headers.get("Content-Length", 0)), version_of(answer).strip('"')
    with _client.request("GET", url, {"Range": "bytes=0-0"}, patience) as answer:
        check(answer, url)
        size = _total(answer)
        if size is None:
            size = int(answer.headers.get("Content-Length", 0))
        return size, version_of(answer).strip('"')


def open_read(url: str) -> IO[bytes]:
    """Open a file for reading, seekable. The first bytes are fetched at once.

    Raises:
        NotFound, Refused, Unreachable, WebError: also while reading, then with `Changed`.
    """
    opened = _RangeFile(_client, url)
    return opened.whole or cast("IO[bytes]", io.BufferedReader(opened, _BUFFER_BYTES))


def check(answer: requests.Response, url: str) -> None:
    """Raise what a refusal means.

    Raises:
        NotFound, Refused, Changed, WebError: by status.
    """
    status = answer.status_code
    if status < HTTPStatus.BAD_REQUEST:
        return
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        raise NotFound(f"{url} does not exist: {_status(answer)}")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise Refused(f"{url} is not given to us: {_status(answer)}")
    if status == HTTPStatus.PRECONDITION_FAILED:
        raise Changed(f"{url} changed while it was read")
    raise WebError(f"{url} cannot be read: {_status(answer)}")


def chunks(answer: requests.Response) -> Iterator[bytes]:
    """The body as it is stored, whatever encoding its header declares.

    Raises:
        One of urllib3's `HTTPError`s: the connection broke, or nothing came for too long.
    """
    body: Iterator[bytes] = answer.raw.stream(_CHUNK_BYTES, decode_content=False)
    return body


def version_of(answer: requests.Response) -> str:
    """ETag, else Last-Modified, else nothing."""
    return answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""


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
                        patience.failed(f"bytes from {at} were asked for, others came: {_status(answer)}")
                        continue
                    self.whole = _spool(self._client, self._url, answer, patience)
                    return
                wanted = min(stop, self._size or 0) - start
                broken = "the body ended early"
                try:
                    for chunk in chunks(answer) if len(block) < wanted else ():
                        block += chunk
                        patience.progressed()
                except _BROKEN as error:
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
        total = _total(answer)
        if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if at or total:
                raise Changed(f"{self._url} changed while it was read: it ends before byte {at}")
            self._size = 0  # an empty file has no range
            return True
        check(answer, self._url)
        range_ = _CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
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
        except _BROKEN as error:
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


def _total(answer: requests.Response) -> int | None:
    """Size of the whole file, as an answer with a range says it."""
    found = _CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
    return int(found[2]) if found and found[2] != "*" else None


def _status(answer: requests.Response) -> str:
    return f"HTTP {answer.status_code} {answer.reason}".rstrip()


def _seconds(retry_after: str | None) -> float:
    """What a Retry-After, of seconds or a date, asks for; nothing where it says neither."""
    with contextlib.suppress(InvalidHeader):
        if retry_after:
            return min(Retry().parse_retry_after(retry_after), _LONGEST_RETRY_AFTER_SECONDS)
    return 0.0
