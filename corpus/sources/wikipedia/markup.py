"""What of wikitext is not text: comments, elements whose content goes, templates, tables.

In: wikitext. Out: the text around them, with marks for what was there, by which later steps see where a gap
is. Each step is one pass from left to right over the places where its markup begins or ends, with a stack:
its time is that of the text's length, whatever is nested in what or never closed. It follows MediaWiki's own
order (includes/parser/Preprocessor_Hash.php: elements and comments, then braces).
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field

# Marks: characters that XML cannot hold, so that no text has them.
GAP = "\x01"  # something was removed
LITERAL, LITERAL_END = "\x02", "\x03"  # around the number of a text that is no markup
BREAK = "\x04"  # <br>
NOTHING = "\x05"  # <nowiki/>: parts what stands before and after
MARKS = re.compile("[\x01-\x05]")

# With what is inside. Those of mwparserfromhell's INVISIBLE_TAGS, and what else shows no running text.
# fmt: off
_REMOVED = (
    "ref", "references", "math", "chem", "ce", "hiero", "gallery", "timeline", "score", "imagemap", "graph",
    "section", "inputbox", "categorytree", "templatedata", "templatestyles", "mapframe", "maplink",
    "includeonly", "indicator", "style", "script",
)
# fmt: on
# What is inside is text as it stands.
_VERBATIM = ("nowiki", "pre", "syntaxhighlight", "source")
_HIDDEN = re.compile(rf"<!--|<({'|'.join((*_REMOVED, *_VERBATIM))})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_REF_START = re.compile(r"<ref(?:\s[^<>]*[^<>/])?>", re.IGNORECASE)
_CLOSING = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in (*_REMOVED, *_VERBATIM)}
_BRACES = re.compile(r"\{\{+|\}\}+")
_TABLE = re.compile(
    r"^[ \t:*#;\x01]*(\{\|)|^[ \t\x01]*(\|\})(?!\})|<(table)(?:\s[^<>]*)?>|</(table)\s*>",
    re.MULTILINE | re.IGNORECASE,
)
_ANY_TABLE = re.compile(r"\{\||\|\}|<[/tT]")  # quickly found not to be there
_HEADING = re.compile(r"^={1,6}[^=\n]", re.MULTILINE)
_CODE_ENTITIES = frozenset({"nowiki", "pre"})  # where references to characters are still resolved


@dataclass
class Shown:
    """Wikitext without its hidden parts.

    Attributes:
        text: with marks.
        literals: the texts that marks name by their number, and whether character references count in them.
        references: content of all ``ref`` elements.
    """

    text: str
    literals: list[tuple[str, bool]] = field(default_factory=list)
    references: list[str] = field(default_factory=list)


class TooNested(Exception):
    """Markup in markup, or left open, beyond the recipe's limit: what no page that people read has."""


