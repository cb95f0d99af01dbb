"""Sentences of English text, counted by Punkt (Kiss and Strunk 2006) as nltk has it.

In: a text. Out: a number. The parameters come from an asset, nltk's ``punkt_tab.zip``: plain tables, so that
nothing is unpickled. Without parameters Punkt knows no abbreviation, no collocation and no word that begins
sentences, and ends a sentence at nearly every full stop.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable

from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

from corpus.errors import UserError

_TABLE_BYTES = 16 << 20  # the largest of the published ones has 1.2 MB
# A word of letters and a mark, then what lets the mark be a token's end: most places that may end a sentence.
_PLAIN_END = re.compile(r"([A-Za-z]{2,})(?:[?!](?=\s*\S)|\.(?=\s|[)\";}\]*:@'({\[?!]))")

SentenceCounter = Callable[[str], int]


class Punkt(PunktSentenceTokenizer):
    """nltk's Punkt that counts only, and asks the rules only where they can say no."""

    def __init__(self, parameters: PunktParameters) -> None:
        super().__init__(parameters)
        # A full stop after one of these, and nothing else that matches `_PLAIN_END`, may end no sentence.
        self._doubtful = parameters.abbrev_types | {first for first, _ in parameters.collocations}

    def count(self, text: str) -> int:
        """Number of sentences."""
        return sum(1 for _ in self.span_tokenize(text))

    def text_contains_sentbreak(self, text: str) -> bool:
        """As nltk's, at once for a plain word: there a mark other than a full stop ends the sentence, and a
        full stop does where the word is no abbreviation (first pass) and begins no collocation (second).
        """
        plain = _PLAIN_END.match(text)
        if plain and (text[plain.end() - 1] != "." or plain.group(1).lower() not in self._doubtful):
            return True
        return bool(super().text_contains_sentbreak(text))


def count_by_line(count: SentenceCounter, text: str) -> int:
    """Sentences of each line by itself, added up (tfds, `clean_page`)."""
    return sum(map(count, text.split("\n")))


def open_punkt(path: str, language: str) -> Punkt:
    """Punkt with the parameters of a language, out of nltk's ``punkt_tab.zip``.

    Raises:
        UserError: the file is not that, or has no such language.
    """
    parameters = PunktParameters()
    try:
        with zipfile.ZipFile(path) as archive:
            parameters.abbrev_types = set(_lines(archive, language, "abbrev_types.txt"))
            parameters.sent_starters = set(_lines(archive, language, "sent_starters.txt"))
            pairs = (line.split("\t") for line in _lines(archive, language, "collocations.tab"))
            parameters.collocations = {(first, second) for first, second in pairs}
            for line in _lines(archive, language, "ortho_context.tab"):
                word, flags = line.split("\t")
                parameters.ortho_context[word] = int(flags)
    except (KeyError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UserError(
            f"{path} has no Punkt model of {language} as nltk's punkt_tab.zip: {error}"
        ) from error
    return Punkt(parameters)


def untrained_punkt() -> Punkt:
    """Punkt without parameters."""
    return Punkt(PunktParameters())


def _lines(archive: zipfile.ZipFile, language: str, name: str) -> list[str]:
    member = archive.getinfo(f"punkt_tab/{language}/{name}")
    if member.file_size > _TABLE_BYTES:
        raise ValueError(f"{name} has {member.file_size} bytes")
    return [line for line in archive.read(member).decode("utf-8").split("\n") if line]
