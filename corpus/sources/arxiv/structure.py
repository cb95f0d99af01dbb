r"""Commands that shape a paper: sections, environments, the bibliography, raw text.

In: the stream behind such a command. Out: the place of the first heading; bibliographies (and appendices, if
the recipe says so) gone; raw text put out as it is.
"""

from __future__ import annotations

import posixpath
import re

from corpus.sources.arxiv import raw
from corpus.sources.arxiv.comments import remove_comments
from corpus.sources.arxiv.expand import Command, Expander
from corpus.sources.arxiv.inputs import NAME
from corpus.sources.arxiv.stream import WRITTEN, Frame
from corpus.sources.arxiv.tables import names

BIBLIOGRAPHIES = names("bibliographies")
_APPENDICES = names("appendices")
_COMMENTS = names("comments")
_FILES = names("files")
_TITLE = re.compile(r"\s*+\*?\s*+(?:\[[^\[\]]{0,400}\]\s*+)?\{")
_FILE_BEGIN = re.compile(r"[ \t]*(?:\[[^\]\n]{0,200}\])?[ \t]*\{([^{}\n]{1,200})\}[ \t]*\n?")


def _begin(paper: Expander, command: str) -> None:
    name = _environment_name(paper)
    if name is None:
        paper.out.emit("\\begin")
        return
    shown = f"\\begin{{{name}}}"
    if name != "document":
        paper.names.open_scope(name)
    frame = paper.stream.top()
    if frame and name in paper.verbatim:
        end = _closing(frame, name)
        paper.out.emit(shown + frame.text[frame.pos : end])
        frame.pos = end
    elif frame and (name in _COMMENTS or name in paper.excluded):
        frame.pos = _closing(frame, name)
        paper.removed()
    elif frame and name in _FILES:
        _file_in_file(paper, frame, name)
    elif name == "document":
        paper.begun = True
        paper.out.emit(shown)
    elif name in BIBLIOGRAPHIES:
        if paper.settings.bibliography == "cut" and paper.first_section is not None:
            paper.finish()
        else:
            paper.out.mute(name)
            paper.out.emit(shown)  # should it never end, it is all put back
    elif name in _APPENDICES and paper.settings.appendix == "drop" and paper.first_section is not None:
        paper.out.mute(name)
    elif (macro := paper.names.environments.get(name)) and _expands(paper):
        paper.call(macro, paper.stream.stack[-1].origin if frame is None else frame.origin, shown)
    else:
        paper.out.emit(shown)


def _end(paper: Expander, command: str) -> None:
    name = _environment_name(paper)
    if name is None:
        paper.out.emit("\\end")
        return
    paper.names.close_scope(name)
    if paper.out.muted and paper.out.muted[-1][0] == name:
        paper.out.unmute()
        paper.removed()
    elif name == "document":
        paper.finish()
    elif (macro := paper.names.environments.get(name)) and _expands(paper):
        origin = paper.stream.stack[-1].origin if paper.stream.stack else WRITTEN
        paper.call(macro, origin, f"\\end{{{name}}}", end=True)
    else:
        paper.out.emit(f"\\end{{{name}}}")


def _expands(paper: Expander) -> bool:
    return paper.settings.environments == "expand"


def _environment_name(paper: Expander) -> str | None:
    stream = paper.stream
    frame = stream.top()
    found = NAME.match(frame.text, frame.pos) if frame else None
    if frame and found:
        frame.pos = found.end()
        return found[1]
    if not paper.expanding:
        return None
    stream.begin()
    name = stream.word()
    if name is None or "\\" in name:
        stream.rollback()
        return None
    stream.commit()
    return name


def _closing(frame: Frame, name: str) -> int:
    """The place after an environment's end, in its own text; where we are, if there is none."""
    mark = f"\\end{{{name}}}"
    end = -1 if name in frame.unclosed else frame.text.find(mark, frame.pos)
    if end < 0:
        frame.unclosed.add(name)
        return frame.pos
    return end + len(mark)


def _file_in_file(paper: Expander, frame: Frame, name: str) -> None:
    named = _FILE_BEGIN.match(frame.text, frame.pos)
    end = _closing(frame, name)
    if named and end > named.end():
        content = frame.text[named.end() : end - len(f"\\end{{{name}}}")]
        paper.files.setdefault(posixpath.normpath(named[1].strip()), remove_comments(content))
    frame.pos = end
    paper.removed()


def _section(paper: Expander, command: str) -> None:
    wanted = paper.first_section is None and not paper.out.muted and (paper.begun or not paper.needs_document)
    if wanted and _is_heading(paper):
        paper.first_section = len(paper.out.pieces)
    paper.out.emit(f"\\{command}")


def _is_heading(paper: Expander) -> bool:
    """Whether what follows is a title in braces, after a star and a short title, if there are any."""
    stream = paper.stream
    frame = stream.top()
    if frame and _TITLE.match(frame.text, frame.pos):
        return True
    if not paper.expanding:
        return False
    stream.begin()
    stream.skip_spaces()
    if stream.peek() == "*":
        stream.token()
        stream.skip_spaces()
    if stream.peek() == "[":
        stream.bracket()
        stream.skip_spaces()
    found = stream.peek() == "{"
    stream.rollback()
    return found


def _appendix(paper: Expander, command: str) -> None:
    if paper.settings.appendix == "drop" and paper.first_section is not None:
        paper.finish()
    else:
        paper.out.emit("\\appendix")


def _bibliography(paper: Expander, command: str) -> None:
    if command == "bibliography" and paper.settings.bibliography == "cut" and paper.first_section is not None:
        paper.finish()
        return
    stream = paper.stream
    frame = stream.top()
    if frame and (named := NAME.match(frame.text, frame.pos)):
        frame.pos = named.end()
        paper.removed()
        return
    stream.begin()
    stream.skip_spaces()
    held = stream.bracket() if stream.peek() == "[" else stream.word()
    if held is None and command != "printbibliography":
        stream.rollback()
        paper.out.emit(f"\\{command}")
        return
    if held is None:
        stream.rollback()
    else:
        stream.commit()
    paper.removed()


def _raw(paper: Expander, command: str) -> None:
    frame = paper.stream.top()
    end = raw.command_end(frame.text, command, frame.pos) if frame else 0
    if frame and end > frame.pos:
        paper.out.emit(f"\\{command}{frame.text[frame.pos : end]}")
        frame.pos = end
        return
    if paper.expanding and command in raw.ARGUMENT:
        # The address reaches over the ends of expansions: it is a macro's argument.
        paper.stream.begin()
        argument = paper.stream.word()
        if argument is not None:
            paper.stream.commit()
            paper.out.emit(f"\\{command}{{{argument}}}")
            return
        paper.stream.rollback()
    paper.out.emit(f"\\{command}")


COMMANDS: dict[str, Command] = {
    **dict.fromkeys(names("sections"), Command(_section, late=True)),
    **dict.fromkeys(raw.DELIMITED | raw.ARGUMENT, Command(_raw, late=True)),
    **dict.fromkeys(
        ("bibliography", "bibliographystyle", "printbibliography"), Command(_bibliography, late=True)
    ),
    "appendix": Command(_appendix, late=True),
    "begin": Command(_begin, late=True),
    "end": Command(_end, late=True),
}
