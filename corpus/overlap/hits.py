"""Steps `hits` and `lists` of a decontamination: each match by its evaluation, and what is removed for it.

In: the parts of `scan` and `count` (`corpus.overlap.decontaminate`), and, to remove, the files of documents
that have matches. Out: tables `HIT` and `OUTCOME`, `PIECE`s, removal lists.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from corpus.overlap.index import read_part, read_tables
from corpus.overlap.job import Documents, OverlapJob, document_tasks
from corpus.overlap.ngrams import Tables
from corpus.overlap.spans import remains
from corpus.parts import PartWriter
from corpus.schema import DOCUMENT, document_id
from corpus.stages import Task

FOUND, _OUTCOMES = "found", "outcomes"  # folders
MATCH = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("gram", pa.int32(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
    ]
)
COUNT = pa.schema(
    [pa.field("gram", pa.int32(), nullable=False), pa.field("documents", pa.int64(), nullable=False)]
)
HIT = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # of the document
        pa.field("source", pa.string(), nullable=False),
        pa.field("evaluation", pa.string(), nullable=False),
        pa.field("item", pa.int64(), nullable=False),  # first of this evaluation with the n-gram, from 0
        pa.field("field", pa.string(), nullable=False),  # of that item
        pa.field("items", pa.int64(), nullable=False),  # of this evaluation with the n-gram
        pa.field("ngram", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),  # in the document's text, code points
        pa.field("end", pa.int64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),  # of all runs that have the n-gram
        pa.field("spared", pa.bool_(), nullable=False),  # too common for anything to be removed for it
    ]
)
OUTCOME = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),  # `corpus.overlap.spans.Outcome`
        pa.field("characters", pa.int64(), nullable=False),
        pa.field("kept_characters", pa.int64(), nullable=False),
        pa.field("pieces", pa.int64(), nullable=False),
    ]
)
PIECE = DOCUMENT.append(pa.field("held_out", pa.bool_(), nullable=False))


def write_hits(job: OverlapJob, task: Task, writer: PartWriter) -> None:
    """Counters: ``matches``, ``hits`` (rows), ``spared`` (matches); to remove, ``removed``, by outcome."""
    matches = read_part(job.root, job.part("scan", task.name), ".matches.parquet")
    writer.tally.count("matches", matches.num_rows)
    if not matches.num_rows:
        return
    counts = read_part(job.root, job.part("count", "all"), "all.parquet")
    documents = np.zeros(pc.max(counts.column("gram")).as_py() + 1, np.int64)
    documents[counts.column("gram").to_numpy()] = counts.column("documents").to_numpy()
    limit = job.decontaminate.max_documents
    common = documents[matches.column("gram").to_numpy()]
    spared = common > limit if limit else np.zeros(len(common), bool)
    writer.tally.count("spared", int(spared.sum()))
    matches = matches.append_column("documents", pa.array(common)).append_column("spared", pa.array(spared))
    hits = _with_places(matches, read_tables(job), job.runs[task.payload.run].source)
    with writer.parquet(f"{FOUND}/{task.name}.parquet", HIT) as sink:
        for batch in hits.to_batches(65_536):
            sink.write(batch)
    writer.tally.count("hits", hits.num_rows)
    if job.decontaminate.remove:
        _remove(job, task.name, task.payload, matches.filter(pa.array(~spared)), writer)


def _with_places(matches: pa.Table, tables: Tables, source: str) -> pa.Table:
    """Matches as rows of `HIT`, one an evaluation, in the order of matches and evaluations."""
    grams = pc.unique(matches.column("gram"))
    places = tables.places.filter(pc.is_in(tables.places.column("gram"), grams))
    # Places are sorted, so the first of a group is the first item.
    first = places.group_by(["gram", "evaluation"], use_threads=False).aggregate(
        [("item", "first"), ("field", "first"), ("item", "count_distinct")]
    )
    names = tables.evaluations.column("evaluation")
    numbered = matches.append_column("match", pa.array(np.arange(matches.num_rows)))
    joined = numbered.join(first, "gram", join_type="inner", use_threads=False)
    joined = joined.sort_by([("match", "ascending"), ("evaluation", "ascending")])
    columns = {
        "id": joined.column("id"),
        "source": pa.array([source] * joined.num_rows, pa.string()),
        "evaluation": names.take(joined.column("evaluation")),
        "item": joined.column("item_first"),
        "field": joined.column("field_first"),
        "items": joined.column("item_count_distinct"),
        "ngram": tables.grams.column("text").take(joined.column("gram")),
        **{name: joined.column(name) for name in ("start", "end", "documents", "spared")},
    }
    return pa.table([columns[name].cast(HIT.field(name).type) for name in HIT.names], schema=HIT)


def _remove(job: OverlapJob, name: str, documents: Documents, matches: pa.Table, writer: PartWriter) -> None:
    """Write what becomes of the documents with matches, and the pieces that stay."""
    spans: dict[str, list[tuple[int, int]]] = {}
    columns = (matches.column(c).to_pylist() for c in ("id", "start", "end"))
    for id_, start, end in zip(*columns, strict=True):
        spans.setdefault(id_, []).append((start, end))
    if not spans:
        return
    folder = f"{job.runs[documents.run].name}/"
    with (
        writer.parquet(f"{_OUTCOMES}/{name}.parquet", OUTCOME) as outcomes,
        writer.parquet(folder + documents.file.path, PIECE) as pieces,
    ):
        for batch in job.read(documents, PIECE.names):
            affected = batch.filter(pc.is_in(batch.column("id"), pa.array(list(spans))))
            for row in affected.to_pylist():
                outcome, kept = _cut(job, row, spans[row["id"]])
                outcomes.write(pa.RecordBatch.from_pylist([outcome], OUTCOME))
                pieces.write(pa.RecordBatch.from_pylist(kept, PIECE))
                writer.tally.by_reason("removed", outcome["outcome"])
                writer.tally.count("pieces", len(kept))


def _cut(
    job: OverlapJob, row: dict[str, Any], spans: list[tuple[int, int]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What becomes of one document: a row of `OUTCOME`, and rows of `PIECE`."""
    rule = job.decontaminate
    text = row["text"]
    left = remains(len(text), spans, rule.window, rule.min_piece, rule.max_pieces)
    kept = []
    for number, (start, end) in enumerate(left.pieces):
        origin = {"piece_of": row["id"], "piece": number, "start": start}
        metadata = orjson.loads(row["metadata"]) if row["metadata"] else {}
        part = text[start:end]
        kept.append(
            {
                **row,
                "id": document_id(row["source"], row["id"], number),
                "text": part,
                "bytes": len(part.encode()),
                "metadata": orjson.dumps(metadata | origin, option=orjson.OPT_SORT_KEYS).decode(),
            }
        )
    outcome = {
        "id": row["id"],
        "outcome": left.outcome,
        "characters": len(text),
        "kept_characters": sum(end - start for start, end in left.pieces),
        "pieces": len(kept),
    }
    return outcome, kept


def write_list(job: OverlapJob, task: Task, writer: PartWriter) -> None:
    """Counters: ``out``. Held in memory: the ids of a run's removed documents."""
    number = [run.name for run in job.runs].index(task.name)
    ids: list[str] = []
    for document_task in document_tasks(job):
        part = job.part("hits", document_task.name)
        outcomes = f"{_OUTCOMES}/{document_task.name}.parquet"
        if document_task.payload.run == number and part.file(outcomes):
            ids += read_part(job.root, part, outcomes).column("id").to_pylist()
    with writer.file(f"{task.name}/removals.txt", rows=lambda: len(ids)) as f:
        f.write("".join(f"{id_}\n" for id_ in sorted(ids)).encode())
    writer.tally.count("out", len(ids))
