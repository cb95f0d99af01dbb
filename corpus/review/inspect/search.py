"""Documents of a decided run, looked for: decisions first, then the columns asked for, text last.

In: a run, a `Query`. Out: `Match`es, part by part and row by row; of these the first, or some at random;
their rows. Of a part only the columns that are needed are read, and only row groups that may hold a match;
memory is a row group. Files are checked by their size, not hashed: that would read them whole.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from corpus.errors import CorruptPartError, UserError
from corpus.exchange import open_parquet
from corpus.kernels.arrays import Positions
from corpus.parts import PartFile
from corpus.review.inspect.query import Query
from corpus.review.runs import DecidedPart, OpenedRun, decided_parts

_BATCH_ROWS = 65_536
_TEXT_ROWS = 4_096
_SHOWN_IDS = 8
DECISIONS = ("id", "kept", "reason", "language", "bucket")
# Passes things on, and tells a person who waits how far it is.
Watch = Callable[[Sequence[Any], str], Iterable[Any]]


class NotFoundError(Exception):
    """What was looked for is not there; the message says where it was looked for."""


class Match(NamedTuple):
    """A document found: its run, the files it lies in, its row there, its id."""

    run: OpenedRun
    part: DecidedPart
    row: int
    id: str


def unwatched(things: Sequence[Any], what: str) -> Iterable[Any]:
    """Passes things on, and tells nobody."""
    return things


def fitting(runs: Sequence[OpenedRun], query: Query, columns: Sequence[str]) -> list[OpenedRun]:
    """The runs in which a query can find something: those that have its columns, and give its reason.

    Raises:
        UserError: there are none; or none has one of the `columns` that are to be shown.
    """
    problems, found, known = [], [], set()
    for run in runs:
        schema = _schema(run)
        known.update(schema.names)
        problem = query.unfit(schema) or _unknown_rule(run, query.rule)
        if problem:
            problems.append(f"{run.root}: {problem}")
        else:
            found.append(run)
    if not found:
        raise UserError("; ".join(problems))
    if missing := [name for name in columns if name not in known]:
        raise UserError(f"--columns {', '.join(missing)}: there are {', '.join(sorted(known))}")
    return found


def matches(run: OpenedRun, query: Query, watch: Watch = unwatched) -> Iterator[Match]:
    """All documents that fulfil a query, in the order of parts and rows.

    Raises:
        UserError: the run decides about no documents.
        CorruptPartError: a file is not what its record says.
    """
    for part in watch(decided_parts(run), f"{run.name}: searched"):
        rows, ids = _decided(run, part, query)
        if len(rows) and query.columns():
            rows, ids = _filtered(run, part.annotated, rows, ids, query.columns(), query.measured)
        if len(rows) and query.text:
            rows, ids = _filtered(
                run, part.annotated, rows, ids, ["text"], lambda batch: query.told(batch.column("text"))
            )
        for row, id_ in zip(rows.tolist(), ids, strict=True):
            yield Match(run, part, row, id_)


def first(found: Iterator[Match], limit: int) -> tuple[list[Match], bool]:
    """The first matches, and whether there are more."""
    chosen = list(itertools.islice(found, limit + 1))
    return chosen[:limit], len(chosen) > limit


def sampled(found: Iterable[Match], limit: int) -> tuple[list[Match], bool]:
    """Some matches at random, the same each time: those with the smallest hash of their id."""
    count = 0

    def counted() -> Iterator[tuple[int, str, int, Match]]:
        nonlocal count
        for count, match in enumerate(found, 1):
            yield xxhash.xxh3_64_intdigest(match.id.encode()), match.id, count, match

    chosen = [match for *_, match in heapq.nsmallest(limit, counted())]
    return chosen, count > limit


def find(runs: Sequence[OpenedRun], query: Query, watch: Watch = unwatched) -> list[Match]:
    """The rows of one document, by a query that names its id; those that are kept first.

    A repeated row of a source has the id of the first, and so has one of another run of the same input.

    Raises:
        NotFoundError: there is none.
        UserError: several documents have ids that begin so.
    """
    found = [match for run in runs for match in matches(run, query, watch)]
    ids = sorted({match.id for match in found})
    if not ids:
        raise NotFoundError(not_found(runs, query))
    if len(ids) > 1:
        shown = ", ".join(ids[:_SHOWN_IDS]) + (" …" if len(ids) > _SHOWN_IDS else "")
        raise UserError(
            f"{len(ids):,} documents have ids that begin with {query.id}: {shown}; give more digits"
        )
    return sorted(found, key=lambda match: not decision_of(match)["kept"])


def rows_of(found: Sequence[Match], columns: Sequence[str] | None) -> list[dict[str, Any]]:
    """The rows of matches with their decision, in their order; columns that a run does not have are left out.

    Args:
        found: of any runs.
        columns: of the annotated rows; None: all.
    """
    by_part: dict[tuple[str, str], list[int]] = {}
    for i, match in enumerate(found):
        by_part.setdefault((match.run.root, match.part.annotated.path), []).append(i)
    rows: list[dict[str, Any]] = [{} for _ in found]
    for members in by_part.values():
        run, part = found[members[0]].run, found[members[0]].part
        wanted = np.array([found[i].row for i in members], np.int64)
        for file, names in ((part.annotated, columns), (part.decisions, None)):
            for i, row in zip(members, _take(run, file, wanted, names), strict=True):
                if row["id"] != found[i].id:
                    raise CorruptPartError(f"{run.root}/{file.path} is not aligned: run its command again")
                rows[i] |= row
    return rows


def decision_of(match: Match) -> dict[str, Any]:
    """What was decided of a document: a row of `DECISION`."""
    (row,) = _take(match.run, match.part.decisions, np.array([match.row]), None)
    return row


def _schema(run: OpenedRun) -> pa.Schema:
    """The columns of a run's annotated rows."""
    for part in decided_parts(run)[:1]:
        with open_parquet(run.root, part.annotated) as parquet:
            return parquet.schema_arrow
    return pa.schema([])


