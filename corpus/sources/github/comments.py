"""Comments at the start of a file of code: how each language writes them, and where a run of them ends.

In: a path, a text, and a position in it. Out: a `Syntax`, and ends of runs. A run is what reads as one
comment: a block; blocks of one line each on lines that follow each other; lines that begin with the mark of a
comment; a docstring. Lines end at ``\\n``, ``\\r\\n`` or ``\\r``. Each function takes time in proportion to
what it passes over.
"""

from __future__ import annotations

import functools
import posixpath
import re
from dataclasses import dataclass
from typing import Any

from corpus.tables import read_table

BLANK = re.compile(r"[ \t\f\v]*+")
_LINE = re.compile(r"[^\r\n]*+(?:\r\n|\n|\r)?+")
_BLANK_REST = re.compile(r"[ \t\f\v]*+(?:\r\n|\n|\r|\Z)")
_EMPTY = re.compile(r"[^\w\r\n]*+(?:\r\n|\n|\r|\Z)")
_DOCSTRING = re.compile(r"""[rRuU]?("{3}|'{3})""")
_AFTER_DOCSTRING = re.compile(r"[ \t\f\v]*+(?:#[^\r\n]*+)?+(?:\r\n|\n|\r|\Z)")
_SHEBANG_CHARACTERS = 256  # of which Linux reads 255
# Endings whose comments are those of an interpreter; of others "sh".
_INTERPRETERS = {
    "node": "js", "deno": "js", "bun": "js", "php": "php", "lua": "lua", "guile": "scm", "racket": "rkt",
    "runghc": "hs", "ocaml": "ml", "python": "py",
}  # fmt: skip


@dataclass(frozen=True)
class Syntax:
    """How a language writes comments.

    `lines`: marks that begin one, after white space; `words`: marks, in lower case, that end with the word;
    `first_column`: marks that count at the start of a line alone. `blocks`: how they open, how they close,
    whether they nest; longer openings first. `docstring`: a string that is a statement of its own is one.
    """

    lines: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    first_column: tuple[str, ...] = ()
    blocks: tuple[tuple[str, str, bool], ...] = ()
    docstring: bool = False


NONE = Syntax()


@functools.cache
def _tables() -> tuple[dict[str, Syntax], dict[str, Syntax]]:
    """Syntax by ending and by file name, in lower case; what several entries say of one adds up."""
    languages = read_table("corpus.sources.github", "comments.toml")["language"]
    return (
        {
            name: _merged(languages, "extensions", name)
            for entry in languages
            for name in entry.get("extensions", [])
        },
        {name: _merged(languages, "names", name) for entry in languages for name in entry.get("names", [])},
    )


def _merged(languages: list[dict[str, Any]], key: str, name: str) -> Syntax:
    found = [entry for entry in languages if name in entry.get(key, [])]

    def marks(kind: str) -> tuple[str, ...]:
        of_kind = (e for e in found if kind == _kind(e))
        return tuple(dict.fromkeys(mark for e in of_kind for mark in e.get("line", [])))

    blocks = {(b[0], b[1], e.get("nested", False)) for e in found for b in e.get("block", [])}
    return Syntax(
        marks("line"),
        marks("word"),
        marks("column_one"),
        tuple(sorted(blocks, key=lambda b: (-len(b[0]), b))),
        any(e.get("docstring", False) for e in found),
    )


def _kind(entry: dict[str, Any]) -> str:
    return next((kind for kind in ("word", "column_one") if entry.get(kind)), "line")


def syntax_of(path: str, text: str) -> Syntax:
    """By the file's name, its ending (of ``config.h.in`` the one before), else by its shebang."""
    extensions, names = _tables()
    name = posixpath.basename(path).lower()
    if name in names:
        return names[name]
    stem, _, ending = name.rpartition(".")
    if ending == "in" and stem.rpartition(".")[2] in extensions:
        ending = stem.rpartition(".")[2]
    if stem and ending in extensions:
        return extensions[ending]
    if not stem and text.startswith("#!"):
        return extensions[_INTERPRETERS.get(_interpreter(text), "sh")]
    return NONE


def _interpreter(text: str) -> str:
    """The program that a shebang names, without a version; of ``env`` the one that it looks for."""
    words = [posixpath.basename(word) for word in text[2:_SHEBANG_CHARACTERS].partition("\n")[0].split()]
    program = next((w for w in words if w != "env" and not w.startswith("-") and "=" not in w), "")
    return program.rstrip("0123456789.")


