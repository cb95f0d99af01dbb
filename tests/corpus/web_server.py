"""A web server on this machine that misbehaves as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Fault:
    """What is wrong with one answer; `status` is sent instead of the file."""

    status: int = 0
    retry_after: str = ""
    cut_at: int | None = None  # bytes of the body after which the connection closes
    stall: bool = False  # … or nothing more comes
    declared: int = 0  # added to the true Content-Length
    ranges: bool = True
    version: str = ""  # the ETag from now on


@dataclass
class Site:
    """Files by path, the faults of the answers to come, and the requests that came."""

    files: dict[str, bytes]
    address: str = ""
    faults: list[Fault] = field(default_factory=list)
    ranges: bool = True
    etag: str = '"one"'
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # when each of them came, time.monotonic
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def ranges_asked(self) -> list[str]:
        return [headers.get("range", "") for _, _, headers in self.requests]


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[Site]:
    """Serve files by path (without the leading slash) until the block ends."""
    site = Site(files)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            headers = {k.lower(): v for k, v in self.headers.items()}
            site.times.append(time.monotonic())
            site.requests.append((self.command, self.path, headers))
            fault = site.faults.pop(0) if site.faults else Fault()
            site.etag = fault.version or site.etag
            data = site.files.get(self.path.lstrip("/"))
            status = fault.status or (404 if data is None else 0)
            if not status and headers.get("if-match", site.etag) != site.etag:
                status = 412
            if status or data is None:
                self.send_response(status)
                if fault.retry_after:
                    self.send_header("Retry-After", fault.retry_after)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            asked = headers.get("range") if site.ranges and fault.ranges else None
            if asked and headers.get("if-range", site.etag) != site.etag:
                asked = None
            start, stop = 0, len(data)
            if asked:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                start, stop = int(first), min(int(last) + 1, len(data)) if last else len(data)
            if asked and start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if asked else 200)
            if site.etag:
                self.send_header("ETag", site.etag)
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
            self.send_header("Content-Length", str(stop - start + fault.declared))
            self.end_headers()
            if not body:
                return
            self.wfile.write(data[start:stop][: fault.cut_at])
            if fault.stall:
                self.wfile.flush()
                site.closing.wait(10)
            if fault.cut_at is not None or fault.declared:
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A reader hung up, as it may."""

    server = Server(("127.0.0.1", 0), Handler)
    site.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        site.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
