"""Sequences of a corpus of token shards, in an order that depends on nothing but the corpus and a seed.

In: a folder or address of shards (`llama-corpus mix`). Out: windows of `length` + 1 tokens, each one after
the other's last; sample i is a pure function of (manifest, seed, stages, i). Shards are read in their order,
since each is a random sample of the mixture; within one a permutation that is computed shuffles the windows
that begin in it, so that a node needs this shard and the next. Nothing but numpy is needed.

    reader = Reader([Corpus.open("shards/train")], length=2048, seed=0)
    for batch in reader.batches(size=512, rank=0, world=1, start=0):  # uint16[512, 2049]
        …
"""

from __future__ import annotations

import json
import posixpath
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tokenizer import shards
from tokenizer.cache import Open, VerifiedFiles, read_local
from tokenizer.feistel import permute
from tokenizer.shards import DOCUMENT, SHARD, ShardError, Table, Tokens

MANIFEST, TABLE, MODEL = "manifest.json", "shards.npy", "tokenizer.model"
_SMALL_FILE = 1 << 31


@dataclass(frozen=True)
class Corpus:
    """A set of shards, by its manifest and table.

    Attributes:
        root: folder or address.
        name: of the set: ``train``, or ``held-out/SOURCE``.
        manifest: of the corpus, as written.
        sha256: of the manifest.
        table: a row a shard, `SHARD`.
        open_: how remote files are read; None for local ones.
    """

    root: str
    name: str
    manifest: dict[str, Any]
    sha256: bytes
    table: Table
    open_: Open | None = None

    @classmethod
    def open(cls, root: str | Path, name: str = "train", open_: Open | None = None) -> Corpus:
        """Read the manifest and the table of a set of shards.

        Args:
            root: what `llama-corpus mix` wrote.
            name: of the set.
            open_: (path, offset, length) → bytes, for shards that lie elsewhere, from any thread; fewer bytes
                at the end of a file, `FileNotFoundError` where there is none.

        Raises:
            ShardError: it is no corpus, or the table is not the manifest's.
        """
        read = open_ or read_local
        path = posixpath.join(str(root), MANIFEST)
        try:
            data = read(path, 0, _SMALL_FILE)
            manifest = json.loads(data)
            entry = manifest["sets"][name]
        except FileNotFoundError as error:
            raise ShardError(
                f"{path} is missing: no corpus of shards, or one that is not finished"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ShardError(f"{path} has no set of shards {name!r} ({error})") from error
        place = posixpath.join(str(root), name, TABLE)
        try:
            table = read(place, 0, _SMALL_FILE)
        except FileNotFoundError as error:
            raise ShardError(f"{place} is missing") from error
        if shards.sha256(table).hex() != entry["table_sha256"]:
            raise ShardError(f"{place} does not have the SHA-256 of {path}")
        parsed = shards.parse_array(table, SHARD, place)
        return cls(str(root), name, manifest, shards.sha256(data), parsed, open_)

    def check_tokenizer(self, sha256: str) -> None:
        """Check that the corpus was made with a tokenizer.

        Raises:
            ShardError: it was made with another.
        """
        expected = self.manifest["tokenizer"]["sha256"]
        if sha256 != expected:
            raise ShardError(f"{self.root} was made with tokenizer {expected}, not with {sha256}")

    def tokenizer(self) -> bytes | None:
        """The SentencePiece model the corpus was made with; None where it does not lie beside the shards.

        Raises:
            ShardError: what lies there is another.
        """
        path = posixpath.join(self.root, MODEL)
        try:
            data = (self.open_ or read_local)(path, 0, _SMALL_FILE)
        except FileNotFoundError:
            return None
        if shards.sha256(data).hex() != self.manifest["tokenizer"]["sha256"]:
            raise ShardError(f"{path} is not the tokenizer that these shards were made with")
        return data

    def path(self, shard: int, ending: str) -> str:
        """Path of a file of a shard."""
        return posixpath.join(self.root, self.name, f"shard-{shard:05d}{ending}")

    def file(self, shard: int, ending: str) -> bytes:
        """The bytes of one of a shard's small files.

        Raises:
            ShardError: it is missing.
        """
        path = self.path(shard, ending)
        try:
            return (self.open_ or read_local)(path, 0, _SMALL_FILE)
        except FileNotFoundError as error:
            raise ShardError(f"{path} is missing") from error

    def tokens_file(self, shard: int) -> tuple[str, int, bytes]:
        """Path, tokens and SHA-256 of a shard's ``.bin`` file."""
        row = self.table[shard]
        return self.path(shard, ".bin"), int(row["tokens"]), row["sha256"].tobytes()

    @cached_property
    def starts(self) -> np.ndarray[Any, Any]:
        """int64[s + 1], the tokens before each shard, and all."""
        return np.append(0, np.cumsum(self.table["tokens"].astype(np.int64)))

    def documents(self, shard: int) -> tuple[shards.Index, Table]:
        """A shard's index of documents, and the row of each (`DOCUMENT`)."""
        index = shards.parse_index(self.file(shard, ".idx"), self.path(shard, ".idx"))
        name = self.path(shard, ".documents.npy")
        return index, shards.parse_array(self.file(shard, ".documents.npy"), DOCUMENT, name)


@dataclass(frozen=True)
class Place:
    """Where a sample lies: its corpus among the stages, its first token's place in stream and shard."""

    stage: int
    position: int
    shard: int
    offset: int


class Reader:
    """Samples of one or several corpora, one after the other.

    Attributes:
        samples: how many there are: the last stage's end.
        stages: the corpora, each with the sample at which it begins.
    """

    def __init__(
        self,
        stages: Sequence[Corpus | tuple[Corpus, int]],
        length: int,
        seed: int,
        cache: str | Path | None = None,
        keep: int = 2,
    ) -> None:
        """Prepare to read; nothing of any size is read yet.

        Args:
            stages: corpora, each with the sample at which it begins (the first at 0). A stage may be appended
                at any sample that is not read yet: those before it stay as they are.
            length: tokens of a sequence, less the one more that is the last one's target.
            seed: of the order within shards.
            cache: folder for what was verified, and for copies of remote shards; by default a folder of the
                machine's temporary ones, by the corpus.
            keep: copies of remote shards that stay; a reader needs two.

        Raises:
            ShardError: stages do not follow each other, or were made with different tokenizers.
        """
        if length < 1:
            raise ValueError(f"length must be positive, not {length}")
        self.length = length
        self._seed = seed
        self.stages = [s if isinstance(s, tuple) else (s, 0) for s in stages]
        self._ends: list[int] = []
        self._files: list[VerifiedFiles] = []
        for number, (corpus, start) in enumerate(self.stages):
            corpus.check_tokenizer(self.stages[0][0].manifest["tokenizer"]["sha256"])
            end = start + self.windows(corpus)
            if (number == 0 and start) or (
                number and not self.stages[number - 1][1] < start <= self._ends[-1]
            ):
                raise ShardError(f"stage {number} begins at sample {start:,}, not within the one before it")
            if number:
                self._ends[-1] = start
            self._ends.append(end)
            folder = cache or Path(tempfile.gettempdir(), f"llama-corpus-shards-{corpus.sha256.hex()[:16]}")
            self._files.append(VerifiedFiles(folder, corpus.open_, max(keep, 2)))
        self._tokens: dict[tuple[int, int], Tokens] = {}
        self._last = self._asked = (
            -1,
            -1,
        )  # stage and shard: where the last sample lay, what was asked ahead

    @property
    def samples(self) -> int:
        """How many samples there are in all."""
        return self._ends[-1]

    def windows(self, corpus: Corpus) -> int:
        """How many windows a corpus has: the tail that is no whole one, with its target, is left out."""
        return max(0, (int(corpus.starts[-1]) - 1) // self.length)

    def sample(self, i: int) -> Tokens:
        """Sample i, uint16[length + 1].

        Raises:
            IndexError: there is no such sample.
            ShardError: a shard is missing or is not as it was written.
        """
        window: Tokens = self._gather(np.array([i]))[0]
        return window

    def batches(self, size: int, rank: int, world: int, start: int) -> Iterator[Tokens]:
        """A rank's part of each global batch, from sample `start` on, until samples run out.

        Rank r takes the samples i of a batch with i ≡ r (mod world). The next global batch begins at
        `start` + `size`: that one number is the state. The next shard is copied and checked meanwhile.

        Args:
            size: samples of a global batch, a multiple of `world`.

        Yields:
            uint16[size / world, length + 1].
        """
        if size % world or not 0 <= rank < world:
            raise ValueError(f"rank {rank} of {world} cannot take its part of {size} samples")
        while start + size <= self.samples:
            batch = self._gather(np.arange(start + rank, start + size, world))
            self._ask_ahead()
            yield batch
            start += size

    def place(self, i: int) -> Place:
        """Where sample i lies.

        Raises:
            IndexError: there is no such sample.
        """
        stage, positions, shard = self.places(np.array([i]))[0]
        corpus = self.stages[stage][0]
        return Place(stage, int(positions[0]), shard, int(positions[0] - corpus.starts[shard]))

    def places(self, wanted: np.ndarray[Any, Any]) -> list[tuple[int, np.ndarray[Any, Any], int]]:
        """(stage, places of first tokens, shard) of ascending samples, cut where the shard changes.

        Raises:
            IndexError: one of them is not there.
        """
        if len(wanted) and (wanted[0] < 0 or wanted[-1] >= self.samples):
            raise IndexError(f"there are samples 0 to {self.samples - 1:,}, not {wanted[0]} to {wanted[-1]}")
        found = []
        stages = np.searchsorted(self._ends, wanted, side="right")
        for stage in np.unique(stages).tolist():
            corpus, start = self.stages[stage]
            numbers = wanted[stages == stage] - start
            firsts = self._firsts(corpus)
            which = np.searchsorted(firsts, numbers, side="right") - 1
            for shard in np.unique(which).tolist():
                inside = numbers[which == shard] - firsts[shard]
                count = int(firsts[shard + 1] - firsts[shard])
                key = int.from_bytes(
                    shards.sha256(corpus.sha256 + f"{self._seed} {self.length} {shard}".encode())[:8],
                    "little",
                )
                shuffled = permute(inside, count, key).astype(np.int64)
                found.append((stage, (firsts[shard] + shuffled) * self.length, shard))
        return found

    def _gather(self, wanted: np.ndarray[Any, Any]) -> Tokens:
        out: Tokens = np.empty((len(wanted), self.length + 1), np.uint16)
        row, size = 0, self.length + 1
        for stage, positions, shard in self.places(wanted):
            tokens = self._shard(stage, shard)
            self._last = (stage, shard)
            offsets = positions - self.stages[stage][0].starts[shard]
            for offset in offsets.tolist():
                window = tokens[offset : offset + size]
                out[row] = window if len(window) == size else self._across(stage, shard, offset)
                row += 1
        return out

    def verify(self) -> None:
        """Hash every shard again, whatever is known of it.

        Raises:
            ShardError: one is missing or is not as it was written.
        """
        for (corpus, _), files in zip(self.stages, self._files, strict=True):
            for shard in range(len(corpus.table)):
                files.tokens(*corpus.tokens_file(shard), again=True)

    def _ask_ahead(self) -> None:
        """Have the shard after the one that was read last copied and checked, once."""
        stage, shard = self._last
        ahead = (stage, shard + 1)
        if shard + 1 == len(self.stages[stage][0].table):
            ahead = (stage + 1, 0)
        if ahead == self._asked or ahead in self._tokens or ahead[0] == len(self.stages):
            return
        self._asked = ahead
        corpus = self.stages[ahead[0]][0]
        if len(corpus.table):
            self._files[ahead[0]].ahead(*corpus.tokens_file(ahead[1]))

    def _across(self, stage: int, shard: int, offset: int) -> Tokens:
        """A window that goes on in the next shards."""
        parts, left = [], self.length + 1
        while left:
            part = self._shard(stage, shard)[offset : offset + left]
            parts.append(part)
            left -= len(part)
            shard, offset = shard + 1, 0
        return np.concatenate(parts)

    def _firsts(self, corpus: Corpus) -> np.ndarray[Any, Any]:
        """int64[s + 1]: the number of the first window that begins in each shard, and of all."""
        firsts: np.ndarray[Any, Any] = np.minimum(-(-corpus.starts // self.length), self.windows(corpus))
        return firsts

    def _shard(self, stage: int, shard: int) -> Tokens:
        key = (stage, shard)
        if key not in self._tokens:
            tokens = self._files[stage].tokens(*self.stages[stage][0].tokens_file(shard))
            while len(self._tokens) > 1:  # this shard and one neighbour
                self._tokens.pop(next(iter(self._tokens)))
            self._tokens[key] = tokens
        return self._tokens[key]
