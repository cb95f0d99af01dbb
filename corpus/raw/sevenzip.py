"""Files inside a 7z archive, one after the other, as streams.

In: the path of an archive. Out: (name, readable stream) of each file in it, in the archive's order; what is
not read is not decompressed, unless a later file of the same solid block is read. Memory is the
dictionary of the compression method and what one call decompresses, whatever the sizes of the archive and of
its files. The container and the methods are py7zr's; its own way to extract hands whole files to a
callback, here its decompressors are asked for bytes as they are wanted.
"""

from __future__ import annotations

import io
import lzma
import struct
import zlib
from collections.abc import Iterator
from typing import IO, Any

from py7zr import SevenZipFile
from py7zr.compressor import SevenZipDecompressor, SupportedMethods
from py7zr.exceptions import (
    ArchiveError,
    CrcError,
    PasswordRequired,
    UnsupportedCompressionMethodError,
)
from py7zr.properties import COMPRESSION_METHOD

from corpus import storage
from corpus.raw.damage import Unreadable

MAGIC = b"7z\xbc\xaf\x27\x1c"

# Little at a time: what of it is not used waits inside the decompressor.
_PACKED_BLOCK = 64 << 10
_UNPACKED_BLOCK = 64 << 20
# What 7-Zip's own highest setting takes (64 MiB) and far beyond; allocated whole by the decompressor.
_DICTIONARY_BYTES = 1 << 30
# Those that 7-Zip writes and that give no more at a time than they are asked for, or than deflate can.
_METHODS = frozenset(
    {
        COMPRESSION_METHOD.COPY,
        COMPRESSION_METHOD.DELTA,
        COMPRESSION_METHOD.LZMA,
        COMPRESSION_METHOD.LZMA2,
        COMPRESSION_METHOD.P7Z_BCJ,
        COMPRESSION_METHOD.BCJ_PPC,
        COMPRESSION_METHOD.BCJ_IA64,
        COMPRESSION_METHOD.BCJ_ARM,
        COMPRESSION_METHOD.BCJ_ARMT,
        COMPRESSION_METHOD.BCJ_SPARC,
        COMPRESSION_METHOD.MISC_BZIP2,
        COMPRESSION_METHOD.MISC_DEFLATE,
    }
)
# What py7zr and the decompressors under it raise for bytes that are no archive, found by altering archives.
_BROKEN = (
    ArchiveError,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    OverflowError,
    struct.error,
)


def open_members(path: str, ratio: int) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of an archive, by their names; each stream may be read until the next is asked for.

    Args:
        path: address that `corpus.storage` opens.
        ratio: bound of decompressed : compressed bytes of a solid block.

    Raises:
        Unreadable: the archive cannot be read; reading a stream also raises it: `bad_7z`, `truncated_7z`,
            `7z_bomb`, `7z_method` (a method or an amount of memory that is not for us), `7z_password`.
        OSError: the archive cannot be opened or read.
    """
    with storage.open_read(path) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        try:
            archive = SevenZipFile(file)
            blocks = _blocks(archive, file, size, ratio)
        except PasswordRequired as error:
            raise Unreadable("7z_password", str(error)) from error
        except UnsupportedCompressionMethodError as error:
            raise Unreadable("7z_method", str(error)) from error
        except _BROKEN as error:
            raise Unreadable("bad_7z", f"{type(error).__name__}: {error}") from error
        for entry in archive.files:
            if entry.is_directory:
                continue
            if entry.emptystream:
                yield entry.filename, io.BytesIO()
                continue
            block = blocks[id(entry.folder)]
            stream = _Stream(block, block.place(entry.uncompressed), entry.uncompressed, entry.crc32)
            yield entry.filename, io.BufferedReader(stream, _PACKED_BLOCK)


class _Block:
    """A solid block (7z: folder): files end to end in one compressed stream, decompressed once, forwards."""

    def __init__(self, file: IO[bytes], folder: Any, start: int, packed: int, ratio: int) -> None:
        self._file = file
        self._folder = folder
        self._start = start
        self._packed = packed
        self._ratio = ratio
        self._decompressor: SevenZipDecompressor | None = None
        self._end = 0  # of the files placed so far
        self.position = 0

    def place(self, size: int) -> int:
        """Where the block's next file begins."""
        self._end += size
        return self._end - size

    def read(self, wanted: int) -> bytes:
        """Next bytes, at least one and at most `wanted`."""
        if self._decompressor is None:
            _check_methods(self._folder)
            self._decompressor = SevenZipDecompressor(
                self._folder.coders, self._packed, self._folder.unpacksizes, self._folder.crc
            )
        self._file.seek(self._start + self._decompressor.consumed)
        try:
            while True:
                before = self._decompressor.consumed
                data = self._decompressor.decompress(_Short(self._file), min(wanted, _UNPACKED_BLOCK))
                consumed = self._decompressor.consumed
                if data:
                    break
                if consumed == before:
                    ended = consumed < self._packed
                    raise Unreadable(
                        "truncated_7z" if ended else "bad_7z",
                        f"{consumed} of {self._packed} compressed bytes give {self.position} bytes",
                    )
        except OSError as error:
            if error.errno is not None:  # the file system's; that of bz2 for its data has none
                raise
            raise Unreadable("bad_7z", str(error)) from error
        except _BROKEN as error:
            raise Unreadable("bad_7z", f"{type(error).__name__}: {error}") from error
        self.position += len(data)
        if self.position > self._ratio * consumed:
            raise Unreadable("7z_bomb", f"{consumed} bytes decompress to {self.position} and more")
        return bytes(data)


