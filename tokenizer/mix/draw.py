"""Stage `draw`: a part of tokens → the copies that are drawn of its documents, a block a shard."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpus import mixture
from corpus.errors import CorruptPartError
from corpus.manifests import read_manifest
from corpus.parts import Part, PartWriter, open_part_file
from corpus.stages import Task
from tokenizer.draws import DRAW, write_draws
from tokenizer.mix.job import TRAIN, MixJob, ShardSet, documents, read_json, train_uniforms
from tokenizer.shards import TOKEN, Tokens
from tokenizer.tokenized import NAME as TOKENS
from tokenizer.tokenized import source_of


def draw(job: MixJob, task: Task, writer: PartWriter) -> None:
    """The copies that are drawn of a part's documents, by shard.

    Counters: ``drawn`` (copies), ``tokens`` (of them, marks counted), ``documents`` (drawn once or more).
    """
    part: Part = task.payload
    source = source_of(part)
    rows = documents(job, part)
    numbers, copies, positions, shard = [], [], [], []
    by_name = {s.name: s for s in job.sets}
    if source in job.shares:
        limit = read_json(job, "epochs", "limits.json")[source]
        whole = job.shares[source].whole_epochs
        for copy in range(whole + 1):
            train, u = train_uniforms(job, rows, copy)
            chosen = np.ones(len(train), bool) if copy < whole else u < limit
            position = (copy + u[chosen]) / (whole + limit)
            numbers.append(train[chosen])
            copies.append(np.full(int(chosen.sum()), copy))
            positions.append(position)
            shard.append(_shard(position, by_name[TRAIN]))
    if held := by_name.get(f"held-out/{source}"):
        held_out = np.flatnonzero(rows.held_out)
        u = mixture.uniforms([rows.ids[i] for i in held_out], 0, job.settings.seed)
        numbers.append(held_out)
        copies.append(np.zeros(len(u), np.int64))
        positions.append(u)
        shard.append(_shard(u, held))
    document = np.concatenate([np.empty(0, np.int64), *numbers])
    draws = np.empty(len(document), DRAW)
    draws["position"] = np.concatenate([np.empty(0), *positions])
    draws["copy"] = np.concatenate([np.empty(0, np.int64), *copies])
    halves = np.frombuffer(bytes.fromhex("".join(rows.ids)), ">u8").reshape(-1, 2)[document]
    draws["id_high"], draws["id_low"] = halves[:, 0], halves[:, 1]
    draws["source"] = job.sources.index(source)
    draws["tokens"], draws["bytes"] = rows.tokens[document], rows.bytes[document]
    draws["part"] = _ordinals(job)[part.name]
    draws["row"] = document
    starts = np.append(0, np.cumsum(rows.tokens))
    tokens = _tokens(job, part, int(starts[-1]))
    writer.tally.count("drawn", len(document))
    writer.tally.count("tokens", int(rows.tokens[document].sum()) + job.mark_count * len(document))
    writer.tally.count("documents", len(np.unique(document)))
    with writer.file(f"draw/{task.name}.draws") as f:
        write_draws(
            f,
            np.concatenate([np.empty(0, np.int64), *shard]),
            draws,
            lambda i: tokens[starts[i] : starts[i + 1]],
            document,
            sum(s.size for s in job.sets),
        )


def _tokens(job: MixJob, part: Part, count: int) -> Tokens:
    """All tokens of a part; held whole, as they are drawn in the order of shards."""
    file = part.file(".tokens")
    assert file is not None
    with open_part_file(job.tokens, file) as f:
        tokens = np.frombuffer(f.read(), TOKEN)
    if len(tokens) != count:
        raise CorruptPartError(f"{file.path} has {len(tokens):,} tokens where its rows have {count:,}")
    return tokens


def _shard(position: np.ndarray[Any, Any], shard_set: ShardSet) -> np.ndarray[Any, Any]:
    """The shard, among all, of each position in [0, 1)."""
    number = np.minimum((position * shard_set.size).astype(np.int64), shard_set.size - 1)
    result: np.ndarray[Any, Any] = shard_set.first + number
    return result


def _ordinals(job: MixJob) -> dict[str, int]:
    """The number of each part of tokens, by name."""
    found = read_manifest(job.tokens, TOKENS)[1]
    return {part.name: number for number, part in enumerate(sorted(found, key=lambda p: p.name))}
