"""Texts of a few documents of a run, found by where they lie.

In: ordinals of parts and rows in them. Out: texts, read a row group at a time.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow.parquet as pq

from corpus import parts
from corpus.review.runs import OpenedRun, decided_parts

Place = tuple[int, int]  # ordinal of the part, row in it


def read_texts(run: OpenedRun, places: Iterable[Place], characters: int) -> dict[Place, tuple[str, int]]:
    """The first characters of the texts at these places, and their length; without those not kept by the run.

    Raises:
        CorruptPartError: a file is not what its record says.
    """
    wanted: dict[int, set[int]] = {}
    for part, row in places:
        wanted.setdefault(part, set()).add(row)
    listed = decided_parts(run) if wanted else []
    texts: dict[Place, tuple[str, int]] = {}
    for part, rows in sorted(wanted.items()):
        with parts.open_part_file(run.root, listed[part].annotated) as f:
            file, start = pq.ParquetFile(f), 0
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                here = sorted(row for row in rows if start <= row < end)
                if here and "text" in file.schema_arrow.names:
                    column = file.read_row_group(group, columns=["text"])["text"]
                    for row in here:
                        if (text := column[row - start].as_py()) is not None:
                            texts[part, row] = (text[:characters], len(text))
                start = end
    return texts
