r"""Commands that define: what a paper's macros and environments are at each place of it.

In: the stream behind ``\newcommand``, ``\def``, ``\let``, ``\newif`` and their kin. Out: the macro taken over
by the expander, and the definition gone from the text. What cannot be read as a definition stays as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from corpus.sources.arxiv import macros
from corpus.sources.arxiv.expand import Command, Expander
from corpus.sources.arxiv.macros import Macro, make
from corpus.sources.arxiv.meanings import PROTECTED
from corpus.sources.arxiv.stream import WRITTEN, Stream, joined

_PREFIXED = re.compile(r"\s*\\([A-Za-z]+)")
_FLAG_PREFIX = "if"
_BRACES = frozenset({"{", "}", "bgroup", "egroup", "begingroup", "endgroup"})

_PARSERS: dict[str, Callable[[Stream], Macro | None]] = {
    **dict.fromkeys(
        ("newcommand", "renewcommand", "providecommand", "DeclareRobustCommand", "newrobustcmd"),
        macros.newcommand,
    ),
    **dict.fromkeys(("renewrobustcmd", "providerobustcmd"), macros.newcommand),
    **dict.fromkeys(("def", "gdef", "edef", "xdef"), macros.definition),
    **dict.fromkeys(
        (f"{verb}{kind}DocumentCommand" for verb in ("New", "Renew", "Provide", "Declare")
         for kind in ("", "Expandable")),
        macros.document_command,
    ),
    "DeclareMathOperator": macros.operator,
    "DeclarePairedDelimiter": macros.paired_delimiter,
}  # fmt: skip
_ENVIRONMENTS: dict[str, Callable[[Stream], Macro | None]] = {
    "newenvironment": macros.environment,
    "renewenvironment": macros.environment,
    **dict.fromkeys(
        (f"{verb}DocumentEnvironment" for verb in ("New", "Renew", "Provide", "Declare")),
        partial(macros.document_command, environments=True),
    ),
}
_BY_NAME: dict[str, Callable[[Stream, str], Macro | None]] = {
    **dict.fromkeys(("def", "gdef", "edef", "xdef"), macros.definition),
    **dict.fromkeys(("newcommand", "renewcommand", "providecommand"), macros.newcommand),
}
_GLOBAL = frozenset({"gdef", "xdef"})
_PROVIDING = frozenset({"providecommand", "providerobustcmd", "ProvideDocumentCommand"})


def _define(paper: Expander, command: str) -> None:
    stream = paper.stream
    stream.begin()
    macro = _PARSERS[command](stream)
    if macro is None:
        stream.rollback()
        paper.out.emit(f"\\{command}")
        return
    stream.commit()
    if command in ("edef", "xdef") and not macro.parameters and not paper.packages:
        macro = make(macro.name, (), paper.expand_now("".join(map(str, macro.body))))
    if not (command in _PROVIDING and macro.name in paper.names.table):
        paper.define(macro, everywhere=command in _GLOBAL)
    paper.removed()


def _define_environment(paper: Expander, command: str) -> None:
    stream = paper.stream
    stream.begin()
    macro = _ENVIRONMENTS[command](stream)
    if macro is None:
        stream.rollback()
        paper.out.emit(f"\\{command}")
        return
    stream.commit()
    # Those of a package are the design of a journal, not the author's shorthand.
    if not paper.packages and macro.name not in PROTECTED:
        paper.names.environments[macro.name] = macro
    paper.removed()


def _let(paper: Expander, command: str) -> None:
    stream = paper.stream
    stream.begin()
    stream.skip_spaces()
    token = stream.token()
    stream.skip_spaces()
    if stream.literal("="):
        stream.skip_spaces()
    value = stream.token()
    if token is None or value is None or len(token.text) < 2 or token.text[0] != "\\":
        stream.rollback()
        paper.out.emit(f"\\{command}")
        return
    stream.commit()
    name, target = token.text[1:], value.text
    known = paper.names.table.get(target[1:]) if target[0] == "\\" else None
    if isinstance(known, Macro):
        paper.define(replace(known, name=name))
    elif target in ("\\relax", "\\empty", "\\@empty"):
        paper.define(make(name, (), ""))
    elif target in ("\\undefined", "\\@undefined"):
        paper.names.forget(name)
    elif target[-1:] not in _BRACES and target[1:] not in _BRACES:
        # A command that the source acts on is read again; LaTeX's others stand for what they were.
        again = known is not None or target[0] != "\\"
        open_end = target[-1].isalpha()
        macro = Macro(name, body=(target,), open_end=open_end)
        paper.define(macro if again else Macro(name, literal=target, open_end=open_end))
    paper.removed()


def _by_name(paper: Expander, command: str) -> None:
    r"""``\expandafter\def\csname NAME\endcsname``; any other ``\expandafter`` stays."""
    stream = paper.stream
    stream.begin()
    stream.skip_spaces()
    token = stream.token()
    parser = _BY_NAME.get(token.text[1:]) if token else None
    stream.skip_spaces()
    if parser is not None and stream.literal("*"):
        stream.skip_spaces()
    macro = None
    if parser is not None and stream.literal("\\csname"):
        stream.skip_spaces()
        name = stream.until("\\endcsname")
        text = joined(name).strip() if name else ""
        if text and "\\" not in text:
            macro = parser(stream, text)
    if macro is None:
        stream.rollback()
        paper.out.emit(f"\\{command}")
        return
    stream.commit()
    paper.define(macro)
    paper.removed()


def _named(paper: Expander, command: str) -> None:
    r"""``\csname NAME\endcsname``: the command, or of a name that is none an environment's begin or end."""
    stream = paper.stream
    stream.begin()
    stream.skip_spaces()
    segments = stream.until("\\endcsname")
    name = joined(segments).strip() if segments else ""
    if not name or "\\" in name:
        stream.rollback()
        paper.out.emit(f"\\{command}")
        return
    stream.commit()
    end = name.startswith("end")
    environment = name.removeprefix("end")
    is_command = name.replace("@", "a").isalpha()
    text = f"\\{name}" if is_command else f"\\{'end' if end else 'begin'}{{{environment}}}"
    stream.push(text, segments[0].origin if segments else WRITTEN)


