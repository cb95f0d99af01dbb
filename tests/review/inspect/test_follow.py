"""A document followed to its shards, and tokens of shards back to it: each step's file and row hold it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import sentencepiece

from tests.conftest import new_bucket
from tests.review.inspect.conftest import Inspect
from tokenizer.reader import Corpus, Reader

Objects = Callable[..., list[dict[str, Any]]]


def test_each_stage_has_the_document_where_it_says(crawl: Path, objects: Objects) -> None:
    for found in objects(crawl / "run", "--random", "--limit", 5):
        steps = objects(crawl / "run", "--id", found["id"], "--follow")
        names = ["raw", "index", "dedup", "annotate", "decide"] + ["export"] * found["kept"]
        assert [step["stage"] for step in steps] == names
        for step in steps:
            assert Path(step["file"]).is_file()
            if step["row"] is not None:
                assert pq.read_table(step["file"])["id"][step["row"]].as_py() == found["id"]


def test_a_document_is_followed_into_every_shard_that_has_a_copy(chain: Path, objects: Objects) -> None:
    model = sentencepiece.SentencePieceProcessor(model_file=str(chain / "tokens" / "tokenizer.model"))
    copies = 0
    for found in objects(chain / "c4", "--kept", "--limit", 100):
        steps = objects(chain, "--id", found["id"], "--follow")
        (text,) = (r["text"] for r in pq.read_table(steps[1]["file"]).to_pylist()[steps[1]["row"] :][:1])
        (tokens,) = (step for step in steps if step["stage"] == "tokens")
        first = tokens["facts"]["in c4-00000.tokens from token"]
        stream = np.fromfile(Path(tokens["file"]).with_suffix(".tokens"), "<u2")
        ids = stream[first : first + tokens["facts"]["tokens"]]
        assert model.decode(ids.tolist()) == text
        for step in steps:
            if step["stage"] == "shards" and "position" in step["facts"]:
                facts = step["facts"]
                stream = np.fromfile(step["file"], "<u2")[facts["position"] :][: facts["tokens"]]
                assert stream[1:-1].tolist() == ids.tolist()
                copies += 1
    corpus = Corpus.open(str(chain / "shards"))
    held_out = sum(s["counters"]["documents"] for n, s in corpus.manifest["sets"].items() if n != "train")
    assert copies == int(corpus.table["documents"].sum()) + held_out


def test_shards_of_other_runs_are_named_as_such(
    chain: Path, crawl: Path, tmp_path: Path, objects: Objects
) -> None:
    shutil.copytree(chain / "tokens", tmp_path / "tokens")
    found = objects(crawl / "run", "--kept", "--limit", 1)[0]
    steps = objects(crawl / "run", tmp_path / "tokens", "--id", found["id"], "--follow")
    assert steps[-1]["facts"]["note"] == "made from other runs than this document's"


def test_a_token_is_traced_back_to_its_document(chain: Path, objects: Objects) -> None:
    corpus = Corpus.open(str(chain / "shards"))
    stream = np.fromfile(corpus.path(1, ".bin"), "<u2")
    index, _ = corpus.documents(1)
    for position in (0, 1, len(stream) // 2, len(stream) - 1):
        (traced,) = objects(chain / "shards", "--shard", 1, "--position", position)
        assert traced["token"]["id"] == stream[position]
        first = traced["token"]["first"]
        assert first * 2 in index.offsets.tolist()
        assert first <= position < first + traced["token"]["tokens"]
        row = pq.read_table(Path(traced["document"]["run"]) / traced["document"]["file"]).to_pylist()
        document = row[traced["document"]["row"]]
        assert document["id"] == traced["tokens"]["id"]
        assert traced["token"]["after"] in document["text"]
        assert traced["raw_record"]["text"] == document["text"]


def test_a_sample_of_the_reader_is_traced_from_its_first_token(
    chain: Path, objects: Objects, tmp_path: Path
) -> None:
    reader = Reader([Corpus.open(str(chain / "shards"))], 64, 3, cache=tmp_path)
    for sample in (0, reader.samples - 1):
        (traced,) = objects(chain / "shards", "--sample", sample, "--length", 64, "--seed", 3)
        assert traced["token"]["id"] == reader.sample(sample)[0]
        assert traced["position"] == reader.place(sample).offset


def test_what_shards_do_not_have_is_said(chain: Path, inspect: Inspect) -> None:
    root = chain / "shards"
    assert "has shards 0 to" in inspect(root, "--shard", 99, "--position", 0, status=2)
    assert "has positions 0 to" in inspect(root, "--shard", 0, "--position", 10**9, status=2)
    assert "belong together" in inspect(root, "--shard", 0, status=2)
    assert "there are samples 0 to" in inspect(root, "--sample", 10**6, status=2)
    assert "train" in inspect(root, "--set", "nothing", "--shard", 0, "--position", 0, status=2)
    assert "give one run of shards" in inspect(chain / "c4", "--shard", 0, "--position", 0, status=2)
    assert "none with decisions on documents" in inspect(root, "--kept", status=2)


def test_runs_that_were_moved_are_found_among_those_given(
    chain: Path, tmp_path: Path, inspect: Inspect, objects: Objects
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(chain, moved)
    inputs = moved / "shards" / "inputs.json"
    inputs.write_text(inputs.read_text().replace(str(chain), "/nowhere"))
    at = ("--shard", 0, "--position", 5)
    assert "give its folder too" in inspect(moved / "shards", *at, status=2)
    (traced,) = objects(moved, *at)
    assert traced["document"]["run"] == str(moved / "c4")


def test_a_shard_that_was_cut_off_is_named(chain: Path, tmp_path: Path, inspect: Inspect) -> None:
    shutil.copytree(chain / "shards", tmp_path / "shards")
    path = tmp_path / "shards" / "train" / "shard-00000.bin"
    path.write_bytes(path.read_bytes()[:-2])
    assert "shard-00000.bin has" in inspect(
        tmp_path / "shards", chain / "tokens", "--shard", 0, "--position", 5, status=1
    )
    path.unlink()
    assert "shard-00000.bin is missing" in inspect(
        tmp_path / "shards", "--shard", 0, "--position", 5, status=1
    )


def test_runs_in_an_object_store_are_read_as_local_ones(
    chain: Path, objects: Objects, request: pytest.FixtureRequest
) -> None:
    bucket = new_bucket("s3", request)
    fsspec.filesystem("s3", use_listings_cache=False).put(f"{chain}/", f"{bucket}/chain/", recursive=True)
    there, here = f"{bucket}/chain", str(chain)
    found = objects(there, "--kept", "--limit", 1)[0]
    steps = [objects(root, "--id", found["id"], "--follow") for root in (there, here)]
    assert [step["file"].replace(there, here) for step in steps[0]] == [step["file"] for step in steps[1]]
    traced = [objects(root, "--shard", 0, "--position", 7)[0]["token"] for root in (there, here)]
    assert traced[0] == traced[1]
