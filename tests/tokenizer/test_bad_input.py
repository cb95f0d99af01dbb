"""Tokens and shards of what is empty, too large, damaged, or does not belong together."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.errors import CorruptPartError, UserError
from corpus.mixture import shares
from corpus.settings.mixture import Mixture
from tests.pipelines.conftest import ROOT
from tests.tokenizer.conftest import train
from tests.tokenizer.runs import mix_here, tokens_here, write_run
from tokenizer.encoder import Encoder
from tokenizer.reader import Corpus, Reader
from tokenizer.shards import ShardError

BOTH = {"books": 0.5, "github": 0.5}
LARGE = 100_000_000


def mixture(weights: dict[str, float], tokens: int = 2_000, **more: object) -> Mixture:
    return Mixture(**{"weights": weights, "tokens": tokens, "shard_tokens": 500, "max_epochs": 50.0, **more})


def of_shards(root: Path) -> list[list[int]]:
    """The tokens of every document that is trained on."""
    corpus = Corpus.open(root)
    found = []
    for shard in range(len(corpus.table)):
        tokens = np.frombuffer(Path(corpus.path(shard, ".bin")).read_bytes(), "<u2")
        index, _ = corpus.documents(shard)
        for start, length in zip(index.offsets // 2, index.lengths, strict=True):
            found.append(tokens[start : start + length].tolist())
    return found


def test_a_source_without_documents_is_refused_only_where_it_has_a_weight(
    model: Path, tmp_path: Path
) -> None:
    runs = [write_run(tmp_path / "books", "books", []), write_run(tmp_path / "github", "github", ["def f()"])]
    counters = tokens_here(tmp_path / "tokens", runs, model)
    assert counters["books"] == {}
    with pytest.raises(UserError, match="there is a weight for books, which has no tokens"):
        mix_here(tmp_path / "shards", tmp_path / "tokens", mixture(BOTH))
    with pytest.raises(UserError, match="weight for arxiv, and no tokens of it"):
        mix_here(tmp_path / "shards", tmp_path / "tokens", mixture({"github": 0.5, "arxiv": 0.5}))
    assert not (tmp_path / "shards").exists()
    table = mix_here(tmp_path / "shards", tmp_path / "tokens", mixture({"books": 0.0, "github": 1.0}, 100))
    assert list(table) == ["github"]


def test_a_source_that_is_held_out_whole_is_refused(model: Path, tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "books", "books", ["held out"], held_out=[0]),
        write_run(tmp_path / "github", "github", ["def f()"]),
    ]
    tokens_here(tmp_path / "tokens", runs, model)
    with pytest.raises(UserError, match="there is a weight for books, which has no tokens"):
        mix_here(tmp_path / "shards", tmp_path / "tokens", mixture(BOTH))


@pytest.mark.parametrize("marks", [True, False])
def test_documents_of_spaces_and_of_nothing_are_drawn_as_they_are(
    marks: bool, model: Path, tmp_path: Path
) -> None:
    texts = ["   ", "\n", " ", "", "\t\t \n ", " " * 5_000, "some words"]
    tokens_here(tmp_path / "tokens", [write_run(tmp_path / "books", "books", texts)], model)
    encoder = Encoder(model)
    around = ([1], [2]) if marks else ([], [])
    expected = [[*around[0], *(encoder.processor.encode(t) if t else []), *around[1]] for t in texts]
    unique = sum(map(len, expected))
    chosen = mixture({"books": 1.0}, unique, begin=marks, end=marks)
    table = mix_here(tmp_path / "shards", tmp_path / "tokens", chosen)
    assert table["books"]["epochs"] == 1
    assert sorted(of_shards(tmp_path / "shards")) == sorted(expected)
    rows = pq.read_table(tmp_path / "tokens" / "tokens" / "books-00000.parquet").to_pylist()
    assert [row["bytes"] for row in rows] == [len(text) for text in texts]


def test_only_empty_documents_without_marks_are_no_tokens(model: Path, tmp_path: Path) -> None:
    tokens_here(tmp_path / "tokens", [write_run(tmp_path / "books", "books", ["", ""])], model)
    with pytest.raises(UserError, match="there is a weight for books, which has no tokens"):
        mix_here(tmp_path / "s", tmp_path / "tokens", mixture({"books": 1.0}, begin=False, end=False))
    table = mix_here(tmp_path / "s", tmp_path / "tokens", mixture({"books": 1.0}, 8))
    assert table["books"]["drawn"] == 8


def test_another_tokenizer_than_the_manifests_is_refused(
    texts: list[str], model: Path, tmp_path: Path
) -> None:
    runs = [write_run(tmp_path / "books", "books", texts[:20])]
    other = train(tmp_path, "other", texts, vocab_size=1_000)
    tokens_here(tmp_path / "tokens", runs, model)
    mix_here(tmp_path / "shards", tmp_path / "tokens", mixture({"books": 1.0}))
    (tmp_path / "tokens" / "tokenizer.model").write_bytes(other.read_bytes())
    with pytest.raises(UserError, match=r"tokenizer\.model is not the tokenizer that the tokens of"):
        mix_here(tmp_path / "shards2", tmp_path / "tokens", mixture({"books": 1.0}))

    corpus = Corpus.open(tmp_path / "shards")
    tokens_here(tmp_path / "others", runs, other)
    mix_here(tmp_path / "more", tmp_path / "others", mixture({"books": 1.0}))
    with pytest.raises(ShardError, match="was made with tokenizer"):
        Reader([corpus, (Corpus.open(tmp_path / "more"), 5)], 16, 0, tmp_path / "cache")
    with pytest.raises(ShardError, match="was made with tokenizer"):
        corpus.check_tokenizer("0" * 64)


def test_files_that_were_altered_between_commands_are_named(
    texts: list[str], model: Path, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "books", "books", texts[:20])
    tokens_here(tmp_path / "tokens", [run], model)
    path = tmp_path / "tokens" / "tokens" / "books-00000.tokens"
    data = path.read_bytes()
    path.write_bytes(data[:-2])
    with pytest.raises(CorruptPartError, match=r"books-00000\.tokens has"):
        mix_here(tmp_path / "a", tmp_path / "tokens", mixture({"books": 1.0}))
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(CorruptPartError, match=r"books-00000\.tokens does not have the sha256"):
        mix_here(tmp_path / "b", tmp_path / "tokens", mixture({"books": 1.0}))
    stats = tmp_path / "tokens" / "stats.json"
    stats.write_text(json.dumps(json.loads(stats.read_bytes()) | {"sources": {}}))
    with pytest.raises(UserError, match=r"stats\.json is not that of its manifest"):
        mix_here(tmp_path / "c", tmp_path / "tokens", mixture({"books": 1.0}))

    documents = tmp_path / "books" / "documents" / "00000.parquet"
    documents.write_bytes(documents.read_bytes()[:-1] + b"?")
    with pytest.raises(CorruptPartError, match=r"00000\.parquet does not have the sha256"):
        tokens_here(tmp_path / "again", [run], model)


def encode_a_large_document(root: Path, model: Path) -> None:
    """In a process of its own: what it takes besides the text, as JSON on standard output."""
    text = "\n".join(f"line {i} of a document {'x' * (i % 90)}" for i in range(LARGE // 66))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    run = write_run(root / "books", "books", [text, "short"])
    size = len(text)
    del text
    counters = tokens_here(root / "tokens", [run], model)
    chosen = mixture({"books": 1.0}, counters["books"]["tokens"] + 4, shard_tokens=8 << 20)
    table = mix_here(root / "shards", root / "tokens", chosen)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = time.monotonic() - start
    print(json.dumps([size, after - before, seconds, counters["books"]["tokens"], table["books"]["drawn"]]))


def test_a_document_of_100_mb_takes_its_place(model: Path, tmp_path: Path) -> None:
    call = "import sys; from pathlib import Path; from tests.tokenizer.test_bad_input import *"
    call += "; encode_a_large_document(*map(Path, sys.argv[1:]))"
    command = [sys.executable, "-c", call, str(tmp_path), str(model)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    size, memory, seconds, tokens, drawn = json.loads(done.stdout)
    assert size > 0.9 * LARGE
    assert memory * 1024 < 12 * LARGE
    assert seconds < 60
    assert tokens + 4 == drawn  # with the marks of two documents
    reader = Reader([Corpus.open(tmp_path / "shards")], 2_048, 0, tmp_path / "cache")
    assert reader.samples == (drawn - 1) // 2_048
    assert len({reader.place(i).position for i in range(0, reader.samples, 100)}) == -(-reader.samples // 100)


def test_a_line_without_a_place_to_cut_is_encoded_whole(model: Path) -> None:
    """Every merge may reach across it: a heap of pairs, not all pairs against all."""
    encoder = Encoder(model)
    start = time.process_time()
    for text in ("the" * 300_000, " " * 1_000_000, "日本" * 200_000):
        found = encoder.encode(pa.array([text]))
        assert encoder.processor.decode(found.ids.tolist()) == text
    assert time.process_time() - start < 20


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -0.5])
def test_a_weight_that_is_none_is_refused(weight: float) -> None:
    weights = {"books": weight, "github": 1.0 if weight != -0.5 else 1.5}
    with pytest.raises(UserError, match=r"sum to (nan|inf), not to 1|weight -0\.5 of books is negative"):
        shares(mixture(weights), {"books": 5, "github": 5_000})
