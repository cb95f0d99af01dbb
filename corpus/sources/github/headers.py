"""Removal of licence headers: leading comments about the licence go, everything else stays as it is.

In: a text and its path. Out: the text without some runs of comments of its leading region, each with the
rest of its last line and the blank lines after it. The leading region begins after a shebang, what opens a
script or a document, and comments that tools read (encoding, modes of editors, build constraints); it ends at
the first thing that is no comment, or at the first comment that is not about the licence. Directives of the
preprocessor, shebangs and Markdown's headings are never comments.

A comment is about the licence where the lines from the first to the last that has a word of the vocabulary
are a given share of it: documentation that names a licence stays. Of comments made of lines, what follows the
paragraph with the last such word is no part of it, and stays.

RedPajama's rule (data_prep/github/github_clean_dedup_local.py), which dolma and others took over, deletes
every leading line that begins with ``//``, ``#`` or ``--``, and so includes, shebangs and headings.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from corpus.sources.github.comments import (
    NONE,
    is_open_block,
    line_start,
    next_line,
    paragraph_end,
    run_end,
    starts_comment,
    syntax_of,
)
from corpus.tables import read_table

_BOM = "\ufeff"
_SPACE = re.compile(r"\s*+")
_SHEBANG = re.compile(r"#!(?!\[)[^\r\n]*+")
_BLANK_LINES = re.compile(r"(?:[ \t\f\v]*+(?:\r\n|\n|\r))*+")
_BETWEEN_WORDS = r"[\s*#/;%!'\"|>-]{1,200}"


@dataclass(frozen=True)
class _Patterns:
    hints: tuple[str, ...]
    vocabulary: re.Pattern[str]
    code: re.Pattern[str]
    directives: re.Pattern[str]
    openings: re.Pattern[str]


@functools.cache
def _patterns() -> _Patterns:
    data = read_table("corpus.sources.github", "boilerplate.toml")

    def compiled(name: str, flags: int = 0) -> re.Pattern[str]:
        return re.compile("|".join(data[name]).replace("~", _BETWEEN_WORDS), flags | re.MULTILINE)

    return _Patterns(
        tuple(data["hints"]),
        compiled("vocabulary", re.IGNORECASE),
        compiled("code"),
        compiled("directives"),
        compiled("openings", re.IGNORECASE),
    )


def remove_header(path: str, text: str, share: float) -> str:
    """A text without its leading comments of which such a share is about the licence."""
    spans = header_spans(path, text, share)
    if not spans:
        return text
    kept, at = [], 0
    for start, end in spans:
        kept.append(text[at:start])
        at = end
    return "".join((*kept, text[at:]))


def header_spans(path: str, text: str, share: float) -> list[tuple[int, int]]:
    """What `remove_header` removes: spans of code points, in order."""
    syntax = syntax_of(path, text)
    if syntax == NONE:
        return []
    patterns = _patterns()
    spans: list[tuple[int, int]] = []
    shebang = _SHEBANG.match(text, int(text.startswith(_BOM)))
    at = shebang.end() if shebang else int(text.startswith(_BOM))
    while True:
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        if opening := patterns.openings.match(text, at):
            at = opening.end()
            continue
        if not starts_comment(text, at, syntax):
            return spans
        if patterns.directives.match(text, at) and not is_open_block(text, at, syntax):
            at = next_line(text, at)
            continue
        run = run_end(text, at, syntax, patterns.code, patterns.directives)
        end = _about_license(text, at, *run, share) if run else None
        if end is None:
            return spans
        start = _line_start(text, at)
        if _at_line_start(text, start):
            end = _BLANK_LINES.match(text, end).end()  # type: ignore[union-attr]
        spans.append((start, end))
        at = end


def _about_license(text: str, at: int, end: int, of_lines: bool, share: float) -> int | None:
    """Where what is about the licence ends in a run of comments; None where the run is not about it."""
    patterns, run = _patterns(), text[at:end].lower()
    if not any(hint in run for hint in patterns.hints):
        return None
    first = last = None
    for last in patterns.vocabulary.finditer(text, at, end):
        first = first or last
    if first is None or last is None:
        return None
    start, after = line_start(text, first.start(), at), min(next_line(text, last.end()), end)
    if of_lines:
        end = paragraph_end(text, after, end)
        after = end
    return end if after - start >= share * (end - at) else None


def _line_start(text: str, at: int) -> int:
    """Where the white space before a position starts, if it begins the line; else the position."""
    start = at
    while start > 0 and text[start - 1] in " \t\f\v":
        start -= 1
    return start if _at_line_start(text, start) else at


def _at_line_start(text: str, at: int) -> bool:
    return at == 0 or text[at - 1] in "\r\n" or (at == 1 and text[0] == _BOM)
