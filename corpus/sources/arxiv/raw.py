r"""Spans of LaTeX whose text is raw: \verb, listings, addresses, verbatim environments.

In: a text and where such a command stands in it. Out: where its raw text ends. A ``%`` in it is no comment,
and no macro in it is expanded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from corpus.sources.arxiv.tables import names

DELIMITED = names("raw_delimited")
ARGUMENT = names("raw_argument")
VERBATIM = names("verbatim")
_DEFINED = re.compile(
    r"\\(?:lstnewenvironment|DefineVerbatimEnvironment|newtcblisting|DeclareTCBListing|(newminted))"
    r"[ \t]*(?:\[[^\]\n]{0,100}\])?[ \t]*\{([^{}\n]{1,100})\}"
)
_LONGEST = 10_000  # characters of \verb|…| or \url{…}: an unclosed one costs no more
_DEEPEST = 20  # braces within braces of an address
_OPTIONS = re.compile(r"\*?[ \t]*(?:\[[^\]\n]{0,400}\])?")
_LANGUAGE = re.compile(r"\{[^{}\n]{0,100}\}")
_BRACES = re.compile(r"[{}]|\\[\\{}]|\n[ \t]*\n")


def verbatim_environments(texts: Iterable[str]) -> frozenset[str]:
    """Environments whose text is raw: LaTeX's, and those that these texts define."""
    found = (match for text in texts for match in _DEFINED.finditer(text))
    return VERBATIM | {match[2] + ("code" if match[1] else "") for match in found}


def command_end(text: str, command: str, pos: int) -> int:
    r"""Where the raw text of a command ends.

    Args:
        text: what the command stands in.
        command: its name, one of `DELIMITED` or `ARGUMENT`.
        pos: where the name ends.

    Returns:
        The place after its closing mark; `pos` if there is no raw text.
    """
    start = _OPTIONS.match(text, pos).end()  # type: ignore[union-attr]  # matches ""
    if command == "mintinline":
        language = _LANGUAGE.match(text, start)
        if not language:
            return pos
        start = language.end()
    if start >= len(text):
        return pos
    mark = text[start]
    if mark == "{" and command not in ("verb", "Verb"):
        return _group_end(text, start) or pos
    if command in ARGUMENT and command != "path":
        return pos
    if mark.isspace() or mark.isalnum() or mark in "{}\\":
        return pos
    line_end = text.find("\n", start, start + _LONGEST)
    end = text.find(mark, start + 1, line_end if line_end >= 0 else start + _LONGEST)
    return end + 1 if end >= 0 else pos


def _group_end(text: str, start: int) -> int:
    """The place after the brace that closes the one at `start`; 0 if none does in the same paragraph."""
    depth = 0
    for match in _BRACES.finditer(text, start, start + _LONGEST):
        if match[0] == "{":
            depth += 1
            if depth > _DEEPEST:
                return 0
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return match.end()
        elif match[0][0] == "\n":
            return 0
    return 0


def is_escaped(text: str, pos: int) -> bool:
    """Whether an odd number of backslashes stands before `pos`."""
    first = pos
    while first > 0 and text[first - 1] == "\\":
        first -= 1
    return (pos - first) % 2 == 1
