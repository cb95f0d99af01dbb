"""Every document of two runs once, with what either run says of it.

In: two decided runs. Out: tables of `pair_schema`, some thousand rows each. Parts that hold the same ids in
the same order are read side by side; the rest meets by ranges of ids (`spill`). Memory is a row group's
columns, or `_RANGE_BYTES` a run, whatever the size of the runs.
"""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.exchange import open_parquet
from corpus.review.compare.rows import ABSENT, FATE, read_rows, schema
from corpus.review.compare.spill import ID_DIGITS, IdRange, id_bytes, read_spilled, spill, spilled_bytes
from corpus.review.runs import DecidedPart, OpenedRun, decided_parts

_RANGE_BYTES = 64 << 20  # of a run's rows that are joined in memory
_RANGES = 256  # files written at a time
_IDS_AT_ONCE = 65_536

Numbered = tuple[int, DecidedPart]


def pair_schema(values: Sequence[str]) -> pa.Schema:
    """Of pairs: id, key, and each column of `FATE` and each value twice, with `_a` and with `_b`.

    Where a run does not have the document its columns are null, and its fate is `ABSENT`.
    """
    twice = [*FATE, *(pa.field(name, pa.float64()) for name in values)]
    return pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("key", pa.string()),
            *(field.with_name(f"{field.name}_{side}") for field in twice for side in "ab"),
        ]
    )


