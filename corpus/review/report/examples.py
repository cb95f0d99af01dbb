"""The documents that a report shows: their texts, and what they were compared with.

In: the rows that `documents.gather` chose. Out: `Example`s by reason. Of a file only the row groups that hold
a chosen row are read, one after the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from corpus import storage
from corpus.build import verdicts
from corpus.parts import PartFile
from corpus.review.report.counting import Chosen
from corpus.review.report.documents import part_name
from corpus.review.report.rules import Comparison, Rules
from corpus.review.runs import OpenedRun, decided_parts
from corpus.review.visible import visible

_CHARACTERS, _LINES = 600, 14  # of a text
_NAME_CHARACTERS = 200


@dataclass(frozen=True)
class Example:
    """A document as it is shown; its strings are safe to show but not escaped.

    Attributes:
        text: its beginning; None where the run does not have it.
        more: characters that it goes on for.
        winner: id of the document that stays in its place; empty where none is known.
    """

    id: str
    key: str
    language: str
    bytes: int
    origin: str
    text: str | None
    more: int
    winner: str
    comparisons: tuple[Comparison, ...]


def read_examples(run: OpenedRun, rules: Rules, chosen: Chosen) -> dict[str | None, list[Example]]:
    """The chosen documents by reason, None for those kept; each in the order of its hash.

    Raises:
        CorruptPartError: the run's files do not belong together.
    """
    wanted: dict[int, dict[int, tuple[int, str | None]]] = defaultdict(dict)
    for reason, places in chosen.by_reason.items():
        for place in places:
            wanted[place.part][place.row] = (place.order, reason)
    winners = _winners(run, wanted)
    found: dict[str | None, list[tuple[int, Example]]] = defaultdict(list)
    parts = decided_parts(run)
    bar = tqdm(sorted(wanted), desc=f"{run.name}: examples", unit="part", disable=None, leave=False)
    for number in bar:
        rows = wanted[number]
        for row, values in _read_rows(run, parts[number].annotated, sorted(rows)):
            order, reason = rows[row]
            example = _example(values, rules, reason, winners.get((number, row), ""))
            found[reason].append((order, example))
    return {reason: [e for _, e in sorted(examples, key=_order)] for reason, examples in found.items()}


def _order(entry: tuple[int, Example]) -> tuple[int, str]:
    return entry[0], entry[1].id


def _read_rows(run: OpenedRun, file: PartFile, rows: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a file, by number. The file was checked when its documents were counted."""
    with storage.open_read(storage.join(run.root, file.path)) as f:
        parquet = pq.ParquetFile(f)
        start, places = 0, np.array(rows)
        for group in range(parquet.num_row_groups):
            size = parquet.metadata.row_group(group).num_rows
            if len(places[(places >= start) & (places < start + size)]):
                at = start
                for batch in parquet.iter_batches(row_groups=[group]):
                    here = places[(places >= at) & (places < at + batch.num_rows)]
                    taken = batch.take(pa.array(here - at))
                    yield from zip(here.tolist(), taken.to_pylist(), strict=True)
                    at += batch.num_rows
            start += size


def _winners(run: OpenedRun, wanted: dict[int, dict[int, Any]]) -> dict[tuple[int, int], str]:
    """Of chosen rows that are copies the document that stays, by number of the part and of the row."""
    files = [f for stage in run.stages for part in run.parts(stage) for f in part.files]
    names = [part_name(part) for part in decided_parts(run)]
    numbers = {int(name.removeprefix("part-")): n for n, name in enumerate(names) if n in wanted}
    found: dict[tuple[int, int], str] = {}
    for file in files:
        if not file.path.endswith(verdicts.ENDING):
            continue
        with storage.open_read(storage.join(run.root, file.path)) as f:
            table = pq.read_table(f, filters=pc.field("split").isin(list(numbers)))
        rows = pa.array(sorted({row for of_part in wanted.values() for row in of_part}), pa.int64())
        for verdict in table.filter(pc.is_in(table.column("row"), value_set=rows)).to_pylist():
            found.setdefault((numbers[verdict["split"]], verdict["row"]), verdict["winner"])
    return found


def _example(row: dict[str, Any], rules: Rules, reason: str | None, winner: str) -> Example:
    text = row["text"] or ""
    begin = "\n".join(text[:_CHARACTERS].split("\n")[:_LINES])
    comparisons = [
        Comparison(c.measure, visible(c.value[:_NAME_CHARACTERS], lines=False), c.limit, c.verdict)
        for c in rules.comparisons(row, reason)
    ]
    return Example(
        id=row["id"],
        key=visible((row["key"] or "")[:_NAME_CHARACTERS], lines=False),
        language=visible((row["language"] or "")[:_NAME_CHARACTERS], lines=False),
        bytes=row["bytes"],
        origin=visible(f"{row['file'][-_NAME_CHARACTERS:]}, {row['offset']:,}", lines=False),
        text=None if row["text"] is None else visible(begin),
        more=len(text) - len(begin),
        winner=winner,
        comparisons=tuple(comparisons),
    )
