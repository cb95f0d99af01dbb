"""Shards are Megatron's pairs: read back by its own reader where there is torch, by the layout everywhere."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.settings.mixture import Mixture
from tests.tokenizer.runs import mix_here, tokens_here, write_run
from tokenizer.encoder import Encoder
from tokenizer.reader import Corpus


class Made(NamedTuple):
    root: Path
    expected: dict[str, list[list[int]]]  # tokens of every document with its marks, by the base of its shard


@pytest.fixture(scope="module")
def made(texts: list[str], model: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two sources, an empty document and held-out ones among them, in shards of some 2,500 tokens."""
    root = tmp_path_factory.mktemp("megatron")
    some = {"books": [*texts[:40], "", "   "], "github": texts[40:70]}
    runs = [write_run(root / name, name, of, held_out=[2, 5]) for name, of in some.items()]
    tokens_here(root / "tokens", runs, model, part_bytes=30_000)
    mixture = Mixture(
        weights={"books": 0.7, "github": 0.3}, tokens=30_000, shard_tokens=2_500, max_epochs=9.0
    )
    mix_here(root / "shards", root / "tokens", mixture)
    return Made(root, dict(_expected(root, Encoder(model), some)))


def _expected(
    root: Path, encoder: Encoder, some: dict[str, list[str]]
) -> Iterator[tuple[str, list[list[int]]]]:
    """By the locators, from the texts themselves."""
    parts = sorted((root / "tokens" / "tokens").glob("*.parquet"))
    origins = [pq.read_table(path, columns=["row"])["row"].to_pylist() for path in parts]
    for name in ("train", "held-out/books", "held-out/github"):
        corpus = Corpus.open(root / "shards", name)
        for shard in range(len(corpus.table)):
            found = []
            for row in corpus.documents(shard)[1]:
                text = some[corpus.manifest["sources"][row["source"]]][origins[row["part"]][row["row"]]]
                found.append([1, *encoder.encode(pa.array([text])).ids.tolist(), 2])
            yield corpus.path(shard, ""), found


def test_the_layout_is_that_of_its_description(made: Made) -> None:
    """As the table of formats has it: header, int32 lengths, int64 byte offsets, int64 document indices."""
    assert len(made.expected) > 10
    for base, documents in made.expected.items():
        index, tokens = Path(f"{base}.idx").read_bytes(), Path(f"{base}.bin").read_bytes()
        n = len(documents)
        assert struct.unpack_from("<9sQBQQ", index) == (b"MMIDIDX\0\0", 1, 8, n, n + 1)
        at = struct.calcsize("<9sQBQQ")
        lengths = struct.unpack_from(f"<{n}i", index, at)
        offsets = struct.unpack_from(f"<{n}q", index, at + 4 * n)
        assert struct.unpack_from(f"<{n + 1}q", index, at + 12 * n) == tuple(range(n + 1))
        assert len(index) == at + 12 * n + 8 * (n + 1)
        assert sum(lengths) * 2 == len(tokens)
        for document, length, offset in zip(documents, lengths, offsets, strict=True):
            assert list(struct.unpack_from(f"<{length}H", tokens, offset)) == document


def test_megatron_reads_every_document_back(made: Made) -> None:
    """The reader of megatron-core as it is installed."""
    pytest.importorskip("torch")
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    for base, documents in made.expected.items():
        if not documents:
            continue  # it cannot map an empty file; only a set of fewer documents than shards has one
        assert indexed.IndexedDataset.exists(base)
        for mmap in (True, False):
            found = indexed.IndexedDataset(base, mmap=mmap)
            assert len(found) == len(documents)
            assert found.sequence_lengths.tolist() == [len(document) for document in documents]
            assert found.document_indices.tolist() == list(range(len(documents) + 1))
            for i, document in enumerate(documents):
                assert found[i].dtype == np.uint16
                assert found[i].tolist() == document
                assert found.get(i, offset=1, length=1).tolist() == document[1:2]
