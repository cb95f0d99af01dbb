"""FineWeb's own rules (Penedo et al. 2024, section 3.5; `corpus.kernels.rules_fineweb`).

In: columns `text`, `language`, `lid_v1_score`. Out: null where the language is not kept, else float64:

| column | what it is |
|---|---|
| `fineweb_v1_terminal_lines` | share of lines that end in a terminal mark |
| `fineweb_v1_short_lines` | share of lines of at most 30 code points |
| `fineweb_v1_duplicate_line_characters` | share of the text, line feeds aside, in lines that came before |
| `fineweb_v1_newlines` | line feeds a word |
"""

from __future__ import annotations

import pyarrow as pa

from corpus.annotate.columns import kept_language, ratio, scatter
from corpus.kernels import rules_fineweb as kernel
from corpus.recipe import Language
from corpus.rules import FineWebRules


class FineWebAnnotator:
    """Measures each page of a kept language."""

    fields = (
        pa.field("fineweb_v1_terminal_lines", pa.float64()),
        pa.field("fineweb_v1_short_lines", pa.float64()),
        pa.field("fineweb_v1_duplicate_line_characters", pa.float64()),
        pa.field("fineweb_v1_newlines", pa.float64()),
    )

    def __init__(self, settings: FineWebRules, language: Language) -> None:
        self._settings = settings
        self._language = language

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """The columns, aligned with the batch's rows."""
        rows = kept_language(batch, self._language)
        counts = kernel.fineweb_counts(
            batch.column("text").take(rows),
            split_marks=self._settings.words == "wordpunct",
            blank_lines=self._settings.lines == "all",
            terminal=self._settings.terminal,
            short_characters=self._settings.short_line,
        ).T
        columns = [
            ratio(counts[kernel.TERMINAL_LINES], counts[kernel.LINES]),
            ratio(counts[kernel.SHORT_LINES], counts[kernel.LINES]),
            ratio(counts[kernel.DUPLICATE_CHARACTERS], counts[kernel.CHARACTERS]),
            ratio(counts[kernel.NEWLINES], counts[kernel.WORDS]),
        ]
        return [scatter(pa.array(column), rows, len(batch)) for column in columns]


def open_annotator(settings: FineWebRules, language: Language) -> FineWebAnnotator:
    """The annotator of a recipe block; what is not of a kept language is not looked at."""
    return FineWebAnnotator(settings, language)
