"""Near duplicates: a page's text → the keys of the bands of its MinHash signature.

In: string arrays. Out: uint64 keys, `bands` a page. Two pages of Jaccard similarity J, over the n-grams of
their words, share a key with probability 1 − (1 − J^rows)^bands: half of the pairs at J ≈ (1/bands)^(1/rows),
0.72 for 14 bands of 8 rows (huggingface/datatrove, src/datatrove/pipeline/dedup/minhash.py).

A page is a near duplicate if an earlier page, itself a duplicate or not, shares a key with it. That needs
no graph: each key is asked for its first page alone. Connected components, of which datatrove keeps one
page each, drop these pages and more: a page that is joined to an earlier one only through later ones (A,
B, C with A–C and B–C: here A and B stay, there A alone). Either way a page may go that resembles none of
those that stay, as C does where B resembles A and C only B.

Words are separated by white space: for languages written without spaces a shingle is whole sentences, and
little is found. Pages of fewer words than a shingle are never near duplicates.
"""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pyarrow as pa

from corpus.kernels.arrays import Bools, Keys
from corpus.kernels.ccnet_text import CONTROL, DIGIT
from corpus.kernels.minhash import PUNCTUATION, Permutations, band_keys, signatures
from corpus.recipe import NearDuplicates

_ZEROS = re.compile("0+")


class NearKeys:
    """Band keys of pages, by one recipe block."""

    def __init__(self, settings: NearDuplicates) -> None:
        self._settings = settings
        self._permutations = Permutations.of(settings.seed, settings.bands * settings.rows)

    def __call__(self, text: pa.StringArray) -> tuple[Keys, Bools]:
        """Keys uint64[n, bands], and whether a page has any, bool[n]: it is not null and has a shingle."""
        found, shingles = signatures(text, self._settings.ngram, self._permutations)
        return band_keys(found, self._settings.bands, self._settings.rows), np.asarray(shingles > 0)


def words(text: str) -> list[str]:
    """The words that shingles are made of, in plain Python; the kernel is tested against it.

    Lower case, punctuation and control characters deleted, accents gone, each number 0
    (huggingface/datatrove, src/datatrove/utils/text.py, `simplify_text`), code point by code point: a
    sigma at the end of a word is a sigma. Then split at spaces, where datatrove calls a tokenizer.
    """
    return _ZEROS.sub("0", "".join(map(fold_character, text))).split()


def fold_character(char: str) -> str:
    """What one code point becomes: nothing, a space, or a few letters."""
    if char.isspace():
        return " "
    decomposed = unicodedata.normalize("NFD", char.lower())
    bare = "".join(c for c in decomposed if unicodedata.category(c) != "Mn" and c not in PUNCTUATION)
    return CONTROL.sub("", DIGIT.sub("0", bare)).replace("ς", "σ")
