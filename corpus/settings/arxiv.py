"""Settings of the ArXiv source: what of a submission's LaTeX becomes text, and how far macros are expanded.

In: the recipe's block ``[arxiv]``. LLaMA (arXiv 2302.13971, section 2.1) removes everything before the first
section, the bibliography and the comments, and expands user definitions and macros; all else is a choice.
Characters are code points.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from corpus.settings import STRICT

# What decisions alone look at.
THRESHOLDS = frozenset({"max_tokens", "max_tokens_per_character"})


@dataclass(frozen=True, config=STRICT, kw_only=True)
class ArXiv:
    """Papers, from arXiv's bulk tars of sources."""

    # What is left of a paper.
    appendix: Literal["keep", "drop"] = "keep"  # Minerva and RedPajama drop it; LLaMA speaks of none of it
    bibliography: Literal["remove", "cut"] = "remove"  # "cut": and all that follows (RedPajama)
    front_matter: Literal["drop", "keep"] = "drop"  # title and abstract before the text (Minerva)
    environments: Literal["expand", "keep"] = "expand"  # those that the paper defines by itself
    # Macros whose definition is a program of TeX's own (\csname, \expandafter, names with @ of a class):
    # text substitution gives what nobody wrote. Left by name and counted, or expanded all the same.
    programs: Literal["leave", "expand"] = "leave"

    # Where expansion stops; what is left by name is counted, with the reason.
    max_depth: int = Field(default=10, ge=0)  # macros within macros; 0: none is expanded
    max_expansion: float = Field(default=5.0, ge=1)  # text that comes out : the paper's source
    max_work: float = Field(default=100.0, gt=0)  # characters read and put in by macros : the paper's source
    min_source: int = Field(default=20_000, gt=0)  # characters that the two ratios take for smaller papers
    max_input_depth: int = Field(default=16, gt=0)  # files within files

    # What of a submission is read.
    text_files: list[str] = Field(
        default_factory=lambda: [
            "", ".tex", ".ltx", ".latex", ".sty", ".cls", ".clo", ".def", ".bbl", ".tikz", ".inp", ".mac"
        ],
        max_length=64,
    )  # endings, "" for names without; figures and data are passed over unread  # fmt: skip
    submission_bytes: int = Field(default=1 << 30, gt=0)  # inflated, with its figures
    max_members: int = Field(default=20_000, gt=0)  # files of one submission

    # Minerva's limits (Lewkowycz et al. 2022, appendix B.1), by a SentencePiece model; "" measures nothing.
    tokenizer: str = ""
    max_tokens: int = Field(default=75_000, ge=0)
    max_tokens_per_character: float = Field(default=0.6, ge=0)
