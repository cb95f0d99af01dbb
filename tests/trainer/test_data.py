"""The loader: the reader's rows, each target's source, each token's document, prepared by a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainer.corpora import SOURCES, write_corpus
from tokenizer.reader import Corpus, Reader
from tokenizer.shards import ShardError, array_bytes
from trainer import data
from trainer.data import Batch, Loader
from trainer.errors import TrainerError

LENGTH = 32
CPU = torch.device("cpu")


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Windows of 33 tokens across documents, across shards, and across shards that are smaller than they."""
    return write_corpus(tmp_path / "shards", train=[40, 1, 1, 0, 1, 30, 50], longest=30)


def reader(root: Path, length: int = LENGTH) -> Reader:
    return Reader([Corpus.open(root)], length, 0, root / "cache")


def loader(root: Path, **options: Any) -> Loader:
    wanted = {"size": 8, "micro": 8, "rank": 0, "world": 1, "start": 0, "device": CPU} | options
    return Loader(reader(root), **wanted)


def rows(batches: list[Batch], field: str) -> np.ndarray:
    return np.concatenate([getattr(batch, field).numpy() for batch in batches])


def origins(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """The source, and a number, of the document of each token of the stream, a document at a time."""
    corpus = Corpus.open(root)
    sources, numbers = [], []
    for shard in range(len(corpus.table)):
        index, documents = corpus.documents(shard)
        for length, document in zip(index.lengths, documents, strict=True):
            number = numbers[-1] + 1 if numbers else 0
            sources += [document["source"]] * length
            numbers += [number] * length
    return np.array(sources), np.array(numbers)


def test_rows_are_those_of_the_reader(shards: Path) -> None:
    expected = list(reader(shards).batches(8, 0, 1, 0))
    with loader(shards, micro=3) as found:
        for batches, batch in zip(found, expected, strict=True):
            assert [len(b.tokens_BT) for b in batches] == [3, 3, 2]
            assert (rows(batches, "tokens_BT") == batch[:, :-1]).all()
            assert (rows(batches, "targets_BT") == batch[:, 1:]).all()
            assert all(b.tokens_BT.dtype == b.targets_BT.dtype == torch.int64 for b in batches)
            assert all(b.documents_BT is None for b in batches)


@pytest.mark.parametrize("world", [2, 4])
def test_the_rows_of_all_ranks_are_the_global_batch(world: int, shards: Path) -> None:
    alone = list(loader(shards, documents=True))
    ranks = [list(loader(shards, rank=rank, world=world, micro=3, documents=True)) for rank in range(world)]
    for batches, parts in zip(alone, zip(*ranks, strict=True), strict=True):
        for field in Batch._fields:
            joined = np.stack([rows(part, field) for part in parts], axis=1).reshape(8, LENGTH)
            assert (joined == rows(batches, field)).all()


def test_origins_are_those_of_the_documents(shards: Path) -> None:
    source, document = origins(shards)
    positions = [reader(shards).place(i).position for i in range(reader(shards).samples)]
    found = [batch for batches in loader(shards, documents=True) for batch in batches]
    wanted = positions[: sum(len(batch.tokens_BT) for batch in found)]
    targets = np.stack([source[p + 1 : p + 1 + LENGTH] for p in wanted])
    inputs = np.stack([document[p : p + LENGTH] - document[p] for p in wanted])
    assert (rows(found, "sources_BT") == targets).all()
    assert (rows(found, "documents_BT") == inputs).all()


def test_each_index_is_read_once(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    read = Corpus.documents

    def documents(corpus: Corpus, shard: int) -> Any:
        asked.append(shard)
        return read(corpus, shard)

    monkeypatch.setattr(Corpus, "documents", documents)
    assert len(list(loader(shards))) > 3
    assert asked == [0, 1, 2, 3, 4, 5, 6]


def test_sources_are_those_of_the_stage(tmp_path: Path) -> None:
    """A second corpus may have its sources in another order, and further ones."""
    first, second = write_corpus(tmp_path / "first"), write_corpus(tmp_path / "second")
    manifest = second / "manifest.json"
    renamed = manifest.read_text().replace('"books"', '"later"').replace('"github"', '"books"')
    manifest.write_text(renamed)
    stages = [Corpus.open(first), (Corpus.open(second), 8)]
    both = Reader(stages, LENGTH, 0, tmp_path / "cache")
    with Loader(both, size=8, micro=8, rank=0, world=1, start=8, device=CPU) as found:
        assert found.sources == [*SOURCES, "later"]
        numbers = np.array([found.sources.index(name) for name in ("later", "books", "wikipedia")])
        positions = [both.place(i).position for i in range(8, 16)]
        expected = np.stack([origins(second)[0][p + 1 : p + 1 + LENGTH] for p in positions])
        assert (rows(next(found), "sources_BT") == numbers[expected]).all()


def test_it_starts_anywhere(shards: Path) -> None:
    whole = list(loader(shards, documents=True))
    later = list(loader(shards, documents=True, start=24))
    assert len(later) == len(whole) - 3
    for expected, batches in zip(whole[3:], later, strict=True):
        assert all((rows(batches, field) == rows(expected, field)).all() for field in Batch._fields)


def test_ranks_that_cannot_share_a_batch_are_refused(shards: Path) -> None:
    with pytest.raises(TrainerError, match="8 samples cannot be shared evenly by 3 ranks: choose a multiple"):
        loader(shards, world=3)


def test_an_error_comes_after_the_batches_before_it(shards: Path) -> None:
    damaged = shards / "train" / "shard-00005.bin"
    damaged.write_bytes(b"")
    good = next(i for i in range(1_000) if reader(shards).place(i).shard == 5) // 8
    with loader(shards) as found:
        assert len([next(found) for _ in range(good)]) == good > 0
        for _ in range(2):
            with pytest.raises(ShardError, match=r"shard-00005\.bin has 0 bytes"):
                next(found)


def test_an_index_that_is_not_the_shards_is_named(shards: Path) -> None:
    path = shards / "train" / "shard-00000.documents.npy"
    rows_ = np.load(path)
    path.write_bytes(array_bytes(rows_[:-1]))
    with pytest.raises(ShardError, match=r"shard-00000\.idx and \.documents\.npy are not those of the shard"):
        next(loader(shards))
    rows_["source"][5] = len(SOURCES)
    path.write_bytes(array_bytes(rows_))
    with pytest.raises(
        ShardError, match=r"shard-00000\.documents\.npy has sources that the manifest has not"
    ):
        next(loader(shards))


def test_closing_ends_the_thread(shards: Path) -> None:
    found = loader(shards, ahead=1)
    next(found)
    found.close()
    assert not found._thread.is_alive()
    with pytest.raises(StopIteration):
        next(found)


class Gate(Reader):
    """A reader that gives nothing until it is opened."""

    opened: threading.Event

    def batches(self, size: int, rank: int, world: int, start: int) -> Iterator[np.ndarray]:
        self.opened.wait()
        yield from super().batches(size, rank, world, start)


def test_only_waiting_counts_as_waiting(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate([Corpus.open(shards)], LENGTH, 0, shards / "cache")
    gate.opened = threading.Event()
    times = iter([10.0, 13.5])

    def clock() -> float:
        gate.opened.set()  # the thread gives something once it is waited for
        return next(times)

    monkeypatch.setattr(data, "perf_counter", clock)
    with Loader(gate, size=8, micro=8, rank=0, world=1, start=0, device=CPU, ahead=1_000) as found:
        next(found)
        assert found.waited == 3.5
        found._thread.join()  # all lies ready
        assert len(list(found)) > 1
        assert found.waited == 3.5
