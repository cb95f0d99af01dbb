"""Text of documents, which nobody has looked at, made safe to show: what would act is named instead.

In: any string. Out: one that moves no cursor, starts no escape sequence, turns no line of writing round, and
can be written as UTF-8. It is not escaped for HTML.
"""

from __future__ import annotations

import unicodedata

_LINES = {"\n", "\t"}
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
# What changes the direction of text around it (Unicode Standard Annex 9), and what has no glyph of its own.
_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_UNSEEN = (0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF, *range(0xFFF9, 0xFFFC), *range(0xFDD0, 0xFDF0))


def _named(code: int) -> str:
    return f"⟨U+{code:04X}⟩"


_TABLE: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    0x7F: "␡",
    **{code: _named(code) for code in (*range(0x80, 0xA0), *_BIDI, *_UNSEEN, *range(0xD800, 0xE000))},
}
_KEEPING_LINES = {code: shown for code, shown in _TABLE.items() if chr(code) not in _LINES}


def visible(text: str, lines: bool = True) -> str:
    """Control characters as the symbols of U+2400, bidi controls and surrogates by their numbers.

    Args:
        text: anything.
        lines: leave newlines and tabs as they are; else they are shown as symbols too.
    """
    return text.translate(_KEEPING_LINES if lines else _TABLE)


def shortened(text: str, characters: int) -> tuple[str, int]:
    """The first so many characters of a text, and how many more it has."""
    return text[:characters], max(0, len(text) - characters)


def on_one_line(text: str, characters: int) -> str:
    """For a terminal: the text's beginning, visible, in one line, and how long it is where more follows.

    Where it runs from right to left it is isolated (U+2068 … U+2069), so that what stands beside it
    stays there.
    """
    begin, more = shortened(text, characters)
    shown = visible(begin, lines=False)
    if any(unicodedata.bidirectional(c) in _RIGHT_TO_LEFT for c in shown):
        shown = f"\u2068{shown}\u2069"
    return f"{shown} … ({len(text):,} characters)" if more else shown
