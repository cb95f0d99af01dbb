"""Searching documents for n-grams of evaluations beside a loop over words in Python; hashing whole texts.

The evaluations are those of the development data, else some of the documents' own sentences.
"""

from __future__ import annotations

import string
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

from corpus.kernels.ngram_words import words
from corpus.overlap import evaluations, ngrams
from corpus.overlap.evaluations import Text
from corpus.overlap.exact import text_keys
from corpus.overlap.ngrams import NgramIndex
from tests.bench.generator import seed_pages
from tests.bench.sources import Row
from tests.shared import DATA

_BYTES = 200_000_000
_LOOP_BYTES = 6_000_000
_BATCH_BYTES = 32 << 20
_N = 13


def measure() -> list[Row]:
    """MB/s of document text."""
    pages = ["\n".join(lines) for _, lines in seed_pages()]
    texts = _evaluations(pages)
    batches = [pa.array(batch) for batch in _batches(pages, _BYTES)]
    few = next(_batches(pages, _LOOP_BYTES))
    rows = []
    for what, ngram in ((f"compiled loop, n = {_N}", _N), ("compiled loop, n from 8 to 13 by file", "auto")):
        tables = ngrams.gather(texts, ngram)  # type: ignore[arg-type]
        index = NgramIndex(tables.grams, tables.evaluations.column("ngram").to_pylist())
        index.find(batches[0].slice(0, 1))  # compiled and loaded
        rows.append(_row(f"{what}, {tables.grams.num_rows:,} n-grams", batches, index.find))
    grams = set(ngrams.gather(texts, _N).grams.column("text").to_pylist())
    rows.append(_row("Python, its words as ours", few, lambda text: _plain(text, grams)))
    rows.append(_row("Python, as lm-evaluation-harness's janitor", few, lambda text: _janitor(text, grams)))
    rows.append(_row("cross-dedup: normalise and hash whole texts", batches[:2], text_keys))
    return rows


def _evaluations(pages: list[str]) -> dict[str, list[Text]]:
    if (DATA / "evals").is_dir():
        files = evaluations.find([str(DATA / "evals")])
        return {file.name: evaluations.read(file, 1 << 30) for file in files}
    # No page has its own lines backwards, so as little is found as in real life.
    lines = [" ".join(reversed(line.split())) for page in pages for line in page.split("\n")]
    return {"lines": [Text(i, "line", line) for i, line in enumerate(lines[:5_000])]}


def _batches(pages: list[str], size: int) -> Iterator[list[str]]:
    """Pages, again and again, in batches as row groups of documents are."""
    batch, batch_bytes, total = [], 0, 0
    while total < size:
        for page in pages:
            batch.append(page)
            batch_bytes += len(page.encode())
            if batch_bytes >= min(_BATCH_BYTES, size - total):
                yield batch
                total += batch_bytes
                batch, batch_bytes = [], 0
                if total >= size:
                    return


def _row(what: str, texts: Any, work: Callable[[Any], Any]) -> Row:
    size = sum(t.nbytes if isinstance(t, pa.Array) else len(t.encode()) for t in texts)
    start = time.process_time()
    for text in texts:
        work(text)
    return Row(what, size, time.process_time() - start)


def _plain(text: str, grams: set[str]) -> int:
    spelled = [word.text for word in words(text)]
    return sum(" ".join(spelled[i : i + _N]) in grams for i in range(len(spelled) - _N + 1))


_TABLE = str.maketrans(string.ascii_uppercase, string.ascii_lowercase, string.punctuation)


def _janitor(text: str, grams: set[str]) -> int:
    """Tokens between white space; each n of them put together, then normalised, then looked up."""
    tokens = text.split()
    windows = zip(*(islice(tokens, i, None) for i in range(_N)), strict=False)
    return sum(" ".join(window).translate(_TABLE) in grams for window in windows)