class Pairing:
    """The documents of two runs, paired by id.

    An id that a run has twice (records that were dropped as copies may share one) is paired in the run's
    order: its first row with the other's first, and so on.

    Attributes:
        values: columns to compare.
        aligned, unaligned: ordinals of parts, `unaligned` per run.
    """

    def __init__(self, a: OpenedRun, b: OpenedRun, values: Sequence[str]) -> None:
        self._runs = (a, b)
        self.values = list(values)
        numbered = [list(enumerate(decided_parts(run))) for run in self._runs]
        named = [{posixpath.basename(part.annotated.path): (n, part) for n, part in x} for x in numbered]
        self.aligned = [
            (pair, named[1][name])
            for name, pair in named[0].items()
            if name in named[1] and _same_ids(a, pair[1], b, named[1][name][1])
        ]
        together = [{pair[side][0] for pair in self.aligned} for side in (0, 1)]
        self.unaligned = [[x for x in numbered[side] if x[0] not in together[side]] for side in (0, 1)]

    def tables(self) -> Iterator[pa.Table]:
        """Pairs: of aligned parts in the order of the first run, then of the rest by id."""
        for left, right in self.aligned:
            yield from self._side_by_side(left, right)
        if not any(self.unaligned):
            return
        rows = [read_rows(self._runs[side], self.unaligned[side], self.values) for side in (0, 1)]
        size = max(sum(part.decisions.rows for _, part in x) for x in self.unaligned)
        bytes_a_row = 200 + 8 * len(self.values)
        pieces = min(_RANGES, 1 + 2 * size * bytes_a_row // _RANGE_BYTES)
        with tempfile.TemporaryDirectory(prefix="llama-corpus-compare-") as folder:
            yield from self._by_ranges(rows, IdRange(), pieces, folder)

    def _side_by_side(self, left: Numbered, right: Numbered) -> Iterator[pa.Table]:
        readers = [
            read_rows(run, [part], self.values) for run, part in zip(self._runs, (left, right), strict=True)
        ]
        for a, b in _same_lengths(*readers):
            yield self._paired(pa.Table.from_batches([a]), pa.Table.from_batches([b]))

    def _by_ranges(
        self, rows: Sequence[Iterator[pa.RecordBatch]], whole: IdRange, pieces: int, folder: str
    ) -> Iterator[pa.Table]:
        """Deal rows of both runs out to ranges of ids, and join each; one that is too large again so."""
        ranges = whole.split(pieces)
        paths = []
        for side in (0, 1):
            below = os.path.join(folder, "ab"[side])
            os.mkdir(below)
            paths.append(spill(rows[side], schema(self.values), ranges, below))
        for number, (a, b) in enumerate(zip(*paths, strict=True)):
            size = max(spilled_bytes(a), spilled_bytes(b))
            if size > _RANGE_BYTES and ranges[number].width > 1:
                inner = os.path.join(folder, f"{number:05d}")
                os.mkdir(inner)
                more = min(_RANGES, 1 + 2 * size // _RANGE_BYTES)
                yield from self._by_ranges((read_spilled(a), read_spilled(b)), ranges[number], more, inner)
            else:
                yield from self._joined(a, b)
            os.unlink(a)
            os.unlink(b)

    def _joined(self, a: str, b: str) -> Iterator[pa.Table]:
        """All rows of two files, paired by id, in the order of ids."""
        tables = [
            pa.Table.from_batches(read_spilled(path), schema(self.values)).combine_chunks() for path in (a, b)
        ]
        if not any(t.num_rows for t in tables):
            return
        keys = _occurrences([t["id"] for t in tables])
        everything = np.union1d(*keys)
        taken = []
        for table, key in zip(tables, keys, strict=True):
            order = np.argsort(key)
            found = np.searchsorted(key[order], everything)
            there = np.isin(everything, key)
            rows = np.zeros(len(everything), np.int64)
            rows[there] = order[found[there]]
            taken.append(table.take(pa.array(rows, mask=~there)))
        for start in range(0, len(everything), _IDS_AT_ONCE):
            yield self._paired(*(table.slice(start, _IDS_AT_ONCE) for table in taken))

    def _paired(self, a: pa.Table, b: pa.Table) -> pa.Table:
        columns = [pc.coalesce(a[name], b[name]) for name in ("id", "key")]
        for name in [field.name for field in FATE] + self.values:
            columns += [pc.fill_null(t[name], ABSENT) if name == "fate" else t[name] for t in (a, b)]
        return pa.Table.from_arrays(columns, schema=pair_schema(self.values))


def _same_ids(a: OpenedRun, left: DecidedPart, b: OpenedRun, right: DecidedPart) -> bool:
    """Whether two parts hold the same ids in the same order."""
    if left.decisions.rows != right.decisions.rows:
        return False
    if left.annotated.sha256 == right.annotated.sha256 or left.decisions.sha256 == right.decisions.sha256:
        return True
    return all(x.equals(y) for x, y in _same_lengths(_ids(a, left), _ids(b, right)))


def _ids(run: OpenedRun, part: DecidedPart) -> Iterator[pa.RecordBatch]:
    with open_parquet(run.root, part.decisions) as parquet:
        yield from parquet.iter_batches(_IDS_AT_ONCE, columns=["id"])


def _same_lengths(
    a: Iterator[pa.RecordBatch], b: Iterator[pa.RecordBatch]
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Two streams of as many rows, cut at the same rows."""
    left, right = next(a, None), next(b, None)
    while left is not None and right is not None:
        n = min(left.num_rows, right.num_rows)
        if n:
            yield left.slice(0, n), right.slice(0, n)
        left = left.slice(n) if left.num_rows > n else next(a, None)
        right = right.slice(n) if right.num_rows > n else next(b, None)


def _occurrences(ids: Sequence[pa.ChunkedArray]) -> list[np.ndarray]:
    """Per run, for each row a number that pairs share: by id, and how many rows of the run had it before.

    Numbers are in the order of ids.
    """
    texts = [
        np.ascontiguousarray(id_bytes(x.combine_chunks())).view(f"S{ID_DIGITS}").reshape(-1) for x in ids
    ]
    _, codes = np.unique(np.concatenate(texts), return_inverse=True)
    split = np.split(codes.astype(np.int64), [len(texts[0])])
    numbers = []
    for code in split:
        order = np.argsort(code, kind="stable")
        in_order = code[order]
        first = np.searchsorted(in_order, in_order)
        before = np.empty(len(code), np.int64)
        before[order] = np.arange(len(code)) - first
        numbers.append(code << 31 | before)
    return numbers
