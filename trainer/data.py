"""From shards to micro-batches on the device, prepared ahead in a thread.

In: the windows of a `Reader`, and each shard's index of documents. Out: per global batch, this rank's rows as
tensors: tokens, targets, the source of each target and, where asked for, the document of each token.

Letters of shapes: B rows of a micro-batch, T time, N rows of a rank's part of a global batch.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple, Self

import fsspec
import numpy as np
import torch
from torch import Tensor

from tokenizer.reader import Corpus, Reader
from tokenizer.shards import TOKEN, ShardError
from trainer.errors import TrainerError

Array = np.ndarray[Any, Any]


def open_corpus(root: str, name: str = "train") -> Corpus:
    """A set of shards in a folder, or at an address that fsspec knows, as s3:// and gs://.

    Raises:
        ShardError: it is no corpus.
    """
    if "://" not in root:
        return Corpus.open(root, name)
    files, _ = fsspec.core.url_to_fs(root)
    return Corpus.open(root, name, lambda path, start, size: files.cat_file(path, start, start + size))


def check_files(corpus: Corpus) -> None:
    """See at once whether a folder's shards are there and as long as they were; addresses are not asked.

    Raises:
        ShardError: one is missing or has another size.
    """
    if corpus.open_ is not None:
        return
    for shard, row in enumerate(corpus.table):
        for ending in (".bin", ".idx", ".documents.npy"):
            path = Path(corpus.path(shard, ending))
            if not path.is_file():
                raise ShardError(f"{path} is missing: copy it again, or run `llama-corpus mix` again")
            size = int(row["tokens"]) * TOKEN.itemsize
            if ending == ".bin" and (found := path.stat().st_size) != size:
                raise ShardError(f"{path} has {found:,} bytes where {size:,} were written: copy it again")


class Batch(NamedTuple):
    """A micro-batch on the device.

    Attributes:
        tokens_BT: int64, ids.
        targets_BT: int64, the id after each.
        sources_BT: int64, the source of each target's document, a place in `Loader.sources`.
        documents_BT: int64, the number of each token's document within its row, from 0; None if not wanted.
    """

    tokens_BT: Tensor
    targets_BT: Tensor
    sources_BT: Tensor
    documents_BT: Tensor | None


class Documents(NamedTuple):
    """Documents that follow each other in a corpus's stream of tokens.

    Attributes:
        starts: int64[d + 1], the place of each one's first token in the stream, and the end of the last.
        rows: `tokenizer.shards.DOCUMENT`[d].
    """

    starts: Array
    rows: Array

    @classmethod
    def read(cls, corpus: Corpus, shard: int) -> Documents:
        """The documents of a shard.

        Raises:
            ShardError: a file is missing, or is not the shard's.
        """
        index, rows = corpus.documents(shard)
        starts = corpus.starts[shard] + np.append(0, np.cumsum(index.lengths, dtype=np.int64))
        if starts[-1] != corpus.starts[shard + 1] or len(rows) != len(index.lengths):
            raise ShardError(
                f"{corpus.path(shard, '.idx')} and .documents.npy are not those of the shard: of "
                f"{len(index.lengths):,} and {len(rows):,} documents, with {starts[-1] - starts[0]:,} tokens "
                f"where there are {corpus.table[shard]['tokens']:,}"
            )
        if rows["source"].max(initial=0) >= len(corpus.manifest["sources"]):
            raise ShardError(f"{corpus.path(shard, '.documents.npy')} has sources that the manifest has not")
        return cls(starts, rows)

    @classmethod
    def join(cls, parts: list[Documents]) -> Documents:
        """Those of neighbouring shards, as one."""
        if len(parts) == 1:
            return parts[0]
        starts = [part.starts[:-1] for part in parts]
        return cls(np.concatenate([*starts, parts[-1].starts[-1:]]), np.concatenate([p.rows for p in parts]))

    def of(self, positions: Array, size: int) -> Array:
        """The document of each token of windows: int64[N, size], places in `rows`.

        A document's run of tokens is written at once: 1.4 ns a token, where a search for each takes 11.

        Args:
            positions: int64[N], places of the windows' first tokens in the stream.
            size: tokens of a window.
        """
        ends = positions + size
        first = np.searchsorted(self.starts, positions, "right") - 1
        counts = np.searchsorted(self.starts, ends, "left") - first
        row = np.repeat(np.arange(len(positions)), counts)
        document = np.arange(len(row)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
        begin = np.maximum(self.starts[document], positions[row])
        end = np.minimum(self.starts[document + 1], ends[row])
        found: Array = np.repeat(document, end - begin).reshape(len(positions), size)
        return found


class Loader:
    """This rank's micro-batches of each global batch, until samples run out; a context manager.

    Attributes:
        sources: names; what the numbers of sources mean.
        waited: seconds that the consumer has waited for a batch so far.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        size: int,
        micro: int,
        rank: int,
        world: int,
        start: int,
        device: torch.device,
        documents: bool = False,
        ahead: int = 2,
    ) -> None:
        """Begin to prepare batches.

        Args:
            reader: of the samples; nobody else may use it meanwhile.
            size: samples of a global batch.
            micro: rows of a micro-batch at most; a rank's last one of a global batch has what is left.
            rank: this one, which takes the rows that `Reader.batches` says.
            world: how many there are.
            start: first sample.
            device: where the tensors go.
            documents: whether `Batch.documents_BT` is wanted.
            ahead: global batches that lie ready; one more is being prepared.

        Raises:
            TrainerError: the ranks cannot share a global batch evenly.
        """
        if size % world:
            raise TrainerError(
                f"a global batch of {size} samples cannot be shared evenly by {world} ranks: "
                f"choose a multiple of {world}"
            )
        self.sources: list[str] = []
        self.waited = 0.0
        self._reader, self._micro, self._documents, self._ahead = reader, micro, documents, ahead
        self._device = torch.device(device)
        if self._device.type == "cuda" and self._device.index is None:
            self._device = torch.device("cuda", torch.cuda.current_device())
        self._names = []  # per stage, the place of each of its sources in `sources`
        for corpus, _ in reader.stages:
            names = corpus.manifest["sources"]
            self.sources += [name for name in names if name not in self.sources]
            self._names.append(np.array([self.sources.index(name) for name in names]))
        self._read: dict[tuple[int, int], Documents] = {}
        self._ready: deque[list[Batch]] = deque()
        self._ended: BaseException | None = None  # StopIteration, or what went wrong
        self._changed = threading.Condition()
        samples = (np.arange(first + rank, first + size, world) for first in itertools.count(start, size))
        batches = zip(samples, reader.batches(size, rank, world, start), strict=False)
        self._thread = threading.Thread(target=self._produce, args=(batches,), name="loader", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[list[Batch]]:
        return self

    def __next__(self) -> list[Batch]:
        """Raises what went wrong in the thread, once the batches before it have been taken."""
        with self._changed:
            if not self._ready and self._ended is None:
                began = perf_counter()
                self._changed.wait_for(lambda: self._ready or self._ended)
                self.waited += perf_counter() - began
            if not self._ready:
                assert self._ended is not None
                raise self._ended
            batches = self._ready.popleft()
            self._changed.notify_all()
        return batches

    def close(self) -> None:
        """End the thread, and drop what lies ready; waits for the one global batch that it is at."""
        self._end(StopIteration())
        self._thread.join()
        self._ready.clear()

    def _end(self, reason: BaseException) -> None:
        with self._changed:
            if self._ended is None:
                self._ended = reason
            self._changed.notify_all()

    def _produce(self, batches: Iterator[tuple[Array, Array]]) -> None:
        try:
            if self._device.type == "cuda":
                torch.cuda.set_device(self._device)  # a thread begins on GPU 0, and would pin memory there
            for samples, tokens in batches:
                prepared = self._prepare(samples, tokens)
                with self._changed:
                    self._changed.wait_for(lambda: len(self._ready) < self._ahead or self._ended)
                    if self._ended is not None:
                        return
                    self._ready.append(prepared)
                    self._changed.notify_all()
            self._end(StopIteration())
        except BaseException as error:
            self._end(error)

    def _prepare(self, samples: Array, tokens: Array) -> list[Batch]:
        """The micro-batches of this rank's samples of a global batch, of tokens [N, T + 1]."""
        sources, documents = self._origins(samples)
        cuts = [slice(i, i + self._micro) for i in range(0, len(samples), self._micro)]
        return [
            Batch(
                self._on_device(tokens[rows, :-1]),
                self._on_device(tokens[rows, 1:]),
                self._on_device(sources[rows]),
                self._on_device(documents[rows]) if self._documents else None,
            )
            for rows in cuts
        ]

    def _origins(self, samples: Array) -> tuple[Array, Array]:
        """Of ascending samples: the source of each target, the document of each token; each [N, T]."""
        length = self._reader.length
        sources, documents = [], []
        for stage, positions, shard in self._reader.places(samples):
            corpus = self._reader.stages[stage][0]
            last = int(np.searchsorted(corpus.starts, positions.max() + length, "right")) - 1
            known = self._documents_of(stage, shard, last)
            of = known.of(positions, length + 1)
            sources.append(self._names[stage][known.rows["source"]][of[:, 1:]])
            documents.append(of[:, :-1] - of[:, :1])
        return np.concatenate(sources), np.concatenate(documents)

    def _documents_of(self, stage: int, first: int, last: int) -> Documents:
        """Those of some shards; what is kept are they, and what was read of later ones."""
        wanted = [(stage, shard) for shard in range(first, last + 1)]
        kept = {key: found for key, found in self._read.items() if key >= (stage, first)}
        for key in wanted:
            if key not in kept:
                kept[key] = Documents.read(self._reader.stages[stage][0], key[1])
        self._read = kept
        return Documents.join([kept[key] for key in wanted])

    def _on_device(self, rows: Array) -> Tensor:
        tensor = torch.from_numpy(rows.astype(np.int64))
        if self._device.type != "cuda":
            return tensor.to(self._device)
        # In the order of the device's stream: a copy takes nanoseconds a token, a step microseconds.
        return tensor.pin_memory().to(self._device, non_blocking=True)
