"""A raw file of posts → its bytes, block by block, uncompressed.

In: `Posts.xml`, plain or in a range, or as gzip, bzip2, xz or zstd; a 7z archive, of which the member
`Posts.xml` is read. Out: blocks of a few MiB. Memory is a block and what the decompressor needs.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import IO, Any

from corpus import storage
from corpus.build.source import FileRange
from corpus.raw import inflate, sevenzip
from corpus.raw.damage import Unreadable
from corpus.raw.members import Break, RecordStart
from corpus.raw.streams import Kind, all_pieces

BLOCK = 4 << 20
_MEMBER = "posts.xml"
_NO_SEARCH = RecordStart(0, lambda head: False)  # after a break nothing is looked for


def is_plain(name: str) -> bool:
    """Whether a file is plain XML, so that it can be read in ranges."""
    return name.lower().endswith(".xml")


def blocks(part: FileRange, ratio: int) -> Iterator[bytes]:
    """The bytes of a range of a plain file, and on to its end; of a compressed one all.

    Args:
        part: of a raw file.
        ratio: bound of uncompressed : stored bytes.

    Raises:
        Unreadable: ``no_posts`` (of an archive); ``not_compressed``; and the reasons of
            `corpus.raw.sevenzip`, `corpus.raw.streams` and `corpus.raw.inflate`.
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
            if name.endswith((".gz", ".zst")):
                yield from _whole_blocks(_members(raw, ratio))
            else:
                kind: Kind = "bz2" if name.endswith(".bz2") else "xz"
                yield from _whole_blocks(all_pieces(kind, raw, ratio))


def _archived(path: str, ratio: int) -> Iterator[bytes]:
    """The member `Posts.xml` of an archive."""
    for name, stream in sevenzip.open_members(path, ratio):
        if posixpath.basename(name.replace("\\", "/")).lower() == _MEMBER:
            yield from _whole_blocks(_pieces(stream))
            return
    raise Unreadable("no_posts", "the archive has no Posts.xml")


def _members(raw: IO[bytes], ratio: int) -> Iterator[bytes]:
    """The members of a gzip or zstd file."""
    if inflate.is_plain(raw):
        raise Unreadable("not_compressed", "it is neither gzip nor zstd")
    for piece in inflate.pieces(raw, ratio, _NO_SEARCH):
        if isinstance(piece, Break):
            raise Unreadable(piece.reason, piece.message)
        if piece.data:
            yield piece.data


def _pieces(stream: Any) -> Iterator[bytes]:
    """What a stream gives, as soon as it does: before a break nothing is held back."""
    while piece := stream.read1(BLOCK):
        yield piece


def _whole_blocks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces joined to blocks; what came before an error is a block, then the error is raised."""
    held: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= BLOCK:
                yield b"".join(held)
                held, size = [], 0
    except Exception:
        if held:
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)