def _group(paper: Expander, command: str) -> None:
    if command in ("begingroup", "bgroup"):
        paper.names.open_scope("{")
    else:
        paper.names.close_scope("{")
    paper.out.emit(f"\\{command}")


def _prefix(paper: Expander, command: str) -> None:
    r"""``\long``, ``\global`` and their kin go with the definition that they stand before."""
    frame = paper.stream.top()
    following = _PREFIXED.match(frame.text, frame.pos) if frame else None
    if following and (following[1] in _PARSERS or following[1] in ("let", *_PREFIXES)):
        paper.swallow()
    else:
        paper.out.emit(f"\\{command}")


def _new_if(paper: Expander, command: str) -> None:
    stream = paper.stream
    stream.begin()
    name = stream.name()
    if name is None or not name.startswith(_FLAG_PREFIX):
        stream.rollback()
        paper.out.emit(f"\\{command}")
        return
    stream.commit()
    paper.names.flags[name] = False
    paper.names.table[name] = paper.names.commands["if"]
    for value in ("true", "false"):
        paper.names.table[name[len(_FLAG_PREFIX) :] + value] = SET_FLAG
    paper.removed()


def _set_flag(paper: Expander, command: str) -> None:
    value = command.endswith("true")
    paper.names.flags[_FLAG_PREFIX + command.removesuffix("true" if value else "false")] = value
    paper.swallow()
    paper.removed()


def _at_letter(paper: Expander, command: str) -> None:
    paper.at_is_letter = command == "makeatletter"
    paper.removed()


def _future_let(paper: Expander, command: str) -> None:
    r"""``\futurelet\alias\next``: the alias stands for the character or command behind ``\next``."""
    stream = paper.stream
    stream.begin()
    stream.skip_spaces()
    alias = stream.token()
    stream.skip_spaces()
    following = stream.token()
    if alias is None or following is None:
        stream.rollback()
        paper.out.emit(f"\\{command}")
        return
    stream.commit()
    stream.begin()
    ahead = stream.token()
    stream.rollback()
    paper.names.aliases[alias.text] = ahead.text if ahead else ""
    stream.push(*following)


def _exclude(paper: Expander, command: str) -> None:
    r"""``\excludecomment{name}`` and ``\includecomment{name}`` of package comment."""
    frame = paper.stream.top()
    named = _NAMED.match(frame.text, frame.pos) if frame else None
    if named is None or frame is None:
        paper.out.emit(f"\\{command}")
        return
    frame.pos = named.end()
    (paper.excluded.add if command == "excludecomment" else paper.excluded.discard)(named[1])
    paper.removed()


_NAMED = re.compile(r"[ \t]*\{([^{}\n]{1,100})\}")
_PREFIXES = ("long", "global", "protected", "outer")
SET_FLAG = Command(_set_flag, packages=True)

COMMANDS: dict[str, Command] = {
    **dict.fromkeys(_PARSERS, Command(_define, packages=True)),
    **dict.fromkeys(_ENVIRONMENTS, Command(_define_environment, packages=True)),
    **dict.fromkeys(_PREFIXES, Command(_prefix, packages=True)),
    **dict.fromkeys(("makeatletter", "makeatother"), Command(_at_letter, packages=True)),
    **dict.fromkeys(("excludecomment", "includecomment"), Command(_exclude)),
    **dict.fromkeys(("begingroup", "bgroup", "endgroup", "egroup"), Command(_group)),
    "csname": Command(_named),
    "let": Command(_let, packages=True),
    "expandafter": Command(_by_name),
    "futurelet": Command(_future_let),
    "newif": Command(_new_if, packages=True),
}
