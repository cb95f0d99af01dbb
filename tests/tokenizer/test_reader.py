"""The reader: every window once, the same for any number of ranks and after any resume, damage named."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokenizer.corpora import write_corpus
from tokenizer.feistel import permute
from tokenizer.reader import Corpus, Reader
from tokenizer.shards import DOCUMENT, ShardError, array_bytes, index_bytes, parse_array, parse_index

SIZES = [[100, 7, 300], [1], [512, 40], [], [3, 3, 3], [900]]


def reader(root: Path, cache: Path, length: int = 16, seed: int = 0) -> Reader:
    return Reader([Corpus.open(root)], length, seed, cache)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.lists(st.integers(1, 60), max_size=6), min_size=1, max_size=6),
    length=st.integers(1, 20),
    seed=st.integers(0, 5),
)
def test_every_window_comes_once(
    sizes: list[list[int]], length: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("corpus")
    stream = write_corpus(root, sizes)
    found = reader(root, root / "cache", length, seed)
    assert found.samples == max(0, (len(stream) - 1) // length)
    expected = sorted(tuple(stream[p : p + length + 1]) for p in range(0, found.samples * length, length))
    assert sorted(tuple(found.sample(i)) for i in range(found.samples)) == expected
    for i in range(found.samples):
        place = found.place(i)
        assert stream[place.position] == found.sample(i)[0]
        assert place.position == sum(map(sum, sizes[: place.shard])) + place.offset


@pytest.mark.parametrize("world", [1, 2, 3, 4, 8])
def test_ranks_of_any_world_read_the_same_samples(world: int, tmp_path: Path) -> None:
    write_corpus(tmp_path, SIZES)
    one = reader(tmp_path, tmp_path / "cache")
    whole = np.concatenate(list(one.batches(24, 0, 1, 0)))
    assert (whole == np.stack([one.sample(i) for i in range(len(whole))])).all()
    ranks = [list(reader(tmp_path, tmp_path / "cache").batches(24, r, world, 0)) for r in range(world)]
    joined = [np.stack(rows, axis=1).reshape(24, -1) for rows in zip(*ranks, strict=True)]
    assert (np.concatenate(joined) == whole).all()


@settings(max_examples=30, deadline=None)
@given(stops=st.lists(st.integers(0, 12), max_size=4), world=st.sampled_from([1, 2, 3, 4, 8]))
def test_one_number_resumes(stops: list[int], world: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Stopped at random batches, and gone on with by another number of ranks."""
    root = tmp_path_factory.mktemp("corpus")
    write_corpus(root, SIZES)
    whole = list(reader(root, root / "cache").batches(8, 0, 1, 0))
    state, seen = 0, []
    for stop in [*stops, len(whole)]:
        batches = reader(root, root / "cache").batches(8, 0, 1, state)
        for batch, _ in zip(batches, range(stop), strict=False):
            seen.append(batch)
            state += 8
    for rank in range(world):
        again = reader(root, root / "cache").batches(24, rank, world, 0)
        assert (next(again) == np.concatenate(whole[:3])[rank::world]).all()
    assert (np.concatenate(seen)[: 8 * len(whole)] == np.concatenate(whole)).all()


def test_the_order_is_shuffled_and_depends_on_the_seed(tmp_path: Path) -> None:
    write_corpus(tmp_path, [[20_000]])
    orders = [
        [reader(tmp_path, tmp_path / "cache", seed=seed).place(i).position for i in range(1_000)]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]
    assert abs(np.corrcoef(orders[0], np.arange(1_000))[0, 1]) < 0.1


def test_a_stage_appended_leaves_what_was_read_as_it_is(tmp_path: Path) -> None:
    write_corpus(tmp_path / "a", SIZES)
    write_corpus(tmp_path / "b", [[500], [500]], first=30_000)
    first, second = Corpus.open(tmp_path / "a"), Corpus.open(tmp_path / "b")
    alone = Reader([first], 16, 0, tmp_path / "cache")
    both = Reader([first, (second, 40)], 16, 0, tmp_path / "cache")
    assert all((both.sample(i) == alone.sample(i)).all() for i in range(40))
    assert both.samples == 40 + Reader([second], 16, 0, tmp_path / "cache").samples
    assert (both.sample(40) == Reader([second], 16, 0, tmp_path / "cache").sample(0)).all()
    assert both.place(40).stage == 1
    third = Reader([first, (second, 40), (first, 45)], 16, 0, tmp_path / "cache")
    assert (third.sample(45) == alone.sample(0)).all()
    for start in (0, alone.samples + 1):
        with pytest.raises(ShardError, match="stage 1 begins at"):
            Reader([first, (second, start)], 16, 0, tmp_path / "cache")


