"""Records that could not be read, by file and reason.

In: the files of schema `BAD_RECORD` that a run's parts list. Out: groups, the largest first.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow.parquet as pq

from corpus import parts
from corpus.review.runs import OpenedRun
from corpus.review.visible import visible

_GROUPS = 20_000  # pairs of file and reason that are kept apart
_CHARACTERS = 200


@dataclass
class BadGroup:
    """Records of one file that are bad for one reason; the first of them as an example."""

    file: str
    reason: str
    records: int
    offset: int
    message: str
    first_bytes: str


def bad_groups(run: OpenedRun) -> tuple[list[BadGroup], int]:
    """Groups by records, then file and reason; and how many records are in none, their files being too many.

    Raises:
        CorruptPartError: a file is not as its record says.
    """
    found: dict[tuple[str, str], BadGroup] = {}
    others = 0
    for stage in run.stages:
        for part in run.parts(stage):
            for file in part.files:
                if not file.path.startswith("bad/"):
                    continue
                with parts.open_part_file(run.root, file) as f:
                    for batch in pq.ParquetFile(f).iter_batches():
                        for row in batch.to_pylist():
                            others += _add(found, row)
    return sorted(found.values(), key=lambda g: (-g.records, g.file, g.reason)), others


def _add(found: dict[tuple[str, str], BadGroup], row: dict[str, object]) -> int:
    """Count a record; returns 1 where it finds no place."""
    key = (str(row["file"]), str(row["reason"]))
    if key in found:
        found[key].records += 1
        return 0
    if len(found) >= _GROUPS:
        return 1
    raw = bytes(row["first_bytes"])  # type: ignore[call-overload]
    found[key] = BadGroup(
        visible(key[0][-_CHARACTERS:], lines=False),
        visible(key[1], lines=False),
        1,
        int(row["offset"]),  # type: ignore[call-overload]
        visible(str(row["message"])[:_CHARACTERS], lines=False),
        repr(raw)[2:-1],
    )
    return 0
