"""Sketches of books: text → the set of its shingles, and the keys by which books that overlap meet.

In: a text. Out: a `Sketch`: the hashes of its distinct shingles (word 5-grams), which decide, and band keys
of MinHash signatures (Broder 1997; datasketch's permutations), which only say what is worth comparing: of
the whole book and of each of its chunks (50 bands of 5 rows), and of smaller chunks, here called passages
(10 of these bands). All are in one space of keys, so a book may meet another, or a part of it, or a part of
each.

Why chunks: a story of n shingles in an omnibus of N has a Jaccard similarity of n/N with it, too little for
any bands. Chunks are cut where the text says so (`corpus.kernels.book_shingles.chunk_starts`), hence alike
in both. Let a share c of the smaller book's shingles be in the larger, the lost ones spread evenly, which is
the worst case. Both edges of a chunk are in both books with probability c², and with another c² or so no
other shingle undercuts them; then its Jaccard similarity is c/(2 − c), and one of b bands of r rows is
equal with p = 1 − (1 − J^r)^b. For c = 0.9, b = 50, r = 5: J = 0.82, p > 0.999999, and all of a book's k
whole chunks miss with probability (1 − 0.66)^k: 0.5 % of 5 chunks (1,500 shingles, some 9 kB), 10^-9 of 20.
Chunks with one edge in common meet as well, by J = 0.5 four times of five. Passages are four times as
short, and say the same of stories from 400 shingles on. Overlaps by whole passages, as in an omnibus, leave
most of them untouched and miss nothing.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
from datasketch import MinHash

from corpus.dedup.book_pairs import distinct
from corpus.kernels.arrays import Keys
from corpus.kernels.book_shingles import Words32, chunk_signatures, chunk_starts, shingle_hashes
from corpus.kernels.minhash import band_keys
from corpus.settings.books import Overlap


@dataclass(frozen=True)
class Sketch:
    """Of one book: `shingles` uint64[n], ascending, each once; `keys` uint64[m], likewise."""

    shingles: Keys
    keys: Keys


class Sketcher:
    """Makes sketches by one recipe block."""

    def __init__(self, settings: Overlap) -> None:
        self._settings = settings
        size = settings.bands * settings.rows
        self._a, self._b = MinHash(size, seed=settings.seed, scheme="affine32").permutations

    def __call__(self, text: str) -> Sketch:
        """The sketch of a text; without shingles or keys where it has fewer words than a shingle."""
        hashes = self.hashes(text)
        if not len(hashes):
            return Sketch(hashes, np.empty(0, np.uint64))
        bands, few, rows = self._settings.bands, self._settings.passage_bands, self._settings.rows
        found, passages = self.signatures(hashes)
        keys = (band_keys(found, bands, rows), band_keys(passages[:, : few * rows], few, rows))
        return Sketch(distinct(hashes), distinct(np.concatenate([k.ravel() for k in keys])))

    def hashes(self, text: str) -> Keys:
        """The hashes of a text's shingles in their order."""
        data = unicodedata.normalize("NFC", text).encode()
        return shingle_hashes(data, self._settings.ngram)

    def signatures(self, hashes: Keys) -> tuple[Words32, Words32]:
        """Signatures, uint32[·, bands · rows]: of the whole text and then of each chunk; of each passage."""
        chunks = chunk_starts(hashes, self._settings.chunk_shingles)
        # Where chunks begin passages begin too, if they are shorter: a chunk's signature follows from theirs.
        passages = np.union1d(chunks, chunk_starts(hashes, self._settings.passage_shingles))
        of_passages = chunk_signatures(hashes, passages, self._a, self._b)
        of_chunks = np.minimum.reduceat(of_passages, np.searchsorted(passages, chunks), axis=0)
        return np.concatenate([of_chunks.min(axis=0, keepdims=True), of_chunks]), of_passages
