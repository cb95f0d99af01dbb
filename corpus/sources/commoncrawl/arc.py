"""ARC files, version 1 and 2: inflated bytes -> records that look like those of WARC.

A record is a line and a body, ended by a line feed (archive.org, "ARC File Format"):

    URL IP-address date content-type length                                                    version 1
    URL IP-address date content-type result-code checksum location offset filename length      version 2

The version is told by the line itself, as a file that begins in the middle of an archive has no
`filedesc://` record to say it; a URL may hold spaces. Framing, damage and limits are those of
`framing`, with one rule of its own: a single line feed proves nothing about a length, so a
record is only sound if the line of another, or the end of its member or of the file, follows.
"""

from __future__ import annotations

import re
from datetime import datetime

from corpus.raw.damage import Unreadable
from corpus.raw.members import RecordStart
from corpus.sources.commoncrawl.framing import Framer, Unframed

_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]{0,15}:")
_ADDRESS = re.compile(rb"[0-9A-Fa-f.:]+|-")
_DATE = re.compile(rb"\d{8,20}|-")
_DATE_DIGITS = 14
_FIELDS = 5
_FIELDS_VERSION_2 = 10
_LINE_BYTES = 2 << 10  # as far as the end of a line is looked for at first
_OF_THE_WEB = (b"http:", b"https:")


def _begins_arc(head: bytes) -> bool:
    """Whether the line of a record stands here; of one too long to be seen whole, whether it may."""
    if head.startswith(b"filedesc:"):
        return True
    line, newline, _ = head.partition(b"\n")
    if not newline and len(head) >= _LINE_BYTES:
        return bool(_SCHEME.match(line))
    return _fields(line) is not None


def _fields(line: bytes) -> tuple[bytes, bytes, bytes, bytes] | None:
    """URL, date, content type and length of a line that is a record's beyond doubt."""
    line = line.rstrip(b"\r")
    # A content type with a parameter after a space makes the fields of version 1 six.
    for count in (_FIELDS_VERSION_2, _FIELDS, _FIELDS + 1):
        parts = line.rsplit(b" ", count - 1)
        if (
            len(parts) == count
            and _SCHEME.match(parts[0])
            and _ADDRESS.fullmatch(parts[1])
            and _DATE.fullmatch(parts[2])
            and (count != _FIELDS + 1 or parts[3].endswith(b";"))
        ):
            return parts[0], parts[2], parts[3], parts[-1]
    return None


class ArcFramer(Framer):
    """Frames the records of an ARC file: types `filedesc`, and `response` for all others."""

    start = RecordStart(_LINE_BYTES, _begins_arc)
    mark = re.compile(rb"\n" + _SCHEME.pattern)
    mark_bytes = 18
    record_end = b"\n"

    def _header_bytes(self) -> int:
        searched, reach = 0, _LINE_BYTES
        while True:
            available = self._need(reach)
            end = self._window.find(b"\n", self._pos + searched, self._pos + available)
            if end >= 0:
                # Where a record is due, a line of its shape will do: its fields are judged one by one.
                line = self._window[self._pos : end]
                if not _SCHEME.match(line) or line.count(b" ") < _FIELDS - 1:
                    raise Unframed("garbage", "bytes that begin no record")
                return end + 1 - self._pos
            if not _SCHEME.match(self._window, self._pos):
                raise Unframed("garbage", "bytes that begin no record")
            if available > self._limits.header_bytes:
                raise Unframed("headers_too_large", f"line beyond {self._limits.header_bytes} bytes")
            if available < reach:
                raise Unframed(*self._why("the line is cut short"))
            searched, reach = available, min(8 * reach, self._limits.header_bytes + 1)

    def _read_header(self, block: bytes) -> tuple[str, dict[bytes, bytes]]:
        """Fields as the WARC record of the same page has them, so that both are read by the same rules."""
        line = block.rstrip(b"\r\n")
        url, date, media_type, length = _fields(line) or _any_fields(line)
        scheme = url[: url.index(b":") + 1].lower()
        of_the_web = scheme in _OF_THE_WEB
        headers = {
            b"warc-target-uri": url,
            b"content-type": b"application/http; msgtype=response" if of_the_web else media_type,
            b"content-length": length,
        }
        timestamp = _timestamp(date)
        if timestamp:
            headers[b"warc-date"] = timestamp
        return ("filedesc" if scheme == b"filedesc:" else "response"), headers

    def _gap(self, size: int) -> int:
        available = self._need(size + _LINE_BYTES)
        tail = self._window[self._pos + size : self._pos + available]
        follows = tail.lstrip(b"\r\n")
        line, newline, _ = follows.partition(b"\n")
        # A line that is not there to its end, by a cut or by its length, is taken for what it looks like.
        sound = _fields(line) is not None if newline else not line or bool(_SCHEME.match(line))
        if not sound and not self._member_begins(self._pos + size + len(tail) - len(follows)):
            raise Unreadable("wrong_content_length", f"the record is followed by {tail[:16]!r}")
        return len(tail) - len(follows)

    def _begins_record(self) -> bool:
        try:
            size = self._header_bytes()
        except Unframed:
            return False
        return _fields(self._window[self._pos : self._pos + size - 1]) is not None


def _any_fields(line: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """As `_fields`, of a line of version 1 whose fields are not what they should be."""
    url, _, date, media_type, length = line.rsplit(b" ", _FIELDS - 1)
    return url, date, media_type, length


def _timestamp(date: bytes) -> bytes | None:
    """A date of 14 digits as ISO 8601; none for any other."""
    if len(date) != _DATE_DIGITS:
        return None
    try:
        return datetime.strptime(date.decode("ascii"), "%Y%m%d%H%M%S").strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    except ValueError:
        return None
