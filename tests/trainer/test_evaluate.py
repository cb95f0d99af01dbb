"""Bits per byte: which documents are scored, and their score, counted again token by token."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from tests.trainer.corpora import BEGIN, END, write_corpus
from tokenizer.reader import Corpus
from trainer.checkpoint.folder import Checkpoints
from trainer.errors import TrainerError
from trainer.evaluate import __main__ as evaluate
from trainer.evaluate.held_out import HeldOut, held_out
from trainer.evaluate.scores import Score, bits_per_byte, unigram
from trainer.model import Llama, initialise
from trainer.presets import Shape

LENGTH = 32
VOCAB = 256
OPTIONS: dict[str, Any] = {"length": LENGTH, "rows": 4, "device": torch.device("cpu")}
Marks = tuple[int | None, int | None]


def loss_of(token: Any, target: Any, place: Any) -> Any:
    """Nats that tell each pair of tokens, and each place in the window, from others."""
    return (token * 7 + target * 3 + place) % 11 + 0.25


class Pairs(nn.Module):
    """A model whose losses are known; it keeps what it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Tensor, Tensor | None]] = []

    def forward(self, tokens_BT: Tensor, targets_BT: Tensor, documents_BT: Tensor | None = None) -> Tensor:
        self.calls.append((tokens_BT, documents_BT))
        return loss_of(tokens_BT, targets_BT, torch.arange(tokens_BT.shape[1]))


class Uniform(nn.Module):
    def forward(self, tokens_BT: Tensor, targets_BT: Tensor) -> Tensor:
        return torch.full(tokens_BT.shape, math.log(VOCAB))


def texts(corpus: Corpus, limit: int | None = None) -> list[tuple[list[int], int]]:
    """Places in the stream of the tokens of text of each document that is scored, and its bytes."""
    begin, end = (int(corpus.manifest["marks"][mark] is not None) for mark in ("begin", "end"))
    found, start = [], 0
    for shard in range(len(corpus.table)):
        for length, row in zip(corpus.documents(shard)[0].lengths, corpus.documents(shard)[1], strict=True):
            places = list(range(start + begin, start + int(length) - end))
            start += int(length)
            if places and places[0] > 0 and (limit is None or start <= limit or not found):
                found.append((places, int(row["bytes"])))
    return found


def stream(corpus: Corpus) -> list[int]:
    files = [corpus.path(shard, ".bin") for shard in range(len(corpus.table))]
    return np.concatenate([np.fromfile(path, np.uint16) for path in files]).tolist()


def brute_force(corpus: Corpus, limit: int | None) -> Score:
    tokens, nats, count, size = stream(corpus), 0.0, 0, 0
    for places, text_bytes in texts(corpus, limit):
        nats += sum(loss_of(tokens[q - 1], tokens[q], (q - 1) % LENGTH) for q in places)
        count, size = count + len(places), size + text_bytes
    return Score(nats / math.log(2) / size, nats / count, count, size)


@pytest.mark.parametrize("marks", [(BEGIN, END), (BEGIN, None), (None, END), (None, None)])
@pytest.mark.parametrize("limit", [None, 1, 150, 400])
def test_scores_are_those_of_whole_documents(limit: int | None, marks: Marks, tmp_path: Path) -> None:
    write_corpus(tmp_path, held_out={"books": [6, 0, 3], "wikipedia": [2]}, marks=marks)
    corpora = held_out(Corpus.open(tmp_path))
    scores = bits_per_byte(Pairs(), corpora, limit=limit, **OPTIONS)
    assert list(scores) == ["books", "wikipedia"]
    for name, score in scores.items():
        expected = brute_force(corpora[name], limit)
        assert (score.tokens, score.bytes) == (expected.tokens, expected.bytes)
        assert score.nats_per_token == pytest.approx(expected.nats_per_token, rel=1e-12)
        assert score.bits_per_byte == pytest.approx(expected.bits_per_byte, rel=1e-12)


