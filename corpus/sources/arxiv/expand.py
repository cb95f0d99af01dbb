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
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from corpus.settings.arxiv import ArXiv
from corpus.sources.arxiv.macros import NO_STAR, STAR, Macro
from corpus.sources.arxiv.raw import is_escaped
from corpus.sources.arxiv.stream import WRITTEN, Exhausted, Frame, Origin, Segment, Stream
from corpus.sources.arxiv.tables import names

_CONTROL = re.compile(r"\\([A-Za-z@]+|[\s\S])")
_EMPTY_GROUP = re.compile(r"[ \t]*\{\}")
_SWALLOWED = re.compile(r"[ \t]*+(?:\n[ \t]*+(?!\n|\Z))?")  # but no end of a paragraph
_BLANK_LINE = re.compile(r"[ \t]*(?:\n|\Z)")
_BLANKS = re.compile(r"[ \t]*")
_MAX_SCOPES = 200
_TAIL = 80  # characters of a control word's end that are looked at
_NOT_CONDITIONALS = names("not_conditionals")
PROTECTED = names("structure") | names("sections")


@dataclass(frozen=True)
class Command:
    """A command of LaTeX's own that the source acts on.

    `run` is called with the name of the command, behind which the stream then stands. `packages`: also in
    the paper's own packages, of which only definitions count. `late`: also when nothing is expanded any more.
    """

    run: Callable[[Expander, str], None]
    packages: bool = False
    late: bool = False


@dataclass
class Result:
    """What became of a paper: its text, and whether a heading was found, from which on it is.

    `front` is the text before; `source` the characters of the files read; `left` counts, by reason, calls of macros that stay by name, `left_names` has
    the first reason of each; `missing` files are named and not there, `unread` ones not read for a limit.
    """

    text: str
    front: str
    source: int
    has_section: bool
    macros: int
    expanded: int
    left: Counter[str]
    left_names: dict[str, str]
    missing: int
    unread: int


@dataclass
class _Checkpoint:
    frame: Frame
    start: int
    height: int
    pieces: int
    muted: int
    conditions: list[bool]


@dataclass
class Counts:
    """What is counted on the way; see `Result`."""

    expanded: int = 0
    left: Counter[str] = field(default_factory=Counter)
    left_names: dict[str, str] = field(default_factory=dict)
    missing: int = 0
    unread: int = 0
    failed_skips: int = 0


