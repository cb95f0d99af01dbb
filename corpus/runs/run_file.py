"""Runs: sorted files of 64-bit keys through which the data of different splits meets.

In: the keys of one split (`corpus.run_builder`, `write_run`). Out: for each bucket of a scope an answer
(`write_answer`): one bit a key and run, read back per run (`read_answers`, `KeyFilter`). Keys are hashes
of lines, of record ids, of pages. Bucket b of B, a power of two, holds the keys with ⌊key·B / 2^64⌋ = b.

A run: header; sections, each the keys of one prefix, uint64 little-endian and ascending, then one flag
bit a key (in two or more documents of the split), padded to eight bytes, then in a ranked run one `RANK`
a key; then an index of the sections, by which any range of keys is one range of bytes. An answer: bitmaps,
range by range and in each run by run; then an index, run by run; then a footer. Each section and bitmap
has an xxh3-64 checksum that also covers its place, so that a wrong index shows too; all are checked on
reading.
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal, NamedTuple, Protocol, Self

import numpy as np
import xxhash

from corpus.errors import CorruptPartError
from corpus.kernels.arrays import Bools, Keys
from corpus.kernels.sorted_keys import Lookup, only_repeated
from corpus.storage import open_read

Policy = Literal["drop-all", "keep-first"]
Merge = Policy | Literal["keep-newest"]

# Which of two documents of one key stays with keep-newest: the later `time`, else the smaller `id`.
RANK = np.dtype([("time", "<i8"), ("id", "<u8")])
Ranks = np.ndarray[Any, Any]  # of dtype RANK

KEY_SPACE = 1 << 64
_RUN_MAGIC, _ANSWER_MAGIC = b"LCRUN\0\0\1", b"LCANSW\0\1"  # the last byte is the version
_RANKED_MAGIC = b"LCRUN\0\0\2"
_RUN_HEADER = struct.Struct("<8sQQQ")  # magic, keys, section bits, offset of the index; then a checksum
_ANSWER_FOOTER = struct.Struct("<8sQQQQQ")  # magic, runs, ranges, bucket, buckets, offset of the index
_CHECKSUM = struct.Struct("<Q")
_PLACE = struct.Struct("<QQQQ")  # what a checksum covers before the bytes: where they belong
_SECTION = np.dtype([("position", "<u8"), ("offset", "<u8"), ("checksum", "<u8")])
_BITMAP = np.dtype([("position", "<u8"), ("count", "<u8"), ("offset", "<u8"), ("checksum", "<u8")])
_READ_AHEAD_BYTES = 256 << 10  # a bucket of a scope of thousands of runs needs a section or two of each
_SECTION_KEYS = 8192  # 66 KB: what a bucket of a scope of thousands of runs needs of each
# Working memory of a merge, a key: the runs' keys and flags (9), all of them sorted (8), what repeats of
# them in a lookup (3), the bits of a run (1), one section while it is read.
_MERGE_BYTES_PER_KEY = 22
_MERGE_BYTES_PER_RANK = (
    40  # the runs' ranks (16), the best of what repeats and its run (20), what is compared
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


class _Source(Protocol):
    """Sorted keys in a file, of which any range can be found without reading the rest."""

    @property
    def count(self) -> int:
        """All keys."""

    def position(self, key: int) -> int:
        """How many keys are below this one, 0 ≤ key ≤ 2^64."""


def bucket_count(keys: int, bucket_bytes: int, ranked: bool = False) -> int:
    """Buckets, a power of two, such that one of `keys` keys in all merges within `bucket_bytes`."""
    return 1 << max(0, -(-keys * _merge_bytes(ranked) // bucket_bytes) - 1).bit_length()


def bytes_of_run(keys: int, section_keys: int = _SECTION_KEYS) -> int:
    """Size of a run file of so many keys, spread evenly."""
    sections = 1 << max(0, (keys - 1) // section_keys).bit_length()
    payload = sections * _section_bytes(-(-keys // sections), False)
    return _RUN_HEADER.size + _CHECKSUM.size + payload + (sections + 1) * _SECTION.itemsize


def bytes_of_answers(keys: int, runs: float, buckets: int) -> float:
    """Size of all answers of a scope to so many keys in so many runs, where no bucket is split."""
    footer = len(_ANSWER_MAGIC) + _ANSWER_FOOTER.size + _CHECKSUM.size
    return keys / 8 + buckets * (footer + runs * (_BITMAP.itemsize + 0.5))


def write_run(
    f: IO[bytes], keys: Keys, flags: Bools, ranks: Ranks | None = None, *, section_keys: int = _SECTION_KEYS
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
    sizes = np.array([_section_bytes(int(n), ranked) for n in np.diff(positions)], np.int64)
    first = _RUN_HEADER.size + _CHECKSUM.size
    index = np.zeros((1 << bits) + 1, _SECTION)
    index["position"] = positions
    index["offset"] = first + np.append(0, np.cumsum(sizes))
    magic = _RANKED_MAGIC if ranked else _RUN_MAGIC
    header = _RUN_HEADER.pack(magic, len(keys), bits, int(index["offset"][-1]))
    f.write(header + _CHECKSUM.pack(xxhash.xxh3_64_intdigest(header)))
    for section, (low, high) in enumerate(itertools.pairwise(positions.tolist())):
        part = np.ascontiguousarray(keys[low:high], "<u8")
        sections = {int(key) >> (64 - bits) for key in (*part[:1], *part[-1:])}
        if not (part[1:] > part[:-1]).all() or sections - {section}:
            raise ValueError(f"keys are not ascending and distinct between positions {low} and {high}")
        payload = part.tobytes() + np.packbits(flags[low:high], bitorder="little").tobytes()
        payload = payload.ljust(_section_bytes(high - low, False), b"\0")
        if ranks is not None:
            payload += np.ascontiguousarray(ranks[low:high], RANK).tobytes()
        index["checksum"][section] = _checksum(
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
        with _open(path) as f:
            data = _read(f, path, 0, _RUN_HEADER.size + _CHECKSUM.size)
        magic, count, bits, index_offset = _RUN_HEADER.unpack_from(data)
        (checksum,) = _CHECKSUM.unpack_from(data, _RUN_HEADER.size)
        if magic not in (_RUN_MAGIC, _RANKED_MAGIC) or checksum != xxhash.xxh3_64_intdigest(
            data[: _RUN_HEADER.size]
        ):
            raise _corrupt(path, "it has no valid header of a run")
        return cls(path, count, bits, index_offset, magic == _RANKED_MAGIC)

    def read(self, low: int = 0, high: int = KEY_SPACE) -> KeyRange:
        """The keys with low ≤ key < high, their flags and ranks.

        Reads whole sections, one range of bytes, and holds one beside the result.

        Raises:
            CorruptPartError: a section in the range is damaged, or the file is shorter than it was.
        """
        with _open(self.path) as f:
            first, index = self._index(f, low, high)
            positions = index["position"].astype(np.int64)
            keys = np.empty(int(positions[-1] - positions[0]), np.uint64)
            flags = np.empty(len(keys), bool)
            ranks = np.empty(len(keys), RANK) if self.ranked else None
            places = (positions - positions[0]).tolist()
            for i, (start, stop) in enumerate(itertools.pairwise(places)):
                offset = int(index["offset"][i])
                payload = _read(f, self.path, offset, _section_bytes(stop - start, self.ranked))
                if (
                    _checksum(first + i, int(positions[i]), stop - start, offset, payload)
                    != index["checksum"][i]
                ):
                    raise _corrupt(self.path, f"section {first + i} does not match its checksum")
                keys[start:stop] = np.frombuffer(payload, "<u8", stop - start)
                bits = np.frombuffer(payload, np.uint8, offset=8 * (stop - start))
                flags[start:stop] = np.unpackbits(bits, count=stop - start, bitorder="little")
                if ranks is not None:
                    at = _section_bytes(stop - start, False)
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
        with _open(self.path) as f:
            _, index = self._index(f, start, start + 1)
        return int(index["position"][0])

    def _index(self, f: IO[bytes], low: int, high: int) -> tuple[int, np.ndarray[Any, Any]]:
        """The first section of a range, and the index from it to the one after the last."""
        shift = 64 - self.section_bits
        first, last = low >> shift, max(low, high - 1) >> shift
        size = _SECTION.itemsize
        data = _read(f, self.path, self.index_offset + first * size, (last - first + 2) * size)
        index = np.frombuffer(data, _SECTION)
        positions, offsets = index["position"].astype(object), index["offset"].astype(object)
        counts = np.diff(positions)
        if (
            positions[-1] > self.count
            or (counts < 0).any()
            or any(
                offsets[i + 1] - offsets[i] != _section_bytes(n, self.ranked) for i, n in enumerate(counts)
            )
        ):
            raise _corrupt(self.path, f"the index of sections {first} to {last} is damaged")
        return first, index


def write_answer(
    f: IO[bytes],
    runs: Sequence[Run],
    bucket: int,
    buckets: int,
    policy: Merge,
    bucket_bytes: int,
    *,
    unasked: int = 0,
) -> None:
    """Merge one bucket of a scope's runs and write its answer; `f` need not seek.

    A key's bit in a run: with drop-all, whether two or more documents of the scope have it; with
    keep-first, whether an earlier run has it; with keep-newest, for ranked runs, whether another run has it
    with a better rank, or an earlier one with the same. Ranges of keys that fit in `bucket_bytes` are merged
    one after the other, so memory is that and one section of a run, however much the bucket holds.

    Args:
        unasked: so many runs at the start only contribute their keys: the answer has no bits for them, and
            its place 0 is the run after them.

    Raises:
        CorruptPartError: a run is missing or damaged.
        ValueError: no such bucket, an unknown policy, or keep-newest of runs without ranks.
    """
    if not (buckets > 0 and buckets & (buckets - 1) == 0 and 0 <= bucket < buckets):
        raise ValueError(f"no bucket {bucket} of {buckets}")
    if policy not in ("drop-all", "keep-first", "keep-newest"):
        raise ValueError(f"policy must be 'drop-all', 'keep-first' or 'keep-newest', not {policy!r}")
    newest = policy == "keep-newest"
    width = KEY_SPACE // buckets
    f.write(_ANSWER_MAGIC)
    offset, index = len(_ANSWER_MAGIC), []
    max_keys = max(1, bucket_bytes // _merge_bytes(newest))
    for low, high in fitting_ranges(runs, bucket * width, (bucket + 1) * width, max_keys):
        parts = [run.read(low, high) for run in runs]
        entries = np.zeros(len(runs) - unasked, _BITMAP)
        answers = _merge_ranked(parts) if newest else _merge(parts, policy)
        for i, bits in enumerate(itertools.islice(answers, unasked, None)):
            payload = np.packbits(bits, bitorder="little").tobytes()
            position = parts[unasked + i].position
            entries[i] = (position, len(bits), offset, _checksum(i, position, len(bits), offset, payload))
            f.write(payload)
            offset += len(payload)
        index.append(entries)
    f.write(np.ascontiguousarray(np.stack(index).T).tobytes())
    footer = _ANSWER_FOOTER.pack(_ANSWER_MAGIC, len(runs) - unasked, len(index), bucket, buckets, offset)
    f.write(footer + _CHECKSUM.pack(xxhash.xxh3_64_intdigest(footer)))


def read_answers(run: Run, answers: Iterable[tuple[str, int]]) -> Bools:
    """The bits of all keys of a run, bool[run.count].

    Args:
        run: the run asked about.
        answers: per bucket, the answer's path and the run's place in the order it was merged in.

    Raises:
        CorruptPartError: an answer is missing or damaged, or they do not cover the run exactly once.
    """
    bits, covered = np.zeros(run.count, bool), []
    for path, place in answers:
        for position, part in _answer(path, place):
            if position + len(part) > run.count:
                raise _corrupt(path, f"it answers {position + len(part)} keys; {run.path} has {run.count}")
            bits[position : position + len(part)] = part
            covered.append((position, position + len(part)))
    end = 0
    for start, stop in sorted(covered):
        if start != end:
            raise CorruptPartError(
                f"the answers to {run.path} leave out or repeat keys near {min(start, end)} of {run.count}: "
                "an answer is missing or belongs to another run; run the merge again"
            )
        end = stop
    if end != run.count:
        raise CorruptPartError(
            f"the answers to {run.path} end at key {end} of {run.count}: "
            "an answer is missing or belongs to another run; run the merge again"
        )
    return bits


class KeyFilter:
    """Which keys of a split to drop, by the answers to its run, in the order of its documents.

    With drop-all: where the bit is set. With keep-first: where the bit is set, and else in every
    document but the first that asks, over all calls.
    """

    def __init__(self, keys: Keys, answer: Bools, policy: Policy) -> None:
        self._lookup = Lookup(keys)
        self._taken = np.array(answer, bool)
        self._take = policy == "keep-first"
        if len(keys) != len(answer):
            raise ValueError(f"{len(keys)} keys and {len(answer)} bits")

    def drop(self, keys: Keys) -> Bools:
        """Whether to drop each of uint64[m], in document order, each key once per document.

        Raises:
            CorruptPartError: a key is not in the run, so the data is not what the run was made from.
        """
        dropped, missing = self._lookup.claim(keys, self._taken, self._take)
        if missing:
            raise CorruptPartError(
                f"{missing} of {len(keys)} keys are not in the run: the input has changed since the run "
                "was written; delete the run and start again"
            )
        return dropped


def _repeated(parts: Sequence[KeyRange]) -> Lookup:
    """The keys that two or more runs have."""
    keys = np.concatenate([part.keys for part in parts]) if parts else np.empty(0, np.uint64)
    keys.sort()
    return Lookup(keys[: only_repeated(keys)])


def _merge(parts: Sequence[KeyRange], policy: Merge) -> Iterator[Bools]:
    """The bits of each run's keys, run by run; all parts are of one range of keys."""
    repeated = _repeated(parts)
    keep_first = policy == "keep-first"
    taken = np.full(len(repeated.keys), not keep_first)
    for part in parts:
        bits, _ = repeated.claim(part.keys, taken, keep_first)
        yield bits if keep_first else bits | part.flags