def test_a_uniform_model_has_the_bits_of_its_vocabulary(tmp_path: Path) -> None:
    corpora = held_out(Corpus.open(write_corpus(tmp_path)))
    for name, score in bits_per_byte(Uniform(), corpora, **OPTIONS).items():
        assert name in ("books", "github")
        assert score.bits_per_byte == pytest.approx(8 * score.tokens / score.bytes, rel=1e-7)


def test_a_limit_cuts_no_document(tmp_path: Path) -> None:
    """Only what ends within the limit counts, and what is beyond is not computed."""
    corpus = held_out(Corpus.open(write_corpus(tmp_path)))["books"]
    ends = np.cumsum(corpus.documents(0)[0].lengths)
    assert HeldOut(corpus, LENGTH, int(ends[2])).tokens == ends[2] - 2 * 3  # marks are no text
    within = HeldOut(corpus, LENGTH, int(ends[2]) - 1)
    assert within.tokens == ends[1] - 2 * 2
    assert (within.windows - 1) * LENGTH < ends[1] - 2 <= within.windows * LENGTH
    assert HeldOut(corpus, LENGTH, 1).tokens == ends[0] - 2  # never none


def test_attention_stays_within_documents_where_asked(tmp_path: Path) -> None:
    corpora = held_out(Corpus.open(write_corpus(tmp_path, held_out={"books": [9]})))
    model = Pairs()
    assert bits_per_byte(model, corpora, documents=True, **OPTIONS) == bits_per_byte(
        Pairs(), corpora, **OPTIONS
    )
    tokens, documents = (torch.cat(parts) for parts in zip(*model.calls, strict=True))
    begins = (tokens == BEGIN).long()
    begins[:, 0] = 0
    real = tokens != 0
    assert (documents == begins.cumsum(1))[real].all()


def test_a_set_without_text_is_refused(tmp_path: Path) -> None:
    corpora = held_out(Corpus.open(write_corpus(tmp_path, held_out={"books": [3], "github": [0]})))
    with pytest.raises(TrainerError, match="the set held-out/github has no document that could be scored"):
        bits_per_byte(Pairs(), corpora, **OPTIONS)


def _score(rank: int, world: int, root: Path) -> None:
    dist.init_process_group("gloo", f"file://{root}/meeting", rank=rank, world_size=world)
    model = Pairs()
    scores = bits_per_byte(model, held_out(Corpus.open(root)), rank=rank, world=world, **OPTIONS)
    shapes = [list(tokens.shape) for tokens, _ in model.calls]
    found = {name: list(vars(score).values()) for name, score in scores.items()}
    (root / f"rank-{rank}.json").write_text(json.dumps([found, shapes]))
    dist.destroy_process_group()


