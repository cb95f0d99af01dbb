"""The sources and the annotators: two explicit tables.

A source reads one raw file: (path, name, limits, batch bytes, tally) → batches. Annotators stand in the
order in which they run; each runs if the recipe has a block of its name, and takes the source's settings
and the local path of every model by asset name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from corpus.annotate import c4, fineweb, gopher_quality, gopher_repetition, language, perplexity, reference
from corpus.build.source import BuildSource
from corpus.recipe import CommonCrawl, Limits
from corpus.sources import arxiv, books, commoncrawl, github, stackexchange, wikipedia
from corpus.sources.c4 import SOURCE as c4_source
from corpus.tally import Tally

SOURCES: dict[str, Callable[[str, str, Limits, int, Tally], Iterator[pa.RecordBatch]]] = {
    "commoncrawl": commoncrawl.read_pages,
}

BUILDS: dict[str, BuildSource] = {
    source.name: source
    for source in (
        c4_source,
        github.SOURCE,
        wikipedia.SOURCE,
        books.SOURCE,
        arxiv.SOURCE,
        stackexchange.SOURCE,
    )
}

ANNOTATORS: dict[str, Callable[[CommonCrawl, Mapping[str, str]], Any]] = {
    "language": lambda s, paths: language.open_annotator(s.language, paths),
    "c4": lambda s, paths: c4.open_annotator(s.c4, paths, s.language),  # type: ignore[arg-type]
    "gopher_quality": lambda s, _: gopher_quality.open_annotator(s.gopher_quality, s.language),  # type: ignore[arg-type]
    "gopher_repetition": lambda s, _: gopher_repetition.open_annotator(s.gopher_repetition, s.language),  # type: ignore[arg-type]
    "fineweb": lambda s, _: fineweb.open_annotator(s.fineweb, s.language),  # type: ignore[arg-type]
    "perplexity": lambda s, paths: perplexity.open_annotator(s.perplexity, paths, s.language),  # type: ignore[arg-type]
    "reference": lambda s, paths: reference.open_annotator(s.reference, paths),  # type: ignore[arg-type]
}
