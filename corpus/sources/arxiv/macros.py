r"""Macros and environments that a paper defines, and the parsing of their definitions.

In: the stream behind a defining command, such as ``\newcommand``. Out: a `Macro`, whose parameters say how
its arguments are read and whose body says what takes its place. Definitions that cannot be parsed give None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from corpus.sources.arxiv.stream import Segment, Stream, joined
from corpus.sources.arxiv.tables import names

_MAX_PARAMETERS = 9
_PARAMETER = re.compile(r"#([1-9])|##")
_CONTROLS = re.compile(r"\\([A-Za-z@]+)")
_PROGRAMS = names("programs")
_DEFINING_BY_NAME = re.compile(
    r"\\expandafter\s*\\(?:[a-z]?def|let|(?:re)?newcommand\*?)\s*\\csname[^\\{}]*\\endcsname"
)
# The body ends with a control word or begins or ends an environment: spaces after it can stay.
_OPEN_END = re.compile(r"(?:(?<!\\)(?:\\\\)*\\[A-Za-z@]+|\\(?:begin|end)[ \t]*\{[^{}]*\})\s*\Z")
_PATTERN = re.compile(r"(?:[^{}\\]|\\[\s\S]){0,200}+")


class Parameter(NamedTuple):
    """How an argument is read: ``m``andatory, ``o``ptional, ``s``tar, or ``until`` a delimiter."""

    kind: Literal["m", "o", "s", "until"]
    text: str = ""  # default of an optional argument, or the delimiter


NO_VALUE = "-NoValue-"  # xparse's mark of an optional argument that is absent
STAR, NO_STAR = r"\BooleanTrue", r"\BooleanFalse"


@dataclass(frozen=True, slots=True, eq=False)
class Macro:
    r"""A macro: its body as text and numbers of parameters.

    `lead` is text that must follow the name. `literal` is set for a name that \let gave to a command of
    LaTeX's own: it stands for that command as it was, whatever becomes of the command's name. `program`: the
    body is a program. `package`: it is one of a package that comes with the paper. `open_end`: spaces after
    the call can stay. `end_body` is that of an environment's end.
    """

    name: str
    parameters: tuple[Parameter, ...] = ()
    body: tuple[str | int, ...] = ()
    lead: str = ""
    literal: str = ""
    program: bool = False
    package: bool = False
    inner: frozenset[str] = frozenset()  # names with @ in the body
    open_end: bool = False
    end_body: str = ""

    def same_as(self, other: Macro) -> bool:
        """Whether both stand for the same, whatever their names are."""
        return (self.parameters, self.body, self.lead, self.literal) == (
            other.parameters,
            other.body,
            other.lead,
            other.literal,
        )


def make(
    name: str, parameters: tuple[Parameter, ...], text: str, lead: str = "", end_body: str = ""
) -> Macro:
    """A macro with this text as its body, in which ``#1`` stands for the first argument, ``##`` for ``#``."""
    body: list[str | int] = []
    pending = ""
    start = 0
    for match in _PARAMETER.finditer(text):
        pending += text[start : match.start()]
        start = match.end()
        if match[1] is None:
            pending += "#"
        elif int(match[1]) > len(parameters):
            pending += match[0]
        else:
            if pending:
                body.append(pending)
                pending = ""
            body.append(int(match[1]))
    pending += text[start:]
    if pending:
        body.append(pending)
    used = set(_CONTROLS.findall(_DEFINING_BY_NAME.sub("", text)))
    return Macro(
        name=name,
        parameters=parameters,
        body=tuple(body),
        lead=lead,
        program=not _PROGRAMS.isdisjoint(used),
        inner=frozenset(n for n in used if "@" in n),
        open_end=bool(_OPEN_END.search(text)),
        end_body=end_body,
    )


def newcommand(stream: Stream, name: str | None = None) -> Macro | None:
    r"""Behind ``\newcommand`` (star or none): ``{\name}[n][default]{body}``."""
    if name is None:
        _star(stream)
        name = stream.name()
    if name is None:
        return None
    parameters = _counted(stream)
    body = None if parameters is None else _body(stream)
    return None if parameters is None or body is None else make(name, parameters, body)


def environment(stream: Stream) -> Macro | None:
    r"""Behind ``\newenvironment``: ``{name}[n][default]{begin}{end}``."""
    _star(stream)
    name = stream.word()
    parameters = None if name is None else _counted(stream)
    if name is None or parameters is None:
        return None
    begin, end = _body(stream), _body(stream)
    return None if begin is None or end is None else make(name.strip(), parameters, begin, end_body=end)


