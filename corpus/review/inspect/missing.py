"""Which lines of a raw text are not in the document that was made of it.

In: the raw text and the document's. Out: each raw line, in order, with whether the document has it. For
sources whose documents are their raw text without some lines: headers, boilerplate, what is no sentence.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

# Beyond so many lines only what is missing at the beginning and at the end is told apart.
_COMPARED = 4_000
# Lines by which the beginning and the end of a document are known: a title alone stands in a header, too.
_KNOWN_BY = 3


def marked(raw: str, document: str) -> list[tuple[str, bool]]:
    """Lines of the raw text, each with whether it is in the document; blanks at their ends left aside."""
    before = raw.splitlines()
    left, right = [line.strip() for line in before], [line.strip() for line in document.splitlines()]
    first = _before(left, right)
    last = _before(left[first:][::-1], right[::-1])
    inner = left[first : len(left) - last]
    there = [False] * first + [True] * len(inner) + [False] * last
    if max(len(inner), len(right)) <= _COMPARED and inner != right:
        blocks = difflib.SequenceMatcher(None, inner, right, autojunk=False).get_matching_blocks()
        inside = [False] * len(inner)
        for block in blocks:
            inside[block.a : block.a + block.size] = [True] * block.size
        there[first : len(left) - last] = inside
    return list(zip(before, there, strict=True))


def _before(lines: Sequence[str], of: Sequence[str]) -> int:
    """How many lines stand before the first ones of a document; 0 where these are not found together."""
    places = [i for i, line in enumerate(lines) if line]
    written = [lines[i] for i in places]
    known = [line for line in of if line][:_KNOWN_BY]
    found = (at for at in range(len(written)) if known and written[at : at + len(known)] == known)
    at = next(found, None)
    return 0 if at is None else places[at]
