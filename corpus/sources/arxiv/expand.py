r"""A paper's LaTeX, read once from its first file to its end: the text that is left, macros expanded.

In: the paper's files without comments, and which to begin with. Out: a `Result`. Reading is TeX's: a macro
stands for what it was defined as at that place, arguments are read from the text that follows, and what comes
out is read again. What TeX would typeset or compute is not imitated: commands that are not the paper's own
stay as they are. Definitions go, as do what `corpus.sources.arxiv.structure` and `conditionals` remove.

Everything is bounded by the settings: depth, work and size; a macro that a bound forbids stays in the text by
its name, and is counted by reason: ``recursive``, ``depth``, ``output`` (work and size: from there on nothing
is expanded), ``arguments`` (they cannot be read) or ``program`` (see `corpus.settings.arxiv`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from corpus.settings.arxiv import ArXiv
from corpus.sources.arxiv.macros import NO_STAR, STAR, Macro
from corpus.sources.arxiv.meanings import Meanings
from corpus.sources.arxiv.output import Output
from corpus.sources.arxiv.result import Counts, Result
from corpus.sources.arxiv.stream import PIECE, WRITTEN, Exhausted, Frame, Origin, Segment, Stream
from corpus.sources.arxiv.tables import names

_CONTROL = re.compile(r"\\([A-Za-z@]+|[\s\S])")
_EMPTY_GROUP = re.compile(r"[ \t]*\{\}")
_SWALLOWED = re.compile(r"[ \t]*+(?:\n[ \t]*+(?!\n|\Z))?")  # but no end of a paragraph
_BLANK_LINE = re.compile(r"[ \t]*(?:\n|\Z)")
_BLANKS = re.compile(r"[ \t]*")
_NOT_CONDITIONALS = names("not_conditionals")


@dataclass(frozen=True)
class Command:
    """A command of LaTeX's own that the source acts on.

    `run` is called with the name of the command, behind which the stream then stands. `packages`: also in
    the paper's own packages, of which only definitions count. `late`: also when nothing is expanded any more.
    """

    run: Callable[[Expander, str], None]
    packages: bool = False
    late: bool = False


class _Checkpoint(NamedTuple):
    """Where the last command of a file began, and how much there was of everything."""

    frame: Frame
    start: int
    height: int
    pieces: int
    muted: int
    expanded: int
    left: int


class Expander:
    """The state of the reading, which LaTeX's own commands change."""

    def __init__(
        self,
        files: Mapping[str, str],
        settings: ArXiv,
        commands: Mapping[str, Command],
        verbatim: frozenset[str] = frozenset(),
    ) -> None:
        source = max(sum(map(len, files.values())), settings.min_source)
        self.files = dict(files)
        self.settings = settings
        self.stream = Stream(settings.max_work * source)
        self.max_output = int(settings.max_expansion * source)
        self.out = Output()
        self.names = Meanings(commands)
        self.counts = Counts()
        self.conditions: list[bool] = []  # open \if…: decided by us, or left in the text
        self.verbatim = verbatim  # environments that are raw text
        self.excluded: set[str] = set()  # environments that it excludes
        self.packages_read: set[str] = set()
        self.packages = 0  # how many are being read
        self.spliced = 0
        self.expanding = True
        self.at_is_letter = False
        self.needs_document = False
        self.begun = False
        self.first_section: int | None = None
        self._checkpoint: _Checkpoint | None = None
        self._within = 0  # expansions of a moment within each other

    def run(self, main: Sequence[str]) -> Result:
        """Read these files one after the other."""
        self.needs_document = any("\\begin{document}" in self.files[name] for name in self.files)
        for name in reversed(main):
            self.stream.stack.append(Frame(self.files[name], WRITTEN, file=name))
            self.spliced += len(self.files[name])
        while self.stream.stack:
            try:
                self._read_frame(self.stream.stack[-1])
            except Exhausted:
                self._stop()
        while self.out.muted:  # never closed: what is in it is not lost
            self.out.unmute(keep=True)
        start = self.first_section
        pieces = self.out.pieces
        return Result(
            text="".join(pieces if start is None else pieces[start:]),
            front="" if start is None else "".join(pieces[:start]),
            has_section=start is not None,
            source=self.spliced,
            macros=len(self.names.defined),
            counts=self.counts,
        )

    def finish(self) -> None:
        """Read no further."""
        self.stream.stack.clear()

    def expand_now(self, text: str) -> str:
        r"""The expansion of a text by the definitions of this moment, as for ``\edef``.

        One in another, too deep, is left as it is.
        """
        if self._within >= self.settings.max_depth:
            return text
        self._within += 1
        stack, out = self.stream.stack, self.out
        self.stream.stack, self.out = [Frame(text, Origin((), 1))], Output()
        try:
            while self.stream.stack:
                self._read_frame(self.stream.stack[-1])
            return "".join(self.out.pieces)
        finally:
            self.stream.stack, self.out = stack, out
            self._within -= 1

    def define(self, macro: Macro, everywhere: bool = False) -> None:
        """Take a definition over; see `Meanings.define`."""
        self.names.define(macro, everywhere, package=self.packages > 0)

    def removed(self) -> None:
        """After something that leaves nothing: a line with nothing else on it goes too."""
        frame = self.stream.top()
        if frame is None:
            return
        if self.out.at_line_start():
            line = _BLANK_LINE.match(frame.text, frame.pos)
            if line:
                self.out.clear_line()
                frame.pos = line.end()
        elif self.out.ends_with_space():
            self.swallow()

    def swallow(self) -> None:
        """Pass over the spaces behind a control word that goes, as far as its own text reaches."""
        if self.stream.stack:
            frame = self.stream.stack[-1]
            frame.pos = _BLANKS.match(frame.text, frame.pos).end()  # type: ignore[union-attr]

    def call(self, macro: Macro, origin: Origin, shown: str, end: bool = False) -> None:
        """Put a macro's expansion before what is read next, or put out what is `shown` of it."""
        why = self._forbidden(macro, origin)
        if why:
            self._leave(macro.name, shown, why)
            return
        if macro.literal:
            self.counts.expanded += 1
            self.out.emit(macro.literal)
            return
        inner = Origin((*origin.names, macro.name), origin.depth + 1)
        if end:
            self._push([Segment(macro.end_body, inner)])
            return
        self.stream.begin()
        arguments = self._arguments(macro, origin)
        if arguments is None:
            self.stream.rollback()
            self._leave(macro.name, shown, "arguments")
            return
        self.stream.commit()
        segments: list[Segment] = []
        for part in macro.body:
            if isinstance(part, str):
                segments.append(Segment(part, inner))
            else:
                segments.extend(arguments[part - 1])
        self._push(segments)

    def _push(self, segments: list[Segment]) -> None:
        self.stream.spend(sum(len(s.text) for s in segments) + PIECE * (1 + len(segments)))
        if self.out.length > self.max_output:
            raise Exhausted
        self.stream.push_segments(segments)
        self.counts.expanded += 1

    def _arguments(self, macro: Macro, origin: Origin) -> list[list[Segment]] | None:
        stream = self.stream
        if macro.lead and not stream.literal(macro.lead):
            return None
        found: list[list[Segment]] = []
        consumed = bool(macro.lead)
        if macro.parameters[:1] and macro.parameters[0].kind == "until" and _is_word(macro.name):
            stream.skip_spaces()
        for kind, text in macro.parameters:
            value: list[Segment] | None
            if kind == "m":
                value = stream.argument()
            elif kind == "until":
                value = stream.until(text)
            elif kind == "s":
                value = [Segment(STAR if self._ahead("*") else NO_STAR, origin)]
                if value[0].text == STAR:
                    stream.token()
            elif self._ahead("["):
                value = stream.bracket()
            else:
                found.append([Segment(text, origin)])
                continue
            if value is None:
                return None
            consumed = consumed or kind != "s" or value[0].text == STAR
            found.append(value)
        if not consumed and (macro.parameters or _is_word(macro.name)):
            self._after_word(macro)
        return found

    def _ahead(self, mark: str) -> bool:
        """Whether, after spaces, this comes next; if so, it is what the stream stands at."""
        frame = self.stream.top()
        if frame is None:
            return False
        end = _SWALLOWED.match(frame.text, frame.pos).end()  # type: ignore[union-attr]
        if end < len(frame.text):
            if frame.text[end] == mark:
                self.stream.move(frame, end)
                return True
            return False
        return False

    def _after_word(self, macro: Macro) -> None:
        """What TeX passes over behind a macro's name: spaces, and one line end within a paragraph."""
        if macro.open_end:
            return
        frame = self.stream.stack[-1]
        group = _EMPTY_GROUP.match(frame.text, frame.pos)
        if group:
            self.stream.move(frame, group.end())
            return
        self.stream.move(frame, _SWALLOWED.match(frame.text, frame.pos).end())  # type: ignore[union-attr]

    def _forbidden(self, macro: Macro, origin: Origin) -> str:
        if not self.expanding:
            return "output"
        if macro.name in origin.names:
            return "recursive"
        if origin.depth >= self.settings.max_depth:
            return "depth"
        if (macro.program or macro.inner) and self.names.is_opaque(macro):
            return "package" if macro.package else "program" if self.settings.programs == "leave" else ""
        return ""

    def _leave(self, name: str, shown: str, why: str) -> None:
        if why != "package":  # that one is no macro of the author's
            self.counts.calls_left.append((name, why))
        self.out.emit(shown)

    # Reading.

    def _read_frame(self, frame: Frame) -> None:
        """Read the top text up to its end, or to a command that changes what is read next."""
        text = frame.text
        start = pos = frame.pos
        stack = self.stream.stack
        table = self.names.table
        search = _CONTROL.search
        while match := search(text, pos):
            name = match[1]
            action = table.get(name)
            pos = match.end()
            if action is None:
                if name[:2] == "if" and name not in _NOT_CONDITIONALS and text[pos : pos + 1] != "{":
                    action = self.names.commands["if"]
                elif "@" in name and not self.at_is_letter and frame.file:
                    name = name[: name.index("@")]
                    action = table.get(name)
                    pos = match.start() + 1 + len(name)
                if action is None:
                    continue
            if isinstance(action, Macro):
                if self.packages:
                    continue
            elif (self.packages and not action.packages) or not (self.expanding or action.late):
                continue
            self.out.emit(text[start : match.start()])
            frame.pos = pos
            if frame.file:
                self._checkpoint = _Checkpoint(
                    frame,
                    match.start(),
                    len(stack),
                    len(self.out.pieces),
                    len(self.out.muted),
                    self.counts.expanded,
                    len(self.counts.calls_left),
                )
            if isinstance(action, Macro):
                self.call(action, frame.origin, text[match.start() : pos])
            else:
                action.run(self, name)
            if not stack or stack[-1] is not frame:
                return
            start = pos = frame.pos
        self.out.emit(text[start:])
        frame.pos = len(text)
        if not frame.file and self.out.length > self.max_output:
            raise Exhausted
        if stack and stack[-1] is frame:
            stack.pop()
            if frame.package:
                self.packages -= 1
                self.out.unmute()

    def _stop(self) -> None:
        """Take back the command that went beyond the limits, and go on without expansion."""
        back = self._checkpoint
        if back is None:
            raise AssertionError("work was done before any command was read")
        self.stream.commit()
        del self.stream.stack[back.height :]
        while len(self.out.muted) > back.muted:
            self.out.unmute()
        self.packages = sum(frame.package for frame in self.stream.stack)
        self.out.cut(back.pieces)
        self.counts.expanded = back.expanded
        del self.counts.calls_left[back.left :]
        if self.first_section is not None and self.first_section > back.pieces:
            self.first_section = None
        back.frame.pos = back.start
        if not self.expanding:  # not even the command itself can be read
            command = _CONTROL.match(back.frame.text, back.start)
            self.out.emit(command[0] if command else "")
            back.frame.pos += len(command[0]) if command else 0
        self.expanding = False


def _is_word(name: str) -> bool:
    return name[-1].isalpha() or name[-1] == "@"


def reset(segments: list[Segment]) -> list[Segment]:
    """Segments in which no macro counts as recursive: a condition chose them, so that a recursion can end."""
    return [s._replace(origin=Origin((), s.origin.depth)) for s in segments]
