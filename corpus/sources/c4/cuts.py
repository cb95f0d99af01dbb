"""A page's text cut into what is compared with other pages: its lines, or every three sentences in a row.

In: cleaned texts. Out: keys; and from what others keep of them, the text that is left. Lines are what
tensorflow/datasets compares (tensorflow_datasets/text/c4_utils.py, `_remove_lines_from_text`); the paper has
"any three-sentence span occurring more than once" (Raffel et al. 2020, section 2.2). Sentences are compared
as lines are, stripped and in lower case, and are cut line by line, so that none reaches over a line's end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from corpus.annotate.sentences import Punkt
from corpus.sources.c4.urls import line_key

SPAN = 3  # sentences


@dataclass(frozen=True)
class Cut:
    """A page's pieces, of each the number of its line; keys of its units, each of `width` pieces in a row."""

    pieces: list[str]
    lines: Sequence[int]
    width: int
    keys: list[int]


Cutter = Callable[[str], Cut]


def into_lines(text: str) -> Cut:
    """Each line by itself."""
    pieces = text.split("\n")
    return Cut(pieces, range(len(pieces)), 1, [line_key(piece) for piece in pieces])


def into_spans(punkt: Punkt) -> Cutter:
    """Three sentences in a row."""

    def cut(text: str) -> Cut:
        found = [(line[a:b], n) for n, line in enumerate(text.split("\n")) for a, b in punkt.spans(line)]
        pieces, lines = [piece for piece, _ in found], [n for _, n in found]
        plain = [piece.strip().lower() for piece in pieces]
        starts = range(len(pieces) - SPAN + 1)
        return Cut(pieces, lines, SPAN, [line_key("\n".join(plain[i : i + SPAN])) for i in starts])

    return cut


def left(cut: Cut, elsewhere: Iterable[bool]) -> tuple[str, int, int]:
    """What is left of a page.

    Args:
        cut: the page.
        elsewhere: of each unit, whether it stays in another page.

    Returns:
        the text; the pieces that stay in another page; of the rest those that stand further up in the page.
    """
    fate = [""] * len(cut.pieces)
    seen: set[int] = set()
    for i, (key, lost) in enumerate(zip(cut.keys, elsewhere, strict=True)):
        if lost or key in seen:
            for k in range(i, i + cut.width):
                fate[k] = "elsewhere" if lost else fate[k] or "repeated"
        seen.add(key)
    kept: dict[int, list[str]] = {}
    for piece, line, gone in zip(cut.pieces, cut.lines, fate, strict=True):
        if not gone:
            kept.setdefault(line, []).append(piece)
    text = "\n".join(" ".join(pieces) for pieces in kept.values())
    return text, fate.count("elsewhere"), fate.count("repeated")
