r"""TeX's conditionals: decided where the text alone decides them, else left in the text.

In: the stream behind ``\if…``, ``\else``, ``\fi``. Out: the branch taken is read on, the other one goes.
Decided are flags of ``\newif``, ``\iftrue``, ``\iffalse``, ``\ifmmode``, ``\ifx`` and ``\if`` of two tokens,
``\ifnum`` of numerals, ``\ifdefined`` of known names.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from corpus.sources.arxiv.expand import Command, Expander
from corpus.sources.arxiv.macros import Macro, make
from corpus.sources.arxiv.stream import Segment, joined
from corpus.sources.arxiv.tables import names

_CONDITIONALS = names("conditionals")
_NOT_CONDITIONALS = names("not_conditionals")
_MARK = re.compile(r"\\(?:\\|newif\s*\\if[A-Za-z@]*|(if[A-Za-z@]*|else|fi)(?![A-Za-z@]))")
_NUMBERS = re.compile(r"\s*(-?\d{1,9})\s*([<>=])\s*(-?\d{1,9})[ \n]?")
_MAX_FAILED = 20  # conditionals without \fi; each is looked for to the end of its file
_EMPTY = make("empty", (), "")


def _conditional(paper: Expander, name: str) -> None:
    stream = paper.stream
    value = paper.names.flags.get(name)
    if value is None and (test := _TESTS.get(name)):
        stream.begin()
        value = test(paper)
        if value is None:
            stream.rollback()
        else:
            stream.commit()
    if value is None:
        _keep(paper, name)
    elif value:
        paper.conditions.append(True)
        _gone(paper)
    else:
        end = _skipped(paper)
        if not end:
            _keep(paper, name)
            return
        if end == "else":
            paper.conditions.append(True)
        _gone(paper)


def _keep(paper: Expander, name: str) -> None:
    paper.conditions.append(False)
    paper.out.emit(f"\\{name}")


def _gone(paper: Expander) -> None:
    """After a control word that leaves nothing."""
    paper.swallow()
    frame = paper.stream.top()
    if frame and frame.file:
        paper.removed()


def _else(paper: Expander, name: str) -> None:
    if not paper.conditions or not paper.conditions[-1]:
        paper.out.emit("\\else")
        return
    if _skipped(paper, to_end=True):
        paper.conditions.pop()
        _gone(paper)
    else:
        paper.conditions[-1] = False
        paper.out.emit("\\else")


def _fi(paper: Expander, name: str) -> None:
    if paper.conditions and paper.conditions.pop():
        _gone(paper)
    else:
        paper.out.emit("\\fi")


def _skipped(paper: Expander, to_end: bool = False) -> str:
    r"""Pass over a branch, taking unknown ``\if…`` for conditionals, or else not; nothing, if both fail."""
    for liberal in (True, False):
        paper.stream.begin()
        if end := _skip(paper, liberal, to_end):
            paper.stream.commit()
            return end
        paper.stream.rollback()
    paper.counts.failed_skips += 1
    return ""


def _skip(paper: Expander, liberal: bool, to_end: bool) -> str:
    r"""Pass over a branch.

    Args:
        paper: what is read.
        liberal: whether an unknown ``\if…`` counts as a conditional where no brace follows it.
        to_end: pass ``\else`` too.

    Returns:
        ``else`` or ``fi``, which is passed as well; "" if the file ends first.
    """
    if paper.counts.failed_skips > _MAX_FAILED:
        return ""
    stream = paper.stream
    depth = 0
    while frame := stream.top():
        for match in _MARK.finditer(frame.text, frame.pos):
            name = match[1]
            if name is None:
                continue
            if name == "fi":
                if depth == 0:
                    stream.move(frame, match.end())
                    return "fi"
                depth -= 1
            elif name == "else":
                if depth == 0 and not to_end:
                    stream.move(frame, match.end())
                    return "else"
            elif name in _CONDITIONALS or name in paper.names.flags:
                depth += 1
            elif liberal and name not in _NOT_CONDITIONALS:
                depth += frame.text[match.end() : match.end() + 1] != "{"
        stream.move(frame, len(frame.text))
        if frame.file:
            return ""
    return ""


def _meaning(paper: Expander, token: Segment | None) -> Macro | str | None:
    """What ``\\ifx`` compares: a macro, or a character or command by its name; None: unknown."""
    if token is None:
        return None
    text = paper.names.aliases.get(token.text, token.text)
    if not text or text[0] != "\\":
        return text
    known = paper.names.table.get(text[1:])
    if isinstance(known, Macro):
        return known.literal or known
    if text in ("\\empty", "\\@empty"):
        return _EMPTY
    return text


def _token(paper: Expander) -> Segment | None:
    token = paper.stream.token()
    if token and len(token.text) > 1 and token.text[1].isalpha():
        paper.stream.skip_spaces()
    return token


def _ifx(paper: Expander) -> bool | None:
    paper.stream.skip_spaces()
    left, right = _meaning(paper, _token(paper)), _meaning(paper, _token(paper))
    if left is None or right is None or "\\csname" in (left, right):
        return None
    if isinstance(left, Macro) and isinstance(right, Macro):
        return left.same_as(right)
    undefined = {"\\undefined", "\\@undefined"}
    if left in undefined or right in undefined:
        return False if isinstance(left, Macro) or isinstance(right, Macro) else None
    return left == right


def _if(paper: Expander) -> bool | None:
    paper.stream.skip_spaces()
    first = _token(paper)
    if first and first.text == "\\relax" and paper.stream.literal("\\detokenize"):
        held = paper.stream.argument()
        end = _token(paper)
        return None if held is None or end is None or end.text != "\\relax" else not joined(held).strip()
    second = _token(paper)
    left, right = _meaning(paper, first), _meaning(paper, second)
    if not isinstance(left, str) or not isinstance(right, str):
        return None
    commands = (left[:1] == "\\") + (right[:1] == "\\")
    return left == right if commands < 2 or left == right else None


def _ifnum(paper: Expander) -> bool | None:
    frame = paper.stream.top()
    found = _NUMBERS.match(frame.text, frame.pos) if frame else None
    if frame is None or found is None:
        return None
    paper.stream.move(frame, found.end())
    left, right = int(found[1]), int(found[3])
    return {"<": left < right, ">": left > right, "=": left == right}[found[2]]


def _ifdefined(paper: Expander) -> bool | None:
    paper.stream.skip_spaces()
    token = paper.stream.token()
    return True if token and token.text[1:] in paper.names.table else None


_TESTS: dict[str, Callable[[Expander], bool | None]] = {
    "iftrue": lambda paper: True,
    "iffalse": lambda paper: False,
    "ifmmode": lambda paper: paper.out.in_mathematics(),
    "ifx": _ifx,
    "if": _if,
    "ifnum": _ifnum,
    "ifdefined": _ifdefined,
}


def _alias(paper: Expander, name: str) -> None:
    """The character that ``\\futurelet`` found."""


COMMANDS: dict[str, Command] = {
    **dict.fromkeys(_CONDITIONALS, Command(_conditional, packages=True)),
    "else": Command(_else, packages=True),
    "fi": Command(_fi, packages=True),
    "@let@token": Command(_alias),
}
