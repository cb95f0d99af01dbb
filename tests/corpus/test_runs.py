"""Runs and answers: what splits learn of each other's keys, whatever the sizes, and damage found out."""

from __future__ import annotations

import dataclasses
import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import CorruptPartError
from corpus.run_builder import RunBuilder
from corpus.runs import (
    KeyFilter,
    Run,
    bucket_count,
    read_answers,
    write_answer,
    write_run,
)

ANY_SPEED = settings(deadline=None, max_examples=60)
KEYS = st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1), st.sampled_from([2**63, 2**63 - 1, 2**64 - 1]))


def random_keys(n: int, seed: int = 0) -> np.ndarray:
    return np.unique(np.random.default_rng(seed).integers(0, 2**64, n, np.uint64))


def make_run(path: Path, keys, flags=None, **options) -> Run:
    keys = np.asarray(keys, np.uint64)
    with open(path, "wb") as f:
        write_run(f, keys, np.zeros(len(keys), bool) if flags is None else np.asarray(flags, bool), **options)
    return Run.open(str(path))


def make_answers(folder: Path, runs, policy, buckets=1, bucket_bytes=1 << 20) -> list[Path]:
    paths = [folder / f"answer-{bucket}" for bucket in range(buckets)]
    for bucket, path in enumerate(paths):
        with open(path, "wb") as f:
            write_answer(f, runs, bucket, buckets, policy, bucket_bytes)
    return paths


def read_both(runs, answers) -> None:
    for place, run in enumerate(runs):
        read_answers(run, [(str(path), place) for path in answers])


class TestRun:
    @pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 1000, 50_000])
    @pytest.mark.parametrize("section_keys", [1, 100, 8192])
    def test_reads_back_whole_and_by_range(self, tmp_path, n, section_keys):
        n = n if section_keys > 1 else min(n, 1000)
        keys = random_keys(n)
        flags = np.random.default_rng(1).random(len(keys)) < 0.3
        run = make_run(tmp_path / "run", keys, flags, section_keys=section_keys)
        assert run.count == len(keys)
        for low, high in [(0, 2**64), (2**62, 2**63), (5, 2**61 + 12345), (2**64 - 2**50, 2**64), (7, 8)]:
            chosen = (keys >= low) & (keys <= np.uint64(high - 1))
            part = run.read(low, high)
            assert part.position == np.count_nonzero(keys < low) == run.position(low)
            np.testing.assert_array_equal(part.keys, keys[chosen])
            np.testing.assert_array_equal(part.flags, flags[chosen])

    def test_a_bucket_is_read_alone(self, tmp_path):
        """Damage elsewhere in the file is not seen: only the bucket's bytes are read."""
        keys = random_keys(40_000)
        run = make_run(tmp_path / "run", keys, section_keys=1000)
        data = bytearray((tmp_path / "run").read_bytes())
        data[1000:100_000] = bytes(99_000)
        (tmp_path / "run").write_bytes(data)
        np.testing.assert_array_equal(run.read(2**63, 2**64).keys, keys[keys >= 2**63])

    @pytest.mark.parametrize("keys", [[2, 1], [1, 1], [2**63, 1]])
    def test_refuses_keys_that_do_not_ascend(self, keys):
        for section_keys in (1, 10):
            with pytest.raises(ValueError, match="ascending"):
                write_run(
                    io.BytesIO(), np.array(keys, np.uint64), np.zeros(2, bool), section_keys=section_keys
                )

    def test_the_stream_is_only_written_to(self):
        class WriteOnly(io.RawIOBase):
            def writable(self):
                return True

            def write(self, data):
                return len(data)

        write_run(WriteOnly(), random_keys(1000), np.zeros(1000, bool), section_keys=10)


class TestRunBuilder:
    @given(st.lists(st.lists(KEYS, unique=True, max_size=8), max_size=30), st.sampled_from([1, 100, 1000]))
    @ANY_SPEED
    def test_distinct_keys_and_flags(self, tmp_path_factory, documents, memory_bytes):
        uses: dict[int, int] = {}
        with RunBuilder(str(tmp_path_factory.getbasetemp()), memory_bytes) as builder:
            for document in documents:
                builder.add(np.array(document, np.uint64))
                for key in document:
                    uses[key] = uses.get(key, 0) + 1
            keys, flags = builder.finish()
            assert keys.tolist() == sorted(uses)
            assert flags.tolist() == [uses[key] >= 2 for key in sorted(uses)]

    def test_temporary_files_go(self, tmp_path):
        with RunBuilder(str(tmp_path), 9000) as builder:
            builder.add(random_keys(10_000))
            assert builder.finish().keys.tolist() == random_keys(10_000).tolist()
            assert list(tmp_path.iterdir())
        assert not list(tmp_path.iterdir())


