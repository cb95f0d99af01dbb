"""Perplexity of a document under its language's n-gram model (CCNet: cc_net/perplexity.py).

In: columns `text`, `language`, `lid_v1_score`. Out: `perplexity_v1` (1 decimal; low is close to the
encyclopaedia that the model has read); null where the language is not kept or has no model.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import kenlm
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sentencepiece

from corpus.annotate.columns import rows_with_text, scatter
from corpus.kernels import kenlm_probing
from corpus.kernels.language_model_text import normalize_for_language_model
from corpus.kernels.words import Encoded, WordCache, new_cache, translate
from corpus.recipe import Encoding, Language, Perplexity

_DECIMALS = 1  # as CCNet
# Each call of SentencePiece starts a thread. Pieces are Python objects, some 15 times the text's size in
# memory, and many at once keep the garbage collector busy.
WORDS_PER_CALL = 256
DOCUMENTS_PER_CALL = 16


class Model:
    """A SentencePiece and a KenLM model that belong together. Any number of threads may use it.

    Scores are the KenLM library's. A probing model is read by a compiled kernel, which makes the same of
    it to the last bit; for all others, `not_compiled` says why, the library is asked.
    """

    def __init__(self, sentencepiece_path: str, kenlm_path: str, encoding: Encoding = "text") -> None:
        self._processor = sentencepiece.SentencePieceProcessor(model_file=sentencepiece_path)
        self._encoding = encoding
        self._idle: list[WordCache] = []
        self._library: Any = None
        self._probing: kenlm_probing.ProbingModel | None = None
        self.not_compiled = ""
        library = kenlm.Model(kenlm_path)
        try:
            self._probing = kenlm_probing.open_model(kenlm_path, library.score)
        except kenlm_probing.UnsupportedModel as error:
            self._library, self.not_compiled = library, str(error)

    def perplexities(self, text: pa.StringArray) -> list[float]:
        """Perplexity of each whole document as one sentence; of no words, where normalisation leaves none."""
        normalized = normalize_for_language_model(text)
        if self._encoding == "text":
            encoded = self._encode(normalized.to_pylist(), DOCUMENTS_PER_CALL)
        else:
            encoded = self._by_word(normalized)
        return [
            round(math.pow(10.0, -log10 / (pieces + 1)), _DECIMALS)
            for log10, pieces in zip(self._scores(encoded), encoded.pieces.tolist(), strict=True)
        ]

    def _by_word(self, text: pa.StringArray) -> Encoded:
        try:
            cache = self._idle.pop()
        except IndexError:
            cache = new_cache(np.int32 if self._probing else np.uint8)
        encoded = translate(text, self._encode, cache)
        self._idle.append(cache)
        return encoded

    def _encode(self, texts: list[str], per_call: int = WORDS_PER_CALL) -> Encoded:
        """Texts as the scorer reads them."""
        pieces = encode_pieces(self._processor, texts, per_call)
        return self._probing.numbers(pieces) if self._probing else pieces

    def _scores(self, encoded: Encoded) -> list[float]:
        """Log10 probability of each row as one sentence."""
        if self._probing:
            scores: list[float] = self._probing.scores(encoded).tolist()
            return scores
        rows = pairwise(encoded.offsets.tolist())
        return [self._library.score(encoded.values[a:b].tobytes(), bos=True, eos=True) for a, b in rows]


def encode_pieces(processor: Any, texts: list[str], per_call: int = WORDS_PER_CALL) -> Encoded:
    """Pieces of each text by itself, each piece followed by a space (UTF-8).

    Args:
        processor: SentencePiece's.
        texts: words, or whole documents.
        per_call: of them that SentencePiece is given at a time.
    """
    rows: list[bytes] = []
    counts: list[int] = []
    for start in range(0, len(texts), per_call):
        # Bytes are what the scorers read. One thread: the engine runs a worker a core already.
        batch = processor.encode(texts[start : start + per_call], out_type=bytes, num_threads=1)
        rows += [b" ".join(pieces) + b" " if pieces else b"" for pieces in batch]
        counts += map(len, batch)
    lengths = np.array([0, *map(len, rows)], np.int64)
    return Encoded(np.frombuffer(b"".join(rows), np.uint8), np.cumsum(lengths), np.array(counts, np.int64))


@functools.cache
def load(sentencepiece_path: str, kenlm_path: str, encoding: Encoding = "text") -> Model:
    """The model in two files; KenLM's is memory-mapped, so workers of one machine share it."""
    return Model(sentencepiece_path, kenlm_path, encoding)


class PerplexityAnnotator:
    """Scores the documents whose language is kept and has a model."""

    fields = (pa.field("perplexity_v1", pa.float64()),)

    def __init__(self, models: Mapping[str, Model], min_score: float) -> None:
        self._models = dict(models)
        self._min_score = min_score

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Column `perplexity_v1`, aligned with the batch's rows."""
        present = rows_with_text(batch)
        sure = pc.greater_equal(batch.column("lid_v1_score"), self._min_score)
        values: list[float] = []
        rows: list[np.ndarray] = []
        for language, model in self._models.items():
            wanted = pc.fill_null(pc.and_(pc.equal(batch.column("language"), language), sure), False)
            rows.append(np.intersect1d(present, np.flatnonzero(wanted), assume_unique=True))
            values += model.perplexities(batch.column("text").take(rows[-1]))
        found = np.concatenate(rows) if rows else np.empty(0, np.int64)
        return [scatter(pa.array(values, pa.float64()), found, len(batch))]


def open_annotator(settings: Perplexity, paths: Mapping[str, str], language: Language) -> PerplexityAnnotator:
    """The annotator of a recipe block, its models loaded.

    Args:
        settings: the recipe's perplexity block.
        paths: local file of each asset.
        language: the recipe's language block: what is not kept is not scored.
    """
    models = {
        code: load(paths[files.sentencepiece], paths[files.kenlm], files.encoding)
        for code, files in settings.models.items()
        if code in language.keep
    }
    return PerplexityAnnotator(models, language.min_score)
