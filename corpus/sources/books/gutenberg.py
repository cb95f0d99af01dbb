"""Project Gutenberg's boilerplate: lines of a file -> which of them are the book, and what stood around it.

In: lines without their ends. Out: a `Body`. How the markers count (their patterns are in ``markers.toml``):

- The first ``*** END OF … PROJECT GUTENBERG`` ends the text. Without one, the last ``End of Project
  Gutenberg's …`` does, if the file then ends soon or only the licence follows.
- The first ``*** START OF …`` before that begins it, and a licence block of the old kind (``*END*THE SMALL
  PRINT``) that still follows is skipped. Without a ``*** START``, the text begins after the last such
  block's end; or ends before that block, where less than a tenth of the file comes after it.
- Loose lines (``Produced by …``) never begin a text: they are taken away where they are its first paragraphs.
  So they cannot cut into a book, as where the last of them in some hundreds of lines is searched for.
- Notes of the makers that are about the text (``Transcriber's note``) stay.

A text without any of these is returned whole.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from corpus.tables import read_table

_NAMED_LINES = 20  # in which a file names Project Gutenberg
_TITLE_LINES = 5  # that a starred marker may go on for
_CREDIT_PARAGRAPHS = 8
_CREDIT_LINES = 12  # of one paragraph
_INLINE_LINES = 15
_LOOKED_AT = 2_000  # first characters of a line or paragraph; no marker is as long
_END_SHARE = 0.25  # of a file, in which a loose end marker is believed
_AFTER_SHARE = 0.1  # of a file: with less after it, a licence block is the file's end


@dataclass(frozen=True)
class Body:
    """Where a book lies in its file.

    Attributes:
        start, stop: its lines, without blank ones around it.
        removed: lines within that are no part of it, as (first, end) pairs, ascending.
        begun, ended: what said so: `starred`, `small_print`, `named`, `loose`; "" where nothing did.
    """

    start: int
    stop: int
    removed: tuple[tuple[int, int], ...]
    begun: str
    ended: str

    @property
    def marked(self) -> bool:
        """Whether the file is Project Gutenberg's."""
        return bool(self.begun or self.ended)


@functools.cache
def markers() -> dict[str, re.Pattern[str]]:
    """The patterns of ``markers.toml``, by name."""
    table = read_table("corpus.sources.books", "markers.toml")
    return {name: re.compile("|".join(any_of), re.IGNORECASE) for name, any_of in table.items()}


def find_body(lines: Sequence[str], header_lines: int) -> Body:
    """Find the book in the lines of a file.

    Args:
        lines: of the whole file.
        header_lines: how many of them may stand before the text; markers further on do not begin it.
    """
    stop, ended = _end(lines)
    start, begun = 0, ""
    head = min(stop, header_lines)
    first = next((i for i in range(head) if _is(lines[i], "start")), None)
    if first is not None:
        start, begun = _after_title(lines, first, stop), "starred"
    first_lines = range(start, min(stop, start + header_lines))
    last_print = next((i for i in reversed(first_lines) if _is(lines[i], "print_end")), None)
    if last_print is not None:
        if begun or _characters(lines[last_print + 1 : stop]) > _AFTER_SHARE * _characters(lines[:stop]):
            start, begun = last_print + 1, begun or "small_print"
        else:
            stop, ended = _print_start(lines, last_print), ended or "small_print"
    if not begun and any(_is(line, "named") for line in lines[:_NAMED_LINES]):
        begun = "named"
    start, stop = _trim(lines, start, stop)
    if begun:
        start = _after_credits(lines, start, stop)
    return Body(start, stop, _inline_notes(lines, start, stop), begun, ended)


def text_of(lines: Sequence[str], body: Body) -> str:
    """The book's text, lines ended by newlines but the last."""
    kept: list[str] = []
    at = body.start
    for first, end in body.removed:
        kept += lines[at:first]
        at = end
    return "\n".join([*kept, *lines[at : body.stop]])


def _is(line: str, name: str) -> bool:
    return markers()[name].match(line[:_LOOKED_AT].lstrip()) is not None


def _characters(lines: Sequence[str]) -> int:
    return sum(map(len, lines))


def _end(lines: Sequence[str]) -> tuple[int, str]:
    """The line that the text ends before, and by what."""
    starred = next((i for i, line in enumerate(lines) if "END" in line and _is(line, "end")), None)
    limit = len(lines) if starred is None else starred
    named = (i for i in range(limit - 1, -1, -1) if "utenberg" in lines[i] or "UTENBERG" in lines[i])
    loose = next((i for i in named if _is(lines[i], "loose_end")), None)
    if loose is not None and _may_end(lines, loose, limit, starred is not None):
        return loose, "starred" if starred is not None else "loose"
    return limit, "" if starred is None else "starred"


def _may_end(lines: Sequence[str], loose: int, limit: int, starred: bool) -> bool:
    """Whether no text follows a loose end marker."""
    rest = [line for line in lines[loose + 1 : limit] if line.strip()]
    if len(rest) <= _CREDIT_LINES:
        return True
    if starred:
        return False
    return loose >= (1 - _END_SHARE) * limit or any(_is(line, "licence") for line in rest)


def _after_title(lines: Sequence[str], marker: int, stop: int) -> int:
    """The line after a starred marker whose title may be broken over lines."""
    if lines[marker].rstrip().endswith("***"):
        return marker + 1
    for i in range(marker + 1, min(marker + 1 + _TITLE_LINES, stop)):
        if not lines[i].strip():
            break
        if lines[i].rstrip().endswith("***"):
            return i + 1
    return marker + 1


def _print_start(lines: Sequence[str], print_end: int) -> int:
    """The line that begins the licence block which ends at a line."""
    return next((i for i in range(print_end, -1, -1) if _is(lines[i], "print_start")), print_end)


def _trim(lines: Sequence[str], start: int, stop: int) -> tuple[int, int]:
    """Without blank lines at both ends."""
    while start < stop and not lines[start].strip():
        start += 1
    while stop > start and not lines[stop - 1].strip():
        stop -= 1
    return start, stop


def _after_credits(lines: Sequence[str], start: int, stop: int) -> int:
    """The first line of the text after the paragraphs that name the makers of the file."""
    for _ in range(_CREDIT_PARAGRAPHS):
        end = start
        while end < stop and lines[end].strip():
            end += 1
        if end == stop or not _is_credit(lines[start:end]):
            break
        start, _ = _trim(lines, end, stop)
    return start


def _is_credit(paragraph: Sequence[str]) -> bool:
    if len(paragraph) > _CREDIT_LINES or sum(map(len, paragraph)) > _LOOKED_AT:
        return False
    text = " ".join(line[:_LOOKED_AT].strip() for line in paragraph)
    return _is(text, "credit") or (_is(text, "address") and _is(text, "maker"))


def _inline_notes(lines: Sequence[str], start: int, stop: int) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for i in range(start, stop):
        if "<<" not in lines[i] or not _is(lines[i], "inline_start") or (found and i < found[-1][1]):
            continue
        ends = (j for j in range(i, min(i + _INLINE_LINES, stop)) if _is(lines[j], "inline_end"))
        if (last := next(ends, None)) is not None:
            found.append((i, last + 1))
    return tuple(found)