class TestAnswers:
    @given(
        st.lists(st.dictionaries(KEYS, st.booleans(), max_size=25), min_size=1, max_size=5),
        st.sampled_from([1, 2, 8]),
        st.sampled_from([22 * 6, 1 << 20]),
        st.sampled_from([2, 8192]),
        st.sampled_from(["drop-all", "keep-first"]),
    )
    @ANY_SPEED
    def test_equal_to_counting(self, tmp_path_factory, contents, buckets, bucket_bytes, section_keys, policy):
        folder = tmp_path_factory.mktemp("answers")
        runs = [
            make_run(folder / f"run-{i}", sorted(c), [c[k] for k in sorted(c)], section_keys=section_keys)
            for i, c in enumerate(contents)
        ]
        answers = make_answers(folder, runs, policy, buckets, bucket_bytes)
        for place, (run, content) in enumerate(zip(runs, contents, strict=True)):
            got = read_answers(run, [(str(path), place) for path in answers])
            if policy == "drop-all":
                expected = [sum(k in c for c in contents) >= 2 or content[k] for k in sorted(content)]
            else:
                expected = [any(k in c for c in contents[:place]) for k in sorted(content)]
            assert got.tolist() == expected

    @pytest.mark.parametrize("unasked", [1, 2, 3])
    @pytest.mark.parametrize("policy", ["drop-all", "keep-first"])
    @pytest.mark.parametrize("bucket_bytes", [22 * 50, 1 << 20])
    def test_runs_that_do_not_ask_only_contribute(self, tmp_path, policy, unasked, bucket_bytes):
        common = random_keys(60, 9)
        runs = [
            make_run(tmp_path / f"{i}", np.union1d(random_keys(40, i), common[10 * i :])) for i in range(3)
        ]
        answers = make_answers(tmp_path, runs, policy, 2, bucket_bytes)
        whole = [read_answers(run, [(str(p), i) for p in answers]).tolist() for i, run in enumerate(runs)]
        size = sum(path.stat().st_size for path in answers)
        for bucket, path in enumerate(answers):
            with open(path, "wb") as f:
                write_answer(f, runs, bucket, 2, policy, bucket_bytes, unasked=unasked)
        asked = [
            read_answers(run, [(str(p), i) for p in answers]).tolist() for i, run in enumerate(runs[unasked:])
        ]
        assert asked == whole[unasked:]
        assert sum(path.stat().st_size for path in answers) < size
        with pytest.raises(CorruptPartError, match="not one at place"):
            read_answers(runs[0], [(str(p), 3 - unasked) for p in answers])

    def test_record_ids_keep_the_first_in_order(self, tmp_path):
        """The same mechanism, for hashes of record ids: of a repeated one the first in input order stays."""
        splits = [[5, 9, 5], [9, 1], [1, 7, 7]]
        runs = []
        for i, ids in enumerate(splits):
            with RunBuilder(str(tmp_path), 1000) as builder:
                builder.add(np.array(ids, np.uint64))
                runs.append(make_run(tmp_path / f"run-{i}", *builder.finish()))
        answers = make_answers(tmp_path, runs, "keep-first")
        dropped = []
        for i, ids in enumerate(splits):
            bits = read_answers(runs[i], [(str(answers[0]), i)])
            key_filter = KeyFilter(runs[i].read().keys, bits, "keep-first")
            dropped.append(key_filter.drop(np.array(ids, np.uint64)).tolist())
        assert dropped == [[False, False, True], [True, False], [True, False, True]]

    def test_same_bytes_whatever_the_budget_says_of_one_range(self, tmp_path):
        runs = [make_run(tmp_path / f"{i}", random_keys(1000, i)) for i in range(3)]
        for name, size in (("a", 1 << 20), ("b", 1 << 24)):
            with open(tmp_path / name, "wb") as f:
                write_answer(f, runs, 0, 1, "drop-all", size)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_refuses_what_is_no_bucket(self):
        for bucket, buckets in [(0, 3), (2, 2), (-1, 2), (0, 0)]:
            with pytest.raises(ValueError, match="bucket"):
                write_answer(io.BytesIO(), [], bucket, buckets, "drop-all", 1)
        with pytest.raises(ValueError, match="policy"):
            write_answer(io.BytesIO(), [], 0, 1, "keep-last", 1)

    @pytest.mark.parametrize(
        ("keys", "size", "buckets"), [(0, 100, 1), (10, 220, 1), (11, 220, 2), (70, 220, 8)]
    )
    def test_bucket_count(self, keys, size, buckets):
        assert bucket_count(keys, size) == buckets


