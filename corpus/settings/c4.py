"""The recipe's block of C4: read as published, or built again from a crawl (Raffel et al. 2020, section 2.2).

"tfds" is tensorflow/datasets, tensorflow_datasets/text/c4.py and c4_utils.py, which built what is published;
"datatrove" is huggingface/datatrove, src/datatrove/pipeline/filters/c4_filters.py; "dolma" is allenai/dolma,
python/dolma/taggers/c4.py. The fields of `THRESHOLDS` are compared with columns when it is decided; all
others say how pages are read, cleaned and measured. What a threshold lets pass goes on to be compared with
other pages, so most of them also shape later columns: see `corpus.sources.c4.rebuild`.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from corpus.settings import STRICT
from corpus.settings.cross import HostSource

# By reading of the paper: the numbers of tfds, or those in the paper's first version, which datatrove and
# dolma took: the other way round.
LINE_MIN_WORDS = {"tfds": 5, "paper": 3}
MIN_SENTENCES = {"tfds": 3, "paper": 5}

# What decisions alone look at.
THRESHOLDS = frozenset({"min_english", "max_bad_words", "splits", "drop_hosts_of"})


@dataclass(frozen=True, config=STRICT, kw_only=True)
class C4:
    """C4 (Touvron et al. 2023, section 2.1: "the publicly available C4 dataset")."""

    mode: Literal["published", "rebuild"] = "published"  # JSON lines as allenai/c4's; WET, WARC or ARC files
    # Those kept. By default both: of published files the choice is made with the files.
    splits: list[Literal["train", "validation"]] = Field(default=["train", "validation"], min_length=1)
    drop_hosts_of: list[HostSource] = Field(default_factory=list)  # other sources: corpus/overlap/hosts.toml
    # All that follows is of the rebuild.
    reading: Literal["tfds", "paper"] = "tfds"
    line_min_words: int | None = Field(default=None, ge=0)  # else by the reading: 5, or 3
    min_sentences: int | None = Field(default=None, ge=0)  # else by the reading: 3, or 5
    max_characters: int = Field(default=190_000, gt=0)  # code points of a page, before anything else
    newest: bool = True  # of each URL the newest page alone
    lines: Literal["splitlines", "newline"] = "splitlines"  # whether more than "\n" ends a line
    line_max_word: int = Field(default=1_000, gt=0)  # code points
    end_marks: str = '.?!"'  # datatrove adds "'"; "" turns the rule off, as FineWeb does
    line_words: Literal["edited", "original"] = "edited"  # without citation marks (tfds) or with (datatrove)
    javascript: Literal["line", "page"] = "line"  # what is dropped for the word (dolma: the page)
    max_lorem_ipsum: int = Field(default=0, ge=0)  # lines
    max_curly_bracket: int = Field(default=0, ge=0)  # lines
    # English Punkt (tfds), Punkt without a model, which knows no abbreviations, or words that end in marks.
    sentences: Literal["punkt", "untrained-punkt", "marks"] = "punkt"
    punkt: str = "punkt_tab"  # asset: nltk's punkt_tab, of which `punkt_language` is read
    punkt_language: str = "english"
    # What stays in one page alone, the one whose URL has the smallest MD5: a line (tfds), or three sentences
    # in a row (the paper), cut by Punkt.
    dedup: Literal["lines", "spans", "none"] = "lines"
    min_english: float = Field(default=0.99, ge=0.5, le=1)  # langdetect's probability, if it is likeliest
    bad_words: str = ""  # asset: a list, one a line; without one they are not looked for
    # Version 3 of tfds looks for them in what is left in the end, flanked by what is no word character;
    # version 2 in each kept line, flanked by characters other than a to z: such a page keeps no line from
    # others.
    bad_words_rule: Literal["tfds-3", "tfds-2"] = "tfds-3"
    max_bad_words: int = Field(default=0, ge=0)  # lines

    @model_validator(mode="after")
    def _spans_need_sentences(self) -> Self:
        if self.dedup == "spans" and self.sentences == "marks":
            raise ValueError('dedup = "spans" needs sentences = "punkt" or "untrained-punkt"')
        return self

    @property
    def least_words(self) -> int:
        """Words that a line must have."""
        return LINE_MIN_WORDS[self.reading] if self.line_min_words is None else self.line_min_words

    @property
    def least_sentences(self) -> int:
        """Sentences that a page must have."""
        return MIN_SENTENCES[self.reading] if self.min_sentences is None else self.min_sentences