def _unknown_rule(run: OpenedRun, rule: str) -> str:
    """What is wrong with a reason that was never given; empty where it was."""
    reasons = [name.split("/", 1)[1] for name in run.counters if name.startswith("rejected/")]
    if not rule or rule in reasons:
        return ""
    there = f"there are {', '.join(reasons)}" if reasons else "nothing was rejected there"
    return f"--rule {rule}: no document was rejected for that; {there}"


def _decided(run: OpenedRun, part: DecidedPart, query: Query) -> tuple[Positions, list[str]]:
    """Rows of a part whose decision fulfils a query, and their ids."""
    rows, ids = [np.empty(0, np.int64)], []
    start = 0
    with open_parquet(run.root, part.decisions) as parquet:
        if parquet.metadata.num_rows != part.annotated.rows:
            raise CorruptPartError(
                f"{run.root}/{part.decisions.path} has not as many rows as {part.annotated.path}"
            )
        for batch in parquet.iter_batches(_BATCH_ROWS, columns=list(DECISIONS)):
            chosen = np.flatnonzero(query.decided(batch))
            rows.append(start + chosen)
            ids += batch.column("id").take(pa.array(chosen)).to_pylist()
            start += batch.num_rows
    return np.concatenate(rows), ids


def _filtered(
    run: OpenedRun,
    file: PartFile,
    rows: Positions,
    ids: list[str],
    columns: list[str],
    fulfil: Callable[[pa.RecordBatch], np.ndarray[Any, Any]],
) -> tuple[Positions, list[str]]:
    """Those of some rows, and their ids, that fulfil a condition on columns."""
    kept = np.zeros(len(rows), bool)
    with open_parquet(run.root, file) as parquet:
        for at, batch in _batches(parquet, rows, columns):
            kept[at : at + batch.num_rows] = fulfil(batch)
    return rows[kept], [id_ for id_, stays in zip(ids, kept.tolist(), strict=True) if stays]


def _take(
    run: OpenedRun, file: PartFile, wanted: Positions, columns: Sequence[str] | None
) -> list[dict[str, Any]]:
    """Rows of a file by their numbers, in any order."""
    order = np.argsort(wanted, kind="stable")
    found: list[dict[str, Any]] = [{} for _ in wanted]
    with open_parquet(run.root, file) as parquet:
        names = parquet.schema_arrow.names
        chosen = names if columns is None else ["id", *(n for n in columns if n in names and n != "id")]
        for at, batch in _batches(parquet, wanted[order], chosen):
            for i, row in enumerate(batch.to_pylist(), at):
                found[order[i]] = row
    return found


def _batches(
    parquet: pq.ParquetFile, rows: Positions, columns: list[str]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Ascending rows of a file, as batches, each with its place among them; other row groups are not read."""
    start = 0
    for group in range(parquet.num_row_groups):
        end = start + parquet.metadata.row_group(group).num_rows
        if np.searchsorted(rows, start) < np.searchsorted(rows, end):
            for batch in parquet.iter_batches(_TEXT_ROWS, row_groups=[group], columns=columns):
                low, high = np.searchsorted(rows, [start, start + batch.num_rows]).tolist()
                if low < high:
                    yield low, batch.take(pa.array(rows[low:high] - start))
                start += batch.num_rows
        start = end


def not_found(runs: Sequence[OpenedRun], query: Query) -> str:
    """What to say where nothing fulfils a query."""
    by_id = f" with an id that begins with {query.id}" if query.id else ""
    more = " fulfils all that was asked for" if query != Query(id=query.id) else ""
    roots = ", ".join(run.root for run in runs)
    message = f"no document{by_id}{more} in {roots}"
    left_out = sum(run.stats.get("stages", {}).get("annotate", {}).get("rejected", 0) for run in runs)
    if left_out:
        message += (
            f'; {left_out:,} pages that no threshold can bring back were left out (export.rejected = "none")'
        )
    return message
