"""Tokens of shards traced back to the documents that they are of.

In: a finished run of kind `shards`, and the runs that it came from. Out: of a place in a shard, or a sample
of the reader, the token, those around it, and the row of the tokens that it was drawn from; the runs before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from corpus import storage
from corpus.errors import UserError
from corpus.parts import Part
from corpus.review.runs import OpenedRun, open_run
from tokenizer import shards
from tokenizer.reader import MODEL, Corpus, Reader
from tokenizer.tokenized import NAME as TOKENS
from tokenizer.trace import opener, sha256_of

_AROUND = 24  # tokens shown on either side


class Token(NamedTuple):
    """A token of a shard.

    Attributes:
        id, piece: of the token; a mark is no piece of text.
        before, after: the text around it, of the same document.
        of: its number in the document, a mark of the beginning counted.
        source: of the document.
        document: its number in the shard; `first` its first position, `tokens` how many it has.
        part, row: of the tokens that the shard was drawn from.
    """

    id: int
    piece: str
    before: str
    after: str
    of: int
    source: str
    document: int
    first: int
    tokens: int
    part: int
    row: int


def token_at(run: OpenedRun, name: str, shard: int, position: int) -> Token:
    """The token at a position of a shard of a set.

    Raises:
        UserError: there is no such shard or position.
        ShardError: a file of the shards is not as it was written.
    """
    corpus = Corpus.open(run.root, name, opener(run.root))
    if not 0 <= shard < len(corpus.table):
        raise UserError(f"--shard {shard}: {run.root}, set {name}, has shards 0 to {len(corpus.table) - 1}")
    count = int(corpus.table["tokens"][shard])
    if not 0 <= position < count:
        raise UserError(f"--position {position}: shard {shard} of {name} has positions 0 to {count - 1:,}")
    index, documents = corpus.documents(shard)
    # Of documents without a token, which begin at the same place, it is of the last.
    number = int(np.searchsorted(index.offsets, position * shards.TOKEN.itemsize, side="right")) - 1
    first = int(index.offsets[number]) // shards.TOKEN.itemsize
    length = int(index.lengths[number])
    low, high = max(first, position - _AROUND), min(first + length, position + _AROUND + 1)
    ids = _read_tokens(corpus, shard, low, high)
    model = _model(run)
    at = position - low
    row = documents[number]
    return Token(
        id=ids[at],
        piece=model.id_to_piece(ids[at]),
        before=model.decode(ids[:at]),
        after=model.decode(ids[at + 1 :]),
        of=position - first,
        source=run.manifest["sources"][int(row["source"])],
        document=number,
        first=first,
        tokens=length,
        part=int(row["part"]),
        row=int(row["row"]),
    )


def place_of_sample(run: OpenedRun, name: str, sample: int, length: int, seed: int) -> tuple[int, int]:
    """Shard and position of the first token of a sample of the reader.

    Raises:
        UserError: there is no such sample.
    """
    reader = Reader([Corpus.open(run.root, name, opener(run.root))], length, seed)
    try:
        place = reader.place(sample)
    except IndexError as error:
        raise UserError(f"--sample {sample}: of sequences of {length} tokens {error}") from error
    return place.shard, place.offset


def tokens_run(run: OpenedRun, given: Sequence[OpenedRun]) -> OpenedRun:
    """The run of tokens that shards were drawn from: of those given, else where it lay then.

    Raises:
        UserError: it is not among them, and not there any more.
    """
    for other in given:
        if other.kind == TOKENS and sha256_of(other) == run.manifest["tokens"]:
            return other
    root = run.json("inputs.json")["tokens"]
    return _same(root, run.manifest["tokens"], f"the tokens that {run.root} was drawn from")


def documents_run(tokens: OpenedRun, source: str, given: Sequence[OpenedRun], file: str) -> list[OpenedRun]:
    """The runs of a source that were tokenized and hold a file: of those given, else where they lay then.

    Raises:
        UserError: one is not among those given, and not there any more.
    """
    roots = {entry["name"]: entry["root"] for entry in tokens.json("inputs.json")}
    by_sha256 = {sha256_of(run): run for run in given}
    found = []
    for name, of, sha256 in tokens.manifest["runs"]:
        if of == source:
            what = f"the run of {source} that {tokens.root} was made from"
            found.append(by_sha256.get(sha256) or _same(roots[name], sha256, what))
    return [run for run in found if any(f.path == file for part in _exported(run) for f in part.files)]


def _exported(run: OpenedRun) -> list[Part]:
    return run.parts("export") if "export" in run.stages else []


def _same(root: str, sha256: str, what: str) -> OpenedRun:
    """A run where it lay, if it is still the same."""
    try:
        run = open_run(root)
    except UserError as error:
        raise UserError(f"{what} is not at {root} any more: give its folder too ({error})") from error
    if sha256_of(run) != sha256:
        raise UserError(f"{what} lay at {root}, where there is another now: give its folder too")
    return run


def _read_tokens(corpus: Corpus, shard: int, low: int, high: int) -> list[int]:
    path, count, _ = corpus.tokens_file(shard)
    size = shards.TOKEN.itemsize
    try:
        with storage.open_read(path) as f:
            f.seek(0, 2)
            if f.tell() != count * size:
                raise shards.ShardError(f"{path} has {f.tell():,} bytes, not those of {count:,} tokens")
            f.seek(low * size)
            return np.frombuffer(f.read((high - low) * size), shards.TOKEN).tolist()  # type: ignore[no-any-return]
    except FileNotFoundError as error:
        raise shards.ShardError(f"{path} is missing") from error


def _model(run: OpenedRun) -> Any:
    import sentencepiece

    data = storage.read_bytes(storage.join(run.root, MODEL))
    if shards.sha256(data).hex() != run.manifest["tokenizer"]["sha256"]:
        raise shards.ShardError(f"{run.root}/{MODEL} is not the tokenizer that these shards were made with")
    return sentencepiece.SentencePieceProcessor(model_proto=data)
