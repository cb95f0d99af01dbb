"""Stage `report` of a decontamination: what was found, by evaluation, field of its items, and run.

Out: ``report/report.parquet``, schema `REPORT`, sorted. A match in a field that is only the question says
less than one in its answer (huggingface/datatrove, src/datatrove/pipeline/decont/n_grams.py, counts none in
the question alone), so fields have rows of their own.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.overlap.evaluations import base_field
from corpus.overlap.index import read_part, read_tables
from corpus.overlap.job import OverlapJob, document_tasks
from corpus.overlap.ngrams import Tables
from corpus.parts import PartWriter
from corpus.stages import Task

ALL_FIELDS = ""
REPORT = pa.schema(
    [
        pa.field("evaluation", pa.string(), nullable=False),
        pa.field("field", pa.string(), nullable=False),  # without places in lists; "": all fields together
        pa.field("run", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),  # of the evaluation that have an n-gram in the run
        pa.field("ngrams", pa.int64(), nullable=False),  # distinct
        pa.field("documents", pa.int64(), nullable=False),  # of the run that have one of them
    ]
)


def write_report(job: OverlapJob, task: Task, writer: PartWriter) -> None:
    """Counters: ``out`` (rows). Held in memory: the evaluations' n-grams, the matches of a file."""
    tables = read_tables(job)
    owners = _owners(tables)
    found = [np.zeros(tables.grams.num_rows, bool) for _ in job.runs]
    documents: Counter[tuple[int, int, str]] = Counter()  # run, evaluation, field
    for document_task in document_tasks(job):
        number = document_task.payload.run
        matches = read_part(job.root, job.part("scan", document_task.name), ".matches.parquet")
        found[number][matches.column("gram").to_numpy()] = True
        for evaluation, field, n in _documents(matches, owners):
            documents[number, evaluation, field] += n
    rows = []
    names = tables.evaluations.column("evaluation").to_pylist()
    for number, run in enumerate(job.runs):
        for evaluation, field, items, ngrams in _items(owners, found[number]):
            row = [names[evaluation], field, run.name, run.source, items, ngrams]
            rows.append(dict(zip(REPORT.names, [*row, documents[number, evaluation, field]], strict=True)))
    rows.sort(key=lambda row: (row["evaluation"], row["field"], row["run"]))
    with writer.parquet("report/report.parquet", REPORT) as sink:
        sink.write(pa.RecordBatch.from_pylist(rows, REPORT))
    writer.tally.count("out", len(rows))


def _owners(tables: Tables) -> pa.Table:
    """Of each n-gram the evaluations, fields and items that have it; each also under `ALL_FIELDS`."""
    places = tables.places
    fields = pc.unique(places.column("field"))
    bases = pa.array([base_field(field) for field in fields.to_pylist()], pa.string())
    by_field = places.set_column(
        3, "field", bases.take(pc.index_in(places.column("field"), fields))
    ).combine_chunks()
    all_fields = places.set_column(3, "field", pa.array([ALL_FIELDS] * places.num_rows, pa.string()))
    return pa.concat_tables([by_field.cast(places.schema), all_fields.cast(places.schema)])


def _documents(matches: pa.Table, owners: pa.Table) -> list[tuple[int, str, int]]:
    """Evaluation, field, and the documents that have one of its n-grams."""
    pairs = matches.group_by(["id", "gram"], use_threads=False).aggregate([])
    wanted = owners.filter(pc.is_in(owners.column("gram"), pc.unique(pairs.column("gram"))))
    wanted = wanted.group_by(["gram", "evaluation", "field"], use_threads=False).aggregate([])
    counts = (
        pairs.join(wanted, "gram", join_type="inner", use_threads=False)
        .group_by(["evaluation", "field"], use_threads=False)
        .aggregate([("id", "count_distinct")])
    )
    return [(r["evaluation"], r["field"], r["id_count_distinct"]) for r in counts.to_pylist()]


def _items(owners: pa.Table, found: np.ndarray) -> list[tuple[int, str, int, int]]:  # type: ignore[type-arg]
    """Evaluation, field, and its items and n-grams that were found."""
    hit = owners.filter(pa.array(found[owners.column("gram").to_numpy()]))
    counts = hit.group_by(["evaluation", "field"], use_threads=False).aggregate(
        [("item", "count_distinct"), ("gram", "count_distinct")]
    )
    return [
        (r["evaluation"], r["field"], r["item_count_distinct"], r["gram_count_distinct"])
        for r in counts.to_pylist()
    ]
