"""The annotated pages of a crawl-filter run, streamed, and samples of them by id.

In: `RUN/annotated/*.parquet`. Out: record batches of the columns asked for; 64-bit hashes of ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from corpus import storage
from corpus.errors import UserError

FOLDER = "annotated"
_ROWS_PER_BATCH = 4096  # texts are among the columns: some 20–40 MB


def read_annotated(run: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The annotated rows of a run, file by file in the order of their names.

    Args:
        run: output folder or address of a crawl-filter run.
        columns: what to read.

    Raises:
        UserError: there are no annotated parts, or one lacks a column.
    """
    folder = storage.join(run, FOLDER)
    files = [f.path for f in storage.find(folder) if f.path.endswith(".parquet")]
    if not files:
        raise UserError(f"{folder} holds no Parquet file: run crawl-filter with --output {run} first")
    for path in files:
        with storage.open_read(path) as f, pq.ParquetFile(f) as table:
            missing = [name for name in columns if name not in table.schema_arrow.names]
            if missing:
                raise UserError(f"{path} has no column {', '.join(missing)}: annotate with it first")
            yield from table.iter_batches(_ROWS_PER_BATCH, columns=list(columns))


def id_hashes(ids: pa.Array, seed: int) -> np.ndarray:
    """xxh3-64 (uint64) of each id; the smallest are a sample that no order of files or workers changes."""
    return np.fromiter(
        (xxhash.xxh3_64_intdigest(id_.encode(), seed=seed) for id_ in ids.to_pylist()), np.uint64, len(ids)
    )


class SmallestHashes:
    """The `limit` rows with the smallest hashes of all that were added, each with one value."""

    def __init__(self, limit: int, dtype: type[np.generic]) -> None:
        self._limit = limit
        self._hashes: list[np.ndarray] = [np.empty(0, np.uint64)]
        self._values: list[np.ndarray] = [np.empty(0, dtype)]
        self._held = 0

    def add(self, hashes: np.ndarray, values: np.ndarray) -> None:
        """Offer rows."""
        self._hashes.append(hashes)
        self._values.append(values)
        self._held += len(hashes)
        if self._held > 2 * self._limit + _ROWS_PER_BATCH:
            self.result()

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Hashes and values, by rising hash (then value)."""
        hashes, values = np.concatenate(self._hashes), np.concatenate(self._values)
        order = np.lexsort((values, hashes))[: self._limit]
        self._hashes, self._values, self._held = [hashes[order]], [values[order]], len(order)
        return self._hashes[0], self._values[0]