class _Short:
    """Gives a decompressor few bytes a call, whatever it asks for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, _PACKED_BLOCK))


class _Stream(io.RawIOBase):
    """One file of a block."""

    def __init__(self, block: _Block, start: int, size: int, crc32: int | None) -> None:
        super().__init__()
        self._block = block
        self._next = start
        self._end = start + size
        self._crc32 = crc32
        self._digest = 0
        self._begun = False

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Decompress into a buffer; nothing at the end of the file."""
        block = self._block
        while not self._begun and block.position < self._next:
            block.read(self._next - block.position)
        if block.position != self._next:
            raise ValueError("another file of the archive has been read since")
        self._begun = True
        data = block.read(min(len(buffer), self._end - block.position)) if block.position < self._end else b""
        self._next += len(data)
        self._digest = zlib.crc32(data, self._digest)
        if block.position == self._end and self._crc32 is not None and self._digest != self._crc32:
            raise Unreadable("bad_7z", str(CrcError(self._crc32, self._digest, "")))
        buffer[: len(data)] = data
        return len(data)


def _blocks(archive: SevenZipFile, file: IO[bytes], size: int, ratio: int) -> dict[int, _Block]:
    """The solid blocks by the identity of their folder."""
    streams = getattr(archive.header, "main_streams", None)
    if streams is None:
        return {}
    positions = streams.packinfo.packpositions
    blocks = {}
    stream = 0
    for folder in streams.unpackinfo.folders:
        start, end = positions[stream], positions[stream + len(folder.packed_indices)]
        if not 0 <= start <= end <= size:
            raise Unreadable("bad_7z", f"a block from {start} to {end} in a file of {size} bytes")
        blocks[id(folder)] = _Block(file, folder, archive.afterheader + start, end - start, ratio)
        stream += len(folder.packed_indices)
    return blocks


def _check_methods(folder: Any) -> None:
    """Refuse methods that are not for us, and those that want more memory than any archive in use."""
    for coder in folder.coders:
        method, properties = coder["method"], coder.get("properties") or b""
        wanted = 0
        if SupportedMethods.needs_password([coder]):
            raise Unreadable("7z_password", "the archive is encrypted")
        if method not in _METHODS or coder["numinstreams"] != 1 or coder["numoutstreams"] != 1:
            raise Unreadable("7z_method", f"method {method.hex()}")
        if method == COMPRESSION_METHOD.LZMA2 and len(properties) == 1:
            wanted = (2 | properties[0] & 1) << (properties[0] // 2 + 11)
        elif method == COMPRESSION_METHOD.LZMA and len(properties) == 5:
            wanted = int.from_bytes(properties[1:], "little")
        if wanted > _DICTIONARY_BYTES:
            raise Unreadable("7z_method", f"a dictionary of {wanted} bytes")
