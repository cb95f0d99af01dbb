"""Gopher's rules of quality (Rae et al. 2021, appendix A.1.1; `corpus.kernels.rules_gopher`).

In: columns `text`, `language`, `lid_v1_score`. Out: null where the language is not kept, else

| column | what it is |
|---|---|
| `gopher_v1_words` | int64: words, by default without those of nothing but symbols |
| `gopher_v1_mean_word_length` | float64: mean code points of these; 0 where there are none |
| `gopher_v1_hashes`, `gopher_v1_ellipses` | float64: "#" and ellipses a word of any kind |
| `gopher_v1_bullet_lines`, `gopher_v1_ellipsis_lines` | float64: share of lines that begin or end so |
| `gopher_v1_alphabetic_words` | float64: share of all words that hold a letter |
| `gopher_v1_stop_words` | int64: occurrences of the stop words, as they are written |
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpus.annotate.columns import kept_language, ratio, scatter
from corpus.kernels import rules_gopher as kernel
from corpus.kernels.rules_text import NEWLINE, SPLITLINES
from corpus.recipe import Language
from corpus.rules import GopherQuality


class GopherQualityAnnotator:
    """Measures each page of a kept language."""

    fields = (
        pa.field("gopher_v1_words", pa.int64()),
        pa.field("gopher_v1_mean_word_length", pa.float64()),
        pa.field("gopher_v1_hashes", pa.float64()),
        pa.field("gopher_v1_ellipses", pa.float64()),
        pa.field("gopher_v1_bullet_lines", pa.float64()),
        pa.field("gopher_v1_ellipsis_lines", pa.float64()),
        pa.field("gopher_v1_alphabetic_words", pa.float64()),
        pa.field("gopher_v1_stop_words", pa.int64()),
    )

    def __init__(self, settings: GopherQuality, language: Language) -> None:
        self._settings = settings
        self._language = language

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """The columns, aligned with the batch's rows."""
        rows = kept_language(batch, self._language)
        s = self._settings
        counts = kernel.gopher_counts(
            batch.column("text").take(rows),
            split_marks=s.words == "wordpunct",
            skip_symbols=s.counted == "non-symbol",
            symbols_by_word=s.symbols == "words",
            dots=s.ellipses == "dots",
            line_mode=SPLITLINES if s.lines == "splitlines" else NEWLINE,
            bullets=s.bullets,
            stop_words=s.stop_words,
            distinct_stop_words=s.stop_word_count == "distinct",
        ).T
        words, lines = counts[kernel.WORDS], counts[kernel.LINES]
        columns: list[np.ndarray] = [
            counts[kernel.COUNTED_WORDS],
            ratio(counts[kernel.COUNTED_CHARACTERS], counts[kernel.COUNTED_WORDS]),
            ratio(counts[kernel.HASHES], words),
            ratio(counts[kernel.ELLIPSES], words),
            ratio(counts[kernel.BULLET_LINES], lines),
            ratio(counts[kernel.ELLIPSIS_LINES], lines),
            ratio(counts[kernel.ALPHABETIC_WORDS], words),
            counts[kernel.STOP_WORDS],
        ]
        return [scatter(pa.array(column), rows, len(batch)) for column in columns]


def open_annotator(settings: GopherQuality, language: Language) -> GopherQualityAnnotator:
    """The annotator of a recipe block; what is not of a kept language is not looked at."""
    return GopherQualityAnnotator(settings, language)
