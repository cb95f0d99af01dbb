"""How the text of a book is made into words: the plain rule, code point by code point, and its table."""

from __future__ import annotations

import functools
import unicodedata

from corpus.kernels.unicode_tables import FoldTable, table_of

# Punctuation and symbols (quotation marks, dashes, ``_`` and ``=`` of plain-text italics, backticks), control
# characters and invisible ones (soft hyphens, byte order marks). Categories of Unicode.
_DELETED = frozenset({"Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Cc", "Cf"})
# Scripts written without spaces: each letter is a word, or a word would be a line.
_UNSPACED = ((0x0E00, 0x0F00), (0x1000, 0x10A0), (0x1780, 0x1800), (0x3040, 0xA000), (0xF900, 0xFB00))


def words(text: str) -> list[str]:
    """The words of a text: composed (NFC), lower case, without punctuation, split at white space."""
    return "".join(map(fold_character, unicodedata.normalize("NFC", text))).split()


def fold_character(char: str) -> str:
    """What one code point becomes: nothing, a space, or letters.

    Code point by code point: a sigma at the end of a word is a sigma.
    """
    if char.isspace():
        return " "
    if unicodedata.category(char) in _DELETED:
        return ""
    if any(start <= ord(char) < stop for start, stop in _UNSPACED):
        return char + " "
    return char.lower().replace("ς", "σ")


@functools.cache
def book_table() -> FoldTable:
    """`fold_character` of every code point."""
    return table_of(fold_character)
