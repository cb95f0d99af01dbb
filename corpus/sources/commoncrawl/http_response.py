"""HTTP responses as WARC holds them: block bytes -> status, fields, decoded payload.

Transfer and content encodings are undone with bounds, while they stream: a payload is never inflated beyond
what it may hold. Encodings that are declared but not there, since a crawler undid them, are passed over.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

import brotli  # type: ignore[import-untyped]

from corpus.raw.damage import Unreadable
from corpus.recipe import Limits
from corpus.sources.commoncrawl.warc import parse_header

_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)[^\n]*")
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\n]{0,4096})?\r?\n")
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_STEP = 256 << 10
_GZIP_WINDOW_BITS, _ZLIB_WINDOW_BITS, _RAW_WINDOW_BITS = 31, 15, -15


@dataclass(frozen=True, slots=True)
class Response:
    """Status, fields (lower-case names, the first of a name), and where in the block the payload begins."""

    status: int
    headers: dict[bytes, bytes]
    payload_start: int

    @property
    def media_type(self) -> str:
        """Such as `text/html`; empty where none is declared."""
        value = self.headers.get(b"content-type", b"")
        return value.split(b";", 1)[0].strip().lower().decode("latin-1")

    @property
    def charset(self) -> str | None:
        """As declared by the Content-Type."""
        found = _CHARSET.search(self.headers.get(b"content-type", b""))
        return found.group(1).decode("ascii") if found else None


def parse_response(block: bytes, limits: Limits) -> Response:
    """Read the head of a response.

    Raises:
        Unreadable: `bad_http`, no status line or no end of the header; `headers_too_large`.
    """
    status = _STATUS_LINE.match(block)
    if status is None:
        raise Unreadable("bad_http", f"status line {block[:40]!r}")
    end = _HEADER_END.search(block, 0, limits.header_bytes)
    if end is None:
        if len(block) > limits.header_bytes:
            raise Unreadable("headers_too_large", f"HTTP header beyond {limits.header_bytes} bytes")
        raise Unreadable("bad_http", "the HTTP header has no end")
    return Response(int(status.group(1)), parse_header(block[: end.start()]), end.end())


def decode_payload(response: Response, block: bytes, limits: Limits) -> bytes:
    """The payload without its transfer and content encodings.

    Raises:
        Unreadable: `bad_chunked`, `bad_encoding`, `unsupported_encoding`, `gzip_bomb`, `html_too_large`.
    """
    payload = block[response.payload_start :]
    if b"chunked" in response.headers.get(b"transfer-encoding", b"").lower():
        payload = _join_chunks(payload)
    declared = response.headers.get(b"content-encoding", b"").lower().decode("latin-1")
    for encoding in reversed([e.strip() for e in declared.split(",")]):
        payload = _decode(payload, encoding, limits)
    if len(payload) > limits.html_bytes:
        raise Unreadable("html_too_large", f"payload of {len(payload)} bytes")
    return payload


def _join_chunks(payload: bytes) -> bytes:
    parts: list[bytes] = []
    at = 0
    while True:
        line = _CHUNK_SIZE.match(payload, at)
        if line is None:
            if at == 0:
                return payload  # not chunked after all
            raise Unreadable("bad_chunked", f"no chunk size at byte {at} of the payload")
        size = int(line.group(1), 16)
        if size == 0:
            return b"".join(parts)
        at = line.end() + size
        if at > len(payload):
            raise Unreadable("bad_chunked", f"the payload ends inside a chunk of {size} bytes")
        parts.append(payload[line.end() : at])
        if payload.startswith(b"\r\n", at):
            at += 2
        elif payload.startswith(b"\n", at):
            at += 1


def _decode(payload: bytes, encoding: str, limits: Limits) -> bytes:
    if encoding in ("", "identity", "none", "utf-8") or not payload:
        return payload
    if encoding in ("gzip", "x-gzip"):
        if not payload.startswith(b"\x1f\x8b"):
            return payload
        return _inflate(payload, _GZIP_WINDOW_BITS, limits)
    if encoding == "deflate":
        # The name means zlib's framing; many servers send the bare stream, and some crawlers what is in it.
        if payload[0] & 0x0F == 8 and len(payload) > 1 and int.from_bytes(payload[:2], "big") % 31 == 0:
            return _inflate(payload, _ZLIB_WINDOW_BITS, limits)
        return payload if payload.lstrip().startswith(b"<") else _inflate(payload, _RAW_WINDOW_BITS, limits)
    if encoding == "br":
        return payload if payload.lstrip().startswith(b"<") else _unbrotli(payload, limits)
    raise Unreadable("unsupported_encoding", f"Content-Encoding {encoding[:40]!r}")


def _inflate(payload: bytes, window_bits: int, limits: Limits) -> bytes:
    """Inflate, members one after the other; what follows the first that is no member is passed over."""
    bounded = _Bounded(limits)
    left = payload
    while left:
        inflater = zlib.decompressobj(window_bits)
        while not inflater.eof:
            try:
                data = inflater.decompress(left, _STEP)
            except zlib.error as error:
                raise Unreadable("bad_encoding", str(error)) from error
            left = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            bounded.add(data, len(payload) - len(left))
            if not data and not left and not inflater.eof:
                raise Unreadable("bad_encoding", "the compressed payload ends early")
        if window_bits != _GZIP_WINDOW_BITS or not left.startswith(b"\x1f\x8b"):
            break
    return bounded.joined()


def _unbrotli(payload: bytes, limits: Limits) -> bytes:
    bounded = _Bounded(limits)
    decoder = brotli.Decompressor()
    given = payload
    while not decoder.is_finished():
        try:
            data = decoder.process(given, output_buffer_limit=_STEP)
        except brotli.error as error:
            raise Unreadable("bad_encoding", str(error)) from error
        given = b""
        # Brotli does not say how much it has read: the ratio is that of the whole payload.
        bounded.add(data, len(payload))
        if not data and decoder.can_accept_more_data():
            raise Unreadable("bad_encoding", "the compressed payload ends early")
    return bounded.joined()


class _Bounded:
    """Decoded bytes, up to what a page may have and what the ratio allows."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, data: bytes, consumed: int) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._limits.compression_ratio * consumed:
            raise Unreadable("gzip_bomb", f"{consumed} encoded bytes decode to {self._size} and more")
        if self._size > self._limits.html_bytes:
            raise Unreadable("html_too_large", f"payload beyond {self._limits.html_bytes} bytes")

    def joined(self) -> bytes:
        return b"".join(self._parts)