def definition(stream: Stream, name: str | None = None) -> Macro | None:
    r"""Behind ``\def``: ``\name#1…{body}``; delimiters after the name and between parameters are read."""
    if name is None:
        stream.skip_spaces()
        token = stream.token()
        if token is None or not token.text.startswith("\\") or len(token.text) < 2:
            return None
        name = token.text[1:]
    pattern = _pattern(stream)
    body = None if pattern is None else stream.group()
    if pattern is None or body is None:
        return None
    lead, *rest = re.split(r"#([1-9])", pattern)
    numbers, delimiters = rest[::2], rest[1::2]
    if [int(n) for n in numbers] != list(range(1, len(numbers) + 1)) or "#" in lead + "".join(delimiters):
        return None
    if name[-1:].isalpha():
        lead = lead.lstrip()  # TeX passes over spaces after a control word
    parameters = tuple(Parameter("until", d) if d else Parameter("m") for d in map(_delimiter, delimiters))
    return make(name, parameters, joined(body), _delimiter(lead))


def document_command(stream: Stream, environments: bool = False) -> Macro | None:
    r"""Behind xparse's ``\NewDocumentCommand``: ``{\name}{specification}{body}``, of m, o, O{…}, s and +."""
    name = stream.word() if environments else stream.name()
    specification = stream.word()
    if name is None or specification is None:
        return None
    begin = _body(stream)
    end = _body(stream) if environments else ""
    parameters = _specified(specification)
    if begin is None or end is None or parameters is None:
        return None
    return make(name.strip(), parameters, begin, end_body=end)


def operator(stream: Stream) -> Macro | None:
    r"""Behind ``\DeclareMathOperator``, star or none: ``{\name}{text}``."""
    star = _star(stream)
    name = stream.name()
    text = None if name is None else _body(stream)
    return None if name is None or text is None else make(name, (), f"\\operatorname{star}{{{text}}}")


def paired_delimiter(stream: Stream) -> Macro | None:
    r"""Behind mathtools' ``\DeclarePairedDelimiter``: ``{\name}{left}{right}``.

    What it defines takes a star, which makes the delimiters grow, or a size in brackets.
    """
    name = stream.name()
    left = None if name is None else _body(stream)
    right = None if left is None else _body(stream)
    if name is None or left is None or right is None:
        return None
    parameters = (Parameter("s"), Parameter("o", NO_VALUE), Parameter("m"))
    plain = rf"\IfNoValueTF{{#2}}{{{left} #3{right}}}{{#2{left} #3 #2{right}}}"
    return make(name, parameters, rf"\IfBooleanTF{{#1}}{{\left{left} #3\right{right}}}{{{plain}}}")


def _star(stream: Stream) -> str:
    stream.skip_spaces()
    return "*" if stream.peek() == "*" and stream.token() else ""


def _body(stream: Stream) -> str | None:
    segments: list[Segment] | None = stream.argument()
    return None if segments is None else joined(segments)


def _counted(stream: Stream) -> tuple[Parameter, ...] | None:
    """The parameters of ``[n][default]``."""
    stream.skip_spaces()
    if stream.peek() != "[":
        return ()
    count = stream.bracket()
    text = "" if count is None else joined(count).strip()
    if not (text.isascii() and text.isdigit() and int(text) <= _MAX_PARAMETERS):
        return None
    mandatory = (Parameter("m"),) * int(text)
    stream.skip_spaces()
    if stream.peek() != "[" or not mandatory:
        return mandatory
    default = stream.bracket()
    return None if default is None else (Parameter("o", joined(default)), *mandatory[1:])


def _pattern(stream: Stream) -> str | None:
    """The text between the name that ``\\def`` defines and its body."""
    parts: list[str] = []
    while frame := stream.top():
        text = _PATTERN.match(frame.text, frame.pos)
        if text is None:
            return None
        parts.append(text[0])
        stream.move(frame, text.end())
        if text.end() < len(frame.text):
            return "".join(parts) if frame.text[text.end()] == "{" else None
        if frame.file or len(parts) > _MAX_PARAMETERS:
            return None
    return None


def _delimiter(text: str) -> str:
    """A delimiter as it must stand in the text: without the spaces that TeX passes over."""
    return " ".join(text.split()) or text[:1]


def _specified(specification: str) -> tuple[Parameter, ...] | None:
    """The parameters of xparse's specification; None for kinds that are not read."""
    parameters: list[Parameter] = []
    rest = specification.replace("+", "").strip()
    while rest:
        kind, rest = rest[0], rest[1:].lstrip()
        if kind == "m":
            parameters.append(Parameter("m"))
        elif kind == "o":
            parameters.append(Parameter("o", NO_VALUE))
        elif kind == "s":
            parameters.append(Parameter("s"))
        elif kind == "O" and (default := re.match(r"\{([^{}]*)\}", rest)):
            parameters.append(Parameter("o", default[1]))
            rest = rest[default.end() :].lstrip()
        else:
            return None
    return tuple(parameters) if len(parameters) <= _MAX_PARAMETERS else None
