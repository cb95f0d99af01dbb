"""What a mixture is drawn from and into: tokens of sources, their shares, and sets of shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from corpus import mixture
from corpus.manifests import read_manifest
from corpus.mixture import Share
from corpus.parts import Part, open_part_file
from corpus.settings.mixture import Mixture
from corpus.stages import Stage, StagedJob, Task
from tokenizer import shards
from tokenizer.tokenized import NAME as TOKENS

TRAIN = "train"


class ShardSet(NamedTuple):
    """Shards that are read together: their name, how many, and the first one's number among all."""

    name: str
    size: int
    first: int

    @property
    def table_part(self) -> str:
        """Name of the part that holds its table."""
        return self.name.replace("/", "-")

    def part_name(self, number: int) -> str:
        """Name of the part that one of its shards is."""
        return f"{self.table_part}-{number:05d}"


@dataclass(frozen=True)
class MixJob(StagedJob):
    """Shards of tokenized sources.

    Attributes:
        tokens: folder or address of a run of stage `tokens`.
        sha256: of its ``manifest.json``.
        sources: all of them, in the order of their numbers.
        settings: the recipe's block.
        shares: what is drawn of each source that has a weight; marks are counted.
        held_out: tokens held out of each source, marks counted.
        marks: ids of the tokenizer's marks of beginning and end.
        pieces: of the tokenizer: ids are below it.
    """

    tokens: str
    sha256: str
    sources: tuple[str, ...]
    settings: Mixture
    shares: Mapping[str, Share]
    held_out: Mapping[str, int]
    marks: tuple[int, int]
    pieces: int

    def stages(self) -> tuple[Stage, ...]:
        """The stages, in their order."""
        from tokenizer.mix.line import stages  # the stages know the job

        return stages()

    def payload_inputs(self, payload: Any) -> tuple[list[Any], list[str]]:
        """Of a part of tokens its digest."""
        return ([payload.digest] if isinstance(payload, Part) else [payload] if payload else []), []

    @property
    def mark_count(self) -> int:
        """Marks that each document gets."""
        return int(self.settings.begin) + int(self.settings.end)

    @cached_property
    def sets(self) -> tuple[ShardSet, ...]:
        """The sets of shards: what is trained on, then what is held out of each source that has any."""
        sizes = {TRAIN: sum(share.wanted for share in self.shares.values())}
        sizes |= {f"held-out/{source}": tokens for source, tokens in self.held_out.items() if tokens}
        found, first = [], 0
        for name, tokens in sizes.items():
            size = -(-tokens // self.settings.shard_tokens)
            found.append(ShardSet(name, size, first))
            first += size
        return tuple(found)


class Rows(NamedTuple):
    """A part's documents: ids, tokens int64[n], bytes int64[n], held out bool[n]."""

    ids: list[str]
    tokens: np.ndarray[Any, Any]
    bytes: np.ndarray[Any, Any]
    held_out: np.ndarray[Any, Any]


def documents(job: MixJob, part: Part) -> Rows:
    """The documents of a part of tokens."""
    file = part.file(".parquet")
    assert file is not None
    with open_part_file(job.tokens, file) as f:
        table = pq.read_table(f, columns=["id", "tokens", "bytes", "held_out"])
    return Rows(
        table.column("id").to_pylist(),
        table.column("tokens").cast(pa.int64()).to_numpy(),
        table.column("bytes").to_numpy(),
        table.column("held_out").to_numpy(),
    )


def train_uniforms(job: MixJob, rows: Rows, copy: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Rows of the documents that are not held out, and u of one copy of each."""
    train = np.flatnonzero(~rows.held_out)
    return train, mixture.uniforms([rows.ids[i] for i in train], copy, job.settings.seed)


def part_tasks(job: MixJob) -> list[Task]:
    """A task a part of tokens, the largest first."""
    found = read_manifest(job.tokens, TOKENS)[1]
    return [Task(p.name, p) for p in sorted(found, key=lambda p: (-p.counters.get("tokens", 0), p.name))]


def one_task(job: MixJob) -> list[Task]:
    """One task for all."""
    return [Task("all")]


def read_json(job: MixJob, stage: str, name: str) -> Any:
    """What the one task of a stage found."""
    (part,) = job.parts(stage)
    file = part.file(name)
    assert file is not None
    with open_part_file(job.root, file) as f:
        return orjson.loads(f.read())


def read_array(root: str, part: Part, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """The array that a part holds."""
    file = part.file(".npy")
    assert file is not None
    with open_part_file(root, file) as f:
        return shards.parse_array(f.read(), dtype, file.path)
