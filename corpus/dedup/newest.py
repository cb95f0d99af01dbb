"""The newest page of each address: keys and ranks of a split's pages → its ranked run; answers back.

In: keys of normalised URLs with `RANK`s (time, id). Out: the run (`corpus.runs`), one entry a distinct
key with the best rank of the split; then, from the answers of the other splits, which pages stay. Rule:
of each URL the newest page (tensorflow/datasets, tensorflow_datasets/text/c4.py), of several as new the
one with the smaller id. Memory is a buffer; what does not fit waits sorted in temporary files.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, Self

import numpy as np
import xxhash

from corpus.errors import CorruptPartError
from corpus.kernels.arrays import Bools, Keys
from corpus.kernels.sorted_keys import Lookup
from corpus.runs import KEY_SPACE, RANK, Ranks, Run, fitting_ranges, outranks, rank, read_answers, write_run
from corpus.urls import normalize_url

# What follows says how a reader came by, not what is read (tensorflow/datasets,
# tensorflow_datasets/text/c4_utils.py, `normalize_url`).
_REFERRAL = re.compile(r"\?(utm_|ref|feed).*", re.DOTALL)
_ENTRY = np.dtype([("key", "<u8"), ("rank", RANK)])
_SORT_BYTES_PER_ENTRY = 5 * _ENTRY.itemsize  # entries, their order, and what sorting them takes
NEVER = np.iinfo(np.int64).min  # time of a page without one: older than all


def url_key(url: str | None) -> int | None:
    """XXH64 of a page's address in one form: C4's, and what `normalize_url` evens out besides.

    None for what is no address. Of 10^10 addresses some three are expected to share a key by chance.
    """
    normalized = normalize_url(_REFERRAL.sub("", url)) if url else None
    return None if normalized is None else xxhash.xxh64_intdigest(normalized.encode("utf-8", "replace"))


def time_of(timestamp: str | None) -> int:
    """Microseconds since 1970 of an ISO 8601 time, without a zone UTC; `NEVER` where there is none."""
    try:
        time = datetime.fromisoformat(timestamp or "")
        aware = time if time.tzinfo else time.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1e6)
    except (ValueError, OverflowError):
        return NEVER


class NewestIndex:
    """Gathers the pages of one split, in bounded memory, and writes them as a ranked run.

    A context manager: on leaving it the temporary files go.
    """

    def __init__(self, spill_folder: str, memory_bytes: int) -> None:
        self._buffer = np.empty(max(4, memory_bytes // _SORT_BYTES_PER_ENTRY), _ENTRY)
        self._size = 0
        self._folder = tempfile.TemporaryDirectory(dir=spill_folder, prefix="newest-")
        self._spills: list[_Spill] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._buffer = np.empty(0, _ENTRY)
        self._folder.cleanup()

    def add(self, keys: Keys, ranks: Ranks) -> None:
        """Add pages: uint64[m] and RANK[m]."""
        while len(keys):
            if self._size == len(self._buffer):
                self._compact()
                if self._size > len(self._buffer) // 2:
                    self._spill()
            room = self._buffer[self._size : self._size + len(keys)]
            room["key"], room["rank"] = keys[: len(room)], ranks[: len(room)]
            self._size += len(room)
            keys, ranks = keys[len(room) :], ranks[len(room) :]

    def write(self, f: IO[bytes]) -> int:
        """Write the run of all that was added; returns its number of keys. Call it once."""
        self._compact()
        entries: Any = self._buffer[: self._size]
        if self._spills:
            self._spill()
            entries = self._merged()
        write_run(f, entries["key"], np.zeros(len(entries), bool), entries["rank"])
        return len(entries)

    def _merged(self) -> np.ndarray:
        """The spills as one array, mapped from a temporary file."""
        path = os.path.join(self._folder.name, "merged")
        # A spill has a key once, so also a range of one key fits beside the buffer.
        with open(path, "wb") as f:
            for low, high in fitting_ranges(self._spills, 0, KEY_SPACE, len(self._buffer)):
                _best(np.concatenate([spill.read(low, high) for spill in self._spills])).tofile(f)
        return np.memmap(path, _ENTRY, "r")

    def _compact(self) -> None:
        best = _best(self._buffer[: self._size])
        self._buffer[: len(best)] = best
        self._size = len(best)

    def _spill(self) -> None:
        path = os.path.join(self._folder.name, f"spill-{len(self._spills)}")
        self._buffer[: self._size].tofile(path)
        self._spills.append(_Spill(path, self._size))
        self._size = 0


class NewestFilter:
    """Which pages of a split are not the newest of their address, by its run and the answers to it."""

    def __init__(self, run: Run, answers: Iterable[tuple[str, int]]) -> None:
        """Read the run and, per bucket, the answer's path and the run's place in its order.

        Raises:
            CorruptPartError: a file is missing or damaged, or the answers do not fit the run.
        """
        _, keys, _, ranks = run.read()
        if ranks is None:
            raise CorruptPartError(f"{run.path} has no ranks: delete it and run the stage that writes it")
        self._lookup, self._ranks = Lookup(keys), ranks
        self._beaten = read_answers(run, answers)

    def drop(self, keys: Keys, ranks: Ranks) -> Bools:
        """Whether to drop each of m pages, uint64[m] and RANK[m].

        Raises:
            CorruptPartError: a key is not in the run, so the pages are not those it was made from.
        """
        places = self._lookup(keys)
        if (places < 0).any():
            raise CorruptPartError("a page's address is not in the run of its split: delete the run")
        dropped: Bools = self._beaten[places] | outranks(self._ranks[places], ranks)
        return dropped


@dataclass(frozen=True)
class _Spill:
    """Entries in a temporary file, by key, each key once."""

    path: str
    count: int

    def position(self, key: int) -> int:
        return rank(np.memmap(self.path, _ENTRY, "r")["key"], key)

    def read(self, low: int, high: int) -> np.ndarray:
        start, stop = self.position(low), self.position(high)
        return np.fromfile(self.path, _ENTRY, stop - start, offset=start * _ENTRY.itemsize)


def _best(entries: np.ndarray) -> np.ndarray:
    """The best entry of each key, by key."""
    by = entries["rank"]
    # The bits of a later time turned over sort before those of an earlier one; a minus would overflow.
    entries = entries[np.lexsort((by["id"], ~by["time"], entries["key"]))]
    first = np.ones(len(entries), bool)
    first[1:] = entries["key"][1:] != entries["key"][:-1]
    return entries[first]