class _Finder:
    """Finds the next match of patterns from rising positions; no stretch is searched twice by a pattern."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[re.Pattern[str], re.Match[str] | None] = {}

    def next(self, pattern: re.Pattern[str], start: int) -> re.Match[str] | None:
        """The first match that begins at `start` or later."""
        if pattern in self._found:
            match = self._found[pattern]
            if match is None or match.start() >= start:
                return match
        match = self._found[pattern] = pattern.search(self._text, start)
        return match


def show(wikitext: str) -> Shown:
    """Remove comments and the elements that are not text; set aside what is no markup."""
    shown = Shown("")
    out: list[str] = []
    finder = _Finder(wikitext)
    position = 0
    while (match := _HIDDEN.search(wikitext, position)) is not None:
        start, end = match.span()
        out.append(wikitext[position:start])
        if match[1] is None:
            position = _end_of_comment(wikitext, start)
            continue
        name = match[1].lower()
        if match[0].endswith("/>"):
            out.append(NOTHING if name == "nowiki" else GAP)
            position = end
            continue
        closing = finder.next(_CLOSING[name], end)
        if name == "ref":
            following = finder.next(_REF_START, end)
            if closing is None or (following is not None and following.start() < closing.start()):
                # Not closed: what belongs to it can only be guessed.
                position = end + len(_line(wikitext, end, following.start() if following else len(wikitext)))
                shown.references.append(wikitext[end:position])
                out.append(GAP)
                continue
        if closing is None:
            position = end
            continue
        content = wikitext[end : closing.start()]
        position = closing.end()
        if name == "ref":
            shown.references.append(content)
        elif name == "references":
            shown.references += _inner_references(content)
        if name not in _VERBATIM:
            out.append(GAP)
        elif not content:
            out.append(NOTHING)
        else:
            out.append(f"{LITERAL}{len(shown.literals)}{LITERAL_END}")
            shown.literals.append((content, name in _CODE_ENTITIES))
    out.append(wikitext[position:])
    shown.text = "".join(out)
    return shown


def _inner_references(content: str) -> list[str]:
    """The references that a list of references defines."""
    return show(content).references


def _line(text: str, start: int, limit: int) -> str:
    end = text.find("\n", start, limit)
    return text[start : limit if end < 0 else end]


def _end_of_comment(text: str, start: int) -> int:
    """Where the text goes on after a comment; one alone on its line takes the line with it."""
    end = text.find("-->", start + 4)
    if end < 0:
        return len(text)  # as MediaWiki
    end += 3
    before = start
    while before > 0 and text[before - 1] in " \t":
        before -= 1
    after = end
    while after < len(text) and text[after] in " \t":
        after += 1
    alone = (before == 0 or text[before - 1] == "\n") and text[after : after + 1] == "\n"
    return after + 1 if alone else end


def remove_templates(text: str, nesting: int) -> str:
    """Remove ``{{…}}`` and ``{{{…}}}``; braces without a partner go alone.

    Runs of braces are matched as by MediaWiki: three or two at a time, from the innermost out.

    Raises:
        TooNested: more than `nesting` are open at a time.
    """
    out: list[str] = []
    stack: list[tuple[int, int]] = []  # index in `out` of the braces, and how many they are
    position = 0
    for match in _BRACES.finditer(text):
        start, end = match.span()
        out.append(text[position:start])
        position = end
        count = end - start
        if text[start] == "{":
            if len(stack) == nesting:
                raise TooNested
            stack.append((len(out), count))
            out.append("")
            continue
        if count == 3 and stack and stack[-1][1] == 2 and text[start - 1] == "|":
            count = 2  # the first ends a table
        while count >= 2 and stack:
            index, open_count = stack.pop()
            matched = min(count, open_count, 3)
            count -= matched
            left = open_count - matched
            del out[index:]
            if left >= 2:
                stack.append((len(out), left))
            out += ["{" if left == 1 else "", GAP]
        if count == 1:
            out.append("}")
    out.append(text[position:])
    return "".join(out)


def remove_tables(text: str, nesting: int) -> str:
    """Remove ``{| … |}`` and ``table`` elements, the inner with the outer.

    One that is not closed goes up to the next heading, as MediaWiki would show the rest of the page in it.

    Raises:
        TooNested: more than `nesting` are open at a time.
    """
    if not _ANY_TABLE.search(text):
        return text
    spans: list[tuple[int, int]] = []
    stacks: dict[bool, list[int]] = {True: [], False: []}
    for match in _TABLE.finditer(text):
        stack = stacks[match[1] is not None or match[2] is not None]
        if match[1] or match[3]:
            if len(stack) == nesting:
                raise TooNested
            stack.append(match.start())
        else:
            spans.append((stack.pop() if stack else match.start(), match.end()))
    if stacks[True] or stacks[False]:
        headings = [match.start() for match in _HEADING.finditer(text)]
        for start in (*stacks[True], *stacks[False]):
            at = bisect.bisect_right(headings, start)
            spans.append((start, headings[at] if at < len(headings) else len(text)))
    out: list[str] = []
    position = 0
    for start, end in sorted(spans):
        if start > position or not out:
            out.append(text[position:start])
        position = max(position, end)
    out.append(text[position:])
    return GAP.join(out)
