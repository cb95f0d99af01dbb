"""Which lines of a raw text are not in the document that was made of it.

In: the raw text and the document's. Out: each raw line, in order, with whether the document has it. For
sources whose documents are their raw text without some lines: headers, boilerplate, what is no sentence.
"""

from __future__ import annotations

import difflib

# Beyond so many lines only what is missing at the beginning and at the end is told apart.
_COMPARED = 4_000


def marked(raw: str, document: str) -> list[tuple[str, bool]]:
    """Lines of the raw text, each with whether it is in the document; blanks at their ends left aside."""
    before = raw.splitlines()
    left, right = [line.strip() for line in before], [line.strip() for line in document.splitlines()]
    first = _first(left, right)
    last = _first(left[first:][::-1], right[::-1])
    inner = left[first : len(left) - last]
    there = [False] * first + [True] * len(inner) + [False] * last
    if max(len(inner), len(right)) <= _COMPARED and inner != right:
        blocks = difflib.SequenceMatcher(None, inner, right, autojunk=False).get_matching_blocks()
        inside = [False] * len(inner)
        for block in blocks:
            inside[block.a : block.a + block.size] = [True] * block.size
        there[first : len(left) - last] = inside
    return list(zip(before, there, strict=True))


def _first(lines: list[str], of: list[str]) -> int:
    """How many lines stand before the first one of a document; 0 where that is not found."""
    start = next((line for line in of if line), None)
    return lines.index(start) if start in lines else 0