class Expander:
    """The state of the reading, which LaTeX's own commands change."""

    def __init__(self, files: Mapping[str, str], settings: ArXiv, commands: Mapping[str, Command]) -> None:
        source = max(sum(map(len, files.values())), settings.min_source)
        self.files = dict(files)
        self.settings = settings
        self.stream = Stream(settings.max_work * source)
        self.table: dict[str, Command | Macro] = dict(commands)
        self.commands = commands
        self.environments: dict[str, Macro] = {}
        self.verbatim: set[str] = set()  # environments that the paper defines as verbatim
        self.excluded: set[str] = set()  # environments that it excludes
        self.flags: dict[str, bool] = {}  # of \newif
        self.aliases: dict[str, str] = {}  # of \futurelet
        self.conditions: list[bool] = []  # open \if…: decided by us, or left in the text
        self.defined: set[str] = set()
        self.delimiters: set[str] = set()  # commands that only end arguments
        self.packages_read: set[str] = set()
        self.counts = Counts()
        self.spliced = 0
        self.max_output = int(settings.max_expansion * source)
        self.expanding = True
        self.at_is_letter = False
        self.needs_document = False
        self.begun = False
        self.first_section: int | None = None
        self.out: list[str] = []
        self.muted: list[tuple[str, list[str]]] = []  # environment or package, and the output to go back to
        self.packages = 0
        self._scopes: list[tuple[str, dict[str, Command | Macro | None]]] = []
        self._length = 0
        self._checkpoint: _Checkpoint | None = None
        self._opaque: dict[str, bool] = {}
        self._math = (0, False)  # pieces looked at, whether mathematics is open after them

    def run(self, main: Sequence[str]) -> Result:
        """Read these files one after the other."""
        self.needs_document = any("\\begin{document}" in self.files[name] for name in self.files)
        for name in reversed(main):
            self.stream.stack.append(Frame(self.files[name], WRITTEN, file=name))
            self.spliced += len(self.files[name])
        self._read_all()
        while self.muted:  # never closed: what is in it is not lost
            _, out = self.muted.pop()
            out.extend(self.out)
            self.out = out
        start = self.first_section
        return Result(
            text="".join(self.out if start is None else self.out[start:]),
            front="" if start is None else "".join(self.out[:start]),
            source=self.spliced,
            has_section=start is not None,
            macros=len(self.defined),
            expanded=self.counts.expanded,
            left=self.counts.left,
            left_names=self.counts.left_names,
            missing=self.counts.missing,
            unread=self.counts.unread,
        )

    def finish(self) -> None:
        """Read no further."""
        self.stream.stack.clear()

    def expand_now(self, text: str) -> str:
        r"""The expansion of a text by the definitions of this moment, as for ``\edef``."""
        stack, out, muted = self.stream.stack, self.out, self.muted
        self.stream.stack, self.out, self.muted = [Frame(text, Origin((), 1))], [], []
        try:
            while self.stream.stack:
                self._read_frame(self.stream.stack[-1])
            return "".join(self.out)
        finally:
            self.stream.stack, self.out, self.muted = stack, out, muted

    # Output.

    def emit(self, text: str) -> None:
        """Put a piece out; a control word before a letter stays apart from it."""
        if not text:
            return
        if self.out and text[0].isalpha() and self.out[-1][-1].isalpha() and _ends_with_word(self.out[-1]):
            self.out.append(" ")
        self.out.append(text)
        self._length += len(text)

    def removed(self) -> None:
        """After something that leaves nothing: a line with nothing else on it goes too."""
        frame = self.stream.top()
        if frame is None:
            return
        if self._at_line_start():
            line = _BLANK_LINE.match(frame.text, frame.pos)
            if line:
                while self.out and not self.out[-1].strip(" \t"):
                    self.out.pop()
                if self.out:
                    self.out[-1] = self.out[-1].rstrip(" \t")
                frame.pos = line.end()
        elif self.out[-1][-1] in " \t":
            frame.pos = _BLANKS.match(frame.text, frame.pos).end()  # type: ignore[union-attr]

    def swallow(self) -> None:
        """Pass over the spaces behind a control word that goes."""
        frame = self.stream.top()
        if frame is not None:
            frame.pos = _BLANKS.match(frame.text, frame.pos).end()  # type: ignore[union-attr]

    def mute(self, name: str) -> None:
        """Keep what follows out of the text, until `unmute`."""
        self.muted.append((name, self.out))
        self.out = []

    def unmute(self) -> None:
        """Put out what follows."""
        _, self.out = self.muted.pop()

    def in_mathematics(self) -> bool:
        """Whether the text so far ends within a formula, as far as marks tell."""
        if self.muted:
            return False
        pieces, open_ = self._math if self._math[0] <= len(self.out) else (0, False)
        text = "".join(self.out[pieces:])
        for match in _MATHEMATICS.finditer(text):
            mark = match[0]
            if mark[0] == "$":
                open_ = not open_
            elif mark[0] == "\n" or mark in ("\\)", "\\]"):
                open_ = False
            elif mark in ("\\(", "\\["):
                open_ = True
            elif match[1] and match[2] in _MATH_ENVIRONMENTS:
                open_ = match[1] == "begin"
        self._math = (len(self.out), open_)
        return open_ or text.endswith("\\ensuremath{")

    # Macros.

    def open_scope(self, name: str) -> None:
        """What is defined from here on holds until this environment or group ends."""
        if len(self._scopes) < _MAX_SCOPES:
            self._scopes.append((name, {}))

    def close_scope(self, name: str) -> None:
        """The end of an environment or group: definitions are again as they were before it."""
        for depth in range(len(self._scopes) - 1, -1, -1):
            if self._scopes[depth][0] == name:
                for _, before in reversed(self._scopes[depth:]):
                    for macro, meaning in before.items():
                        self._set(macro, meaning)
                del self._scopes[depth:]
                return

    def _set(self, name: str, meaning: Command | Macro | None) -> None:
        self._opaque.clear()
        if meaning is None:
            self.table.pop(name, None)
        else:
            self.table[name] = meaning

    def forget(self, name: str) -> None:
        """Make a macro undefined."""
        if isinstance(known := self.table.get(name), Macro):
            if self._scopes:
                self._scopes[-1][1].setdefault(name, known)
            self._set(name, None)

    def register(self, macro: Macro, everywhere: bool = False) -> None:
        """Take a definition over, unless its name is one that the source acts on itself.

        Args:
            macro: what is defined.
            everywhere: the definition outlives the environment or group that it stands in.
        """
        name = macro.name
        if name in self.commands or name in PROTECTED:
            return
        if self.packages:
            macro = replace(macro, package=True)
        else:
            self.defined.add(name)
        for _, before in self._scopes if everywhere else ():
            before.pop(name, None)
        if self._scopes and not everywhere:
            self._scopes[-1][1].setdefault(name, self.table.get(name))
        self._set(name, macro)
        self.delimiters.update(_CONTROL.findall(macro.lead + "".join(p.text for p in macro.parameters)))

    def call(self, macro: Macro, origin: Origin, shown: str, end: bool = False) -> None:
        """Put a macro's expansion before what is read next, or put out what is `shown` of it."""
        why = self._forbidden(macro, origin)
        if why:
            self._leave(macro.name, shown, why)
            return
        if macro.literal:
            self.counts.expanded += 1
            self.emit(macro.literal)
            return
        inner = Origin((*origin.names, macro.name), origin.depth + 1)
        if end:
            self._push([Segment(macro.end_body, inner)])
            return
        stream = self.stream
        stream.begin()
        arguments = self._arguments(macro, origin)
        if arguments is None:
            stream.rollback()
            self._leave(macro.name, shown, "arguments")
            return
        stream.commit()
        segments: list[Segment] = []
        for part in macro.body:
            if isinstance(part, str):
                segments.append(Segment(part, inner))
            else:
                segments.extend(arguments[part - 1])
        self._push(segments)

    def _push(self, segments: list[Segment]) -> None:
        self.stream.spend(sum(len(s.text) for s in segments) + len(segments) + 1)
        if self._length > self.max_output:
            raise Exhausted
        self.stream.push_segments(segments)
        self.counts.expanded += 1

    def _arguments(self, macro: Macro, origin: Origin) -> list[list[Segment]] | None:
        stream = self.stream
        if macro.lead and not stream.literal(macro.lead):
            return None
        found: list[list[Segment]] = []
        consumed = bool(macro.lead)
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
        if not consumed and (macro.name[-1].isalpha() or macro.parameters):
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
        if (macro.program or macro.inner) and self._is_opaque(macro):
            return "package" if macro.package else "program" if self.settings.programs == "leave" else ""
        return ""

    def _is_opaque(self, macro: Macro) -> bool:
        """Whether a macro, or one with an ``@`` in its name that it uses, is a program.

        A package's macro is one also where it uses names with an ``@`` that are not known.
        """
        known = self._opaque.get(macro.name)
        if known is not None:
            return known
        self._opaque[macro.name] = False  # while its parts are looked at
        opaque = macro.program
        for name in sorted(macro.inner):
            part = self.table.get(name)
            if isinstance(part, Macro):
                opaque = opaque or self._is_opaque(part)
            elif part is None and macro.package:
                opaque = opaque or name not in self.delimiters
        self._opaque[macro.name] = opaque
        return opaque

    def _leave(self, name: str, shown: str, why: str) -> None:
        if why != "package":  # that one is no macro of the author's
            self.counts.left[why] += 1
            self.counts.left_names.setdefault(name, why)
        self.emit(shown)

    # Reading.

    def _read_all(self) -> None:
        stack = self.stream.stack
        while stack:
            try:
                self._read_frame(stack[-1])
            except Exhausted:
                self._stop()

    def _read_frame(self, frame: Frame) -> None:
        """Read the top text up to its end, or to a command that changes what is read next."""
        text = frame.text
        start = pos = frame.pos
        table = self.table
        search = _CONTROL.search
        while match := search(text, pos):
            name = match[1]
            action = table.get(name)
            pos = match.end()
            if action is None:
                if name[:2] == "if" and name not in _NOT_CONDITIONALS and text[pos : pos + 1] != "{":
                    action = self.commands["if"]
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
            self.emit(text[start : match.start()])
            frame.pos = pos
            if frame.file:
                height, pieces, muted = len(self.stream.stack), len(self.out), len(self.muted)
                conditions = self.conditions[:]
                self._checkpoint = _Checkpoint(frame, match.start(), height, pieces, muted, conditions)
            if isinstance(action, Macro):
                self.call(action, frame.origin, text[match.start() : pos])
            else:
                action.run(self, name)
            return
        self.emit(text[start:])
        frame.pos = len(text)
        stack = self.stream.stack
        if stack and stack[-1] is frame:
            stack.pop()
            if frame.package:
                self.packages -= 1
                self.unmute()

    def _stop(self) -> None:
        """Take back the command that went beyond the limits, and go on without expansion."""
        back = self._checkpoint
        if back is None:
            raise AssertionError("work was done before any command was read")
        self.stream.commit()
        del self.stream.stack[back.height :]
        while len(self.muted) > back.muted:
            self.unmute()
        self.packages = sum(frame.package for frame in self.stream.stack)
        del self.out[back.pieces :]
        if self.first_section is not None and self.first_section > len(self.out):
            self.first_section = None
        self.conditions = back.conditions
        back.frame.pos = back.start
        self.expanding = False

    def _at_line_start(self) -> bool:
        for piece in reversed(self.out):
            rest = piece.rstrip(" \t")
            if rest:
                return rest[-1] == "\n"
        return True


def reset(segments: list[Segment]) -> list[Segment]:
    """Segments in which no macro counts as recursive: a condition chose them, so that a recursion can end."""
    return [s._replace(origin=Origin((), s.origin.depth)) for s in segments]


def renamed(macro: Macro, name: str) -> Macro:
    """The same macro under another name."""
    return replace(macro, name=name)


def _ends_with_word(text: str) -> bool:
    """Whether a text ends with a control word."""
    at = text.rfind("\\", -_TAIL)
    return at >= 0 and text[at + 1 :].replace("@", "a").isalpha() and not is_escaped(text, at)


_MATHEMATICS = re.compile(r"\\(begin|end)[ \t]*\{([^{}]*)\}|\\[\s\S]|\$\$?|\n[ \t]*\n")
_MATH_ENVIRONMENTS = names("math")
