"""Rows that meet: every row lies in the bucket of its key, in order, and damage is named."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import exchange
from corpus.errors import CorruptPartError
from corpus.exchange import ExchangeWriter, bucket_count
from corpus.parts import PartFile

SCHEMA = pa.schema([("key", pa.uint64()), ("n", pa.int64())])


def write(path: Path, keys: list[int], buckets: int, batch: int, memory: int) -> PartFile:
    with open(path, "wb") as f, ExchangeWriter(f, SCHEMA, buckets, memory) as writer:
        for start in range(0, len(keys), batch):
            part = np.array(keys[start : start + batch], np.uint64)
            numbers = np.arange(start, start + len(part))
            writer.add(pa.table({"key": part, "n": numbers}, schema=SCHEMA), part)
    return PartFile(path.name, 0, path.stat().st_size, "")


@settings(max_examples=60, deadline=None)
@given(
    keys=st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**63, 2**64 - 1]), max_size=60),
    bits=st.integers(0, 6),
    batch=st.integers(1, 20),
    memory=st.sampled_from([1, 200, 1 << 20]),
)
def test_a_bucket_has_the_rows_of_its_keys_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, keys: list[int], bits: int, batch: int, memory: int
) -> None:
    root = tmp_path_factory.mktemp("exchange")
    file = write(root / "x.rows", keys, 1 << bits, batch, memory)
    for bucket in range(1 << bits):
        found = exchange.read(str(root), file, bucket)
        expected = [n for n, key in enumerate(keys) if (key << bits) >> 64 == bucket]
        assert found.column("n").to_pylist() == expected
        assert found.column("key").to_pylist() == [keys[n] for n in expected]


def test_damage_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "x.rows", [n << 51 for n in range(5_000)], 4, 100, 1 << 20)
    with pytest.raises(CorruptPartError, match=r"x\.rows is missing"):
        exchange.read(str(tmp_path / "elsewhere"), file, 0)
    data = bytearray((tmp_path / "x.rows").read_bytes())
    (tmp_path / "x.rows").write_bytes(data + b"x")
    with pytest.raises(CorruptPartError, match="bytes where its record says"):
        exchange.read(str(tmp_path), file, 0)
    data[len(data) // 8] ^= 0xFF
    (tmp_path / "x.rows").write_bytes(data)
    with pytest.raises(CorruptPartError, match="is damaged"):
        [exchange.read(str(tmp_path), file, bucket) for bucket in range(4)]


def test_the_number_of_buckets_is_a_power_of_two_that_fits() -> None:
    assert [bucket_count(n, 100) for n in (0, 1, 100, 101, 200, 201, 1_000)] == [1, 1, 1, 2, 2, 4, 16]
    with pytest.raises(ValueError, match="power of two"):
        ExchangeWriter(io.BytesIO(), SCHEMA, 3)


def test_keys_and_rows_go_together() -> None:
    table = pa.table({"key": [1], "n": [1]}, schema=SCHEMA)
    with (
        pytest.raises(ValueError, match="1 rows and 2 keys"),
        ExchangeWriter(io.BytesIO(), SCHEMA, 1) as writer,
    ):
        writer.add(table, np.zeros(2, np.uint64))
