"""Paragraph deduplication in two passes over the same text: keys out, answers back.

First pass: the lines of a split -> `ParagraphIndex` -> its run. Between: the runs of a scope, bucket by
bucket -> `corpus.runs.write_answer`. Second pass: the lines again, and the answers to the split's run ->
`ParagraphFilter` -> which lines stay. Rule: facebookresearch/cc_net, cc_net/dedup.py: a line is dropped
where two or more documents of the scope have its key (drop-all), or in all but the first of them
(keep-first, ours).
Text never leaves its split; what meets are sorted keys (`corpus.runs`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Self

import numpy as np

from corpus.kernels.arrays import Bools, Keys
from corpus.kernels.lines import Lines
from corpus.run_builder import RunBuilder
from corpus.runs import KeyFilter, Policy, Run, read_answers, write_run


class ParagraphIndex:
    """First pass over a split: gathers the keys of its lines and writes them as a run."""

    def __init__(self, spill_folder: str, memory_bytes: int) -> None:
        self._builder = RunBuilder(spill_folder, memory_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._builder.__exit__(*exception)

    def add(self, lines: Lines) -> None:
        """Add a batch of the split's documents, in any order."""
        self._builder.add(lines.key[lines.candidate])

    def write(self, f: IO[bytes]) -> int:
        """Write the run of all that was added; returns its number of distinct keys. Call it once."""
        keys, flags = self._builder.finish()
        write_run(f, keys, flags)
        return len(keys)


class ParagraphFilter:
    """Second pass over a split: says which lines stay, batch by batch, in the order of the documents."""

    def __init__(self, keys: Keys, bits: Bools, policy: Policy) -> None:
        """Take the run's keys, uint64[n] ascending, and the answers' bits, bool[n]."""
        self._filter = KeyFilter(keys, bits, policy)

    @classmethod
    def open(cls, run: str, answers: Iterable[tuple[str, int]], policy: Policy) -> Self:
        """From the split's run and, per bucket, the answer's path and the run's place in its order.

        Raises:
            CorruptPartError: a file is missing or damaged, or the answers do not fit the run.
        """
        opened = Run.open(run)
        return cls(opened.read().keys, read_answers(opened, answers), policy)

    def mask(self, lines: Lines) -> Bools:
        """Which lines stay, bool[k]; never two of one key in a document.

        Raises:
            CorruptPartError: a line's key is not in the run: the text is not that of the first pass.
        """
        kept = np.zeros(len(lines.key), bool)
        kept[lines.candidate] = ~self._filter.drop(lines.key[lines.candidate])
        return kept
