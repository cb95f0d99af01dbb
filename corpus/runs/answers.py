"""Answers: one bit a key of every run of a scope, for one bucket; written by a merge, read back by run."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

import numpy as np
import xxhash

from corpus.errors import CorruptPartError
from corpus.kernels.arrays import Bools, Keys
from corpus.kernels.sorted_keys import Lookup
from corpus.runs.layout import (
    ANSWER_FOOTER,
    ANSWER_MAGIC,
    BITMAP,
    CHECKSUM,
    KEY_SPACE,
    corrupt,
    merge_bytes,
    open_run,
    placed_checksum,
    read_at,
)
from corpus.runs.merge import Merge, Policy, fitting_ranges, merge, merge_ranked
from corpus.runs.run_file import Run


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
    f.write(ANSWER_MAGIC)
    offset, index = len(ANSWER_MAGIC), []
    max_keys = max(1, bucket_bytes // merge_bytes(newest))
    for low, high in fitting_ranges(runs, bucket * width, (bucket + 1) * width, max_keys):
        parts = [run.read(low, high) for run in runs]
        entries = np.zeros(len(runs) - unasked, BITMAP)
        answers = merge_ranked(parts) if newest else merge(parts, policy)
        for i, bits in enumerate(itertools.islice(answers, unasked, None)):
            payload = np.packbits(bits, bitorder="little").tobytes()
            position = parts[unasked + i].position
            entries[i] = (
                position,
                len(bits),
                offset,
                placed_checksum(i, position, len(bits), offset, payload),
            )
            f.write(payload)
            offset += len(payload)
        index.append(entries)
    f.write(np.ascontiguousarray(np.stack(index).T).tobytes())
    footer = ANSWER_FOOTER.pack(ANSWER_MAGIC, len(runs) - unasked, len(index), bucket, buckets, offset)
    f.write(footer + CHECKSUM.pack(xxhash.xxh3_64_intdigest(footer)))


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
                raise corrupt(path, f"it answers {position + len(part)} keys; {run.path} has {run.count}")
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


def _answer(path: str, place: int) -> Iterator[tuple[int, Bools]]:
    """What an answer says to the run at one place of its order: first position, bits; range by range."""
    with open_run(path) as f:
        size = f.seek(0, os.SEEK_END)
        length = ANSWER_FOOTER.size + CHECKSUM.size
        if size < length:
            raise corrupt(path, "it is too short for an answer")
        footer = read_at(f, path, size - length, length)
        magic, runs, ranges, _, _, index_offset = ANSWER_FOOTER.unpack_from(footer)
        (checksum,) = CHECKSUM.unpack_from(footer, ANSWER_FOOTER.size)
        if magic != ANSWER_MAGIC or checksum != xxhash.xxh3_64_intdigest(footer[: ANSWER_FOOTER.size]):
            raise corrupt(path, "it has no valid footer of an answer")
        if not 0 <= place < runs:
            raise corrupt(path, f"it answers {runs} runs, not one at place {place}")
        width = ranges * BITMAP.itemsize
        for entry in np.frombuffer(read_at(f, path, index_offset + place * width, width), BITMAP):
            position, count, offset, expected = (int(v) for v in entry)
            if offset + (count + 7) // 8 > index_offset:
                raise corrupt(path, f"its index for run {place} is damaged")
            payload = read_at(f, path, offset, (count + 7) // 8)
            if placed_checksum(place, position, count, offset, payload) != expected:
                raise corrupt(path, f"a bitmap for run {place} does not match its checksum")
            bits = np.unpackbits(np.frombuffer(payload, np.uint8), count=count, bitorder="little")
            yield position, bits.astype(bool)
