"""When two documents of different sources have the same text: its normalisation, and its hash.

In: text. Out: 128 bits. The normal form is NFC, lower case, and each run of white space one space (none at
the ends); punctuation counts. SlimPajama (Cerebras, modelzoo data_preparation/nlp/slimpajama) compares so,
but for its punctuation, before it looks for near duplicates: letters and marks that differ make other
documents here. Near duplicates across sources are not looked for.
"""

from __future__ import annotations

import unicodedata

import numpy as np
import pyarrow as pa
import xxhash

from corpus.kernels.arrays import Bools, Keys


def normalize(text: str) -> str:
    """The form in which texts are compared."""
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def text_keys(text: pa.Array) -> tuple[Keys, Bools]:
    """XXH3-128 of each normalised text, uint64[n, 2], upper half first; and whether there is any, bool[n].

    Of 10^10 documents two different ones are expected to share a hash with odds of 10^-19.
    """
    keys = np.zeros((len(text), 2), np.uint64)
    present = np.zeros(len(text), bool)
    for i, value in enumerate(text.to_pylist()):
        normal = normalize(value) if value else ""
        if normal:
            digest = xxhash.xxh3_128_digest(normal.encode())
            keys[i, 0], keys[i, 1] = int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")
            present[i] = True
    return keys, present