def run_end(
    text: str, at: int, syntax: Syntax, code: re.Pattern[str], directive: re.Pattern[str]
) -> tuple[int, bool] | None:
    """End of the run of comments that starts at a position, and whether it is made of lines.

    None where there is none, or it is not closed.

    Args:
        text: of the file.
        at: the first position of a line that is not white space, or after what opens a script.
        syntax: of its language.
        code, directive: what looks like a comment and is none.
    """
    if code.match(text, at):
        return None
    end = _block_end(text, at, syntax)
    if end is not None:
        return _one_line_blocks(text, at, end, syntax, code, directive), False
    if _is_line(text, at, syntax):
        return _lines_end(text, at, syntax, code, directive), True
    end = _docstring_end(text, at) if syntax.docstring else None
    return None if end is None else (end, False)


def starts_comment(text: str, at: int, syntax: Syntax) -> bool:
    """Whether what is at a position, the first on its line that is not white space, begins as a comment."""
    return (
        _is_line(text, at, syntax)
        or any(_opens(text, at, opening) for opening, _, _ in syntax.blocks)
        or (syntax.docstring and _DOCSTRING.match(text, at) is not None)
    )


def is_blank_to_line_end(text: str, at: int) -> bool:
    """Whether nothing but white space is left on the line."""
    return _BLANK_REST.match(text, at) is not None


def next_line(text: str, at: int) -> int:
    """Where the next line starts; the end where there is none."""
    return _LINE.match(text, at).end()  # type: ignore[union-attr]


def line_start(text: str, at: int, least: int) -> int:
    """Where the line of a position starts, but not before `least`."""
    return max(text.rfind("\n", least, at), text.rfind("\r", least, at), least - 1) + 1


def paragraph_end(text: str, at: int, end: int) -> int:
    """Where the paragraph of a run of lines ends, from the start of a line on; with the empty lines after it.

    An empty line has nothing but marks.
    """
    while at < end and not _EMPTY.match(text, at):
        at = next_line(text, at)
    while at < end and (empty := _EMPTY.match(text, at)):
        at = empty.end()
    return min(at, end)


def is_open_block(text: str, at: int, syntax: Syntax) -> bool:
    """Whether a block starts at a position that does not end on the same line."""
    opening = next((b for b in syntax.blocks if _opens(text, at, b[0])), None)
    return opening is not None and text.find(opening[1], at + len(opening[0]), next_line(text, at)) < 0


def _opens(text: str, at: int, opening: str) -> bool:
    # CoffeeScript: more than three hashes are a line of decoration.
    return text.startswith(opening, at) and not (opening == "###" and text.startswith("#", at + 3))


def _block_end(text: str, at: int, syntax: Syntax) -> int | None:
    for opening, closing, nested in syntax.blocks:
        if _opens(text, at, opening):
            if nested:
                return _nested_end(text, at, opening, closing)
            found = text.find(closing, at + len(opening))
            return found + len(closing) if found >= 0 else None
    return None


def _nested_end(text: str, at: int, opening: str, closing: str) -> int | None:
    depth = 0
    for mark in re.compile(f"{re.escape(opening)}|{re.escape(closing)}").finditer(text, at):
        depth += 1 if mark[0] == opening else -1
        if depth == 0:
            return mark.end()
    return None


def _one_line_blocks(
    text: str, at: int, end: int, syntax: Syntax, code: re.Pattern[str], directive: re.Pattern[str]
) -> int:
    """End of blocks that each fill a line, the first of which is given; its own end where it does not."""
    while next_line(text, at) >= end and is_blank_to_line_end(text, end):
        at = BLANK.match(text, next_line(text, end)).end()  # type: ignore[union-attr]
        if code.match(text, at) or directive.match(text, at):
            break
        following = _block_end(text, at, syntax)
        if following is None or following > next_line(text, at) or not is_blank_to_line_end(text, following):
            break
        end = following
    return end


def _is_line(text: str, at: int, syntax: Syntax) -> bool:
    if text.startswith(syntax.lines, at):
        return True
    if syntax.words:
        head = text[at : at + 8].lower()
        if any(
            head.startswith(word) and not head[len(word) : len(word) + 1].isalnum() for word in syntax.words
        ):
            return True
    return text.startswith(syntax.first_column, at) and (at == 0 or text[at - 1] in "\r\n")


def _lines_end(text: str, at: int, syntax: Syntax, code: re.Pattern[str], directive: re.Pattern[str]) -> int:
    while True:
        end = next_line(text, at)
        at = BLANK.match(text, end).end()  # type: ignore[union-attr]
        if not _is_line(text, at, syntax) or code.match(text, at) or directive.match(text, at):
            return end
        if any(_opens(text, at, opening) for opening, _, _ in syntax.blocks):
            return end


def _docstring_end(text: str, at: int) -> int | None:
    opening = _DOCSTRING.match(text, at)
    if opening is None:
        return None
    end = opening.end()
    while (found := text.find(opening[1], end)) >= 0:
        escapes = found
        while text[escapes - 1] == "\\":
            escapes -= 1
        if (found - escapes) % 2 == 0:
            end = found + len(opening[1])
            return end if _AFTER_DOCSTRING.match(text, end) else None
        end = found + 1
    return None
