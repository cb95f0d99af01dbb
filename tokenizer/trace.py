"""Documents traced to their tokens and shards.

In: finished runs of kinds `tokens` and `shards`. Out: where a document's tokens lie, in which shards its
copies stand, and where. Which shard has a copy follows from the mixture (`corpus.mixture`), so that no shard
is read but those that have one.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus import mixture, storage
from corpus.errors import CorruptPartError, UserError
from corpus.exchange import open_parquet
from corpus.parts import Part, open_part_file
from corpus.review.runs import OpenedRun
from tokenizer import shards
from tokenizer.cache import Open
from tokenizer.mix.job import TRAIN
from tokenizer.reader import Corpus
from tokenizer.tokenized import NAME as TOKENS
from tokenizer.tokenized import source_of


class Tokenized(NamedTuple):
    """A document's row in a run of tokens.

    Attributes:
        part, ordinal: of the tokens: its name, and its number among all.
        row: of the part.
        first: the number, of the part's tokens, of the document's first.
        tokens, bytes: without marks; of the text.
        held_out: whether it is.
        id: of the document.
        file, file_row: of the exported documents, below the document's run.
    """

    part: str
    ordinal: int
    row: int
    first: int
    tokens: int
    bytes: int
    held_out: bool
    id: str
    file: str
    file_row: int


class Copy(NamedTuple):
    """A copy of a document in a shard.

    Attributes:
        set, shard, document: the set of shards, the shard's number, the document's there.
        position: of its first token, a mark of its beginning included, in the shard.
        tokens: marks counted.
        copy, epochs: which copy, of how many epochs of its source in all.
    """

    set: str
    shard: int
    document: int
    position: int
    tokens: int
    copy: int
    epochs: float


def find_tokens(run: OpenedRun, source: str, id_: str) -> Tokenized | None:
    """A document's row in a run of tokens, by its source and id; None where it is not there."""
    for ordinal, part in enumerate(_parts(run)):
        if source_of(part) != source:
            continue
        start = 0
        with open_parquet(run.root, _file(part, ".parquet")) as parquet:
            for group in range(parquet.num_row_groups):
                ids = parquet.read_row_group(group, columns=["id"]).column("id")
                at = pc.index(ids, id_).as_py()
                if at >= 0:
                    return _tokenized(parquet, part, ordinal, start + at)
                start += len(ids)
    return None


def tokenized_row(run: OpenedRun, ordinal: int, row: int) -> Tokenized:
    """A row of a run of tokens, by the part's number and the row.

    Raises:
        CorruptPartError: there is none.
    """
    found = _parts(run)
    if ordinal >= len(found) or row >= _file(found[ordinal], ".parquet").rows:
        raise CorruptPartError(
            f"{run.root} has no row {row} of part {ordinal}, which a shard names: mix again"
        )
    with open_parquet(run.root, _file(found[ordinal], ".parquet")) as parquet:
        return _tokenized(parquet, found[ordinal], ordinal, row)


def find_copies(run: OpenedRun, tokens: OpenedRun, document: Tokenized) -> list[Copy]:
    """The copies of a document in a run of shards, in the order of their positions.

    Raises:
        UserError: the shards were drawn from other tokens.
    """
    check_drawn_from(run, tokens)
    source = document.part.rpartition("-")[0]
    seed, sets = run.manifest["mixture"]["seed"], run.manifest["sets"]
    name = f"held-out/{source}" if document.held_out else TRAIN
    if name not in sets:
        return []
    positions: list[tuple[float, int]] = []
    epochs = 1.0
    if document.held_out:
        positions.append((float(mixture.uniforms([document.id], 0, seed)[0]), 0))
    elif share := run.stats["sources"].get(source):
        whole, limit = int(share["wanted"] // share["unique"]), _limits(run)[source]
        epochs = whole + limit
        for copy in range(whole + 1):
            u = float(mixture.uniforms([document.id], copy, seed)[0])
            if copy < whole or u < limit:
                positions.append(((copy + u) / epochs, copy))
    size = sets[name]["shards"]
    by_shard: dict[int, list[int]] = {}
    for position, copy in sorted(positions):
        by_shard.setdefault(min(int(position * size), size - 1), []).append(copy)
    corpus = Corpus.open(run.root, name, opener(run.root))
    return [
        found
        for shard, copies in by_shard.items()
        for found in _copies(corpus, shard, document, copies, epochs)
    ]


def check_drawn_from(run: OpenedRun, tokens: OpenedRun) -> None:
    """Check that shards were drawn from tokens.

    Raises:
        UserError: they were drawn from others.
    """
    if run.manifest["tokens"] != sha256_of(tokens):
        raise UserError(f"the shards of {run.root} were not drawn from the tokens of {tokens.root}")


def sha256_of(run: OpenedRun) -> str:
    """SHA-256 of a run's manifest, by which later runs name it."""
    return hashlib.sha256(storage.read_bytes(storage.join(run.root, "manifest.json"))).hexdigest()


def _tokenized(parquet: pq.ParquetFile, part: Part, ordinal: int, row: int) -> Tokenized:
    start, first = 0, 0
    for group in range(parquet.num_row_groups):
        counts = parquet.read_row_group(group, columns=["tokens"]).column("tokens")
        if row < start + len(counts):
            first += pc.sum(counts.slice(0, row - start)).as_py() or 0
            found = parquet.read_row_group(group).slice(row - start, 1).to_pylist()[0]
            return Tokenized(
                part.name, ordinal, row, first, found["tokens"], found["bytes"], found["held_out"],
                found["id"], found["file"], found["row"],
            )  # fmt: skip
        first += pc.sum(counts).as_py() or 0
        start += len(counts)
    raise CorruptPartError(f"part {part.name} of tokens has no row {row}")


def _copies(corpus: Corpus, shard: int, document: Tokenized, copies: list[int], epochs: float) -> list[Copy]:
    index, rows = corpus.documents(shard)
    there = np.flatnonzero((rows["part"] == document.ordinal) & (rows["row"] == document.row)).tolist()
    if len(there) != len(copies):
        raise CorruptPartError(
            f"{corpus.path(shard, '.documents.npy')} has {len(there)} copies of document {document.id} "
            f"where the mixture draws {len(copies)}: mix again"
        )
    return [
        Copy(
            corpus.name,
            shard,
            number,
            int(index.offsets[number]) // shards.TOKEN.itemsize,
            int(index.lengths[number]),
            copy,
            epochs,
        )
        for number, copy in zip(there, copies, strict=True)
    ]


def _limits(run: OpenedRun) -> dict[str, float]:
    (part,) = run.parts("epochs")
    with open_part_file(run.root, _file(part, ".json")) as f:
        limits: dict[str, float] = orjson.loads(f.read())
    return limits


def _parts(run: OpenedRun) -> list[Part]:
    """Of a run of tokens, in the order of their numbers."""
    return sorted(run.parts(TOKENS), key=lambda part: part.name)


def _file(part: Part, ending: str) -> Any:
    file = part.file(ending)
    if file is None:
        raise CorruptPartError(
            f"part {part.name} of {part.stage} has no {ending} file: run the command again"
        )
    return file


def opener(root: str) -> Open | None:
    """How `Corpus` reads the files of an address; None: as local ones."""
    if storage.is_local(root):
        return None

    def read(path: str, offset: int, length: int) -> bytes:
        with storage.open_read(path) as f:
            f.seek(offset)
            return f.read(length)

    return read
