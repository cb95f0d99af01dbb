r"""The text that a paper's reading puts out: pieces, and what lies between them.

In: pieces of LaTeX in their order. Out: their text, in which a control word and a letter put out one after
the other stay apart. Some of it can be kept out: the pieces of bibliographies, of packages.
"""

from __future__ import annotations

import re

from corpus.sources.arxiv.raw import is_escaped
from corpus.sources.arxiv.tables import names

_TAIL = 80  # characters of a control word's end that are looked at
_MAX_BLANK = 20  # pieces of nothing but spaces at the beginning of a line
_MATHEMATICS = re.compile(r"\\(begin|end)[ \t]*\{([^{}]*)\}|\\[\s\S]|\$\$?|\n[ \t]*\n")
_MATH_ENVIRONMENTS = names("math")


class Output:
    """Pieces of text. `length`: characters put out in all; `muted`: what keeps text out, innermost last."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.length = 0
        self.muted: list[tuple[str, list[str]]] = []  # its name, and the pieces to go back to
        self._math = (0, False)  # pieces looked at, whether a formula is open after them

    def emit(self, text: str) -> None:
        """Put a piece out."""
        if not text:
            return
        pieces = self.pieces
        if pieces and text[0].isalpha() and pieces[-1][-1].isalpha() and _ends_with_word(pieces[-1]):
            pieces.append(" ")
        pieces.append(text)
        self.length += len(text)

    def cut(self, pieces: int) -> None:
        """Take back all but so many pieces."""
        del self.pieces[pieces:]

    def mute(self, name: str) -> None:
        """Keep what follows out, until `unmute`."""
        self.muted.append((name, self.pieces))
        self.pieces = []

    def unmute(self, keep: bool = False) -> None:
        """Put out what follows; `keep`: and what was kept out."""
        _, pieces = self.muted.pop()
        if keep:
            pieces.extend(self.pieces)
        self.pieces = pieces

    def at_line_start(self) -> bool:
        """Whether nothing but spaces stands in the last line."""
        for piece in self.pieces[: -_MAX_BLANK - 1 : -1]:
            rest = piece.rstrip(" \t")
            if rest:
                return rest[-1] == "\n"
        return len(self.pieces) <= _MAX_BLANK

    def clear_line(self) -> None:
        """Take back the spaces of the last line."""
        while self.pieces and not self.pieces[-1].strip(" \t"):
            self.pieces.pop()
        if self.pieces:
            self.pieces[-1] = self.pieces[-1].rstrip(" \t")
        self._math = (min(self._math[0], len(self.pieces)), self._math[1])

    def ends_with_space(self) -> bool:
        """Whether a space or tab was put out last."""
        return bool(self.pieces) and self.pieces[-1][-1] in " \t"

    def in_mathematics(self) -> bool:
        """Whether the text so far ends within a formula, as far as its marks tell."""
        if self.muted:
            return False
        seen, is_open = self._math if self._math[0] <= len(self.pieces) else (0, False)
        text = "".join(self.pieces[seen:])
        for match in _MATHEMATICS.finditer(text):
            mark = match[0]
            if mark[0] == "$":
                is_open = not is_open
            elif mark[0] == "\n" or mark in ("\\)", "\\]"):
                is_open = False
            elif mark in ("\\(", "\\["):
                is_open = True
            elif match[1] and match[2] in _MATH_ENVIRONMENTS:
                is_open = match[1] == "begin"
        self._math = (len(self.pieces), is_open)
        return is_open or text.endswith("\\ensuremath{")


def _ends_with_word(text: str) -> bool:
    """Whether a text ends with a control word."""
    at = text.rfind("\\", -_TAIL)
    return at >= 0 and text[at + 1 :].replace("@", "a").isalpha() and not is_escaped(text, at)
