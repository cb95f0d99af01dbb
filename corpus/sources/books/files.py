"""Books that are files of plain text: as they are, gzipped or in zstd, or in the zip archives of Gutenberg.

In: a file. Out: a `Text` for each book, an `Unreadable` for each that cannot be read, a `Skipped` for what is
none. Nothing is unpacked to disk, and memory is one book: a member is read up to `Limits.record_bytes`,
whatever it declares.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from corpus.raw.damage import Unreadable
from corpus.raw.inflate import pieces
from corpus.raw.members import Break, RecordStart, size_of
from corpus.recipe import Limits
from corpus.tally import FIRST_BYTES

_TEXT_ENDINGS = (".txt", ".text")
_ANY = RecordStart(1, lambda head: True)
# The end of a zip archive: its comment has at most 65,535 bytes.
_ZIP_END = struct.Struct("<4s4H2LH")
_ZIP_END_MARK = b"PK\x05\x06"
_ZIP_COMMENT_MAX = 0xFFFF
_ENCRYPTED = 1


@dataclass(frozen=True)
class Text:
    """The bytes of a book: `name` is its file's, without folders and endings; `place` tells members apart."""

    name: str
    place: str
    offset: int
    data: bytes


@dataclass(frozen=True)
class Skipped:
    """What is no book by nature."""

    reason: str


@dataclass(frozen=True)
class Bad:
    """A book that cannot be read."""

    offset: int
    error: Unreadable
    first_bytes: bytes


def stem(path: str) -> str:
    """The name of a file without its folders and endings."""
    name = path.rsplit("/", 1)[-1]
    for ending in (".gz", ".zst", *_TEXT_ENDINGS, ".zip"):
        name = name[: -len(ending)] if name.lower().endswith(ending) else name
    return name


def is_text(path: str) -> bool:
    """Whether a path is that of a plain text, compressed or not."""
    return path.lower().removesuffix(".gz").removesuffix(".zst").endswith(_TEXT_ENDINGS)


def read_text(file: IO[bytes], name: str, limits: Limits) -> Text | Bad:
    """Read a file that is one book."""
    blocks: list[bytes] = []
    size = 0
    for piece in pieces(file, limits.compression_ratio, _ANY):
        if isinstance(piece, Break):
            return Bad(piece.offset, Unreadable(piece.reason, piece.message), piece.first_bytes)
        size += len(piece.data)
        if size > limits.record_bytes:
            first = b"".join([*blocks, piece.data])[:FIRST_BYTES]
            return Bad(0, Unreadable("record_too_large", f"more than {limits.record_bytes} bytes"), first)
        blocks.append(piece.data)
    return Text(stem(name), name, 0, b"".join(blocks))


def read_zip(file: IO[bytes], name: str, limits: Limits, most_members: int) -> Iterator[Text | Skipped | Bad]:
    """Read the texts of a zip archive."""
    try:
        _check_members(file, most_members)
        archive = zipfile.ZipFile(file)
    except Unreadable as error:
        yield Bad(0, error, _first(file))
        return
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        yield Bad(0, Unreadable("bad_zip", str(error)), _first(file))
        return
    with archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            if not is_text(member.filename):
                yield Skipped("other_format")
                continue
            try:
                data = _read_member(archive, member, limits)
            except Unreadable as error:
                yield Bad(member.header_offset, error, b"")
                continue
            yield Text(stem(member.filename), f"{name}/{member.filename}", member.header_offset, data)


def _check_members(file: IO[bytes], most: int) -> None:
    """Refuse an archive of too many members before its directory is read into memory.

    Raises:
        Unreadable: ``too_many_members``; ``bad_zip``, where there is no end of an archive.
    """
    size = size_of(file)
    file.seek(max(0, size - _ZIP_END.size - _ZIP_COMMENT_MAX))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(_ZIP_END_MARK)
    if at < 0 or at + _ZIP_END.size > len(tail):
        raise Unreadable("bad_zip", "it has no end of a zip archive")
    members = _ZIP_END.unpack_from(tail, at)[4]
    if members > most:  # with more than 65,534 the number is that, in the older format
        raise Unreadable("too_many_members", f"{members} members")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> bytes:
    if member.flag_bits & _ENCRYPTED:
        raise Unreadable("encrypted", member.filename)
    if member.file_size > limits.record_bytes:
        raise Unreadable("record_too_large", f"{member.filename} declares {member.file_size} bytes")
    if member.file_size > limits.compression_ratio * max(1, member.compress_size):
        raise Unreadable("zip_bomb", f"{member.compress_size} bytes inflate to {member.file_size}")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # those of 1990 among them
        raise Unreadable("zip_method", f"{member.filename} has method {member.compress_type}")
    try:
        with archive.open(member) as f:
            return f.read(limits.record_bytes)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError) as error:
        raise Unreadable("bad_zip", f"{member.filename}: {error}") from error


def _first(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(FIRST_BYTES)
