"""Compiles every kernel once, so that workers started afterwards find them in numba's cache."""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa

from corpus.kernels import book_sets, book_shingles, fasttext_file, ngram_scan, words
from corpus.kernels.arrow_text import text_buffers
from corpus.kernels.fasttext import FasttextKernel
from corpus.kernels.fasttext_words import new_cache
from corpus.kernels.kenlm_probing import FIXED, SANITY, ProbingModel
from corpus.kernels.langdetect import Profiles, Stream, hash_table, probabilities
from corpus.kernels.language_model_text import normalize_for_language_model
from corpus.kernels.lines import assemble, scan
from corpus.kernels.minhash import Permutations, band_keys, signatures
from corpus.kernels.rules_bytes import code_points
from corpus.kernels.rules_c4 import LineRules, c4_clean, line_measures
from corpus.kernels.rules_c4_search import patterns
from corpus.kernels.rules_code import code_counts
from corpus.kernels.rules_fineweb import fineweb_counts
from corpus.kernels.rules_gopher import gopher_counts
from corpus.kernels.rules_repetition import repetition_shares
from corpus.kernels.rules_text import SPLITLINES
from corpus.kernels.sorted_keys import Lookup, at_most_twice, distinct, only_repeated
from corpus.kernels.xml_rows import BODY, find_rows
from corpus.kernels.xml_texts import Decoder


def warm_up() -> None:
    """Run each kernel on next to nothing; seconds on first use of a machine, then milliseconds."""
    text = pa.array(["one\ntwo", None])
    lines = scan(text, 0, "sha1")
    assemble(text, lines, lines.candidate)
    normalize_for_language_model(text)
    _rules(pa.array(["One two. One two."]))
    _languages()
    keys, flags = np.arange(2, dtype=np.uint64), np.zeros(2, bool)
    Lookup(keys)(keys)
    Lookup(keys).claim(keys, flags, True)
    at_most_twice(keys)
    distinct(keys, flags)
    only_repeated(keys)
    band_keys(signatures(text, 1, Permutations.of(0, 1))[0], 1, 1)
    _books(b"one two one two")
    ngram_scan.scan(text, ngram_scan.sieve_of(keys, pa.array(["one two", "one"]), [1, 2]))
    code_points(text_buffers(text).data, 0, 1)
    _posts(b'<row Id="1" Body="&lt;p&gt;" />')
    model = FasttextKernel(fasttext_file.parse(_classifier()), lambda line: np.zeros(1, np.float32))
    model.classify(text, np.zeros(1, np.int64), "deleted", 2, new_cache())
    ngrams = ProbingModel(np.frombuffer(_ngrams(), np.uint8), lambda sentence: 0.0)
    words.translate(text, _as_they_are, words.new_cache(np.uint8))
    cache = words.new_cache(np.int32)
    ngrams.scores(words.translate(text, lambda texts: ngrams.numbers(_as_they_are(texts)), cache))


def _posts(buffer: bytes) -> None:
    rows = find_rows(buffer, len(buffer), False, True)
    why = np.zeros(len(rows.kind), np.int8)
    Decoder("* ").texts(np.frombuffer(buffer, np.uint8), rows.texts[:, BODY].copy(), True, why)


def _books(text: bytes) -> None:
    shingles, one = book_shingles.shingle_hashes(text, 2), np.ones(1, np.uint32)
    book_shingles.chunk_signatures(shingles, book_shingles.chunk_starts(shingles, 2), one, one)
    read = np.frombuffer(shingles.tobytes(), np.uint64)
    book_sets.count_common(read, read, 1)
    edges = np.array([0, 2], np.int64)
    pairs = np.empty(int(book_sets.count_pairs(edges, 1).sum()), np.uint64)
    book_sets.fill_pairs(np.arange(2, dtype=np.uint32), edges, 0, 1, 1, pairs)


def _as_they_are(texts: list[str]) -> words.Encoded:
    """Texts as UTF-8."""
    rows = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return words.Encoded(np.frombuffer(b"".join(rows), np.uint8), ends, np.ones(len(rows), np.int64))


def _classifier() -> bytes:
    """A fastText model of one word, two labels and one column of zeros."""
    arguments = struct.pack("<2i12id", 793712314, 12, 1, 0, 0, 0, 0, 1, 1, 3, 0, 0, 0, 0, 0.0)
    kinds = {b"w": 0, b"a": 1, b"b": 1}
    entries = b"".join([text + struct.pack("<bqb", 0, 1, kind) for text, kind in kinds.items()])
    input, output = (struct.pack("<?2q", False, rows, 1) + bytes(4 * rows) for rows in (1, 2))
    return arguments + struct.pack("<3i2q", 3, 1, 2, 1, -1) + entries + input + output


def _ngrams() -> bytes:
    """A KenLM probing model of no words and no n-grams, of order 3, all zeros."""
    header = SANITY + struct.pack(f"{FIXED}3Q", 3, 1.5, 0, True, 0, 0, 0, 0)
    size = 8 + 12 + 8 + 16 + 12  # the vocabulary's version and size; one entry of each table
    return header + bytes(-len(header) % 8 + size) + b"<unk>\0"


def _languages() -> None:
    """langdetect with two languages and one n-gram, which one of them has."""
    slots, rows = hash_table(np.array([97], np.uint64))
    normal, upper = np.arange(128, dtype=np.uint32), np.zeros(128, bool)
    profiles = Profiles(slots, rows, np.array([[1.0, 0.0]]), normal, upper)
    probabilities(np.array([97], np.uint32), profiles, Stream(np.zeros(256, np.uint64), np.zeros((256, 2))))


def _rules(text: pa.StringArray) -> None:
    c4_clean(text, patterns([]), LineRules())
    line_measures(text, patterns([]))
    gopher_counts(
        text, split_marks=False, skip_symbols=True, symbols_by_word=False, dots=True, line_mode=SPLITLINES,
        bullets="-", stop_words=["the"], distinct_stop_words=False,
    )  # fmt: skip
    repetition_shares(text, split_marks=False, dolma=False)
    fineweb_counts(text, split_marks=False, blank_lines=False, terminal=".", short_characters=30)
    code_counts(text)
