"""Shards that lie elsewhere: copied ahead, checked, kept no longer than needed; copies are mended."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.tokenizer.corpora import write_corpus
from tokenizer.reader import Corpus, Reader
from tokenizer.shards import ShardError

SIZES = [[2_000], [1_500, 500], [2_000], [1_000]]


class Far:
    """Shards in a folder, read as if they lay elsewhere; counts what is asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: Counter[str] = Counter()

    def __call__(self, path: str, offset: int, length: int) -> bytes:
        name = path.removeprefix("far://")
        with open(self.root / name, "rb") as f:
            f.seek(offset)
            data = f.read(length)
        self.asked[Path(name).name] += 1
        return data

    def reader(self, cache: Path, keep: int = 2) -> Reader:
        return Reader([Corpus.open("far://", open_=self)], 16, 0, cache, keep)


@pytest.fixture
def far(tmp_path: Path) -> Far:
    write_corpus(tmp_path / "far", SIZES)
    return Far(tmp_path / "far")


def wait_for(far: Far, name: str) -> None:
    deadline = time.monotonic() + 20
    while not far.asked[name]:
        assert time.monotonic() < deadline, f"{name} was not asked for"
        time.sleep(0.01)


def test_the_next_shard_is_copied_while_one_is_read(far: Far, tmp_path: Path) -> None:
    reader = far.reader(tmp_path / "cache")
    batches = reader.batches(8, 0, 1, 0)
    first = next(batches)
    assert reader.place(7).shard == 0
    wait_for(far, "shard-00001.bin")
    assert not far.asked["shard-00002.bin"]
    rest = list(batches)
    local = Reader([Corpus.open(far.root)], 16, 0, tmp_path / "local")
    assert (np.concatenate([first, *rest]) == np.concatenate(list(local.batches(8, 0, 1, 0)))).all()
    assert {far.asked[f"shard-{n:05d}.bin"] for n in range(4)} == {1}
    assert len(list((tmp_path / "cache").glob("*.bin"))) == 2


def test_what_was_wrong_ahead_is_said_when_it_is_reached(far: Far, tmp_path: Path) -> None:
    path = far.root / "train" / "shard-00001.bin"
    path.write_bytes(b"\1" + path.read_bytes()[1:])
    reader = far.reader(tmp_path / "cache")
    last = next(i for i in range(reader.samples) if reader.place(i).shard == 1) // 8
    read: list[np.ndarray] = []
    with pytest.raises(ShardError, match=r"shard-00001\.bin does not have the SHA-256"):
        read.extend(reader.batches(8, 0, 1, 0))
    assert 0 < len(read) <= last
    path.unlink()
    with pytest.raises(ShardError, match=r"shard-00001\.bin is missing"):
        list(far.reader(tmp_path / "cache").batches(8, 0, 1, 0))


def test_a_copy_that_was_altered_is_fetched_again(far: Far, tmp_path: Path) -> None:
    before = far.reader(tmp_path / "cache").sample(0)
    (copy,) = (tmp_path / "cache").glob("*.bin")
    data = copy.read_bytes()
    for altered in (data[:-2], bytes([data[0] ^ 1]) + data[1:], b""):
        copy.write_bytes(altered)
        os.utime(copy, ns=(1, 1))
        assert (far.reader(tmp_path / "cache").sample(0) == before).all()
        assert copy.read_bytes() == data
    assert far.asked["shard-00000.bin"] == 4
    assert (far.reader(tmp_path / "cache").sample(0) == before).all()
    assert far.asked["shard-00000.bin"] == 4


def test_on_request_everything_is_hashed_again(far: Far, tmp_path: Path) -> None:
    local = Reader([Corpus.open(far.root)], 16, 0, tmp_path / "cache")
    local.verify()
    path = far.root / "train" / "shard-00002.bin"
    stat, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again = Reader([Corpus.open(far.root)], 16, 0, tmp_path / "cache")
    list(again.batches(8, 0, 1, 0))  # size and time are as they were
    with pytest.raises(ShardError, match=r"shard-00002\.bin does not have the SHA-256"):
        again.verify()


def test_copies_of_earlier_readers_do_not_pile_up(far: Far, tmp_path: Path) -> None:
    for start in (0, 200, 300):
        reader = far.reader(tmp_path / "cache")
        for i in range(start, start + 100, 10):
            reader.sample(i)
    assert len(list((tmp_path / "cache").glob("*.bin"))) == 2
    assert len(list((tmp_path / "cache").glob("*.verified"))) == 2
