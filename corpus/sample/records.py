"""WARC records as bytes, each its own gzip member, laid out as Common Crawl writes them.

Flows in: header fields and a body; flows out: deflated bytes that depend on nothing else (no clock,
no chance). Written by hand, not by a library, because the sample also needs records that are wrong.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
import zlib

Headers = list[tuple[str, str]]

WARC_FIELDS = "application/warc-fields"
GZIP_MAGIC = b"\x1f\x8b\x08"
CRAWL_DATE = "2019-07-16T09:32:43Z"


def deflate(data: bytes) -> bytes:
    """One gzip member; zlib writes its header with no time and no name."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def record_id(kind: str, url: str) -> str:
    """The same `<urn:uuid:…>` for the same kind of record and URL on every build."""
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{kind} {url}')}>"


def digest(body: bytes) -> str:
    """`sha1:` and base32, as in WARC-Block-Digest and WARC-Payload-Digest."""
    return "sha1:" + base64.b32encode(hashlib.sha1(body).digest()).decode("ascii")


def record(headers: Headers, body: bytes) -> bytes:
    """A record as one gzip member; the headers stand exactly as given, right or wrong."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return deflate(b"WARC/1.0\r\n" + head.encode("utf-8") + b"\r\n" + body + b"\r\n\r\n")


def replaced(headers: Headers, name: str, value: str | None) -> Headers:
    """The headers with one field changed, or left out where the value is None."""
    if value is None:
        return [(n, v) for n, v in headers if n != name]
    return [(n, value if n == name else v) for n, v in headers]


def warcinfo(file_name: str, description: str) -> bytes:
    """The record that opens a file."""
    fields = {
        "isPartOf": "CC-MAIN-2019-30",
        "publisher": "llama-corpus",
        "description": description,
        "format": "WARC File Format 1.0",
    }
    body = "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode("utf-8")
    headers = [
        ("WARC-Type", "warcinfo"),
        ("WARC-Date", CRAWL_DATE),
        ("WARC-Filename", file_name),
        ("WARC-Record-ID", record_id("warcinfo", file_name)),
        ("Content-Type", WARC_FIELDS),
        ("Content-Length", str(len(body))),
    ]
    return record(headers, body)


def conversion_headers(url: str, date: str, body: bytes, language: str | None = None) -> Headers:
    """Headers of a WET record; `language` (ISO 639-3) adds the field that came with newer dumps."""
    identified = [("WARC-Identified-Content-Language", language)] if language else []
    return [
        ("WARC-Type", "conversion"),
        ("WARC-Target-URI", url),
        ("WARC-Date", date),
        ("WARC-Record-ID", record_id("conversion", url)),
        ("WARC-Refers-To", record_id("response", url)),
        ("WARC-Block-Digest", digest(body)),
        *identified,
        ("Content-Type", "text/plain"),
        ("Content-Length", str(len(body))),
    ]


def http_headers(kind: str, url: str, date: str, message: bytes, payload: bytes) -> Headers:
    """Headers of a `request`, `response` or `revisit` record around an HTTP message."""
    role = "request" if kind == "request" else "response"
    return [
        ("WARC-Type", kind),
        ("WARC-Date", date),
        ("WARC-Record-ID", record_id(kind, url)),
        ("Content-Length", str(len(message))),
        ("Content-Type", f"application/http; msgtype={role}"),
        ("WARC-IP-Address", "192.0.2.17"),
        ("WARC-Target-URI", url),
        ("WARC-Payload-Digest", digest(payload)),
        ("WARC-Block-Digest", digest(message)),
    ]


def metadata(url: str, date: str) -> bytes:
    """What the crawler notes about a fetch."""
    body = b"fetchTimeMs: 128\r\n"
    headers = [
        ("WARC-Type", "metadata"),
        ("WARC-Date", date),
        ("WARC-Record-ID", record_id("metadata", url)),
        ("Content-Length", str(len(body))),
        ("Content-Type", WARC_FIELDS),
        ("WARC-Concurrent-To", record_id("response", url)),
        ("WARC-Target-URI", url),
        ("WARC-Block-Digest", digest(body)),
    ]
    return record(headers, body)


def members(data: bytes) -> list[bytes]:
    """The inflated gzip members of a file; bytes that belong to none are skipped, a cut one is cut."""
    found, at = [], data.find(GZIP_MAGIC)
    while at >= 0:
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        found.append(inflater.decompress(data[at:]))
        at = data.find(GZIP_MAGIC, len(data) - len(inflater.unused_data)) if inflater.eof else -1
    return found
