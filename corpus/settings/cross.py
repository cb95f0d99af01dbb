"""The recipe's blocks of what is done across sources. LLaMA's paper describes none of it: off by default.

Each is a command over finished runs: `llama-corpus cross-dedup`, `llama-corpus decontaminate`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from corpus.settings import STRICT

Source = Literal["wikipedia", "books", "arxiv", "stackexchange", "github", "c4", "commoncrawl"]
# Those whose documents lie on hosts of their own: the tables of corpus/overlap/hosts.toml.
HostSource = Literal["wikipedia", "books", "arxiv", "stackexchange", "github"]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class CrossDedup:
    """Documents with the same normalised text in several runs: see `corpus.overlap.cross`."""

    # Of a text that several have, the first of these keeps it: the smaller and the better edited first.
    priority: list[Source] = Field(
        default=["wikipedia", "books", "arxiv", "stackexchange", "github", "c4", "commoncrawl"], min_length=1
    )
    bucket_bytes: int = Field(default=256 << 20, gt=0)  # what one task holds of all runs' hashes


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Decontaminate:
    """Word n-grams of evaluations in documents, by the rule of GPT-3 (arXiv 2005.14165, appendix C).

    "janitor" is EleutherAI/lm-evaluation-harness, lm_eval/decontamination/janitor.py. See
    `corpus.overlap.decontaminate`.
    """

    # Words: 13 as GPT-3 and janitor, or "auto", by evaluation file the 5th percentile of its items' lengths,
    # from 8 to 13 (GPT-3's own choice; short items are only found so).
    ngram: Literal["auto"] | int = 13
    fields: list[str] = Field(default_factory=list)  # of evaluations that are texts; none: every string
    # n-grams in more documents than these are reported but nothing is removed for them: set phrases, legal
    # boilerplate (GPT-3: 10). 0: none is spared.
    max_documents: int = Field(default=10, ge=0)
    remove: bool = False
    window: int = Field(default=200, ge=0)  # code points removed on each side of a match
    min_piece: int = Field(default=200, ge=0)  # code points; shorter remains go too
    max_pieces: int = Field(default=10, ge=1)  # a document cut into more goes altogether
    # Inflated; an evaluation file beyond it is taken for a mistake.
    evaluation_bytes: int = Field(default=1 << 30, gt=0)

    def __post_init__(self) -> None:
        """Refuse sizes of n-grams that cannot be."""
        if isinstance(self.ngram, int) and not 1 <= self.ngram <= 64:
            raise ValueError(f"ngram must be 'auto' or from 1 to 64, not {self.ngram}")
