"""Texts of a few documents of a run, found by where they lie.

In: ordinals of parts and rows in them. Out: texts, read a row group at a time.
"""

from __future__ import annotations

from collections.abc import Iterable

from corpus.exchange import open_parquet
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
        with open_parquet(run.root, listed[part].annotated) as parquet:
            if "text" not in parquet.schema_arrow.names:
                continue
            start = 0
            for group in range(parquet.num_row_groups):
                end = start + parquet.metadata.row_group(group).num_rows
                here = sorted(row for row in rows if start <= row < end)
                if here:
                    column = parquet.read_row_group(group, columns=["text"])["text"]
                    found = {row: column[row - start].as_py() for row in here}
                    texts |= {
                        (part, row): (t[:characters], len(t)) for row, t in found.items() if t is not None
                    }
                start = end
    return texts