def _merge_ranked(parts: Sequence[KeyRange]) -> Iterator[Bools]:
    """As `_merge`, with keep-newest."""
    repeated = _repeated(parts)
    best = np.zeros(len(repeated.keys), RANK)
    owner = np.full(len(repeated.keys), -1, np.int32)
    for i, part in enumerate(parts):
        if part.ranks is None:
            raise ValueError(f"run {i} has no ranks, so none of its documents is the newest")
        places = repeated(part.keys)
        found = np.flatnonzero(places >= 0)
        at, ranks = places[found], part.ranks[found]
        better = (owner[at] < 0) | outranks(ranks, best[at])
        best[at[better]], owner[at[better]] = ranks[better], i
    for i, part in enumerate(parts):
        places = repeated(part.keys)
        yield (places >= 0) & (owner[places] != i) if len(owner) else np.zeros(len(places), bool)


def outranks(ranks: Ranks, others: Ranks) -> Bools:
    """Whether each of RANK[m] is better than its counterpart."""
    later, same = ranks["time"] > others["time"], ranks["time"] == others["time"]
    better: Bools = later | (same & (ranks["id"] < others["id"]))
    return better


def fitting_ranges(
    sources: Sequence[_Source], low: int, high: int, max_keys: int
) -> Iterator[tuple[int, int]]:
    """Ranges of keys that together are [low, high), ascending, each with at most `max_keys` in all.

    A range of one key is not split. Nothing is looked up where all keys of the sources fit anyway.
    """
    if sum(s.count for s in sources) <= max_keys:
        yield low, high
        return
    edges = [(high, [s.position(high) for s in sources])]
    start, start_positions = low, [s.position(low) for s in sources]
    while edges:
        stop, stop_positions = edges[-1]
        if sum(stop_positions) - sum(start_positions) <= max_keys or stop - start == 1:
            yield start, stop
            start, start_positions = edges.pop()
        else:
            middle = (start + stop) // 2
            edges.append((middle, [s.position(middle) for s in sources]))


