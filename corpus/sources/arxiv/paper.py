"""A submission's files -> the text of its paper, and what was found on the way.

In: the bytes of the TeX files, by path. Out: a `Paper`. No paper is lost to its encoding, and what is wrong
with its LaTeX only leaves some of it in the text.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

from corpus.settings.arxiv import ArXiv
from corpus.sources.arxiv import choices, conditionals, definitions, inputs, structure
from corpus.sources.arxiv.comments import remove_comments
from corpus.sources.arxiv.encoding import declared_codec, decode
from corpus.sources.arxiv.expand import Expander
from corpus.sources.arxiv.main_file import main_files
from corpus.sources.arxiv.raw import verbatim_environments
from corpus.sources.arxiv.result import Result
from corpus.sources.arxiv.stream import WRITTEN, Stream, joined

COMMANDS = {
    name: command
    for room in (structure, inputs, definitions, conditionals, choices)
    for name, command in room.COMMANDS.items()
}
_EMPTY_LINES = re.compile(r"\n{3,}")
_TITLE = re.compile(r"\\title(?![A-Za-z@])[ \t]*(?:\[[^\]]{0,400}\])?\s*(?=\{)")
_ABSTRACT_COMMAND = re.compile(r"\\abstract(?![A-Za-z@])\s*(?=\{)")


@dataclass(frozen=True)
class Paper:
    """The text of a paper; `reason` says why it is none. `main`: the first file read."""

    text: str
    reason: str | None
    main: str
    result: Result


def read_paper(files: Mapping[str, bytes], settings: ArXiv) -> Paper | None:
    """The paper that a submission's files make; None if none of them is TeX."""
    declared = declared_codec(files[name] for name in sorted(files))
    written = {posixpath.normpath(name): decode(data, declared) for name, data in sorted(files.items())}
    verbatim = verbatim_environments(written.values())
    texts = {name: remove_comments(text, verbatim) for name, text in written.items()}
    main = main_files(texts)
    if not main:
        return None
    result = Expander(texts, settings, COMMANDS, verbatim).run(main)
    text = _tidy(result.text)
    reason = None
    if not result.has_section:
        reason = "no_section"
    elif not text:
        reason = "empty"
    elif settings.front_matter == "keep":
        text = _tidy("\n\n".join((*_front_matter(result.front), text)))
    return Paper(text, reason, main[0], result)


def _front_matter(front: str) -> list[str]:
    """Title and abstract, those that there are."""
    found = [_group_behind(_TITLE, front)]
    _, begin, rest = front.partition("\\begin{abstract}")
    abstract, end, _ = rest.partition("\\end{abstract}")
    found.append(abstract.strip() if begin and end else _group_behind(_ABSTRACT_COMMAND, front))
    return [text for text in found if text]


def _group_behind(command: re.Pattern[str], text: str) -> str:
    match = command.search(text)
    if not match:
        return ""
    stream = Stream(math.inf)
    stream.push(text[match.end() :], WRITTEN)
    group = stream.group()
    return joined(group).strip() if group else ""


def _tidy(text: str) -> str:
    """Without spaces at the ends of lines and without more than one empty line in a row."""
    lines = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    return _EMPTY_LINES.sub("\n\n", lines).strip()
