"""Raw bytes of a dump, of one range of it, as pieces whose origin is known.

In: a dump, told by its content: bzip2 (of one stream or many), gzip, zstd, xz, 7z or plain. Out: `Chunk`s of
decompressed bytes and a `Cut` where raw bytes could not be decompressed. Of bzip2 the pieces of a range begin
with the first stream that begins in it, and go on beyond the range for as long as they are asked for: the
reader says when the page that it owns is complete. A plain dump is cut at any byte. All other dumps are read
whole by the range that begins them, and so are those that are not in UTF-8.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO

from corpus import storage
from corpus.build.source import FileRange
from corpus.inputs import InputFile
from corpus.raw import inflate, sevenzip
from corpus.raw.damage import Unreadable
from corpus.raw.members import Break, RecordStart
from corpus.raw.streams import BZ2_MAGIC, XZ_MAGIC, Stream, all_pieces
from corpus.recipe import Limits
from corpus.tally import FIRST_BYTES

_RAW_BLOCK = 256 << 10
# A stream's header and the start of its first block, or of its end where it is empty.
_BZ2_STREAM = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
_BZ2_MAGIC_BYTES = 10
_ENCODING = re.compile(rb"""<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Decompressed bytes. The one at index i is at `offset + i` if `exact`, else in the stream at `offset`.

    Offsets are of the raw file; of a dump that can only be read whole, of the decompressed bytes as UTF-8.
    What begins in the first `own` bytes belongs to the range.
    """

    data: bytes
    offset: int
    exact: bool
    own: int


@dataclass(frozen=True, slots=True)
class Cut:
    """From here to the next chunk bytes are missing: of the raw file from `offset` on.

    `own`: what went before, and so the damage, belongs to the range.
    """

    offset: int
    own: bool
    reason: str
    message: str
    first_bytes: bytes


def cut(file: InputFile, split_bytes: int) -> list[tuple[int, int]]:
    """Ranges of a dump of about `split_bytes`: of one that its name says can be cut, else the whole."""
    if not file.name.lower().endswith((".bz2", ".xml")) or file.size <= split_bytes:
        return [(0, file.size)]
    pieces = -(-file.size // split_bytes)
    edges = [file.size * i // pieces for i in range(pieces + 1)]
    return list(itertools.pairwise(edges))


def chunks(part: FileRange, limits: Limits) -> Iterator[Chunk | Cut]:
    """The chunks of a range, and those that follow it.

    Raises:
        OSError: the file cannot be opened or read.
    """
    with storage.open_read(part.file.path) as file:
        head = file.read(len(sevenzip.MAGIC))
        file.seek(0)
        if head.startswith(BZ2_MAGIC):
            yield from _as_utf8(_bz2_streams(file, part, limits.compression_ratio), part)
        elif head.startswith(sevenzip.MAGIC):
            if part.start == 0:
                yield from _as_utf8(_forwards(_members(part.file.path, limits.compression_ratio)), part)
        elif head.startswith(XZ_MAGIC):
            if part.start == 0:
                yield from _as_utf8(_forwards(all_pieces("xz", file, limits.compression_ratio)), part)
        elif not inflate.is_plain(file):
            if part.start == 0:
                yield from _as_utf8(_inflated(file, limits.compression_ratio), part)
        else:
            yield from _as_utf8(_plain(file, part), part)


def head_of(file: InputFile, limits: Limits) -> bytes:
    """The dump up to its first page, as UTF-8; without one its beginning, at most `header_bytes`."""
    head = bytearray()
    for item in chunks(FileRange(file, 0, file.size), limits):
        if isinstance(item, Cut):
            break
        head += item.data
        at = head.find(b"<page>")
        if at >= 0:
            return bytes(head[:at])
        if len(head) > limits.header_bytes:
            break
    return bytes(head[: limits.header_bytes])


def _plain(file: IO[bytes], part: FileRange) -> Iterator[Chunk]:
    at = part.start
    file.seek(at)
    while data := file.read(_RAW_BLOCK):
        yield Chunk(data, at, True, max(0, min(len(data), part.end - at)))
        at += len(data)


def _bz2_streams(file: IO[bytes], part: FileRange, ratio: int) -> Iterator[Chunk | Cut]:
    """Streams from the first that begins in the range on; none if none does."""
    at = _next_stream(file, part.start, part.end)
    while at is not None:
        file.seek(at)
        own = at < part.end
        stream = Stream("bz2", file, ratio)
        try:
            for data in stream.pieces():
                yield Chunk(data, at, False, len(data) if own else 0)
        except Unreadable as error:
            yield Cut(at, own, error.reason, error.message, stream.first_bytes)
            at = _next_stream(file, at + 1, part.file.size)
            continue
        following = at + stream.used
        if following >= part.file.size:
            return
        file.seek(following)
        if _BZ2_STREAM.match(file.read(_BZ2_MAGIC_BYTES)):
            at = following
        else:
            file.seek(following)
            yield Cut(following, own, "garbage", "bytes between streams", file.read(FIRST_BYTES))
            at = _next_stream(file, following + 1, part.file.size)


def _next_stream(file: IO[bytes], start: int, end: int) -> int | None:
    """Where the first stream begins that begins in [start, end), damaged or not.

    Its ten bytes of magic numbers do not turn up elsewhere: by chance once in 10^24 bytes.
    """
    file.seek(start)
    held, base = b"", start
    while base < end:
        block = file.read(_RAW_BLOCK)
        held += block
        for match in _BZ2_STREAM.finditer(held):
            at = base + match.start()
            return at if at < end else None
        if not block:
            return None
        keep = min(len(held), _BZ2_MAGIC_BYTES - 1)
        base += len(held) - keep
        held = held[len(held) - keep :]
    return None


def _inflated(file: IO[bytes], ratio: int) -> Iterator[Chunk | Cut]:
    """gzip and zstd; after damage it goes on with the next member, where there is one."""
    given = 0
    for item in inflate.pieces(file, ratio, RecordStart(1, bool)):
        if isinstance(item, Break):
            yield Cut(given, True, item.reason, item.message, item.first_bytes)
        else:
            yield Chunk(item.data, given, True, len(item.data))
            given += len(item.data)


def _forwards(pieces: Iterator[bytes]) -> Iterator[Chunk | Cut]:
    """Bytes that come end to end; damage ends them."""
    given = 0
    try:
        for data in pieces:
            yield Chunk(data, given, True, len(data))
            given += len(data)
    except Unreadable as error:
        yield Cut(given, True, error.reason, error.message, b"")


def _members(path: str, ratio: int) -> Iterator[bytes]:
    """The dumps inside a 7z archive, end to end."""
    for _, stream in sevenzip.open_members(path, ratio):
        while data := stream.read(_RAW_BLOCK):
            yield data


def _as_utf8(items: Iterator[Chunk | Cut], part: FileRange) -> Iterator[Chunk | Cut]:
    """Chunks of a dump in another encoding, made UTF-8, all by the range that begins the file."""
    first = next(items, None)
    if not isinstance(first, Chunk):
        if first is not None:
            yield first
            yield from items
        return
    encoding = _encoding(first.data) if part.start == 0 else _encoding_of_file(part)
    if encoding is None:
        yield first
        yield from items
        return
    if part.start > 0:
        return
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
    except LookupError:
        yield Cut(0, True, "unknown_encoding", f"encoding {encoding}", first.data[:FIRST_BYTES])
        return
    given = 0
    item: Chunk | Cut | None = first
    while item is not None:
        if isinstance(item, Cut):
            yield replace(item, offset=given)
            decoder.reset()
        else:
            try:
                data = decoder.decode(item.data).encode()
            except UnicodeDecodeError as error:
                yield Cut(
                    given,
                    True,
                    "bad_encoding",
                    str(error),
                    item.data[error.start : error.start + FIRST_BYTES],
                )
                return
            data = _ENCODING.sub(b'<?xml version="1.0"', data, count=1) if given == 0 else data
            yield Chunk(data, given, True, len(data))
            given += len(data)
        item = next(items, None)


def _encoding(head: bytes) -> str | None:
    """The encoding of a dump by its first bytes, or None where it is UTF-8 (XML 1.0, appendix F)."""
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    start = head[:FIRST_BYTES].lstrip(b" \t\r\n")
    if start.startswith(b"<\0"):
        return "utf-16-le"
    if b"\0<" in start[:8]:
        return "utf-16-be"
    declared = _ENCODING.search(head[:200])
    name = declared[1].decode("ascii").lower() if declared else "utf-8"
    return None if name in ("utf-8", "utf8", "us-ascii", "ascii") else name


def _encoding_of_file(part: FileRange) -> str | None:
    whole = FileRange(part.file, 0, part.file.size)
    with storage.open_read(part.file.path) as file:
        head = file.read(_RAW_BLOCK)
        if head.startswith(BZ2_MAGIC):
            file.seek(0)
            first = next(_bz2_streams(file, whole, 1 << 30), None)
            head = first.data if isinstance(first, Chunk) else b""
        return _encoding(head)
