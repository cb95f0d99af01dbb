"""Settings of the mixture: how much of each source a training run draws, and the shards it is drawn from."""

from __future__ import annotations

from pydantic import Field
from pydantic.dataclasses import dataclass

from corpus.settings import STRICT


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Tokenizer:
    """The tokenizer (LLaMA, section 2.1: SentencePiece BPE, split digits, byte fallback) and its sample."""

    vocab_size: int = Field(
        default=32_000, gt=259, le=65_536
    )  # pieces: three controls and 256 bytes are among them
    sample_bytes: int = Field(default=2 << 30, gt=0)  # text drawn by the mixture's weights; paper silent
    seed: int = 0


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Mixture:
    """What is drawn (LLaMA, table 1)."""

    weights: dict[str, float] = Field(min_length=1)  # share of the tokens drawn, by source
    tokens: int = Field(gt=0)  # drawn in all, marks of beginning and end included
    max_epochs: float = Field(default=4.0, gt=0)  # of any source; more is an error
    seed: int = 0
    shard_tokens: int = Field(default=128 << 20, gt=0)  # of a shard, about
    begin: bool = True  # the tokenizer's mark before each document; paper silent
    end: bool = True  # and after
