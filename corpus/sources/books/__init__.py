"""Books: Project Gutenberg's texts and other collections, without near duplicates.

LLaMA (arXiv 2302.13971, section 2.1): the Gutenberg Project, and the Books3 section of The Pile, which can no
longer be had; of books with more than 90 % content overlap one stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from corpus.build import extract
from corpus.build.job import BuildJob
from corpus.build.line import closing_stages, usual_stages
from corpus.build.source import BuildSource, Unique
from corpus.inputs import InputFile
from corpus.raw.parquet_rows import is_parquet
from corpus.rules import Check
from corpus.settings.books import THRESHOLDS, Books
from corpus.sources.books import near_duplicates
from corpus.sources.books.book import FIELDS, NAME, PREFERENCE
from corpus.sources.books.collections import check_columns, cut
from corpus.sources.books.read import read
from corpus.stages import Stage


def checks(settings: Books) -> list[Check]:
    """What a book is held to, in this order."""
    found = [
        Check("books_v1_characters", "short", -1, settings.min_characters, False),
        Check("books_v1_alphabetic_words", "not_prose", -1, settings.min_alphabetic_words, False),
    ]
    if settings.copyrighted == "reject":
        found.append(Check("books_v1_copyrighted", "copyrighted", 1, 0, False))
    return found


def unique(settings: Books) -> tuple[Unique, ...]:
    """Of one book's files one stays; where overlaps are looked for, that is decided with them."""
    if settings.overlap is not None:
        return ()
    return (Unique(kind="book", reason="same_book", key=("id",), order=PREFERENCE),)


def check_input(files: Sequence[InputFile], settings: Books) -> None:
    """Check that Parquet has the recipe's column of texts.

    Raises:
        UserError: the first such file has not.
    """
    first = next((file for file in files if is_parquet(file.name)), None)
    if first is not None:
        check_columns(first.path, settings.columns)


def stages(job: BuildJob) -> tuple[Stage, ...]:
    """The usual stages, and between them those that find books which overlap."""
    settings: Books = job.settings
    if settings.overlap is None:
        return usual_stages(job)
    return (
        extract.stage(job.source),
        *near_duplicates.stages(),
        *closing_stages(job, annotated="extract", verdicts=(near_duplicates.CLUSTERS,)),
    )


SOURCE = BuildSource(
    name=NAME,
    version=1,
    libraries=("pyarrow", "resiliparse", "isal", "zstandard", "msgspec"),
    fields=FIELDS,
    read=read,
    checks=checks,
    stages=stages,
    unique=unique,
    cut=cut,
    thresholds=THRESHOLDS,
    check_input=check_input,
)
