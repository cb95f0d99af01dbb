"""Stages `shards` and `tables`: blocks of all parts → the files of a shard; the table of a set of shards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from corpus import storage
from corpus.parts import PartWriter
from corpus.stages import Task
from tokenizer import shards
from tokenizer.draws import DRAW, Draws, read_draws
from tokenizer.mix.job import MixJob, ShardSet
from tokenizer.shards import DOCUMENT, SHARD, TOKEN, Tokens

_FILES_AT_ONCE = 16


def set_tasks(job: MixJob) -> list[Task]:
    """A task a set of shards."""
    return [Task(s.table_part, list(s)) for s in job.sets]


def shard_tasks(job: MixJob) -> list[Task]:
    """A task a shard."""
    return [
        Task(s.part_name(number), [s.name, number, s.first + number])
        for s in job.sets
        for number in range(s.size)
    ]


def write_shard(job: MixJob, task: Task, writer: PartWriter) -> None:
    """One shard's files.

    Counters: ``documents``, ``tokens``, and each by source.
    """
    name, number, overall = task.payload
    files = [file for part in job.parts("draw") for file in part.files]
    draws, joined, at = _blocks([(storage.join(job.root, f.path), f.bytes) for f in files], overall)
    order = np.lexsort((draws["copy"], draws["id_low"], draws["id_high"], draws["position"]))
    draws, at = draws[order], at[order]

    begin = [job.marks[0]] if job.settings.begin else []
    end = [job.marks[1]] if job.settings.end else []
    lengths = draws["tokens"].astype(np.int64) + job.mark_count
    stream = _stream(joined, at, draws["tokens"].astype(np.int64), lengths, begin, end)
    base = f"{name}/shard-{number:05d}"
    with writer.file(f"{base}.bin") as f:
        f.write(stream.data)
    with writer.file(f"{base}.idx") as f:
        f.write(shards.index_bytes(lengths))
    documents = np.empty(len(draws), DOCUMENT)
    for field in ("source", "bytes", "part", "row"):
        documents[field] = draws[field]
    with writer.file(f"{base}.documents.npy") as f:
        f.write(shards.array_bytes(documents))
    writer.tally.count("documents", len(draws))
    writer.tally.count("tokens", len(stream))
    for i, source in enumerate(job.sources):
        of_source = draws["source"] == i
        writer.tally.count(f"documents/{source}", int(of_source.sum()))
        writer.tally.count(f"tokens/{source}", int(lengths[of_source].sum()))
        writer.tally.count(f"bytes/{source}", int(draws["bytes"][of_source].sum()))


def write_table(job: MixJob, task: Task, writer: PartWriter) -> None:
    """The table of a set of shards."""
    shard_set = ShardSet(*task.payload)
    rows = np.empty(shard_set.size, SHARD)
    by_name = {part.name: part for part in job.parts("shards")}
    for number in range(shard_set.size):
        part = by_name[shard_set.part_name(number)]
        file = part.file(".bin")
        assert file is not None
        digest = np.frombuffer(bytes.fromhex(file.sha256), np.uint8)
        rows[number] = (part.counters.get("tokens", 0), part.counters.get("documents", 0), digest)
    with writer.file(f"{shard_set.name}/shards.npy") as f:
        f.write(shards.array_bytes(rows))


def _blocks(files: list[tuple[str, int]], shard: int) -> tuple[Draws, Tokens, np.ndarray[Any, Any]]:
    """A shard's draws of all files (path, bytes), their tokens, and where those of each draw begin."""
    draws, tokens, at = [np.empty(0, DRAW)], [np.empty(0, TOKEN)], [np.empty(0, np.int64)]
    size = 0
    # A store answers in tens of milliseconds, whatever else it is asked meanwhile.
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        found = list(pool.map(lambda file: read_draws(file[0], file[1], shard), files))
    for rows, some in found:
        ends = size + np.cumsum(rows["tokens"].astype(np.int64))
        draws.append(rows)
        tokens.append(some)
        at.append(ends - rows["tokens"])
        size += len(some)
    return np.concatenate(draws), np.concatenate(tokens), np.concatenate(at)


def _stream(
    joined: Tokens,
    at: np.ndarray[Any, Any],
    sizes: np.ndarray[Any, Any],
    lengths: np.ndarray[Any, Any],
    begin: list[int],
    end: list[int],
) -> Tokens:
    """The tokens of documents that lie `at` places of `joined`, one after the other, with their marks."""
    out = np.empty(int(lengths.sum()), TOKEN)
    w = 0
    for place, size in zip(at.tolist(), sizes.tolist(), strict=True):
        out[w : w + len(begin)] = begin
        w += len(begin)
        out[w : w + size] = joined[place : place + size]
        w += size
        out[w : w + len(end)] = end
        w += len(end)
    return out
