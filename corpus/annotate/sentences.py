"""Sentences of English text, counted by Punkt (Kiss and Strunk 2006) as nltk has it.

In: a text. Out: a number. The parameters come from an asset, nltk's ``punkt_tab.zip``: plain tables, so that
nothing is unpickled. Without parameters Punkt knows no abbreviation, no collocation and no word that begins
sentences, and ends a sentence at nearly every full stop.
"""

from __future__ import annotations

import functools
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from corpus.errors import UserError

_TABLE_BYTES = 16 << 20  # the largest of the published ones has 1.2 MB
_TAIL = re.compile(r"[^\W\d_]{2,}\Z")
_LONG_WORD = 200  # its end is not looked for, and what is said of it not remembered
_ANSWERS = 1 << 15  # of nltk's rules that are remembered: they take 30 µs each
_SPACES = "\t\n\r\v\f"  # with U+0020, what nltk lets a word before a mark begin after

SentenceCounter = Callable[[str], int]


@functools.cache
def _nltk_punkt() -> Any:
    """nltk's module, imported where it is used: it brings scipy, which takes more than a second."""
    from nltk import redos
    from nltk.tokenize import punkt

    # nltk stops its expressions by the clock, which would end a run for one large page on a busy machine.
    # Those of Punkt take time in proportion to the text.
    redos.DEFAULT_TIMEOUT = None
    return punkt


class Punkt:
    """nltk's Punkt that asks its rules only where they can say no.

    The loops are those of `PunktSentenceTokenizer`, by the names given below.
    """

    def __init__(self, parameters: Any) -> None:
        self.tokenizer = _nltk_punkt().PunktSentenceTokenizer(parameters)
        variables = self.tokenizer._lang_vars
        self._marks = variables.period_context_re()._rx
        self._closing = variables.re_boundary_realignment._rx
        self._closers = frozenset("\"')]}\u2018\u2019\u201c\u201d\xab\xbb")
        # What abbreviations, and words that begin collocations, end in: of two letters or more.
        words = parameters.abbrev_types | {first for first, _ in parameters.collocations}
        self._doubtful = {found[0] for word in words if (found := _TAIL.search(word))}
        self._asked = functools.lru_cache(_ANSWERS)(self.tokenizer.text_contains_sentbreak)

    def count(self, text: str) -> int:
        """Number of sentences."""
        return sum(1 for _ in self.spans(text))

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of each sentence (`_realign_boundaries`)."""
        slices = self._slices(text)
        start, stop = next(slices)
        for next_start, next_stop in slices:
            closing = None
            if text[next_start] in self._closers:
                closing = self._closing.match(text[next_start:next_stop])
            if closing:
                yield start, next_start + len(closing[0].rstrip())
                next_start += closing.end()
            elif start < stop:
                yield start, stop
            start, stop = next_start, next_stop
        if start < stop:
            yield start, stop

    def _slices(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of each sentence, before closing marks are moved (`_slices_from_text`)."""
        begin = 0
        for match, word_start in self._contexts(text):
            if self._ends_sentence(text, match, word_start):
                yield begin, match.end()
                begin = match.start("next_tok") if match["next_tok"] else match.end()
        yield begin, len(text.rstrip())

    def _contexts(self, text: str) -> Iterator[tuple[re.Match[str], int]]:
        """Marks that may end a sentence, and where the word before each starts.

        Of marks without white space between them the last (`_match_potential_end_contexts`).
        """
        flat = text
        for space in _SPACES:
            flat = flat.replace(space, " ")
        last, word_start, word_stop = None, 0, 0
        for match in self._marks.finditer(text):
            at = match.start()
            before = flat.rfind(" ", word_stop, at)
            start = before + 1 if before > word_stop else word_start
            if last is not None and word_stop <= start:
                yield last, word_start
            last, word_start, word_stop = match, start, at
        if last is not None:
            yield last, word_start

    def _ends_sentence(self, text: str, match: re.Match[str], word_start: int) -> bool:
        """`text_contains_sentbreak`, of the word and mark, and what follows.

        A mark other than a full stop always ends a sentence. A full stop does after two letters or more, in
        which no abbreviation ends (first pass) and no word that begins a collocation (second pass): the token
        is then neither an ellipsis nor a number nor an initial.
        """
        at = match.start()
        if text[at] != ".":
            return True
        if at - word_start < _LONG_WORD:
            tail = _TAIL.search(text[word_start:at].lower())
            if tail and tail[0] not in self._doubtful:
                return True
        context = text[word_start:at] + match.group() + match["after_tok"]
        ask = self._asked if len(context) < _LONG_WORD else self.tokenizer.text_contains_sentbreak
        return bool(ask(context))


def count_by_line(count: SentenceCounter, text: str) -> int:
    """Sentences of each line by itself, added up (tfds, `clean_page`)."""
    return sum(map(count, text.split("\n")))


def open_punkt(path: str, language: str) -> Punkt:
    """Punkt with the parameters of a language, out of nltk's ``punkt_tab.zip``.

    Raises:
        UserError: the file is not that, or has no such language.
    """
    parameters = _nltk_punkt().PunktParameters()
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
    return Punkt(_nltk_punkt().PunktParameters())


def _lines(archive: zipfile.ZipFile, language: str, name: str) -> list[str]:
    member = archive.getinfo(f"punkt_tab/{language}/{name}")
    if member.file_size > _TABLE_BYTES:
        raise ValueError(f"{name} has {member.file_size} bytes")
    return [line for line in archive.read(member).decode("utf-8").split("\n") if line]