def _answer(path: str, place: int) -> Iterator[tuple[int, Bools]]:
    """What an answer says to the run at one place of its order: first position, bits; range by range."""
    with _open(path) as f:
        size = f.seek(0, os.SEEK_END)
        length = _ANSWER_FOOTER.size + _CHECKSUM.size
        if size < length:
            raise _corrupt(path, "it is too short for an answer")
        footer = _read(f, path, size - length, length)
        magic, runs, ranges, _, _, index_offset = _ANSWER_FOOTER.unpack_from(footer)
        (checksum,) = _CHECKSUM.unpack_from(footer, _ANSWER_FOOTER.size)
        if magic != _ANSWER_MAGIC or checksum != xxhash.xxh3_64_intdigest(footer[: _ANSWER_FOOTER.size]):
            raise _corrupt(path, "it has no valid footer of an answer")
        if not 0 <= place < runs:
            raise _corrupt(path, f"it answers {runs} runs, not one at place {place}")
        width = ranges * _BITMAP.itemsize
        for entry in np.frombuffer(_read(f, path, index_offset + place * width, width), _BITMAP):
            position, count, offset, expected = (int(v) for v in entry)
            if offset + (count + 7) // 8 > index_offset:
                raise _corrupt(path, f"its index for run {place} is damaged")
            payload = _read(f, path, offset, (count + 7) // 8)
            if _checksum(place, position, count, offset, payload) != expected:
                raise _corrupt(path, f"a bitmap for run {place} does not match its checksum")
            bits = np.unpackbits(np.frombuffer(payload, np.uint8), count=count, bitorder="little")
            yield position, bits.astype(bool)


def _section_bytes(count: int, ranked: bool) -> int:
    """Bytes of a section: keys, then flag bits padded to whole words, then ranks."""
    return (8 + RANK.itemsize * ranked) * count + 8 * ((count + 63) // 64)


def _merge_bytes(ranked: bool) -> int:
    return _MERGE_BYTES_PER_KEY + _MERGE_BYTES_PER_RANK * ranked


def rank(keys: Keys, key: int) -> int:
    """How many sorted keys are below this one, which may be 2^64."""
    return len(keys) if key == KEY_SPACE else int(np.searchsorted(keys, np.uint64(key)))


def _checksum(number: int, position: int, count: int, offset: int, payload: bytes) -> int:
    digest = xxhash.xxh3_64(_PLACE.pack(number, position, count, offset))
    digest.update(payload)
    return int(digest.intdigest())


def _open(path: str) -> IO[bytes]:
    try:
        return open_read(path, _READ_AHEAD_BYTES)
    except FileNotFoundError as error:
        raise CorruptPartError(f"{path} is missing: run the stage that writes it again") from error


def _read(f: IO[bytes], path: str, offset: int, size: int) -> bytes:
    f.seek(offset)
    data = f.read(size)
    if len(data) != size:
        raise _corrupt(path, f"it ends at byte {offset + len(data)}, before {offset + size}")
    return data


def _corrupt(path: str, what: str) -> CorruptPartError:
    return CorruptPartError(f"{path} is damaged: {what}; delete it and run the stage that writes it again")
