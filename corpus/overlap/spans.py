"""What is left of a document when the matches in it are cut out: the rule of GPT-3.

In: the length of a text, spans of its matches. Out: spans of the pieces that stay. All in code points.

GPT-3 (arXiv 2005.14165, appendix C): of each match, 200 characters on either side go with it; what is left of
the document falls into pieces; pieces shorter than 200 characters go; a document that falls into more than
ten pieces goes altogether. Here windows that touch are one cut (a quoted item has many overlapping n-grams:
lm-evaluation-harness counts each of them, and so drops any document that has a dozen words more than n of an
item), and pieces are counted as they fall, before short ones go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

Outcome = Literal["cut", "too_many_pieces", "nothing_left"]


class Remains(NamedTuple):
    """The pieces [start, end) that stay of a document, and what became of it."""

    pieces: list[tuple[int, int]]
    outcome: Outcome


def remains(
    length: int, matches: Iterable[tuple[int, int]], window: int, min_piece: int, max_pieces: int
) -> Remains:
    """Cut matches [start, end) out of a document of `length` code points."""
    pieces: list[tuple[int, int]] = []
    free = 0  # where what is not yet cut begins
    for start, end in sorted(matches):
        if start - window > free:
            pieces.append((free, start - window))
        free = max(free, end + window)
    if free < length:
        pieces.append((free, length))
    if len(pieces) > max_pieces:
        return Remains([], "too_many_pieces")
    pieces = [(start, end) for start, end in pieces if end - start >= min_piece]
    return Remains(pieces, "cut" if pieces else "nothing_left")