def test_remote_shards_are_copied_and_verified_once(tmp_path: Path) -> None:
    stream = write_corpus(tmp_path / "far", SIZES)
    asked: list[str] = []

    def open_(path: str, offset: int, length: int) -> bytes:
        asked.append(path)
        with open(path.replace("far://", str(tmp_path / "far") + "/"), "rb") as f:
            f.seek(offset)
            return f.read(length)

    corpus = Corpus.open("far://", open_=open_)
    found = Reader([corpus], 16, 0, tmp_path / "cache", keep=6)  # such small shards are asked for again
    assert found.samples == (len(stream) - 1) // 16
    windows = [found.sample(i) for i in range(found.samples)]
    assert all((w == stream[found.place(i).position :][:17]).all() for i, w in enumerate(windows))
    bins = [path for path in asked if path.endswith(".bin")]
    assert len(bins) == len(set(bins))
    few = Reader([corpus], 16, 0, tmp_path / "few")
    assert all((few.sample(i) == window).all() for i, window in enumerate(windows))
    assert len(list((tmp_path / "few").glob("*.bin"))) == 2

    def cut(path: str, offset: int, length: int) -> bytes:
        data = open_(path, offset, length)
        return data[: len(data) // 2] if path.endswith(".bin") and offset == 0 else b"" if offset else data

    broken = Reader([Corpus.open("far://", open_=cut)], 16, 0, tmp_path / "other")
    with pytest.raises(ShardError, match=r"shard-00000\.bin ends at byte 407 where 814 were written"):
        broken.sample(0)
    assert not list((tmp_path / "other").iterdir())


def test_damage_is_named(tmp_path: Path) -> None:
    write_corpus(tmp_path, SIZES)
    path = tmp_path / "train" / "shard-00002.bin"
    data = path.read_bytes()
    wanted = next(i for i in range(80) if reader(tmp_path, tmp_path / "c").place(i).shard == 2)

    path.write_bytes(data[:-2])
    with pytest.raises(ShardError, match=r"shard-00002\.bin has 1,102 bytes where 1,104 were written"):
        reader(tmp_path, tmp_path / "cache").sample(wanted)
    path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    with pytest.raises(ShardError, match=r"shard-00002\.bin does not have the SHA-256"):
        reader(tmp_path, tmp_path / "cache").sample(wanted)
    path.unlink()
    with pytest.raises(ShardError, match=r"shard-00002\.bin is missing"):
        reader(tmp_path, tmp_path / "cache").sample(wanted)
    path.write_bytes(data)
    reader(tmp_path, tmp_path / "cache").sample(wanted)

    # Verified, and changed since: the time tells.
    os.utime(path, ns=(1, 1))
    path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    with pytest.raises(ShardError, match="does not have the SHA-256"):
        reader(tmp_path, tmp_path / "cache").sample(wanted)

    table = tmp_path / "train" / "shards.npy"
    table.write_bytes(table.read_bytes()[:-1] + b"?")
    with pytest.raises(ShardError, match=r"shards\.npy does not have the SHA-256"):
        Corpus.open(tmp_path)
    table.unlink()
    with pytest.raises(ShardError, match=r"shards\.npy is missing"):
        Corpus.open(tmp_path)
    with pytest.raises(ShardError, match="no set of shards 'held-out/c4'"):
        Corpus.open(tmp_path, "held-out/c4")
    with pytest.raises(ShardError, match=r"manifest\.json is missing"):
        Corpus.open(tmp_path / "nowhere")


def test_corpora_of_different_tokenizers_do_not_mix(tmp_path: Path) -> None:
    write_corpus(tmp_path / "a", SIZES)
    write_corpus(tmp_path / "b", SIZES, tokenizer="another")
    with pytest.raises(ShardError, match="made with tokenizer another, not with t"):
        Reader([Corpus.open(tmp_path / "a"), (Corpus.open(tmp_path / "b"), 10)], 16, 0, tmp_path / "cache")


def test_samples_that_are_not_there_are_refused(tmp_path: Path) -> None:
    write_corpus(tmp_path, SIZES)
    found = reader(tmp_path, tmp_path / "cache")
    for i in (-1, found.samples):
        with pytest.raises(IndexError, match="there are samples 0 to"):
            found.sample(i)
    with pytest.raises(ValueError, match="rank 3 of 3"):
        next(found.batches(24, 3, 3, 0))


def test_an_index_is_read_back_as_it_was_written() -> None:
    lengths = np.array([3, 1, 70_000])
    found = parse_index(index_bytes(lengths), "x.idx")
    assert found.lengths.tolist() == lengths.tolist()
    assert found.offsets.tolist() == [0, 6, 8]
    assert parse_index(index_bytes(np.array([])), "x.idx").lengths.tolist() == []
    for data in (b"", index_bytes(lengths)[:-1], b"X" + index_bytes(lengths)[1:]):
        with pytest.raises(ShardError, match=r"x\.idx"):
            parse_index(data, "x.idx")
    with pytest.raises(ShardError, match=r"x\.npy holds int64"):
        parse_array(array_bytes(np.arange(3)), DOCUMENT, "x.npy")
    file = io.BytesIO()
    np.save(file, np.array([{}]), allow_pickle=True)
    with pytest.raises(ShardError, match=r"x\.npy cannot be read"):
        parse_array(file.getvalue(), DOCUMENT, "x.npy")


@given(n=st.integers(1, 400), key=st.integers(0, 2**64 - 1))
def test_a_permutation_is_one(n: int, key: int) -> None:
    assert sorted(permute(np.arange(n), n, key).tolist()) == list(range(n))
