"""A raw file of posts → its bytes, block by block, uncompressed.

In: `Posts.xml`, plain or in a range, or as gzip, bzip2, xz or zstd; a 7z archive, of which the member
`Posts.xml` is read. Out: blocks of at most 4 MiB. Memory is a block and what the decompressor needs.
"""

from __future__ import annotations

import bz2
import lzma
import posixpath
from collections.abc import Iterator
from typing import IO, Any

import zstandard
from isal import igzip
from isal.igzip_lib import IsalError

from corpus import storage
from corpus.build.source import FileRange
from corpus.sources import sevenzip

BLOCK = 4 << 20
_MEMBER = "posts.xml"
_FREE = 16 << 20  # inflated bytes that need no ratio: what repeats itself may compress well
_WINDOW_BYTES = 128 << 20  # of zstd, what it allows without being asked
_ERRORS = (EOFError, lzma.LZMAError, IsalError, zstandard.ZstdError)


class BrokenStream(Exception):
    """The raw bytes cannot be uncompressed; `reason` is a short fixed name."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def is_plain(name: str) -> bool:
    """Whether a file is plain XML, so that it can be read in ranges."""
    return name.lower().endswith(".xml")


def blocks(part: FileRange, ratio: int) -> Iterator[bytes]:
    """The bytes of a range of a plain file, and on to its end; of a compressed one all.

    Args:
        part: of a raw file.
        ratio: bound of uncompressed : stored bytes.

    Raises:
        BrokenStream: `bad_compression`, `compression_ratio`; of an archive `no_posts`, and the reasons of
            `corpus.sources.sevenzip`.
        OSError: the file cannot be read.
    """
    name = part.file.name.lower()
    if is_plain(name):
        with storage.open_read(part.file.path) as raw:
            raw.seek(part.start)
            while block := raw.read(BLOCK):
                yield block
    elif name.endswith(".7z"):
        yield from _archived(part.file.path, ratio)
    else:
        with storage.open_read(part.file.path) as raw:
            yield from _inflated(raw, name, ratio)


def _archived(path: str, ratio: int) -> Iterator[bytes]:
    """The member `Posts.xml` of an archive."""
    try:
        for name, stream in sevenzip.open_members(path, ratio):
            if posixpath.basename(name.replace("\\", "/")).lower() == _MEMBER:
                while block := stream.read(BLOCK):
                    yield block
                return
    except sevenzip.SevenZipError as error:
        raise BrokenStream(error.reason, str(error)) from error
    raise BrokenStream("no_posts", "the archive has no Posts.xml")


def _inflated(raw: IO[bytes], name: str, ratio: int) -> Iterator[bytes]:
    stream, size = _open(raw, name), 0
    while True:
        try:
            block = stream.read(BLOCK)
        except OSError as error:
            if error.errno is not None:  # the file system's; that of bz2 for its data has none
                raise
            raise BrokenStream("bad_compression", str(error)) from error
        except _ERRORS as error:  # type: ignore[misc]  # stubs of isal say that its error is none
            raise BrokenStream("bad_compression", str(error)) from error
        if not block:
            return
        size += len(block)
        if size > ratio * raw.tell() + _FREE:
            raise BrokenStream("compression_ratio", f"{raw.tell()} bytes inflate to {size} and more")
        yield block


def _open(raw: IO[bytes], name: str) -> Any:
    if name.endswith(".gz"):
        return igzip.GzipFile(fileobj=raw)
    if name.endswith(".bz2"):
        return bz2.BZ2File(raw)
    if name.endswith(".xz"):
        return lzma.LZMAFile(raw)
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    return decompressor.stream_reader(raw, read_across_frames=True)
