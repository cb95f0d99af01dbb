"""The frames of a zstd file (.warc.zst) as members.

Read block by block: a block is 128 KiB inflated at most (RFC 8878, 3.1.1.2), so that what comes out is
bounded before it is there, and the end of a frame is known without decoding it. A dictionary for all frames
may stand in a skippable frame at the start of the file, itself compressed or not; other skippable frames
are passed over (IIPC, "Zstandard Compression for WARC Files 1.0").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import zstandard

from corpus.raw.members import Broken, Members, RecordStart

_MAGIC = b"\x28\xb5\x2f\xfd"
_DICTIONARY_FRAME = b"\x5d\x2a\x4d\x18"
_DICTIONARY_START = b"\x37\xa4\x30\xec"
_SKIPPABLE_HEADER = 8  # magic number, length
_FRAME_HEADER_MAX = 18
_BLOCK_HEADER = 3
_BLOCK_BYTES = 128 << 10
_CHECKSUM = 4
_RUN_LENGTH, _RESERVED = 1, 3  # block types
_DICTIONARY_BYTES = 32 << 20  # far above the few hundred KB of those in use
_WINDOW_BYTES = 128 << 20  # what zstd itself allows without being asked


def is_zstd(head: bytes) -> bool:
    """Whether a file's first four bytes begin a frame or a skippable frame."""
    return head.startswith(_MAGIC) or _is_skippable(head)


def _is_skippable(head: bytes) -> bool:
    return head[1:4] == _DICTIONARY_FRAME[1:] and head[0] >> 4 == _DICTIONARY_FRAME[0] >> 4


class ZstdFrames(Members):
    """The frames of one file."""

    magic = _MAGIC
    probe = _FRAME_HEADER_MAX + _BLOCK_HEADER + _BLOCK_BYTES

    def __init__(self, file: IO[bytes], ratio: int, start: RecordStart) -> None:
        super().__init__(file, ratio, start)
        self._decoder = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)

    def _is_member(self) -> bool:
        return is_zstd(self._raw[: len(_MAGIC)])

    def _member(self) -> Iterator[bytes | Broken]:
        if not self._raw.startswith(_MAGIC):
            broken = self._skippable()
            if broken:
                yield broken
            return
        frame = self._next
        self._fill(_FRAME_HEADER_MAX)
        try:
            parameters = zstandard.get_frame_parameters(self._raw[:_FRAME_HEADER_MAX])
            header = zstandard.frame_header_size(self._raw[:_FRAME_HEADER_MAX])
            decoder = self._decoder.decompressobj()
            decoder.decompress(self._take(header))
            inflated, last = 0, False
            while not last:
                block, last = self._block()
                if not block:
                    yield Broken("truncated_zstd", f"the file ends {self._next - frame} bytes into a frame")
                    return
                data = decoder.decompress(block)
                inflated += len(data)
                if inflated > self._ratio * (self._next - frame):
                    yield Broken("zstd_bomb", f"{self._next - frame} bytes inflate to {inflated} and more")
                    return
                yield data
            if parameters.has_checksum:
                checksum = self._take(_CHECKSUM)
                if len(checksum) < _CHECKSUM:
                    yield Broken("truncated_zstd", "the file ends before the checksum of a frame")
                    return
                yield decoder.decompress(checksum)
        except zstandard.ZstdError as error:
            yield Broken("bad_zstd", str(error))

    def _block(self) -> tuple[bytes, bool]:
        """The next block with its header, and whether it is the frame's last; nothing if it is cut short."""
        self._fill(_BLOCK_HEADER)
        size, last = _block_size(self._raw[:_BLOCK_HEADER])
        block = self._take(_BLOCK_HEADER + size)
        return (block if len(block) == _BLOCK_HEADER + size else b""), last

    def _head(self, at: int) -> bytes:
        try:
            header = zstandard.frame_header_size(self._raw[at : at + _FRAME_HEADER_MAX])
            size, _ = _block_size(self._raw[at + header : at + header + _BLOCK_HEADER])
            first_block = self._raw[at : at + header + _BLOCK_HEADER + size]
            return self._decoder.decompressobj().decompress(first_block)
        except zstandard.ZstdError:
            return b""

    def _skippable(self) -> Broken | None:
        """Pass over a skippable frame; take the dictionary from the one that has it."""
        frame = self._next
        self._fill(_SKIPPABLE_HEADER)
        header = self._raw[:_SKIPPABLE_HEADER]
        size = int.from_bytes(header[4:], "little")
        if frame == 0 and header.startswith(_DICTIONARY_FRAME):
            if size > _DICTIONARY_BYTES:
                return Broken("bad_dictionary", f"a dictionary of {size} bytes")
            self._take(_SKIPPABLE_HEADER)
            return self._use_dictionary(self._take(size))
        # Only the last of its bytes is read, to know that it is there.
        self._go(frame + _SKIPPABLE_HEADER + size - 1)
        if not self._take(1):
            self._go(frame + _SKIPPABLE_HEADER)
            return Broken("truncated_zstd", f"a skippable frame of {size} bytes reaches beyond the file")
        return None

    def _use_dictionary(self, data: bytes) -> Broken | None:
        try:
            if data.startswith(_MAGIC):
                if zstandard.frame_content_size(data) > _DICTIONARY_BYTES:
                    return Broken("bad_dictionary", "it inflates beyond what a dictionary may have")
                data = self._decoder.decompress(data, max_output_size=_DICTIONARY_BYTES)
            if not data.startswith(_DICTIONARY_START):
                return Broken("bad_dictionary", f"it begins with {data[:4]!r}")
            dictionary = zstandard.ZstdCompressionDict(data)
            self._decoder = zstandard.ZstdDecompressor(dictionary, max_window_size=_WINDOW_BYTES)
        except zstandard.ZstdError as error:
            return Broken("bad_dictionary", str(error))
        return None

    def _take(self, n: int) -> bytes:
        """Use up `n` raw bytes; fewer at the end of the file."""
        self._fill(n)
        taken = self._raw[:n]
        self._drop(len(taken))
        return taken


def _block_size(header: bytes) -> tuple[int, bool]:
    """Bytes that follow the header of a block, and whether it is the frame's last.

    Raises:
        ZstdError: there is no such block.
    """
    fields = int.from_bytes(header, "little")
    kind, size = fields >> 1 & 3, fields >> 3
    if kind == _RESERVED or size > _BLOCK_BYTES:
        raise zstandard.ZstdError(f"a block of type {kind} and {size} bytes")
    return (1 if kind == _RUN_LENGTH else size), bool(fields & 1)
