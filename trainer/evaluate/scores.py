"""Bits per byte of held-out text, a source, of a model and of a unigram model to compare with.

In: a model, or a run's folder, and the held-out sets of a corpus of shards. Out: a `Score` a source. Bits per
byte can be compared whatever the tokenizer: nats of all tokens of text / ln 2 / UTF-8 bytes of that text.

Letters of shapes: B rows of a batch, T time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from tokenizer.reader import Corpus
from trainer.data import Array
from trainer.errors import TrainerError
from trainer.evaluate.held_out import HeldOut, files

_ENOUGH = 1 << 28  # tokens of the unigram model: each shard is a random sample of the mixture
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Score:
    """How well a model foretells the documents of a source, marks left out.

    Attributes:
        bits_per_byte: per UTF-8 byte of text.
        nats_per_token: per token of text.
        tokens: of text.
        bytes: of text.
    """

    bits_per_byte: float
    nats_per_token: float
    tokens: int
    bytes: int

    @classmethod
    def of(cls, nats: float, text: HeldOut) -> Score:
        """The score of a sum of nats over all of a set's text."""
        return cls(nats / math.log(2) / text.bytes, nats / text.tokens, text.tokens, text.bytes)


@torch.no_grad()
def bits_per_byte(
    model: nn.Module,
    corpora: Mapping[str, Corpus],
    *,
    length: int,
    rows: int,
    device: torch.device,
    limit: int | None = None,
    rank: int = 0,
    world: int = 1,
    documents: bool = False,
) -> dict[str, Score]:
    """Score a model; all ranks get the same scores and call the model equally often.

    Windows are packed as in training and do not overlap: a token is foretold from those before it in its
    window, half a window on average.

    Args:
        model: (tokens_BT, targets_BT, documents_BT) → float[B, T], nats of each target.
        corpora: the held-out set of each source.
        length: T.
        rows: B at most; the same in all calls.
        device: of the model.
        limit: tokens of a source's set, as in `HeldOut`; None for all.
        rank: this process, which takes the windows i ≡ rank (mod world) of all sources'.
        world: how many score together.
        documents: whether attention stays within documents.

    Raises:
        TrainerError: a source has no text that can be scored.
        ShardError: a shard is missing or is not as it was written.
    """
    texts = [HeldOut(corpus, length, limit) for corpus in corpora.values()]
    windows = [(place, number) for place, text in enumerate(texts) for number in range(text.windows)]
    mine, most = windows[rank::world], -(-len(windows) // world)
    rows = max(1, min(rows, most))
    nats = np.zeros(len(texts))
    for begin in range(0, most, rows):
        tokens_BT, targets_BT, origins_BT = np.zeros((3, rows, length), np.int64)
        text_BT = np.zeros((rows, length), bool)  # rows that are missing are not text
        chosen = mine[begin : begin + rows]
        for row, (place, number) in enumerate(chosen):
            tokens, text_BT[row], origins_BT[row] = texts[place].window(number)
            tokens_BT[row], targets_BT[row] = tokens[:-1], tokens[1:]
        inputs = [torch.from_numpy(part).to(device) for part in (tokens_BT, targets_BT, origins_BT)]
        losses_BT = model(*inputs[: 3 if documents else 2]).float().cpu().numpy()
        sums_B = np.where(text_BT, losses_BT, 0).sum(1, dtype=np.float64)
        np.add.at(nats, [place for place, _ in chosen], sums_B[: len(chosen)])
    if world > 1:
        total = torch.from_numpy(nats).to(device)
        dist.all_reduce(total)
        nats = total.cpu().numpy()
    return {name: Score.of(float(n), text) for name, n, text in zip(corpora, nats, texts, strict=True)}


def unigram(
    train: Corpus,
    corpora: Mapping[str, Corpus],
    *,
    vocab: int,
    limit: int | None = None,
    enough: int = _ENOUGH,
) -> dict[str, Score]:
    """Score the model that knows how frequent each token is, and nothing else; what it scores is the same.

    Args:
        train: the training set, whose tokens are counted, each once more than it occurs; marks are not.
        corpora: the held-out set of each source.
        vocab: ids of tokens are below it.
        limit: tokens of a source's set, as in `HeldOut`; None for all.
        enough: tokens that are counted.

    Raises:
        TrainerError: an id is beyond the vocabulary, or a source has no text that can be scored.
        ShardError: a shard is missing or is not as it was written.
    """
    counts, shards = np.zeros(vocab, np.int64), files(train)
    for shard in range(len(train.table)):
        tokens = shards.tokens(*train.tokens_file(shard))[: max(0, enough - int(train.starts[shard]))]
        for begin in range(0, len(tokens), _BLOCK):
            counts += _counts(train, tokens[begin : begin + _BLOCK], vocab)
    counts[[mark for mark in train.manifest["marks"].values() if mark is not None]] = 0
    nats = np.log(counts.sum() + vocab) - np.log(counts + 1)
    scores = {}
    for name, corpus in corpora.items():
        text, found = HeldOut(corpus, _BLOCK, limit), np.zeros(vocab, np.int64)
        for window in map(text.window, range(text.windows)):
            found += _counts(corpus, window.tokens[1:][window.text], vocab)
        scores[name] = Score.of(float(found @ nats), text)
    return scores


def _counts(corpus: Corpus, tokens: Array, vocab: int) -> Array:
    """int64[V], how often each id occurs."""
    counts = np.bincount(tokens, minlength=vocab)
    if len(counts) > vocab:
        raise TrainerError(
            f"{corpus.root}: the set {corpus.name} has token {len(counts) - 1}, "
            f"beyond a vocabulary of {vocab}: was the model trained on these shards?"
        )
    return counts


def table(model: Mapping[str, Score], baseline: Mapping[str, Score]) -> str:
    """Scores of a model beside the unigram model's, a line a source."""
    lines = [f"{'':16}{'tokens':>14}{'bytes':>14}{'bits/byte':>12}{'unigram':>12}{'nats/token':>12}"]
    lines += [
        f"{name:16}{score.tokens:14,}{score.bytes:14,}{score.bits_per_byte:12.4f}"
        f"{baseline[name].bits_per_byte:12.4f}{score.nats_per_token:12.4f}"
        for name, score in model.items()
    ]
    return "\n".join(lines)
