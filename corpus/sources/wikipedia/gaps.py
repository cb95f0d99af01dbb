"""What is left around removed templates and the like: brackets, commas and spaces about nothing.

In: text with a mark where something was removed. Out: the text without marks, and without what stood there
only for it: "Bern (GAP; GAP) is" → "Bern is", "so GAP, and" → "so, and". Text away from marks is not touched.
"""

from __future__ import annotations

from corpus.sources.wikipedia.markup import GAP

_SPACE = " \t\xa0"
_PUNCTUATION = ",;:"
_RUN = _SPACE + _PUNCTUATION
_LIST = "*#"


def close(text: str) -> str:
    """Close the gaps; marks that only spaces, commas and the like part are one gap."""
    if GAP not in text:
        return text
    pieces = text.split(GAP)
    out = [pieces[0]]
    number = 1
    while number < len(pieces):
        between: list[str] = []
        while number < len(pieces) - 1 and not pieces[number].strip(_RUN):
            between.append(pieces[number])
            number += 1
        right = pieces[number]
        number += 1
        before = out.pop()
        while out and not before.strip(_RUN):
            before = out.pop() + before
        left = before.rstrip(_RUN)
        after = right.lstrip(_RUN)
        run = [before[len(left) :], *between, right[: len(right) - len(after)]]
        if left.endswith("(") and after.startswith(")"):
            left, after = left[:-1].rstrip(_SPACE), after[1:]
            run = [" "] if after[:1].isalnum() else []
        elif left.endswith("(") or after.startswith(")"):
            run = []
        elif not left or left[-1] in f"\n{_LIST}":
            run, after = [], after.lstrip(_RUN + ".")
        # The last character by itself: it is all that the next gap may ask for.
        out += [left[:-1], left[-1:], _joint(run, after) + after]
    return "".join(out)


def _joint(run: list[str], after: str) -> str:
    """What parts the text before and after a gap: the first of its marks, else a space if it has one."""
    ends = after.startswith(("\n", ".")) or not after
    for piece in run:
        for at, character in enumerate(piece):
            if character in _PUNCTUATION and (character == ":" or not ends):
                # A comma follows its word at once, wherever it stood; other marks as their language has it.
                spaced = character != "," and at > 0 and piece[at - 1] in _SPACE
                return (" " if spaced else "") + character + (" " if any(map(_has_space, run)) else "")
    return " " if any(map(_has_space, run)) and not ends else ""


def _has_space(piece: str) -> bool:
    return any(character in _SPACE for character in piece)
