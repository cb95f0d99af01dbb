r"""Commands that choose between their arguments by what they are, or by what follows: LaTeX's conditionals.

In: the stream behind ``\@ifnextchar``, ``\IfValueTF``, ``\ifdef`` and their kin. Out: the argument chosen is
read on. Of ``\mathchoice`` within macros, which gives one formula in four sizes, the second is chosen;
``\xspace`` becomes a space or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from corpus.sources.arxiv.expand import Command, Expander, reset
from corpus.sources.arxiv.macros import NO_VALUE, STAR
from corpus.sources.arxiv.stream import Segment, joined
from corpus.sources.arxiv.tables import characters, names

_XSPACE_CHARACTERS = characters("xspace_characters")
_XSPACE_COMMANDS = names("xspace_commands")
_COMMAND = re.compile(r"\\([A-Za-z@]+|[\s\S])")


def _choose(paper: Expander, name: str, count: int, choice: Callable[[list[list[Segment]]], int]) -> None:
    """Read `count` arguments, and put back the chosen one; without them, the command stays."""
    stream = paper.stream
    stream.begin()
    arguments: list[list[Segment]] = []
    for _ in range(count):
        argument = stream.argument()
        if argument is None:
            stream.rollback()
            paper.out.emit(f"\\{name}")
            return
        arguments.append(argument)
    stream.commit()
    chosen = choice(arguments)
    if chosen >= 0:
        stream.push_segments(reset(arguments[chosen]))


def _if_next(paper: Expander, name: str) -> None:
    r"""``\@ifnextchar X{…}{…}``: whether X is what comes next, after spaces."""

    def choice(arguments: list[list[Segment]]) -> int:
        wanted = joined(arguments[0]).strip()
        paper.stream.skip_spaces()
        ahead = paper.stream.peek()
        if ahead == "\\":
            paper.stream.begin()
            token = paper.stream.token()
            paper.stream.rollback()
            ahead = token.text if token else ""
        return 1 if ahead == {"\\bgroup": "{", "\\egroup": "}"}.get(wanted, wanted) else 2

    _choose(paper, name, 3, choice)


def _if_known(paper: Expander, name: str) -> None:
    r"""etoolbox's ``\ifdef{\name}{…}{…}`` where the paper defines the name; else it stays."""
    stream = paper.stream
    stream.begin()
    tested = stream.name()
    stream.rollback()
    if tested in paper.names.table:
        _choose(paper, name, 3, lambda arguments: 1 if name == "ifdef" else 2)
    else:
        paper.out.emit(f"\\{name}")


def _if_star(paper: Expander, name: str) -> None:
    def choice(arguments: list[list[Segment]]) -> int:
        paper.stream.skip_spaces()
        return 0 if paper.stream.literal("*") else 1

    _choose(paper, name, 2, choice)


def _if_argument(paper: Expander, name: str) -> None:
    r"""xparse's ``\IfValueTF``, ``\IfNoValueT``, ``\IfBooleanF``…"""
    kind = next(k for k in ("IfNoValue", "IfValue", "IfBoolean") if name.startswith(k))
    branches = name[len(kind) :]

    def choice(arguments: list[list[Segment]]) -> int:
        text = joined(arguments[0]).strip()
        holds = {"IfNoValue": text == NO_VALUE, "IfValue": text != NO_VALUE, "IfBoolean": text == STAR}[kind]
        return 1 + branches.index("T" if holds else "F") if ("T" if holds else "F") in branches else -1

    _choose(paper, name, 1 + len(branches), choice)


def _math_choice(paper: Expander, name: str) -> None:
    _choose(paper, name, 4, lambda arguments: 1)


def _xspace(paper: Expander, name: str) -> None:
    r"""A space, as package xspace decides; but none in a formula, where TeX would ignore it."""
    following = paper.stream.peek()
    if following == "\\":
        frame = paper.stream.top()
        command = _COMMAND.match(frame.text, frame.pos) if frame else None
        if command and command[1] in _XSPACE_COMMANDS:
            return
    elif following == "" or following.isspace() or following in _XSPACE_CHARACTERS:
        return
    if following.isalnum() or not paper.out.in_mathematics():
        paper.out.emit(" ")


COMMANDS: dict[str, Command] = {
    **{
        f"{kind}{branches}": Command(_if_argument)
        for kind in ("IfValue", "IfNoValue", "IfBoolean")
        for branches in ("TF", "T", "F")
    },
    **dict.fromkeys(("ifdef", "ifundef"), Command(_if_known)),
    "@ifnextchar": Command(_if_next),
    "@ifstar": Command(_if_star),
    "mathchoice": Command(_math_choice),
    "xspace": Command(_xspace),
}
