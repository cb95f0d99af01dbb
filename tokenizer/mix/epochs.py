"""How much of its last epoch is drawn of each source: four stages, from documents to a limit on their u.

- ``histogram``, a task a part of tokens: tokens by u of the last, partial epoch, in `BINS` bins;
- ``limits``, one task: of each source the bin that holds the limit;
- ``edges``, a task a part: u and tokens of the documents in that bin;
- ``epochs``, one task: the limit itself, so that what is drawn is right to one document.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from corpus import mixture
from corpus.parts import Part, PartWriter
from corpus.stages import Task
from tokenizer import shards
from tokenizer.mix.job import MixJob, documents, read_array, read_json, train_uniforms
from tokenizer.tokenized import source_of

BINS = 1 << 16
_EDGE = np.dtype([("u", "<f8"), ("tokens", "<i8")])


def histogram(job: MixJob, task: Task, writer: PartWriter) -> None:
    """Tokens of a part by u of the last epoch, int64[BINS]."""
    source = source_of(task.payload)
    counts = np.zeros(BINS, np.int64)
    if source in job.shares:
        u, tokens = _last_copies(job, task.payload)
        np.add.at(counts, (u * BINS).astype(np.int64), tokens)
    with writer.file(f"histogram/{task.name}.npy") as f:
        f.write(shards.array_bytes(counts))


def find_bins(job: MixJob, task: Task, writer: PartWriter) -> None:
    """Of each source the bin that holds the limit, and the tokens below it."""
    counts = {source: np.zeros(BINS, np.int64) for source in job.shares}
    for part in job.parts("histogram"):
        if (source := source_of(part)) in counts:
            counts[source] += read_array(job.root, part, np.dtype("<i8"))
    bins = {}
    for source, share in job.shares.items():
        below = np.append(0, np.cumsum(counts[source]))
        number = int(np.searchsorted(below, share.rest)) - 1 if share.rest else -1
        bins[source] = {"bin": number, "below": int(below[number]) if share.rest else 0}
    with writer.file("limits/bins.json") as f:
        f.write(orjson.dumps(bins, option=orjson.OPT_SORT_KEYS))


def edges(job: MixJob, task: Task, writer: PartWriter) -> None:
    """u and tokens of the documents in the bin that holds the limit."""
    source = source_of(task.payload)
    found = np.empty(0, _EDGE)
    if source in job.shares and (number := read_json(job, "limits", "bins.json")[source]["bin"]) >= 0:
        u, tokens = _last_copies(job, task.payload)
        inside = (u * BINS).astype(np.int64) == number
        found = np.empty(int(inside.sum()), _EDGE)
        found["u"], found["tokens"] = u[inside], tokens[inside]
    with writer.file(f"edges/{task.name}.npy") as f:
        f.write(shards.array_bytes(found))


def find_limits(job: MixJob, task: Task, writer: PartWriter) -> None:
    """Of each source the limit on u of its last epoch."""
    bins = read_json(job, "limits", "bins.json")
    all_edges = job.parts("edges")
    limits = {}
    for source, share in sorted(job.shares.items()):
        found = [read_array(job.root, part, _EDGE) for part in all_edges if source_of(part) == source]
        rows = np.concatenate([np.empty(0, _EDGE), *found])
        limits[source] = mixture.limit_of(rows["u"], rows["tokens"], share.rest, bins[source]["below"])
    with writer.file("epochs/limits.json") as f:
        f.write(orjson.dumps(limits, option=orjson.OPT_SORT_KEYS))


def _last_copies(job: MixJob, part: Part) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """u of the last copy, and tokens with marks, of the documents that are not held out."""
    rows = documents(job, part)
    train, u = train_uniforms(job, rows, job.shares[source_of(part)].whole_epochs)
    return u, rows.tokens[train] + job.mark_count
