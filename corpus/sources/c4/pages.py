"""Pages of a crawl as C4 takes them: WET, WARC or ARC -> their lines, cleaned and counted, page by page.

In: a crawl file, read by `corpus.sources.commoncrawl`. Out: batches of `DOCUMENT` and `PAGE_FIELDS`, a row a
page, its text the lines that C4's rules leave (tensorflow/datasets, tensorflow_datasets/text/c4_utils.py,
`split_wet_file`, `clean_page`). `c4_v1_reason` is ``no_url``, ``no_timestamp`` or ``empty`` where a page
cannot be one of C4's. The first line, which is the title in a WET file, belongs to the page; a line that
begins as a header of WARC does is dropped, but unlike there nothing is taken from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from corpus.annotate.sentences import SentenceCounter, count_by_line, open_punkt, untrained_punkt
from corpus.build.source import FileRange, ReadContext
from corpus.errors import UserError
from corpus.kernels.rules_c4 import LineRules, c4_clean, line_measures
from corpus.kernels.rules_c4_search import BAD_WORDS, CHARACTERS, SENTENCES, Patterns, patterns
from corpus.kernels.rules_text import NEWLINE, SPLITLINES
from corpus.schema import DOCUMENT, document_id
from corpus.settings.c4 import C4
from corpus.sources.c4.columns import COUNTS, NAME, PAGE_FIELDS
from corpus.sources.c4.urls import is_validation
from corpus.sources.commoncrawl import read_pages
from corpus.tally import Tally

SCHEMA = pa.schema([*DOCUMENT, *PAGE_FIELDS])
_HEADERS = ("WARC", "CONTENT-", "Content-")


class Measures:
    """What the block asks for: how lines are read, sentences counted, bad words found."""

    def __init__(self, settings: C4, paths: dict[str, str]) -> None:
        """Open the models.

        Args:
            settings: the recipe's block.
            paths: local file of each asset.

        Raises:
            UserError: a model or list is not one.
        """
        self.rules = LineRules(
            line_mode=SPLITLINES if settings.lines == "splitlines" else NEWLINE,
            end_marks=settings.end_marks,
            min_words=settings.least_words,
            words_before_edit=settings.line_words == "original",
            max_word=settings.line_max_word,
            letter_flanks=settings.bad_words_rule == "tfds-2",
        )
        self._max_characters = settings.max_characters
        self.patterns: Patterns = patterns(())
        if settings.bad_words:
            lines = Path(paths[settings.bad_words]).read_text("utf-8").split("\n")
            try:
                self.patterns = patterns([word for word in map(str.strip, lines) if word])
            except ValueError as error:
                raise UserError(f"asset {settings.bad_words}: {error}") from error
        self._count: SentenceCounter | None = None
        if settings.sentences == "punkt":
            self._count = open_punkt(paths[settings.punkt], settings.punkt_language).count
        elif settings.sentences == "untrained-punkt":
            self._count = untrained_punkt().count

    def clean(self, text: pa.StringArray) -> tuple[np.ndarray, pa.StringArray]:
        """The rules' counts (int64[n, 12]), and the lines that stay.

        Sentences are counted as the block says; by Punkt, not of pages that are too long anyway.
        """
        counts, cleaned = c4_clean(text, self.patterns, self.rules)
        if self._count:
            rows = np.flatnonzero(counts[:, CHARACTERS] <= self._max_characters)
            texts = cleaned.take(pa.array(rows)).to_pylist()
            counts[:, SENTENCES] = 0
            counts[rows, SENTENCES] = [count_by_line(self._count, t) for t in texts]
        return counts, cleaned

    def sentences(self, text: pa.StringArray) -> np.ndarray:
        """Sentences of what is left of cleaned texts, each as a whole (int64[n])."""
        if self._count:
            return np.fromiter(map(self._count, text.to_pylist()), np.int64, len(text))
        return line_measures(text, self.patterns)[:, 1]

    def bad_words(self, text: pa.StringArray) -> np.ndarray:
        """Lines with a bad word of what is left of cleaned texts (int64[n])."""
        return line_measures(text, self.patterns)[:, 0]


def read(part: FileRange, context: ReadContext, tally: Tally) -> Iterator[pa.RecordBatch]:
    """Read the pages of a file; counters and bad records are those of `corpus.sources.commoncrawl`."""
    settings: C4 = context.settings
    measures = Measures(settings, dict(context.paths))
    for pages in read_pages(
        part.file.path, part.file.name, context.limits, context.batch_bytes, tally, source=NAME
    ):
        yield _rows(pages, measures, settings)


def page_text(title: str | None, text: str) -> str:
    """A page's lines, stripped, without those that are blank or begin as a header."""
    page = f"{title}\n{text}" if title else text
    if "\r" in page:  # Python's universal newlines, by which tfds reads a file
        page = page.replace("\r\n", "\n").replace("\r", "\n")
    lines = map(str.strip, page.split("\n"))
    return "\n".join(line for line in lines if line and not line.startswith(_HEADERS))


def _rows(pages: pa.RecordBatch, measures: Measures, settings: C4) -> pa.RecordBatch:
    columns = {name: pages.column(name).to_pylist() for name in pages.schema.names}
    texts = pa.array(list(map(page_text, columns["title"], columns["text"])), pa.string())
    urls, times = columns["url"], columns["timestamp"]
    counts, cleaned = measures.clean(texts)
    reasons = [
        "no_url" if not url else "empty" if not characters else None if time else "no_timestamp"
        for url, time, characters in zip(urls, times, counts[:, 0], strict=True)
    ]
    places = zip(urls, times, columns["file"], columns["offset"], strict=True)
    origins = zip(columns["record_id"], columns["digest"], strict=True)
    found = {
        "id": [_id(*place) for place in places],
        "source": [NAME] * len(pages),
        "text": cleaned,
        "key": urls,
        "timestamp": times,
        "metadata": [_metadata(record_id, digest) for record_id, digest in origins],
        "bytes": pc.binary_length(cleaned).cast(pa.int64()),
        "file": columns["file"],
        "offset": columns["offset"],
        "c4_v1_reason": reasons,
        "c4_v1_validation": [int(bool(url) and is_validation(url)) for url in urls],
        "c4_v1_sentences": counts[:, SENTENCES],
    }
    if settings.bad_words and settings.bad_words_rule == "tfds-2":
        found["c4_v1_bad_words"] = counts[:, BAD_WORDS]
    found |= {f"c4_v1_{name}": counts[:, i] for i, name in enumerate(COUNTS)}
    return pa.RecordBatch.from_arrays(
        [_array(found.get(field.name), field, len(pages)) for field in SCHEMA], schema=SCHEMA
    )


def _array(values: Any, field: pa.Field, length: int) -> pa.Array:
    if values is None:
        return pa.nulls(length, field.type)
    return values if isinstance(values, pa.Array) else pa.array(values, field.type)


def _id(url: str | None, time: str | None, file: str, offset: int) -> str:
    """By address and time, else by where the page lies."""
    return document_id(NAME, url, time) if url and time else document_id(NAME, file, offset)


def _metadata(record_id: str | None, digest: str | None) -> str | None:
    """What leads back to the record of the crawl."""
    known = {"digest": digest, "record_id": record_id}
    known = {name: value for name, value in known.items() if value}
    return orjson.dumps(known, option=orjson.OPT_SORT_KEYS).decode() if known else None
