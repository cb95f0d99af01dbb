"""One book: its raw text → the row of a document, without boilerplate, with what its header says.

A text is Project Gutenberg's where its markers say so, whatever collection it comes in. `natural_key` is what
an id is made of; see `row_of`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
import pyarrow as pa

from corpus.kernels.rules_gopher import ALPHABETIC_WORDS, WORDS, gopher_counts
from corpus.kernels.rules_text import NEWLINE
from corpus.schema import document_id
from corpus.settings.books import Books
from corpus.sources.books.gutenberg import Body, find_body, text_of
from corpus.sources.books.header import Header, parse_header

NAME = "books"
GUTENBERG = "gutenberg"
FIELDS = (
    pa.field("books_v1_reason", pa.string()),  # empty, binary, language
    pa.field("books_v1_characters", pa.int64()),
    pa.field("books_v1_words", pa.int64()),  # between white space
    pa.field("books_v1_alphabetic_words", pa.float64()),  # share of them that have a letter
    pa.field("books_v1_beyond_ascii", pa.int64()),  # characters; of two editions one may have lost accents
    pa.field("books_v1_gutenberg", pa.int64()),  # 1: its markers were found
    pa.field("books_v1_copyrighted", pa.int64()),  # 1: its header says that it is
)
# Which of several files of a book is preferred; the last tie is the smallest id.
PREFERENCE: tuple[tuple[str, Literal["ascending", "descending"]], ...] = (
    ("books_v1_gutenberg", "descending"),
    ("books_v1_words", "descending"),  # the longest, whatever its spaces and line ends
    ("books_v1_beyond_ascii", "descending"),
)

_DOS_END = "\x1a"
_NAMED_HEADER_LINES = 60  # that are searched for fields where no marker ends the header


@dataclass(frozen=True)
class Known:
    """What the collection says of a book; a header's own fields count first."""

    title: str | None = None
    author: str | None = None
    language: str | None = None  # ISO 639-1
    encoding: str | None = None  # the text was read with
    more: dict[str, Any] = field(default_factory=dict)


def row_of(
    raw: str, known: Known, settings: Books, *, name: str, place: str, file: str, offset: int
) -> dict[str, Any]:
    """The row of a book.

    Args:
        raw: the whole text as read.
        known: beside the text.
        settings: the recipe's block.
        name: of the book in its collection; of Gutenberg's texts in a file of their own the file's.
        place: path of the file, and place in it, which makes up for a name that says too little.
        file, offset: origin of the document.
    """
    raw = raw.removeprefix("\ufeff").replace(_DOS_END, "").replace("\r\n", "\n").replace("\r", "\n")
    lines = raw.split("\n")
    body = find_body(lines, settings.header_lines)
    header = parse_header(_header_lines(lines, body)) if body.begun else Header()
    text = text_of(lines, body)
    language = header.language or known.language
    collection = GUTENBERG if body.marked else settings.collection
    counts = gopher_counts(
        pa.array([text], pa.string()), split_marks=False, skip_symbols=False, symbols_by_word=False,
        dots=False, line_mode=NEWLINE, bullets="", stop_words=[], distinct_stop_words=False,
    )[0]  # fmt: skip
    words = int(counts[WORDS])
    title = header.fields.get("title") or known.title
    return {
        "id": document_id(NAME, *_natural_key(collection, header, name, place)),
        "text": text,
        "key": title or name,
        "language": language,
        "timestamp": header.released,
        "metadata": _metadata(header, body, known, collection, name),
        "file": file,
        "offset": offset,
        "books_v1_reason": _reason(text, language, settings),
        "books_v1_characters": len(text),
        "books_v1_words": words,
        "books_v1_alphabetic_words": int(counts[ALPHABETIC_WORDS]) / words if words else None,
        "books_v1_beyond_ascii": len(text) - len(text.encode("ascii", "ignore")),
        "books_v1_gutenberg": int(body.marked),
        "books_v1_copyrighted": int(header.copyrighted),
    }


def _header_lines(lines: Sequence[str], body: Body) -> Sequence[str]:
    return lines[: _NAMED_HEADER_LINES if body.begun == "named" else body.start]


def _natural_key(collection: str, header: Header, name: str, place: str) -> tuple[str, ...]:
    """Gutenberg's files are known by number and name, as in ``84-0``, wherever they lie."""
    if collection == GUTENBERG and header.number is not None:
        return collection, str(header.number), name
    return collection, place


def _reason(text: str, language: str | None, settings: Books) -> str | None:
    if not text.strip():
        return "empty"
    if "\0" in text:
        return "binary"
    if settings.languages:
        unknown = language is None and settings.unknown_language == "reject"
        if unknown or (language is not None and language not in settings.languages):
            return "language"
    return None


def _metadata(header: Header, body: Body, known: Known, collection: str, name: str) -> str:
    entries: dict[str, Any] = {
        "author": known.author,
        "title": known.title,
        **known.more,
        **header.fields,
        "collection": collection,
        "name": name,
        "etext": header.number,
        "encoding": known.encoding,
        "begun": body.begun,
        "ended": body.ended,
    }
    if len(header.languages) > 1 or (header.languages and not header.language):
        entries["languages"] = list(header.languages)
    present = {key: value for key, value in entries.items() if value not in (None, "")}
    return orjson.dumps(present, option=orjson.OPT_SORT_KEYS).decode()
