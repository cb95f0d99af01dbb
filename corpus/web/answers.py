"""What a web server's answer says: an error or none, the body, the file's size and version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus

import requests
from urllib3.exceptions import HTTPError

TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})  # timeouts, too many requests, troubles of the server
BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, HTTPError)
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_CHUNK_BYTES = 16 << 10  # what of a body may be lost when nothing more comes


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


def check(answer: requests.Response, url: str) -> None:
    """Raise what a refusal means.

    Raises:
        NotFound, Refused, Changed, WebError: by status.
    """
    status = answer.status_code
    if status < HTTPStatus.BAD_REQUEST:
        return
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        raise NotFound(f"{url} does not exist: {status_line(answer)}")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise Refused(f"{url} is not given to us: {status_line(answer)}")
    if status == HTTPStatus.PRECONDITION_FAILED:
        raise Changed(f"{url} changed while it was read")
    raise WebError(f"{url} cannot be read: {status_line(answer)}")


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


def total_size(answer: requests.Response) -> int | None:
    """Size of the whole file, as an answer with a range says it."""
    found = CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
    return int(found[2]) if found and found[2] != "*" else None


def status_line(answer: requests.Response) -> str:
    """Code and reason, for messages."""
    return f"HTTP {answer.status_code} {answer.reason}".rstrip()
