"""Settings of the Books source: what a book is held to, how other collections are read, and overlap.

In: the recipe's block ``[books]``. LLaMA (arXiv 2302.13971, section 2.1) says of its books that those with
more than 90 % content overlap were removed, at the level of books; all else here is a choice.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from corpus.settings import STRICT

# What decisions alone look at.
THRESHOLDS = frozenset({"min_characters", "min_alphabetic_words", "copyrighted", "overlap"})


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Columns:
    """Names of the fields of JSON objects and of Parquet columns; only the text must be there."""

    text: str = "text"
    id: str = "id"  # without one, the file's name and the place in it
    title: str = "title"
    author: str = "author"
    language: str = "language"


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Overlap:
    """Near-duplicate books: found by MinHash of books, chunks and passages, then verified exactly.

    `threshold` is of the distinct word n-grams of the smaller book, those that the larger one has too. Half
    of the pairs of chunks that are alike to J = (1/bands)^(1/rows) are found, 0.46 for 50 bands of 5 rows.
    """

    threshold: float = Field(default=0.90, gt=0, lt=1)  # more than this is a duplicate
    ngram: int = Field(default=5, gt=0)  # words a shingle
    bands: int = Field(default=50, gt=0)
    rows: int = Field(default=5, gt=0)  # positions of the signature that a band holds
    seed: int = Field(default=1, ge=0, lt=1 << 32)
    chunk_shingles: int = Field(default=256, gt=0)  # of a chunk, on average
    # Smaller chunks, with the first bands alone, so that short stories are found in large books.
    passage_shingles: int = Field(default=64, gt=0)
    passage_bands: int = Field(default=10, ge=0)
    # Of books that share one band with more than this many others, only neighbours by size are compared.
    max_bucket: int = Field(default=64, gt=1)
    # `component`: of books joined by any chain of overlaps one stays. `direct`: a book goes only if it
    # overlaps one that stays.
    rule: Literal["component", "direct"] = "component"
    # `stays`: as any other book, so the longest of its component. `goes`: where its parts are there, as
    # different works, and together are more than the threshold of it, they stay instead.
    omnibus: Literal["stays", "goes"] = "stays"


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Books:
    """Books: Project Gutenberg's texts, and other collections as plain text, JSON Lines or Parquet."""

    collection: str = Field(default="books", min_length=1)  # name of what is not Project Gutenberg's
    columns: Columns = Field(default_factory=Columns)
    header_lines: int = Field(default=600, gt=0)  # in which a text's boilerplate ends (c-w/gutenberg)
    zip_members: int = Field(default=1_000, gt=0)  # more in one archive, and it is bad
    min_characters: int = Field(default=1_000, ge=0)
    # Share of words with a letter (Rae et al. 2021, arXiv 2112.11446, A.1.1): no tables, no listings.
    min_alphabetic_words: float = Field(default=0.8, ge=0, le=1)
    languages: list[str] = Field(default_factory=list)  # kept ones; [] keeps all
    unknown_language: Literal["keep", "reject"] = "keep"  # where `languages` names some
    copyrighted: Literal["keep", "reject"] = "keep"  # of Gutenberg's texts that their headers say are
    overlap: Overlap | None = None  # without one books are not compared
