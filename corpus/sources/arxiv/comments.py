r"""Comments of LaTeX, removed as TeX removes them.

In: the text of a file. Out: the text without comments, read character by character as TeX does: a ``%`` after
an even number of backslashes begins one, but not in \verb, \url or a verbatim environment. A line that is
nothing but a comment goes with its line end; after a comment that follows text TeX also passes over the line
end and the next line's leading spaces, unless that line is empty, which ends the paragraph.
"""

from __future__ import annotations

import functools
import re

from corpus.sources.arxiv.raw import ARGUMENT, DELIMITED, VERBATIM, command_end, is_escaped
from corpus.sources.arxiv.tables import names

_FILES = names("files")
_BLANKS = re.compile(r"[ \t]*")


def remove_comments(text: str, verbatim: frozenset[str] = VERBATIM) -> str:
    """The text without its comments; in `verbatim` environments there are none."""
    mark = _marks(verbatim)
    out: list[str] = []
    unclosed: set[str] = set()
    start = pos = 0
    fresh = True  # whether what stands before `start` ends a line
    while match := mark.search(text, pos):
        at = match.start()
        pos = match.end()
        if is_escaped(text, at):
            pos = at + 1
            continue
        if match[1]:
            pos = command_end(text, match[1], pos)
            continue
        if match[2]:
            pos = _environment_end(text, match[2], pos, unclosed)
            continue
        line = text.rfind("\n", start, at) + 1 or start
        fresh = (fresh or line > start) and not text[line:at].strip(" \t")  # the line has nothing else
        out.append(text[start : line if fresh else at])
        start = pos = _comment_end(text, at) if fresh else _after_text(text, _comment_end(text, at), out)
    out.append(text[start:])
    return "".join(out)


@functools.lru_cache(maxsize=64)
def _marks(verbatim: frozenset[str]) -> re.Pattern[str]:
    """What a comment may begin with, or text without comments: a command, or an environment."""
    commands, environments = (
        "|".join(sorted(map(re.escape, names_), key=lambda name: (-len(name), name)))
        for names_ in (DELIMITED | ARGUMENT, verbatim | _FILES)
    )
    return re.compile(rf"%|\\(?:({commands})(?![A-Za-z@])|begin[ \t]*\{{({environments})\}})")


def _comment_end(text: str, at: int) -> int:
    """The place after the line end of a comment that begins at `at`."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _after_text(text: str, pos: int, out: list[str]) -> int:
    """Where text goes on after a comment that followed text, at the beginning of a line."""
    while True:
        following = _BLANKS.match(text, pos).end()  # type: ignore[union-attr]  # matches ""
        if following < len(text) and text[following] == "%":
            pos = _comment_end(text, following)
            continue
        if following < len(text) and text[following] == "\n":
            out.append("\n")
        return following


def _environment_end(text: str, name: str, pos: int, unclosed: set[str]) -> int:
    """The place after ``\\end{name}``; `pos` where there is none, which is then remembered."""
    if name in unclosed:
        return pos
    closing = f"\\end{{{name}}}"
    end = text.find(closing, pos)
    if end < 0:
        unclosed.add(name)
        return pos
    return end + len(closing)
