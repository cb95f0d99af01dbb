"""What is still to be read of a paper: a stack of texts, read as TeX reads its input.

In: texts of files and of expanded macros, the last one pushed first. Out: tokens, groups and arguments, which
may reach over the ends of expansions but not over the end of a file. Each text carries its origin: the macros
whose expansion it is; an argument keeps the origin of the place where it was written, so that a macro within
an argument of itself is no recursion. Lengths are code points.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

_BRACES = re.compile(r"[{}]|\\[\\{}]")
_BRACES_AND_BRACKET = re.compile(r"[{}\]]|\\[\\{}]")
_CONTROL = re.compile(r"\\(?:[A-Za-z@]+|[\s\S])?")
_EMPTY_LINES = re.compile(r"\s*")
_SPACES = re.compile(r"[ \t]*(?:\n[ \t]*)?")


PIECE = 32  # characters whose reading takes about as long as the handling of one piece of text


class Origin(NamedTuple):
    """The macros that a text comes from: those that would be recursive in it, and how many in all."""

    names: tuple[str, ...]
    depth: int


WRITTEN = Origin((), 0)  # by the author, in a file or as a macro's argument there


class Segment(NamedTuple):
    """A piece of text with its origin."""

    text: str
    origin: Origin


class Exhausted(Exception):
    """More work, or more text, than the limits allow."""


@dataclass(slots=True, eq=False)
class Frame:
    """One text of the stack. `file`: its name, "" for an expansion; `package`: only its definitions count."""

    text: str
    origin: Origin
    pos: int = 0
    file: str = ""
    package: bool = False
    unclosed: set[str] = field(default_factory=set)  # environments known not to end after here


class Stream:
    """The stack. Reading moves on; `rollback` undoes what was read since `begin`."""

    def __init__(self, max_work: float) -> None:
        self.stack: list[Frame] = []
        self._left = max_work
        self._log: list[tuple[Frame, int, bool]] | None = None

    def spend(self, characters: int) -> None:
        """Account for work done.

        Raises:
            Exhausted: it is too much.
        """
        self._left -= characters
        if self._left < 0:
            raise Exhausted

    def begin(self) -> None:
        """From here on `rollback` can undo what is read."""
        self._log = []

    def commit(self) -> None:
        """Keep what was read since `begin`."""
        self._log = None

    def rollback(self) -> None:
        """Undo what was read since `begin`."""
        for frame, pos, popped in reversed(self._log or ()):
            frame.pos = pos
            if popped:
                self.stack.append(frame)
        self._log = None

    def push(self, text: str, origin: Origin) -> None:
        """Read this next."""
        if text:
            self.stack.append(Frame(text, origin))

    def push_segments(self, segments: list[Segment]) -> None:
        """Read these next, the first one first."""
        for text, origin in reversed(segments):
            if text:
                self.stack.append(Frame(text, origin))

    def top(self) -> Frame | None:
        """The text to read from, after expansions at their end are left; None at the end of a file."""
        while self.stack:
            frame = self.stack[-1]
            if frame.pos < len(frame.text):
                return frame
            if frame.file:
                return None
            self._pop()
        return None

    def move(self, frame: Frame, pos: int) -> None:
        """Go on reading the top text at `pos`."""
        if self._log is not None:
            self._log.append((frame, frame.pos, False))
        frame.pos = pos

    def peek(self) -> str:
        """The next character, "" at the end of a file."""
        frame = self.top()
        return frame.text[frame.pos] if frame else ""

    def skip_spaces(self) -> None:
        """Pass over spaces and at most one line end in each text, as TeX does before an argument."""
        while frame := self.top():
            end = _SPACES.match(frame.text, frame.pos).end()  # type: ignore[union-attr]  # matches ""
            if end > frame.pos:
                self.move(frame, end)
            if end < len(frame.text) or frame.file:
                return

    def token(self) -> Segment | None:
        """The next character, or control sequence with its backslash."""
        frame = self.top()
        if frame is None:
            return None
        control = _CONTROL.match(frame.text, frame.pos)
        end = control.end() if control else frame.pos + 1
        text = frame.text[frame.pos : end]
        self.move(frame, end)
        return Segment(text, frame.origin)

    def argument(self) -> list[Segment] | None:
        """An undelimited argument: a group without its braces, or one token; None where there is none."""
        self.skip_spaces()
        following = self.peek()
        if following == "{":
            return self.group()
        if following in ("", "}"):
            return None
        if following == "\n":  # an empty line: the end of the paragraph is the argument
            frame = self.stack[-1]
            self.move(frame, _EMPTY_LINES.match(frame.text, frame.pos).end())  # type: ignore[union-attr]
            return [Segment("\n\n", frame.origin)]
        token = self.token()
        return None if token is None else [token]

    def group(self) -> list[Segment] | None:
        """What the braces that open here hold; None where they are never closed or none opens."""
        return self._enclosed("{", _BRACES, "}")

    def bracket(self) -> list[Segment] | None:
        """What the brackets that open here hold, up to a ``]`` that is in no braces."""
        return self._enclosed("[", _BRACES_AND_BRACKET, "]")

    def word(self) -> str | None:
        """The text of a group, such as a name."""
        self.skip_spaces()
        segments = self.group()
        return None if segments is None else joined(segments)

    def name(self) -> str | None:
        """The control sequence that a definition is for, without backslash, in braces or not."""
        self.skip_spaces()
        if self.peek() == "{":
            text = (self.word() or "").strip()
            return text[1:] if text.startswith("\\") and _CONTROL.fullmatch(text) else None
        token = self.token()
        return token.text[1:] if token and len(token.text) > 1 else None

    def until(self, delimiter: str) -> list[Segment] | None:
        """An argument that ends before a delimiter outside braces; its own, if they hold all, go."""
        self.spend(PIECE)  # before anything is looked at
        found: list[Segment] = []
        letters = delimiter[-1].isalpha() or delimiter[-1] == "@"
        control = letters and delimiter.startswith("\\")
        target = re.escape(delimiter) + (r"(?![A-Za-z@])[ \t]*" if control else "")
        pattern = re.compile(rf"({target})|[{{}}]|\\(?:[A-Za-z@]+|[\s\S])")
        depth = 0
        while frame := self.top():
            start = frame.pos
            closed = None
            for match in pattern.finditer(frame.text, start):
                if match[1] is not None:
                    if depth == 0:
                        closed = match
                        break
                    if "{" in match[1] or "}" in match[1]:
                        depth += match[1].count("{") - match[1].count("}")
                elif match[0] == "{":
                    depth += 1
                elif match[0] == "}":
                    depth -= 1
                    if depth < 0:
                        return None
            end = closed.start() if closed else len(frame.text)
            marks = frame.text.count("{", start, end) + frame.text.count("\\", start, end)
            self.spend(end - start + PIECE * (1 + marks))
            found.append(Segment(frame.text[start:end], frame.origin))
            self.move(frame, closed.end() if closed else end)
            if closed:
                return _without_braces(found)
            if frame.file:
                return None
        return None

    def literal(self, text: str) -> bool:
        """Pass over this text if it comes next."""
        for position, character in enumerate(text):
            frame = self.top()
            if frame is None:
                return False
            rest = text[position:]
            if frame.text.startswith(rest, frame.pos):
                self.move(frame, frame.pos + len(rest))
                return True
            if frame.text[frame.pos] != character:
                return False
            self.move(frame, frame.pos + 1)
        return True

    def _enclosed(self, opening: str, pattern: re.Pattern[str], closing: str) -> list[Segment] | None:
        frame = self.top()
        if frame is None or frame.text[frame.pos] != opening:
            return None
        self.spend(PIECE)  # before anything is looked at
        depth = 1 if opening == "{" else 0  # of braces
        found: list[Segment] = []
        self.move(frame, frame.pos + 1)
        while frame := self.top():
            start = frame.pos
            closed = -1
            for match in pattern.finditer(frame.text, start):
                mark = match[0]
                if mark == "{":
                    depth += 1
                elif mark == "}":
                    depth -= 1
                    if depth < 0:
                        return None  # the group around ends first
                if mark == closing and depth == 0:
                    closed = match.start()
                    break
            end = closed if closed >= 0 else len(frame.text)
            self.spend(end - start + PIECE * (1 + frame.text.count("{", start, end)))
            found.append(Segment(frame.text[start:end], frame.origin))
            self.move(frame, end + 1 if closed >= 0 else end)
            if closed >= 0:
                return found
            if frame.file:
                return None
        return None

    def _pop(self) -> None:
        frame = self.stack.pop()
        if self._log is not None:
            self._log.append((frame, frame.pos, True))


def joined(segments: list[Segment]) -> str:
    """The text of segments."""
    return segments[0].text if len(segments) == 1 else "".join(s.text for s in segments)


def _without_braces(segments: list[Segment]) -> list[Segment]:
    text = joined(segments)
    if not (text.startswith("{") and text.endswith("}")):
        return segments
    depth = 0
    for match in _BRACES.finditer(text):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0 and match.end() < len(text):
            return segments
    inner = [s for s in segments if s.text]
    inner[0] = Segment(inner[0].text[1:], inner[0].origin)
    inner[-1] = Segment(inner[-1].text[:-1], inner[-1].origin)
    return inner
