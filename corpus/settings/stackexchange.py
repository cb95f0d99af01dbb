"""Settings of the StackExchange source: which sites, and how a question and its answers become a text.

In: the recipe's block ``[stackexchange]``. LLaMA (arXiv 2302.13971, section 2.1) names the 28 largest sites,
text without HTML tags, and answers from the highest score to the lowest; all else here is a choice.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from corpus.settings import STRICT

# What decisions alone look at.
THRESHOLDS = frozenset({"unanswered"})


@dataclass(frozen=True, config=STRICT, kw_only=True)
class StackExchange:
    """Questions with their answers, from the sites' dumps."""

    largest: int = Field(default=28, ge=0)  # sites with the most questions and answers; 0: all of them
    sites: list[str] = Field(default_factory=list)  # these instead, such as "math.stackexchange.com"
    meta: Literal["leave-out", "rank"] = "leave-out"  # whether meta sites may be among the largest
    unanswered: Literal["keep", "reject"] = "keep"  # questions without an answer (RedPajama keeps them)
    min_answer_score: int | None = None  # answers below it are left out (EleutherAI's pairs: 3)
    max_answers: int | None = Field(default=None, ge=0)  # a question; the best (EleutherAI's pairs: 3)
    question_mark: str = "Q: "  # before the title, once
    title_end: str = "\n\n"  # between title and body; RedPajama " "
    answer_mark: str = "A: "  # before each answer
    answer_start: str = "\n\n"  # between two posts; RedPajama "\n"
    list_mark: str = "* "  # before each item of a list
