"""Published rules of page quality: how they are read, and thresholds that a page may be held to.

In: the recipe. Out: blocks of settings; `checks`, what `corpus.decide` compares; `readings`, what shapes the
annotators' columns. A field `min_NAME` or `max_NAME` bounds the column `…_v1_NAME` of the block's annotator;
every other field says how that is measured. LLaMA used none of these rules on its crawl.

"datatrove" is huggingface/datatrove, src/datatrove/pipeline/filters; "dolma" is allenai/dolma,
python/dolma/taggers; "tfds" is tensorflow/datasets, tensorflow_datasets/text/c4_utils.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from corpus.settings import STRICT

if TYPE_CHECKING:
    from corpus.recipe import CommonCrawl

# `whitespace` as dolma. Datatrove's spaCy and nltk split marks from words, which `wordpunct` comes near to
# (nltk's WordPunctTokenizer) without their models.
Words = Literal["whitespace", "wordpunct"]
# `splitlines` as tfds and datatrove, `newline` as dolma: whether more than "\n" ends a line.
Lines = Literal["splitlines", "newline"]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class C4Rules:
    """Raffel et al. 2020, section 2.2, with the numbers and the order of tfds.

    The paper's own numbers, which datatrove and dolma took, are the other way round: three words, five
    sentences.
    """

    enforce: bool = False  # reject what fails; else there are only columns
    lines: Lines = "splitlines"
    end_marks: str = '.?!"'  # datatrove adds "'"; "" turns the rule off, as FineWeb does
    line_min_words: int = Field(default=5, ge=0)
    line_words: Literal["edited", "original"] = "edited"  # without citation marks (tfds) or with (datatrove)
    line_max_word: int = Field(default=1_000, gt=0)  # code points
    bad_words: str = ""  # asset: a list, one a line; without one they are not looked for
    # What else is counted: by Punkt's English model (tfds), by Punkt without one, or no more than marks.
    sentences: Literal["marks", "punkt", "untrained-punkt"] = "marks"
    punkt: str = "punkt_tab"  # asset: nltk's models
    max_characters: int = Field(default=190_000, gt=0)
    max_lorem_ipsum: int = Field(default=0, ge=0)  # lines
    max_curly_bracket: int = Field(default=0, ge=0)  # lines
    min_sentences_by_marks: int = Field(default=3, ge=0)  # with sentences = "marks"
    min_sentences: int = Field(default=3, ge=0)  # else
    max_bad_words: int = Field(default=0, ge=0)  # lines


@dataclass(frozen=True, config=STRICT, kw_only=True)
class GopherQuality:
    """Rae et al. 2021 (arXiv 2112.11446), appendix A.1.1, quality filtering."""

    enforce: bool = False
    words: Words = "whitespace"
    lines: Lines = "splitlines"
    # Which words are counted and measured: datatrove leaves out those of nothing but symbols, dolma none.
    counted: Literal["non-symbol", "all"] = "non-symbol"
    symbols: Literal["occurrences", "words"] = "occurrences"  # datatrove; words that hold one (dolma)
    ellipses: Literal["dots", "character"] = "dots"  # "..." and "…" (datatrove), or "…" alone (dolma)
    bullets: str = "•-"  # datatrove since 2024; before "•"; dolma "*-"
    # English, as published: where other languages are kept, name theirs too or ask for none.
    stop_words: list[str] = Field(
        default_factory=lambda: ["the", "be", "to", "of", "and", "that", "have", "with"], max_length=64
    )
    # Datatrove and dolma count occurrences; the paper's "at least two of the following" may mean different.
    stop_word_count: Literal["occurrences", "distinct"] = "occurrences"
    min_words: int = Field(default=50, ge=0)
    max_words: int = Field(default=100_000, ge=0)
    min_mean_word_length: float = Field(default=3.0, ge=0)
    max_mean_word_length: float = Field(default=10.0, ge=0)
    max_hashes: float = Field(default=0.1, ge=0)  # a word
    max_ellipses: float = Field(default=0.1, ge=0)  # a word
    max_bullet_lines: float = Field(default=0.9, ge=0, le=1)
    max_ellipsis_lines: float = Field(default=0.3, ge=0, le=1)
    min_alphabetic_words: float = Field(default=0.8, ge=0, le=1)
    min_stop_words: int = Field(default=2, ge=0)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class GopherRepetition:
    """Rae et al. 2021 (arXiv 2112.11446), table A1, as `corpus.kernels.rules_repetition` counts."""

    enforce: bool = False
    words: Words = "whitespace"
    # Datatrove counts characters of overlapping n-grams once, as the paper asks for; dolma each time.
    counting: Literal["datatrove", "dolma"] = "datatrove"
    max_duplicate_paragraphs: float = Field(default=0.30, ge=0)
    max_duplicate_paragraph_characters: float = Field(default=0.20, ge=0)
    max_duplicate_lines: float = Field(default=0.30, ge=0)
    max_duplicate_line_characters: float = Field(default=0.20, ge=0)
    max_top_2_gram: float = Field(default=0.20, ge=0)
    max_top_3_gram: float = Field(default=0.18, ge=0)
    max_top_4_gram: float = Field(default=0.16, ge=0)
    max_duplicate_5_grams: float = Field(default=0.15, ge=0)
    max_duplicate_6_grams: float = Field(default=0.14, ge=0)
    max_duplicate_7_grams: float = Field(default=0.13, ge=0)
    max_duplicate_8_grams: float = Field(default=0.12, ge=0)
    max_duplicate_9_grams: float = Field(default=0.11, ge=0)
    max_duplicate_10_grams: float = Field(default=0.10, ge=0)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class FineWebRules:
    """Penedo et al. 2024 (arXiv 2406.17557), section 3.5, with the numbers of datatrove."""

    enforce: bool = False
    # Datatrove as released with FineWeb rejects at a threshold, now only beyond.
    at_threshold: Literal["keep", "reject"] = "keep"
    words: Words = "whitespace"
    lines: Literal["non-blank", "all"] = "non-blank"  # datatrove now; as released with FineWeb
    # As released with FineWeb; now the sentence marks of all scripts, but no quotation marks.
    terminal: str = ".'\"!?"
    short_line: int = Field(default=30, ge=0)  # code points at most
    min_terminal_lines: float = Field(default=0.12, ge=0, le=1)
    max_short_lines: float = Field(default=0.67, ge=0, le=1)
    max_duplicate_line_characters: float = Field(default=0.01, ge=0)
    max_newlines: float = Field(default=0.3, ge=0)  # a word


@dataclass(frozen=True)
class Check:
    """A page fails, for `reason`, where `sign * column > sign * limit`; where `strict`, also if equal."""

    column: str
    reason: str
    sign: Literal[1, -1]
    limit: float
    strict: bool


def checks(settings: CommonCrawl) -> list[Check]:
    """The thresholds of enforced blocks, in the order in which pages are held to them."""
    return [
        check
        for prefix, block in _blocks(settings)
        if block.enforce
        for check in _block_checks(prefix, block)
    ]


def readings(settings: CommonCrawl) -> dict[str, dict[str, Any]]:
    """How each of the recipe's blocks is measured: the fields that are no threshold."""
    return {
        type(block).__name__: {
            name: value
            for name, value in dataclasses.asdict(block).items()
            if not _is_threshold(name) and name not in ("enforce", "at_threshold")
        }
        for _, block in _blocks(settings)
    }


def _blocks(settings: CommonCrawl) -> Iterator[tuple[str, Any]]:
    """Blocks that the recipe has, with the first part of their columns' names."""
    blocks = (
        ("c4", settings.c4),
        ("gopher", settings.gopher_quality),
        ("gopher", settings.gopher_repetition),
        ("fineweb", settings.fineweb),
    )
    return ((prefix, block) for prefix, block in blocks if block is not None)


def _is_threshold(name: str) -> bool:
    return name.startswith(("min_", "max_"))


def _block_checks(prefix: str, block: Any) -> Iterator[Check]:
    not_measured = set()
    if isinstance(block, C4Rules):
        not_measured.add("min_sentences" if block.sentences == "marks" else "min_sentences_by_marks")
        if not block.bad_words:
            not_measured.add("max_bad_words")
    for name, limit in dataclasses.asdict(block).items():
        if not _is_threshold(name) or name in not_measured:
            continue
        measure = name[len("min_") :]
        yield Check(
            column=f"{prefix}_v1_{measure}",
            reason=f"{prefix}_{measure}",
            sign=1 if name.startswith("max_") else -1,
            limit=float(limit),
            strict=getattr(block, "at_threshold", "keep") == "reject",
        )
