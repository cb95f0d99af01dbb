"""WARC records of fetches: pages served in various ways, and answers that are no pages.

Flows in: a page; flows out: its request, response and metadata records, one gzip member each.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import urlsplit

from corpus.sample import records
from corpus.sample.pages import Page, render_html

CHUNK_BYTES = 700
REVISIT_PROFILE = "http://netpreserve.org/warc/1.0/revisit/identical-payload-digest"

# The smallest PNG: one transparent pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000b49444154789c6360000200000500017a5eab3f0000000049454e44ae426082"
)
PDF = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"


@dataclass(frozen=True)
class Served:
    """How a server sends a page: in which charset, where it says so, in which encoding."""

    charset: str = "utf-8"
    declared_in: str = "header"  # or "meta": the HTTP header then names no charset
    encoding: str = "identity"  # or "chunked", "gzip"


def http(status: str, date: str, fields: records.Headers, payload: bytes) -> bytes:
    """An HTTP response message."""
    lines = [("Date", _http_date(date)), ("Server", "nginx"), *fields]
    head = "".join(f"{name}: {value}\r\n" for name, value in lines)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode("ascii") + payload


def page_message(page: Page, served: Served = Served()) -> tuple[bytes, bytes]:
    """The HTTP message of a page, and its payload as it was sent."""
    in_header = served.declared_in == "header"
    text = render_html(page, None if in_header else served.charset)
    payload = text.encode(served.charset, "xmlcharrefreplace")
    fields = [("Content-Type", f"text/html; charset={served.charset}" if in_header else "text/html")]
    if served.encoding == "chunked":
        payload = _chunked(payload)
        fields.append(("Transfer-Encoding", "chunked"))
    else:
        if served.encoding == "gzip":
            payload = records.deflate(payload)
            fields.append(("Content-Encoding", "gzip"))
        fields.append(("Content-Length", str(len(payload))))
    return http("200 OK", page.date, fields, payload), payload


def page_records(page: Page, served: Served = Served()) -> bytes:
    """Request, response and metadata of a page."""
    message, payload = page_message(page, served)
    response = records.record(
        records.http_headers("response", page.url, page.date, message, payload), message
    )
    return request(page.url, page.date) + response + records.metadata(page.url, page.date)


def request(url: str, date: str) -> bytes:
    """What the crawler sent."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    message = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: text/html\r\n\r\n".encode("ascii")
    return records.record(records.http_headers("request", url, date, message, b""), message)


def other_answers(date: str) -> list[bytes]:
    """Fetches that gave no page: not found, an image, a PDF, an unchanged page, a redirect."""
    missing = b"<html><head><title>404</title></head><body><h1>Not found</h1></body></html>\n"
    html_type = ("Content-Type", "text/html; charset=utf-8")
    answers = [
        ("/old/timetable-2009.html", "404 Not Found", [html_type], missing),
        ("/images/spacer.png", "200 OK", [("Content-Type", "image/png")], PIXEL),
        ("/files/leaflet.pdf", "200 OK", [("Content-Type", "application/pdf")], PDF),
        ("/news", "301 Moved Permanently", [("Location", "/news/"), html_type], b""),
    ]
    out = []
    for path, status, fields, payload in answers:
        url = "https://www.saltby-parish.example" + path
        message = http(status, date, [*fields, ("Content-Length", str(len(payload)))], payload)
        headers = records.http_headers("response", url, date, message, payload)
        out.append(request(url, date) + records.record(headers, message))
    return [*out, _revisit("https://www.saltby-parish.example/news/", date)]


def _revisit(url: str, date: str) -> bytes:
    message = http("304 Not Modified", date, [], b"")
    headers = records.http_headers("revisit", url, date, message, b"")
    return records.record([*headers, ("WARC-Profile", REVISIT_PROFILE)], message)


def _chunked(payload: bytes) -> bytes:
    pieces = [payload[i : i + CHUNK_BYTES] for i in range(0, len(payload), CHUNK_BYTES)]
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def _http_date(date: str) -> str:
    return format_datetime(datetime.fromisoformat(date), usegmt=True)
