"""A server that speaks S3 and fails at random: moto's application, behind a layer that spoils some requests.

It holds the same buckets as the server that does not fail (`tests.conftest.s3_server`), so a test looks at
what came of it through that one. Whether a request fails, and how, follows from the seed, the request without
its bucket, and how often it was made: not from the order in which processes ask.
"""

from __future__ import annotations

import contextlib
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wsgi import get_input_stream

SLOW_DOWN, INTERNAL, RESET = "503 SlowDown", "500 InternalError", "connection reset"
DENIED = "403 InvalidAccessKeyId"
LOST, SHORT, LATE, ERROR_IN_200 = "answer lost", "body cut short", "late", "error in a 200"
KINDS = (SLOW_DOWN, INTERNAL, RESET, LOST, SHORT, LATE, ERROR_IN_200)
_LATE_SECONDS = 0.1

StartResponse = Callable[..., Any]


class FailingStore:
    """The WSGI application; `requests` and `failures` count what came and what was made of it.

    Args:
        rate: share of requests to spoil.
        kinds: of failures, equally likely where they can be: an error in a 200 answers only what ends an
            upload of several parts, and only the body of a GET can be cut short.
        well: requests before the first that fails.
    """

    def __init__(self, seed: int, rate: float, kinds: tuple[str, ...] = KINDS, well: int = 0) -> None:
        self._store = DomainDispatcherApplication(create_backend_app)
        self._seed, self._rate, self._kinds, self._well = seed, rate, kinds, well
        self._lock = threading.Lock()
        self.requests = 0
        self.failures: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, well or not."""
        kind = self._draw(environ)
        if kind == LATE:
            time.sleep(_LATE_SECONDS)
        if kind in (SLOW_DOWN, INTERNAL, DENIED, RESET, ERROR_IN_200):
            get_input_stream(environ).read()  # else what is not read makes every answer a reset
        if kind == RESET:
            raise ConnectionResetError
        if kind in (SLOW_DOWN, INTERNAL, DENIED, ERROR_IN_200):
            status, code = ("200 OK", "InternalError") if kind == ERROR_IN_200 else kind.split(" ", 1)
            return _error(status if status == "200 OK" else f"{status} {code}", code, environ, start_response)
        if kind not in (LOST, SHORT):
            return self._store(environ, start_response)  # type: ignore[no-any-return]
        answer: list[Any] = []
        body = b"".join(self._store(environ, lambda *args: answer.extend(args)))
        if kind == LOST:
            raise ConnectionResetError
        start_response(*answer)
        return _cut_short(body)  # of the length that its head promises

    def _draw(self, environ: dict[str, Any]) -> str:
        """How this request fails, or nothing."""
        method = environ["REQUEST_METHOD"]
        key = environ["PATH_INFO"].lstrip("/").partition("/")[2]
        completes = method == "POST" and "uploadId=" in environ["QUERY_STRING"]
        query = re.sub(r"uploadId=[^&]*", "uploadId", environ["QUERY_STRING"])
        request = re.sub(r"bucket-\d+", "bucket", f"{method} {key} {query}")
        with self._lock:
            self.requests += 1
            self._asked[request] += 1
            rng = random.Random(f"{self._seed} {request} {self._asked[request]}")
            if self.requests <= self._well or rng.random() >= self._rate:
                return ""
            no = {kind for kind, can in ((ERROR_IN_200, completes), (SHORT, method == "GET")) if not can}
            kinds = [kind for kind in self._kinds if kind not in no]
            if not kinds:
                return ""
            kind = rng.choice(kinds)
            self.failures[kind] += 1
            return kind


def _cut_short(body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    raise ConnectionResetError


def _error(status: str, code: str, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    body = f"<Error><Code>{escape(code)}</Code><Message>for a test</Message></Error>".encode()
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


class _Handler(MotoRequestHandler):
    def connection_dropped(self, error: BaseException, environ: dict[str, Any] | None = None) -> None:
        """Hang up at once, with a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing of what is wanted."""


@contextlib.contextmanager
def serve(store: FailingStore) -> Iterator[str]:
    """The address of a server of it, on this machine."""
    server = make_server("127.0.0.1", 0, store, threaded=True, request_handler=_Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
