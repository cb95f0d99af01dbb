"""The sources and the annotators: explicit tables.

The crawl reads one raw file: (path, name, limits, batch bytes, tally) → batches. Every other source is a
`corpus.build.source.BuildSource`, in the order of the paper. Annotators stand in the order in which they run;
each runs if the recipe has a block of its name, and takes the source's settings and the local path of every
model by asset name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from corpus.annotate import c4, fineweb, gopher_quality, gopher_repetition, language, perplexity, reference
from corpus.recipe import CommonCrawl, Limits
from corpus.sources import commoncrawl
from corpus.tally import Tally

if TYPE_CHECKING:
    from corpus.build.source import BuildSource

SOURCES: dict[str, Callable[[str, str, Limits, int, Tally], Iterator[pa.RecordBatch]]] = {
    "commoncrawl": commoncrawl.read_pages,
}

# Modules, imported when their source is first asked for: their parsers take a second to load.
BUILDS = {
    "c4": "corpus.sources.c4",
    "github": "corpus.sources.github",
    "wikipedia": "corpus.sources.wikipedia",
    "books": "corpus.sources.books",
    "arxiv": "corpus.sources.arxiv",
    "stackexchange": "corpus.sources.stackexchange",
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


def build_source(name: str) -> BuildSource:
    """The source of `BUILDS` of this name: `SOURCE` of its module."""
    return cast("BuildSource", importlib.import_module(BUILDS[name]).SOURCE)
