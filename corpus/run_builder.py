"""The keys of one split, gathered in bounded memory into the sorted keys of its run.

In: arrays of uint64 keys, batch by batch. Out: `SortedKeys`, for `corpus.runs.write_run`.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from typing import Self

import numpy as np

from corpus.kernels.arrays import Keys
from corpus.kernels.sorted_keys import at_most_twice, distinct
from corpus.runs import KEY_SPACE, SortedKeys, fitting_ranges, rank


class RunBuilder:
    """Gathers the keys of one split, in bounded memory, into the sorted keys of its run.

    Keys wait in a buffer; when it is full it is sorted, a key kept twice at most (enough to know that
    it repeats), and written to a temporary file if it is still more than half full. A context manager:
    on leaving it the temporary files go, and with them the arrays that `finish` gave.
    """

    def __init__(self, spill_folder: str, memory_bytes: int) -> None:
        self._buffer = np.empty(max(4, memory_bytes // 9), np.uint64)  # a key, and its flag at the end
        self._size = 0
        self._folder = tempfile.TemporaryDirectory(dir=spill_folder, prefix="run-")
        self._spills: list[_Spill] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._buffer = np.empty(0, np.uint64)
        self._folder.cleanup()

    def add(self, keys: Keys) -> None:
        """Add the keys of a batch of documents, uint64[m], each key once per document."""
        while len(keys):
            if self._size == len(self._buffer):
                self._compact()
                if self._size > len(self._buffer) // 2:
                    self._spill()
            room = len(self._buffer) - self._size
            self._buffer[self._size : self._size + len(keys[:room])] = keys[:room]
            self._size += len(keys[:room])
            keys = keys[room:]

    def finish(self) -> SortedKeys:
        """All distinct keys, flagged where two or more documents have them; call it once.

        Where keys were spilled, the arrays are mapped from temporary files.
        """
        if not self._spills:
            return self._distinct()
        self._compact()
        self._spill()
        keys_path, flags_path = (os.path.join(self._folder.name, name) for name in ("keys", "flags"))
        with open(keys_path, "wb") as keys_file, open(flags_path, "wb") as flags_file:
            for low, high in fitting_ranges(self._spills, 0, KEY_SPACE, len(self._buffer)):
                for spill in self._spills:
                    start, stop = spill.position(low), spill.position(high)
                    if self._size + stop - start > len(self._buffer):  # one key, in more spills than fit
                        self._compact()
                    spill.read_into(self._buffer[self._size : self._size + stop - start], start)
                    self._size += stop - start
                part_keys, part_flags = self._distinct()
                part_keys.tofile(keys_file)
                part_flags.tofile(flags_file)
                self._size = 0
        return SortedKeys(np.memmap(keys_path, np.uint64, "r"), np.memmap(flags_path, bool, "r"))

    def _distinct(self) -> SortedKeys:
        keys = self._buffer[: self._size]
        keys.sort()
        flags = np.empty(self._size, bool)
        n = distinct(keys, flags)
        return SortedKeys(keys[:n], flags[:n])

    def _compact(self) -> None:
        keys = self._buffer[: self._size]
        keys.sort()
        self._size = at_most_twice(keys)

    def _spill(self) -> None:
        path = os.path.join(self._folder.name, f"spill-{len(self._spills)}")
        self._buffer[: self._size].tofile(path)
        self._spills.append(_Spill(path, self._size))
        self._size = 0


@dataclass(frozen=True)
class _Spill:
    """Sorted keys in a temporary file."""

    path: str
    count: int

    def position(self, key: int) -> int:
        return rank(np.memmap(self.path, np.uint64, "r"), key)

    def read_into(self, out: Keys, start: int) -> None:
        with open(self.path, "rb") as f:
            f.seek(8 * start)
            f.readinto(out)  # type: ignore[arg-type]
