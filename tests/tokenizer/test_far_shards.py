"""Tokenizer, tokens and shards in an object store: the bytes of a local run, read through its own opener."""

from __future__ import annotations

from pathlib import Path

import fsspec
import numpy as np
import pytest

from corpus import storage
from corpus.settings.mixture import Mixture, Tokenizer
from tests.conftest import new_bucket
from tests.pipelines.conftest import digests
from tests.tokenizer.runs import mix_here, tokens_here, write_run
from tokenizer.reader import Corpus, Reader
from tokenizer.train import MODEL, train

WEIGHTS = {"books": 0.6, "github": 0.4}


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_an_object_store_gets_the_bytes_of_a_local_run(
    scheme: str, texts: list[str], model: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bucket = new_bucket(scheme, request)
    runs = [
        write_run(tmp_path / "books", "books", texts[:60], held_out=[3], files=3),
        write_run(tmp_path / "github", "github", texts[60:90]),
    ]
    mixture = Mixture(weights=WEIGHTS, tokens=30_000, shard_tokens=8_000, max_epochs=9.0)
    for root in (str(tmp_path), bucket):
        train(runs, WEIGHTS, Tokenizer(vocab_size=900, sample_bytes=40_000), f"{root}/tokenizer")
        tokens_here(f"{root}/tokens", runs, model, part_bytes=30_000)
        mix_here(f"{root}/shards", f"{root}/tokens", mixture)
    assert storage.read_bytes(f"{bucket}/tokenizer/{MODEL}") == (tmp_path / "tokenizer" / MODEL).read_bytes()
    here = digests(tmp_path / "shards")
    assert here
    for name in here:
        assert storage.read_bytes(f"{bucket}/shards/{name}") == (tmp_path / "shards" / name).read_bytes(), (
            name
        )

    fs = fsspec.filesystem(scheme)

    def open_(path: str, offset: int, length: int) -> bytes:
        data: bytes = fs.cat_file(path, start=offset, end=offset + length)
        return data

    far = Reader([Corpus.open(f"{bucket}/shards", open_=open_)], 128, 0, tmp_path / "cache")
    local = Reader([Corpus.open(tmp_path / "shards")], 128, 0, tmp_path / "local")
    assert far.samples > 100
    for a, b in zip(far.batches(8, 0, 1, 0), local.batches(8, 0, 1, 0), strict=True):
        assert np.array_equal(a, b)
