"""Kept documents: annotated rows whose decision is to keep them → files of documents.

In: annotated and decision files, aligned row by row. Out: Parquet in folders that the rows name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.errors import CorruptPartError
from corpus.parquet_sink import ParquetSink
from corpus.parts import PartFile, PartWriter, open_part_file

_BATCH_ROWS = 4_096


def kept_rows(
    root: str, annotated: PartFile, decided: PartFile, leave_out: tuple[str, ...] = ()
) -> Iterator[pa.RecordBatch]:
    """Kept rows with their bucket and held-out mark.

    Args:
        leave_out: columns that are not passed on.

    Raises:
        CorruptPartError: a file is not as written, or the two do not belong together.
    """
    with open_part_file(root, annotated) as a, open_part_file(root, decided) as d:
        documents, decisions = pq.ParquetFile(a), pq.ParquetFile(d)
        if documents.metadata.num_rows != decisions.metadata.num_rows:
            raise CorruptPartError(f"{annotated.path} and {decided.path} differ in rows: decide again")
        verdicts = decisions.read(columns=["id", "kept", "bucket", "held_out"]).combine_chunks()
        names = [n for n in documents.schema_arrow.names if n not in leave_out]
        start = 0
        for batch in documents.iter_batches(batch_size=_BATCH_ROWS, columns=names):
            verdict = verdicts.slice(start, batch.num_rows).combine_chunks().to_batches()
            start += batch.num_rows
            rows = verdict[0]
            if not rows.column("id").equals(batch.column("id")):
                raise CorruptPartError(f"{decided.path} is not aligned: decide again")
            joined = batch.append_column("bucket", rows.column("bucket"))
            joined = joined.append_column("held_out", rows.column("held_out"))
            kept = joined.filter(rows.column("kept"))
            if kept.num_rows:
                yield kept


class DocumentFiles:
    """Files of kept documents, one a folder that the rows' columns name; a context manager.

    Counters: ``in`` (rows to be written), ``out`` (rows written), ``bytes`` (UTF-8 of their text).
    """

    def __init__(self, writer: PartWriter, folder: str, by: tuple[str, ...], file_name: str) -> None:
        self._writer = writer
        self._folder = folder
        self._by = by
        self._file_name = file_name
        self._stack = contextlib.ExitStack()
        self._sinks: dict[str, ParquetSink] = {}

    def __enter__(self) -> Self:
        self._stack.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write rows, each to the file of its folder: the values of `by`, those that are null left out.

        Raises:
            CorruptPartError: a kept row has no text.
        """
        columns = [batch.column(name).to_pylist() for name in self._by]
        folders = ["/".join(filter(None, values)) for values in zip(*columns, strict=True)]
        for below in sorted(set(folders)):
            if below not in self._sinks:
                path = "/".join(filter(None, (self._folder, below, self._file_name)))
                self._sinks[below] = self._stack.enter_context(self._writer.parquet(path, batch.schema))
            rows = batch.filter(pa.array(np.array([f == below for f in folders], bool)))
            if rows.column("text").null_count:
                bad = rows.filter(pc.is_null(rows.column("text"))).column("id")[0]
                raise CorruptPartError(
                    f"kept document {bad} has no text: it was annotated under a recipe that would not have "
                    "kept it; run the command with this recipe into another --output"
                )
            tally = self._writer.tally
            tally.count("in", rows.num_rows)
            self._sinks[below].write(rows)
            tally.count("out", rows.num_rows)
            tally.count("bytes", pc.sum(rows.column("bytes")).as_py())
