"""Perplexity of a document under its language's n-gram model (CCNet: cc_net/perplexity.py).

In: columns `text`, `language`, `lid_v1_score`. Out: `perplexity_v1` (1 decimal; low is close to the
encyclopaedia that the model has read); null where the language is not kept or has no model.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import kenlm
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sentencepiece

from corpus.annotate.columns import rows_with_text, scatter
from corpus.kernels.language_model_text import normalize_for_language_model
from corpus.recipe import Language, Perplexity

_DECIMALS = 1  # as CCNet
# Pieces are Python strings, some 15 times the text's size in memory: few documents at a time.
_DOCUMENTS_PER_CALL = 64


@dataclass(frozen=True)
class Model:
    """A SentencePiece and a KenLM model that belong together."""

    pieces: Any
    ngrams: Any

    def perplexities(self, text: pa.StringArray) -> list[float]:
        """Perplexity of each whole document as one sentence; of no words, where normalisation leaves none."""
        normalized = normalize_for_language_model(text).to_pylist()
        return [
            self._perplexity(pieces)
            for start in range(0, len(normalized), _DOCUMENTS_PER_CALL)
            # One thread: the engine runs a worker a core already.
            for pieces in self.pieces.encode(
                normalized[start : start + _DOCUMENTS_PER_CALL], out_type=str, num_threads=1
            )
        ]

    def _perplexity(self, pieces: list[str]) -> float:
        log10: float = self.ngrams.score(" ".join(pieces), bos=True, eos=True)
        return round(math.pow(10.0, -log10 / (len(pieces) + 1)), _DECIMALS)


@functools.cache
def load(sentencepiece_path: str, kenlm_path: str) -> Model:
    """The model in two files; KenLM's is memory-mapped, so workers of one machine share it."""
    return Model(sentencepiece.SentencePieceProcessor(model_file=sentencepiece_path), kenlm.Model(kenlm_path))


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
        code: load(paths[files.sentencepiece], paths[files.kenlm])
        for code, files in settings.models.items()
        if code in language.keep
    }
    return PerplexityAnnotator(models, language.min_score)