def test_ranks_score_together(tmp_path: Path) -> None:
    """All have the scores of one alone, and call the model equally often, though windows are not even."""
    write_corpus(tmp_path, held_out={"books": [12], "github": [1]})
    alone = bits_per_byte(Pairs(), held_out(Corpus.open(tmp_path)), **OPTIONS)
    windows = sum(HeldOut(corpus, LENGTH).windows for corpus in held_out(Corpus.open(tmp_path)).values())
    assert windows % 8 == 1, "the second rank's last call has no window"
    mp.spawn(_score, (2, tmp_path), 2)
    (first, shapes), second = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert second == [first, shapes]
    assert {name: Score(*values) for name, values in first.items()} == alone
    assert shapes == [[4, LENGTH]] * (windows // 8 + 1)


@pytest.mark.parametrize("limit", [None, 150])
def test_a_unigram_model_counts_each_token_once_more(limit: int | None, tmp_path: Path) -> None:
    corpora = held_out(Corpus.open(write_corpus(tmp_path)))
    train = Corpus.open(tmp_path)
    counts = Counter(token for token in stream(train) if token not in (BEGIN, END))
    total = sum(counts.values()) + VOCAB
    for name, score in unigram(train, corpora, vocab=VOCAB, limit=limit).items():
        tokens, scored = stream(corpora[name]), texts(corpora[name], limit)
        nats = -sum(math.log((counts[tokens[q]] + 1) / total) for places, _ in scored for q in places)
        size = sum(text_bytes for _, text_bytes in scored)
        assert score.bits_per_byte == pytest.approx(nats / math.log(2) / size, rel=1e-12)
        assert score.tokens == sum(len(places) for places, _ in scored)


def test_a_unigram_model_counts_as_much_as_is_enough(tmp_path: Path) -> None:
    train, corpora = Corpus.open(write_corpus(tmp_path)), held_out(Corpus.open(tmp_path))
    none = unigram(train, corpora, vocab=VOCAB, enough=0)
    assert all(score.nats_per_token == pytest.approx(math.log(VOCAB)) for score in none.values())
    enough = int(train.starts[1]) + 100
    cut = write_corpus(tmp_path / "cut", train=[40, 30])
    shorter = Corpus.open(cut)
    assert unigram(train, corpora, vocab=VOCAB, enough=enough) == unigram(
        shorter, corpora, vocab=VOCAB, enough=enough
    )
    with pytest.raises(TrainerError, match="the set train has token 255, beyond a vocabulary of 100"):
        unigram(train, corpora, vocab=100)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder, with a checkpoint of a model that knows nothing; the shards lie beside it."""
    write_corpus(tmp_path / "shards", tokenizer="a" * 64)
    model = Llama(Shape(32, 2, 1, VOCAB))
    initialise(model, 0)
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints", 1, 0, 1, "x")
    state = {"shape": vars(model.shape), "length": LENGTH, "tokenizer_sha256": "a" * 64, "step": 3}
    tensors = {f"model.{name}": parameter for name, parameter in model.named_parameters()}
    checkpoints.save(3, tensors, state)
    checkpoints.wait()
    return tmp_path / "run"


def test_the_command_scores_a_run(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    scores = tmp_path / "scores.json"
    shards = str(tmp_path / "shards")
    assert evaluate.main([str(run), "--data", shards, "--device", "cpu", "--output", str(scores)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "step 3"
    assert [line.split()[0] for line in lines[2:]] == ["books", "github"]
    found = json.loads(scores.read_text())
    assert (found["step"], found["limit"]) == (3, None)
    for source, score in found["model"].items():
        # Its first weights are near zero, so its logits too.
        assert score["nats_per_token"] == pytest.approx(math.log(VOCAB), rel=1e-2)
        assert score["bytes"] == found["unigram"][source]["bytes"]
        assert f"{score['bits_per_byte']:.4f}" in "".join(lines)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("run", "holds no complete checkpoint"),
        ("shards", "manifest.json is missing: no corpus of shards"),
        ("held-out", "has no held-out sets"),
        ("tokenizer", "cannot be scored on these shards: .* was made with tokenizer bbb"),
        ("device", "no device 'abacus': cpu or cuda"),
    ],
)
def test_bad_input_is_told_before_a_model_is_read(
    wrong: str, message: str, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def restore(*_: Any) -> None:
        raise AssertionError("the model was read")

    monkeypatch.setattr(evaluate, "restore", restore)
    shards = run.parent / wrong
    if wrong in ("run", "device"):
        shards = run.parent / "shards"
    elif wrong == "held-out":
        write_corpus(shards, held_out={}, tokenizer="a" * 64)
    elif wrong == "tokenizer":
        write_corpus(shards, tokenizer="b" * 64)
    else:
        shards = run.parent / "nothing"
    folder = run.parent / "another" if wrong == "run" else run
    device = "abacus" if wrong == "device" else "cpu"
    status = evaluate.main([str(folder), "--data", str(shards), "--device", device])
    assert status == (1 if wrong == "shards" else 2)
    error = capsys.readouterr().err
    assert error.startswith("trainer: ")
    assert error.count("\n") == 1
    assert re.search(message, error)
