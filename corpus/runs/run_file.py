"""Runs: the sorted keys of one split, in sections with an index, read by range of keys."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import IO, Any, NamedTuple, Self

import numpy as np
import xxhash

from corpus.kernels.arrays import Bools, Keys
from corpus.runs.layout import (
    CHECKSUM,
    KEY_SPACE,
    RANK,
    RANKED_MAGIC,
    RUN_HEADER,
    RUN_MAGIC,
    SECTION,
    SECTION_KEYS,
    Ranks,
    corrupt,
    open_run,
    placed_checksum,
    read_at,
    section_bytes,
)


class SortedKeys(NamedTuple):
    """n keys, uint64[n], ascending and distinct, and their flags, bool[n]."""

    keys: Keys
    flags: Bools


class KeyRange(NamedTuple):
    """A run's keys within a range, with flags and, if ranked, ranks; the first stands at `position`."""

    position: int
    keys: Keys
    flags: Bools
    ranks: Ranks | None = None


def write_run(
    f: IO[bytes], keys: Keys, flags: Bools, ranks: Ranks | None = None, *, section_keys: int = SECTION_KEYS
) -> None:
    """Write a run; `f` need not seek.

    Args:
        f: opened for writing, at its start.
        keys: uint64[n], ascending and distinct; may be mapped from a file.
        flags: bool[n], in two or more documents of this split.
        ranks: RANK[n], of the newest document of each key.
        section_keys: keys a section has on average at most.

    Raises:
        ValueError: keys are not ascending and distinct, or flags do not fit.
    """
    if len(keys) != len(flags) or len(keys) != len(keys if ranks is None else ranks):
        raise ValueError(f"{len(keys)} keys, and not as many flags or ranks")
    bits = max(0, (len(keys) - 1) // section_keys).bit_length()
    starts = np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits if bits else 0)
    positions = np.append(np.searchsorted(keys, starts), len(keys)).astype(np.int64)
    ranked = ranks is not None
    sizes = np.array([section_bytes(int(n), ranked) for n in np.diff(positions)], np.int64)
    first = RUN_HEADER.size + CHECKSUM.size
    index = np.zeros((1 << bits) + 1, SECTION)
    index["position"] = positions
    index["offset"] = first + np.append(0, np.cumsum(sizes))
    magic = RANKED_MAGIC if ranked else RUN_MAGIC
    header = RUN_HEADER.pack(magic, len(keys), bits, int(index["offset"][-1]))
    f.write(header + CHECKSUM.pack(xxhash.xxh3_64_intdigest(header)))
    for section, (low, high) in enumerate(itertools.pairwise(positions.tolist())):
        part = np.ascontiguousarray(keys[low:high], "<u8")
        sections = {int(key) >> (64 - bits) for key in (*part[:1], *part[-1:])}
        if not (part[1:] > part[:-1]).all() or sections - {section}:
            raise ValueError(f"keys are not ascending and distinct between positions {low} and {high}")
        payload = part.tobytes() + np.packbits(flags[low:high], bitorder="little").tobytes()
        payload = payload.ljust(section_bytes(high - low, False), b"\0")
        if ranks is not None:
            payload += np.ascontiguousarray(ranks[low:high], RANK).tobytes()
        index["checksum"][section] = placed_checksum(
            section, low, high - low, int(index["offset"][section]), payload
        )
        f.write(payload)
    f.write(index.tobytes())


