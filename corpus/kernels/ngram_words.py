"""What a word is when texts are searched for word n-grams: the plain rules, and their table.

In: text. Out: its words with their places in code points; or the rules as a `WordTable` for the compiled
loop of `corpus.kernels.ngram_scan`, which must find the same.

A token is what stands between white space (`\\S+`); a word is a token that has something left when each of
its code points is folded by itself: compatibility decomposition (NFKD), case folding, and nothing kept but
letters, numbers and spacing marks. So case, punctuation, symbols, accents and typographic variants do not
matter. For ASCII these are the words of EleutherAI/lm-evaluation-harness, lm_eval/decontamination/janitor.py
("lower case, punctuation deleted"), but that there a lone mark is an empty word in documents and none in
evaluations. Scripts that put no space between words have long words here, and so hardly an n-gram.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from corpus.kernels.arrays import Ints

SPACE = -1  # in `WordTable.folded`: ends a token
_FIRST_POOLED = -2  # and below: place −2 − value of the pool
_TOKEN = re.compile(r"\S+")
_CODE_POINTS = 0x110000


class Word(NamedTuple):
    """A folded word, and where its token stands: `[start, end)` in code points."""

    text: str
    start: int
    end: int


class WordTable(NamedTuple):
    """How each code point is folded.

    `folded` int32[0x110000]: the code point it becomes, 0 where nothing, `SPACE`, or −2 − i for the code
    points `pool[pool_offsets[i]:pool_offsets[i + 1]]`, int32 both.
    """

    folded: Ints
    pool: Ints
    pool_offsets: Ints


def words(text: str) -> Iterator[Word]:
    """The words of a text, in order."""
    for token in _TOKEN.finditer(text):
        folded = fold(token.group())
        if folded:
            yield Word(folded, token.start(), token.end())


def fold(token: str) -> str:
    """A token without all that does not matter; maybe empty."""
    return "".join(map(fold_one, token))


@functools.lru_cache(maxsize=1 << 16)
def fold_one(char: str) -> str:
    """What one code point becomes."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
    return "".join(c for c in folded if _is_kept(c))


@functools.cache
def word_table() -> WordTable:
    """The rules for every code point, from Python's own Unicode data; a second, once a process."""
    folded = np.zeros(_CODE_POINTS, np.int32)
    pool: list[int] = []
    ends = [0]
    for start, stop in ((0, 0xD800), (0xE000, _CODE_POINTS)):
        for cp, char in enumerate(map(chr, range(start, stop)), start):
            if char.isspace():
                folded[cp] = SPACE
                continue
            if unicodedata.category(char) in ("Cn", "Co"):
                continue  # not assigned, or private: no case, no decomposition, not kept
            found = fold_one.__wrapped__(char)
            if len(found) > 1:
                folded[cp] = _FIRST_POOLED - (len(ends) - 1)
                pool.extend(map(ord, found))
                ends.append(len(pool))
            elif found:
                folded[cp] = ord(found)
    table = WordTable(folded, np.array(pool, np.int32), np.array(ends, np.int32))
    for array in table:
        array.flags.writeable = False
    return table


def _is_kept(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] in "LN" or category == "Mc"
