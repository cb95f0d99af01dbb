"""Books: the reader and the sketches beside what is commonly called for them, on books made for it.

The books are of made-up words, as Project Gutenberg lays its files out, so that there is text enough. Peers:
`gutenberg-cleaner` (its copy of c-w/gutenberg's `strip_headers`), which decodes nothing and measures nothing;
datasketch, its own loop over shingles and its own index; `simhash`, as RedPajama calls it on books. MB are of
the files' bytes, which is what enters each. The kernels are compiled before.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xxhash
from datasketch import MinHash, MinHashLSH
from gutenberg_cleaner import simple_cleaner
from simhash import Simhash

from corpus import inputs, recipe
from corpus.build.source import FileRange, ReadContext
from corpus.dedup.books import Sketcher
from corpus.recipe import Limits
from corpus.settings.books import Books, Overlap
from corpus.sources.books import SOURCE
from corpus.tally import Tally
from tests.bench.sources import Row
from tests.builds import build_here
from tests.corpus.sources import books_texts as texts

_BOOKS = 60
_WORDS = 100_000
_LOOP_BOOKS = 4  # of the slow peers
_HEADER = (
    "Title: Book {0}\n\nRelease Date: 2004 [EBook #{0}]\n\n"
    "*** START OF THIS PROJECT GUTENBERG EBOOK {0} ***\n\n"
)
_FOOTER = "\n\nEnd of the Project Gutenberg EBook\n\n*** END OF THIS PROJECT GUTENBERG EBOOK {0} ***\n\n"
_LICENCE = "A term of the licence that stands after every book.\n" * 350


def measure() -> list[Row]:
    """MB/s of each step and of its peer."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        books = [texts.text(texts.words(i, _WORDS)) for i in range(_BOOKS)]
        for i, book in enumerate(books):
            (folder / f"{i}.txt").write_text(_HEADER.format(i) + book + _FOOTER.format(i) + _LICENCE)
        files = [path.read_bytes() for path in sorted(folder.iterdir())]
        _read(folder)
        Sketcher(Overlap())(books[0])
        size, text_size = sum(map(len, files)), sum(map(len, books))
        few = books[:_LOOP_BOOKS]
        few_size = sum(map(len, few))
        return [
            _timed("reader", size, lambda: _read(folder)),
            _timed(
                "gutenberg-cleaner, headers alone", size, lambda: [simple_cleaner(f.decode()) for f in files]
            ),
            _timed("sketches: shingles, chunks, 250 positions", text_size, lambda: _sketch(books)),
            _timed("datasketch, whole books, index", few_size, lambda: _datasketch(few)),
            _timed("simhash, as RedPajama", few_size // _LOOP_BOOKS, lambda: _simhash(few[:1])),
            _timed(
                "whole build",
                size,
                lambda: build_here(Path(name) / "run", "books", [folder], recipe.load("sample")),
            ),
        ]


def _timed(what: str, size: int, work: Callable[[], Any]) -> Row:
    start = time.process_time()
    work()
    return Row(what, size, time.process_time() - start)


def _read(folder: Path) -> int:
    context = ReadContext(Books(), Limits(), {}, 16 << 20)
    tally = Tally(lambda _: None)
    rows = 0
    for file in inputs.resolve([str(folder)]):
        for batch in SOURCE.read(FileRange(file, 0, file.size), context, tally):
            rows += batch.num_rows
    return rows


def _sketch(books: list[str]) -> list[int]:
    sketcher = Sketcher(Overlap())
    return [len(sketcher(book).keys) for book in books]


def _datasketch(books: list[str]) -> MinHashLSH:
    index = MinHashLSH(num_perm=250, params=(50, 5))
    for i, book in enumerate(books):
        words = re.sub(r"[^\w\s]", "", book.lower()).split()
        signature = MinHash(250, hashfunc=xxhash.xxh32_intdigest)
        signature.update_batch([" ".join(words[k : k + 5]).encode() for k in range(len(words) - 4)])
        index.query(signature)
        index.insert(i, signature)
    return index


def _simhash(books: list[str]) -> list[Any]:
    """RedPajama, data_prep/book/dedup.py: 64 bits over 6-grams of characters."""
    found = []
    for book in books:
        text = re.sub(r"[^\w]+", "", book.lower())
        found.append(Simhash([text[i : i + 6] for i in range(max(len(text) - 5, 1))]))
    return found