@dataclass(frozen=True)
class Run:
    """A run file, by its header: small, and can be sent to other processes."""

    path: str
    count: int
    section_bits: int
    index_offset: int
    ranked: bool = False

    @classmethod
    def open(cls, path: str) -> Self:
        """Read and check the header.

        Raises:
            CorruptPartError: the file is missing, is no run, or its header is damaged.
        """
        with open_run(path) as f:
            data = read_at(f, path, 0, RUN_HEADER.size + CHECKSUM.size)
        magic, count, bits, index_offset = RUN_HEADER.unpack_from(data)
        (checksum,) = CHECKSUM.unpack_from(data, RUN_HEADER.size)
        if magic not in (RUN_MAGIC, RANKED_MAGIC) or checksum != xxhash.xxh3_64_intdigest(
            data[: RUN_HEADER.size]
        ):
            raise corrupt(path, "it has no valid header of a run")
        return cls(path, count, bits, index_offset, magic == RANKED_MAGIC)

    def read(self, low: int = 0, high: int = KEY_SPACE) -> KeyRange:
        """The keys with low ≤ key < high, their flags and ranks.

        Reads whole sections, one range of bytes, and holds one beside the result.

        Raises:
            CorruptPartError: a section in the range is damaged, or the file is shorter than it was.
        """
        with open_run(self.path) as f:
            first, index = self._index(f, low, high)
            positions = index["position"].astype(np.int64)
            keys = np.empty(int(positions[-1] - positions[0]), np.uint64)
            flags = np.empty(len(keys), bool)
            ranks = np.empty(len(keys), RANK) if self.ranked else None
            places = (positions - positions[0]).tolist()
            for i, (start, stop) in enumerate(itertools.pairwise(places)):
                offset = int(index["offset"][i])
                payload = read_at(f, self.path, offset, section_bytes(stop - start, self.ranked))
                if (
                    placed_checksum(first + i, int(positions[i]), stop - start, offset, payload)
                    != index["checksum"][i]
                ):
                    raise corrupt(self.path, f"section {first + i} does not match its checksum")
                keys[start:stop] = np.frombuffer(payload, "<u8", stop - start)
                bits = np.frombuffer(payload, np.uint8, offset=8 * (stop - start))
                flags[start:stop] = np.unpackbits(bits, count=stop - start, bitorder="little")
                if ranks is not None:
                    at = section_bytes(stop - start, False)
                    ranks[start:stop] = np.frombuffer(payload, RANK, stop - start, at)
        a, b = rank(keys, low), rank(keys, high)
        if b - a < len(keys):  # let go of the rest of the outer sections
            keys, flags = keys[a:b].copy(), flags[a:b].copy()
            ranks = ranks[a:b].copy() if ranks is not None else None
        return KeyRange(int(positions[0]) + a, keys, flags, ranks)

    def position(self, key: int) -> int:
        """How many keys are below this one, 0 ≤ key ≤ 2^64; reads at most one section."""
        if key in (0, KEY_SPACE):
            return self.count if key else 0
        section = key >> (64 - self.section_bits)
        start = section << (64 - self.section_bits)
        if key != start:
            part = self.read(start, key)
            return part.position + len(part.keys)
        with open_run(self.path) as f:
            _, index = self._index(f, start, start + 1)
        return int(index["position"][0])

    def _index(self, f: IO[bytes], low: int, high: int) -> tuple[int, np.ndarray[Any, Any]]:
        """The first section of a range, and the index from it to the one after the last."""
        shift = 64 - self.section_bits
        first, last = low >> shift, max(low, high - 1) >> shift
        size = SECTION.itemsize
        data = read_at(f, self.path, self.index_offset + first * size, (last - first + 2) * size)
        index = np.frombuffer(data, SECTION)
        positions, offsets = index["position"].astype(object), index["offset"].astype(object)
        counts = np.diff(positions)
        if (
            positions[-1] > self.count
            or (counts < 0).any()
            or any(offsets[i + 1] - offsets[i] != section_bytes(n, self.ranked) for i, n in enumerate(counts))
        ):
            raise corrupt(self.path, f"the index of sections {first} to {last} is damaged")
        return first, index


def rank(keys: Keys, key: int) -> int:
    """How many sorted keys are below this one, which may be 2^64."""
    return len(keys) if key == KEY_SPACE else int(np.searchsorted(keys, np.uint64(key)))