class TestDamage:
    @pytest.fixture
    def scope(self, tmp_path):
        runs = [make_run(tmp_path / f"run-{i}", random_keys(300, i), section_keys=50) for i in range(2)]
        return runs, make_answers(tmp_path, runs, "drop-all", buckets=2)

    def test_any_flipped_byte_of_a_run_is_found(self, scope):
        path = Path(scope[0][0].path)
        whole = path.read_bytes()
        for at in range(0, len(whole) - 24):  # the last index entry: its checksum covers nothing, below
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
            with pytest.raises(CorruptPartError, match=r"run-0.*delete it"):
                Run.open(str(path)).read()
        for at in range(len(whole) - 24, len(whole) - 8):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
            with pytest.raises(CorruptPartError, match="run-0"):
                Run.open(str(path)).read()

    def test_any_flipped_byte_of_an_answer_is_found(self, scope):
        runs, answers = scope
        path = answers[1]
        whole = path.read_bytes()
        for at in range(8, len(whole)):  # after the magic, which the footer repeats
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
            with pytest.raises(CorruptPartError, match="answer-1"):
                read_both(runs, answers)

    @pytest.mark.parametrize("size", [0, 10, 60, -1, -100])
    def test_a_truncated_file_is_found(self, scope, size):
        runs, answers = scope
        run_path = Path(runs[0].path)
        for path in (run_path, answers[0]):
            path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(CorruptPartError, match="run-0"):
            Run.open(str(run_path)).read()
        with pytest.raises(CorruptPartError, match="answer-0"):
            read_answers(runs[1], [(str(path), 1) for path in answers])

    def test_a_missing_file_is_found(self, scope, tmp_path):
        with pytest.raises(CorruptPartError, match="nothing is missing"):
            Run.open(str(tmp_path / "nothing"))
        with pytest.raises(CorruptPartError, match="nothing is missing"):
            read_answers(scope[0][0], [(str(tmp_path / "nothing"), 0)])

    def test_answers_must_cover_the_run_once(self, scope):
        runs, answers = scope
        first, second = ((str(path), 0) for path in answers)
        for wrong in ([], [first], [second], [first, first, second]):
            with pytest.raises(CorruptPartError, match="run-0"):
                read_answers(runs[0], wrong)

    def test_an_answer_to_a_longer_run_is_found(self, scope):
        runs, answers = scope
        shorter = dataclasses.replace(runs[0], count=200)
        with pytest.raises(CorruptPartError, match="answer-1"):
            read_answers(shorter, [(str(path), 0) for path in answers])

    def test_a_key_that_is_not_in_the_run_is_found(self):
        key_filter = KeyFilter(np.array([1, 2], np.uint64), np.zeros(2, bool), "keep-first")
        with pytest.raises(CorruptPartError, match="1 of 2 keys"):
            key_filter.drop(np.array([2, 3], np.uint64))


def test_memory_stays_within_the_budget_over_20_million_keys(tmp_path):
    """Building and merging 160 MB of keys, a tenth of them in two runs, in a tenth of that each."""
    budget, count, runs = 16 << 20, 5_000_000, []
    common = np.random.default_rng(99).integers(0, 2**64, count // 10, np.uint64)
    RunBuilder(str(tmp_path), 1000).add(common[:100])  # what is compiled on first use is not counted
    make_answers(tmp_path, [make_run(tmp_path / "warm", [1])], "drop-all")
    tracemalloc.start()
    for i in range(4):
        generator = np.random.default_rng(i)
        with RunBuilder(str(tmp_path), budget) as builder:
            for _ in range(10 - i % 2):
                builder.add(generator.integers(0, 2**64, count // 10, np.uint64))
            if i % 2:
                builder.add(common)
            runs.append(make_run(tmp_path / f"run-{i}", *builder.finish()))
    _, building = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    answers = make_answers(tmp_path, runs, "drop-all", 1, budget)
    _, merging = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    batches = 2 * 4_000_000  # one given, one kept here
    assert building < budget + batches + (1 << 20)
    assert merging < budget + (1 << 20)
    bits = read_answers(runs[3], [(str(answers[0]), 3)])
    np.testing.assert_array_equal(runs[3].read().keys[bits], np.unique(common))
