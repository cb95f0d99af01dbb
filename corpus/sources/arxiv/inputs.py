r"""Files within files: ``\input`` and its kin, the packages that come with a paper.

In: the stream behind such a command. Out: the text of the files that it names is read next; of packages only
definitions count.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from corpus.sources.arxiv.expand import Command, Expander
from corpus.sources.arxiv.stream import WRITTEN, Frame, joined

NAME = re.compile(r"[ \t]*\{([^{}\n]{1,200})\}")
_FILE_NAME = re.compile(r"[ \t\n]*\{([^{}]{1,400})\}|[ \t]*([^\s{}\\%]{1,400})[ \t]?")
_TEX_ENDINGS = ("", ".tex", ".ltx", ".latex")
_DOCUMENT = "\\begin{document}"
_DOCUMENT_END = "\\end{document}"
_IMPORTS = ("import", "subimport", "includefrom", "subincludefrom", "inputfrom", "subinputfrom")


def _input(paper: Expander, command: str) -> None:
    stream = paper.stream
    frame = stream.top()
    named = _FILE_NAME.match(frame.text, frame.pos) if frame else None
    if frame and named:
        frame.pos = named.end()
        name = (named[1] or named[2] or "").strip().strip('"')
    else:
        stream.begin()
        word = stream.word() if paper.expanding else None
        if word is None:
            stream.rollback()
            paper.out.emit(f"\\{command}")
            return
        stream.commit()
        name = word.strip().strip('"')
    if command in _IMPORTS:
        following = stream.top()
        named = NAME.match(following.text, following.pos) if following else None
        if following and named:
            following.pos = named.end()
            name = posixpath.join(name, named[1].strip())
    _splice(paper, name)


def _splice(paper: Expander, name: str) -> None:
    stream = paper.stream
    if name.endswith(".bbl"):
        paper.removed()
        return
    path = find_file(paper.files, name, [frame.file for frame in reversed(stream.stack) if frame.file])
    if path is None:
        paper.counts.missing += 1
        paper.removed()
        return
    text = paper.files[path]
    if paper.expanding:
        stream.spend(len(stream.stack))
    open_files = [frame.file for frame in stream.stack if frame.file]
    if (
        path in open_files
        or len(open_files) > paper.settings.max_input_depth
        or paper.spliced + len(text) > paper.max_output
    ):
        paper.counts.unread += 1
        paper.removed()
        return
    paper.spliced += len(text)
    if paper.begun and _DOCUMENT in text:  # a document of its own, as of package subfiles
        start = text.index(_DOCUMENT) + len(_DOCUMENT)
        end = text.find(_DOCUMENT_END, start)
        text = text[start : end if end >= 0 else None].strip("\n") + "\n"
    if text.endswith("\n") and stream.peek() in ("\n", ""):
        text = text[:-1]  # the line of the command has its own end
    stream.stack.append(Frame(text, WRITTEN, file=path, package=False))


def find_file(
    files: Mapping[str, str], name: str, open_files: list[str], endings: tuple[str, ...] = _TEX_ENDINGS
) -> str | None:
    """A file by its name, looked for where LaTeX does, and beside the files that are being read.

    Args:
        files: by path.
        name: as a command names it.
        open_files: files being read, the innermost first, the main file last.
        endings: tried after the name.
    """
    folders = dict.fromkeys(["", *(posixpath.dirname(f) for f in reversed(open_files))])
    for folder in folders:
        path = posixpath.normpath(posixpath.join(folder, name))
        for ending in endings:
            if path + ending in files:
                return path + ending
    return None


def _package(paper: Expander, command: str) -> None:
    r"""``\usepackage[…]{a,b}``: of the packages that come with the paper, the definitions are read."""
    stream = paper.stream
    stream.begin()
    stream.skip_spaces()
    options = stream.bracket() if stream.peek() == "[" else None
    word = stream.word()
    if word is None:
        stream.rollback()
        paper.out.emit(f"\\{command}")
        return
    stream.commit()
    ending = ".cls" if command in ("documentclass", "LoadClass") else ".sty"
    if command == "documentstyle" and options is not None:  # LaTeX 2.09: its options are packages
        word = f"{word},{joined(options)}"
    open_files = [f.file for f in reversed(stream.stack) if f.file]
    paper.removed()
    for name in reversed(word.split(",")):
        path = find_file(paper.files, name.strip() + ending, open_files, ("",))
        if path and path not in paper.packages_read and len(open_files) <= paper.settings.max_input_depth:
            paper.packages_read.add(path)
            paper.out.mute(path)
            paper.packages += 1
            stream.stack.append(Frame(paper.files[path], WRITTEN, file=path, package=True))


def _end_input(paper: Expander, command: str) -> None:
    stack = paper.stream.stack
    while stack and not stack[-1].file:
        stack.pop()
    if stack:
        stack[-1].pos = len(stack[-1].text)


COMMANDS: dict[str, Command] = {
    **dict.fromkeys(("input", "include", "subfile", *_IMPORTS), Command(_input, packages=True, late=True)),
    **dict.fromkeys(
        ("usepackage", "RequirePackage", "documentclass", "documentstyle", "LoadClass"),
        Command(_package, packages=True),
    ),
    "endinput": Command(_end_input, packages=True),
}
