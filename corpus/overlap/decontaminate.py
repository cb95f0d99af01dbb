"""Decontamination: word n-grams of evaluations found in documents of runs, reported, and removed if asked.

Steps, each of parts; the first is made before the others, from files of the user's machine:

    evaluations  the n-grams (`corpus.overlap.ngrams`)
    scan         a file of documents → ``scan/NAME.matches.parquet``: every match; and ``….counts.parquet``
    count        all counts → ``count/all.parquet``: in how many documents each n-gram is
    hits         the matches of a file → ``found/NAME.parquet``; to remove, ``outcomes/NAME.parquet`` and the
                 pieces that stay, ``RUN/documents/….parquet`` (`corpus.overlap.hits`)
    lists        to remove: a run → ``RUN/removals.txt``
    report       ``report/report.parquet`` (`corpus.overlap.report`)

Text is read once; to remove, files with matches are read again. What is removed is said as two things that
go together: the ids of all documents with matches, a removal list for the run's recipe (`redecide`), and
beside it what stays of them as new documents. The list alone removes whole documents; with the pieces it
is the rule of GPT-3 (`corpus.overlap.spans`), and no untouched document is written again. A piece is a
document of its own: its id follows from the whole one's and its number, both in its metadata.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.overlap.hits import COUNT, MATCH, write_hits, write_list
from corpus.overlap.index import INDEX, index_of, read_part, read_tables
from corpus.overlap.job import OverlapJob, document_tasks, run_tasks
from corpus.overlap.report import write_report
from corpus.parts import PartWriter
from corpus.stages import Stage, Task


def _scan(job: OverlapJob, task: Task, writer: PartWriter) -> None:
    """Counters: ``in`` (documents), ``matched`` (those with a match), ``matches``, ``bytes_raw``."""
    writer.tally.count("bytes_raw", task.payload.file.bytes)
    index = index_of(job)
    documents: Counter[int] = Counter()
    with writer.parquet(f"scan/{task.name}.matches.parquet", MATCH) as sink:
        for batch in job.read(task.payload, ("id", "text")):
            matches = index.find(batch.column("text"))
            writer.tally.count("in", batch.num_rows)
            writer.tally.count("matches", len(matches.gram))
            writer.tally.count("matched", len(np.unique(matches.document)))
            pairs = {*zip(matches.document.tolist(), matches.gram.tolist(), strict=True)}
            documents.update(gram for _, gram in pairs)
            ids = batch.column("id").take(pa.array(matches.document))
            columns = [ids, *map(pa.array, (matches.gram, matches.start, matches.end))]
            sink.write(pa.RecordBatch.from_arrays(columns, schema=MATCH))
    with writer.parquet(f"scan/{task.name}.counts.parquet", COUNT) as sink:
        counts = sorted(documents.items())
        rows = [{"gram": gram, "documents": n} for gram, n in counts]
        sink.write(pa.RecordBatch.from_pylist(rows, COUNT))


def _count(job: OverlapJob, task: Task, writer: PartWriter) -> None:
    """Counters: ``ngrams`` (found at all)."""
    total = np.zeros(read_tables(job).grams.num_rows, np.int64)
    for part in job.parts("scan"):
        counts = read_part(job.root, part, ".counts.parquet")
        total[counts.column("gram").to_numpy()] += counts.column("documents").to_numpy()
    found = np.flatnonzero(total)
    with writer.parquet("count/all.parquet", COUNT) as sink:
        columns = [pa.array(found, pa.int32()), pa.array(total[found])]
        sink.write(pa.RecordBatch.from_arrays(columns, schema=COUNT))
    writer.tally.count("ngrams", len(found))


def _one_task(job: OverlapJob) -> list[Task]:
    return [Task("all")]


def _index_digest(job: OverlapJob) -> dict[str, Any]:
    return {"evaluations": job.part(INDEX, INDEX).digest}


def _rule(job: OverlapJob) -> dict[str, Any]:
    names = ("max_documents", "remove", "window", "min_piece", "max_pieces")
    return {**_index_digest(job), **{name: getattr(job.decontaminate, name) for name in names}}


def _runs(job: OverlapJob) -> dict[str, Any]:
    return {**_index_digest(job), "runs": [[run.name, run.source] for run in job.runs]}


def stages(job: OverlapJob) -> tuple[Stage, ...]:
    """The stages after the first."""
    found = [
        Stage("scan", document_tasks, _scan, settings=_index_digest),
        Stage("count", _one_task, _count, settings=_index_digest, needs=("scan",)),
        Stage("hits", document_tasks, write_hits, settings=_rule, aligned=("scan",), needs=("count",)),
    ]
    if job.decontaminate.remove:
        found.append(Stage("lists", run_tasks, write_list, settings=_runs, needs=("hits",)))
    return (*found, Stage("report", _one_task, write_report, settings=_runs, needs=("scan", "count")))
