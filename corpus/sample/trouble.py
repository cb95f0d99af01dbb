"""What goes wrong in a crawl, planted: each function gives the bytes of one trouble.

Flows in: the page texts of `planted/`, which occur nowhere else; flows out: bytes that stand between
the good records of a file. The truncated ones belong at a file's very end.
"""

from __future__ import annotations

from corpus.sample import records
from corpus.sample.pages import Page, conversion_body
from corpus.sample.responses import http, page_message

Planted = dict[str, Page]

EXCESS_BYTES = 5_000  # what a too large Content-Length promises: two or three records more
NESTED_DIVS = 200_000  # far beyond the recipe's html_nesting
LONG_LINE_BYTES = 6 << 20  # beyond the recipe's line_bytes
UNIT_BYTES = 4_000  # of a repeated text; a counter between units keeps compression below 1,000:1
GARBAGE = bytes(range(0x80, 0xC0)) + b"\0\0 these bytes belong to no gzip member \0\0"


def in_wet(planted: Planted) -> list[bytes]:
    """The troubles of a WET file, in their order there."""
    return [
        _invalid_utf8(planted["invalid-utf8"]),
        _changed(planted["length-too-large"], "Content-Length", excess=EXCESS_BYTES),
        _changed(planted["no-target-uri"], "WARC-Target-URI"),
        _changed(planted["no-content-length"], "Content-Length"),
        GARBAGE,
        _empty_body("http://www.kilnroad-potters.example/empty"),
        _long_line(planted["long-line"]),
        _unknown_type(planted["unknown-type"]),
    ]


def in_warc(planted: Planted) -> list[bytes]:
    """The troubles of a WARC file, in their order there."""
    return [
        _nested_divs(planted["nested-divs"]),
        _response(planted["response-length-too-large"], "Content-Length", excess=EXCESS_BYTES),
        _response(planted["response-no-target-uri"], "WARC-Target-URI"),
        GARBAGE,
    ]


def end_of_wet(planted: Planted) -> bytes:
    """A conversion cut off in the middle of its gzip member."""
    member = _conversion(planted["truncated-member"])
    return member[: len(member) * 2 // 3]


def end_of_warc(planted: Planted) -> bytes:
    """A response cut off in the middle of its gzip member."""
    page = planted["response-truncated"]
    message, payload = page_message(page)
    member = records.record(records.http_headers("response", page.url, page.date, message, payload), message)
    return member[: len(member) * 2 // 3]


def _conversion(page: Page) -> bytes:
    body = conversion_body(page)
    return records.record(records.conversion_headers(page.url, page.date, body), body)


def _invalid_utf8(page: Page) -> bytes:
    body = "\n".join([page.title, *page.paragraphs, ""]).encode("latin-1", "replace")
    return records.record(records.conversion_headers(page.url, page.date, body), body)


def _changed(page: Page, name: str, excess: int = 0) -> bytes:
    """A conversion whose header field is left out, or is too large by `excess`."""
    body = conversion_body(page)
    headers = records.conversion_headers(page.url, page.date, body)
    value = str(len(body) + excess) if excess else None
    return records.record(records.replaced(headers, name, value), body)


def _response(page: Page, name: str, excess: int = 0) -> bytes:
    """A response whose header field is left out, or is too large by `excess`."""
    message, payload = page_message(page)
    headers = records.http_headers("response", page.url, page.date, message, payload)
    value = str(len(message) + excess) if excess else None
    return records.record(records.replaced(headers, name, value), message)


def _empty_body(url: str) -> bytes:
    return records.record(records.conversion_headers(url, records.CRAWL_DATE, b""), b"")


def _unknown_type(page: Page) -> bytes:
    body = conversion_body(page)
    headers = records.conversion_headers(page.url, page.date, body)
    return records.record(records.replaced(headers, "WARC-Type", "screenshot"), body)


def _long_line(page: Page) -> bytes:
    text = " ".join(page.paragraphs) + " "
    unit = text * (UNIT_BYTES // len(text))
    line = "".join(f"Entry {n}. {unit}" for n in range(LONG_LINE_BYTES // len(unit) + 1))
    body = f"{page.title}\n{line}\n".encode()
    return records.record(records.conversion_headers(page.url, page.date, body), body)


def _nested_divs(page: Page) -> bytes:
    per_unit = UNIT_BYTES // len("<div>")
    unit = "<div>" * (per_unit - 1)
    opening = "".join(f'<div id="n{n}">{unit}' for n in range(NESTED_DIVS // per_unit))
    paragraphs = "".join(f"<p>{p}</p>\n" for p in page.paragraphs)
    closing = "</div>" * NESTED_DIVS
    head = f"<head><title>{page.title}</title></head>"
    html = f"<html>{head}\n<body>{opening}\n{paragraphs}{closing}</body></html>\n"
    payload = html.encode()
    message = http("200 OK", page.date, [("Content-Type", "text/html; charset=utf-8")], payload)
    return records.record(records.http_headers("response", page.url, page.date, message, payload), message)
