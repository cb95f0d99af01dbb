"""Gopher's rules of repetition (Rae et al. 2021, table A1; `corpus.kernels.rules_repetition`).

In: columns `text`, `language`, `lid_v1_score`. Out: null where the language is not kept, else float64:

| column | what it is |
|---|---|
| `gopher_v1_duplicate_paragraphs`, `gopher_v1_duplicate_lines` | share of them that are copies |
| `gopher_v1_duplicate_paragraph_characters`, `…_line_characters` | their share of the text |
| `gopher_v1_top_N_gram`, N from 2 to 4 | share of the text that the most frequent N words make |
| `gopher_v1_duplicate_N_grams`, N from 5 to 10 | share of the text in repeated runs of N words |

Paragraphs are what blank lines part. Pages that went through paragraph deduplication have no blank lines
left, so each is one paragraph and these two columns are 0.
"""

from __future__ import annotations

import pyarrow as pa

from corpus.annotate.columns import kept_language, scatter
from corpus.kernels.rules_repetition import LONGEST, LONGEST_TOP, SHORTEST, repetition_shares
from corpus.recipe import Language
from corpus.rules import GopherRepetition

# In the order of the kernel's columns.
_NAMES = (
    "duplicate_paragraphs",
    "duplicate_paragraph_characters",
    "duplicate_lines",
    "duplicate_line_characters",
    *(f"top_{n}_gram" for n in range(SHORTEST, LONGEST_TOP + 1)),
    *(f"duplicate_{n}_grams" for n in range(LONGEST_TOP + 1, LONGEST + 1)),
)


class GopherRepetitionAnnotator:
    """Measures each page of a kept language."""

    fields = tuple(pa.field(f"gopher_v1_{name}", pa.float64()) for name in _NAMES)

    def __init__(self, settings: GopherRepetition, language: Language) -> None:
        self._settings = settings
        self._language = language

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """The columns, aligned with the batch's rows."""
        rows = kept_language(batch, self._language)
        shares = repetition_shares(
            batch.column("text").take(rows),
            split_marks=self._settings.words == "wordpunct",
            dolma=self._settings.counting == "dolma",
        )
        return [scatter(pa.array(column), rows, len(batch)) for column in shares.T]


def open_annotator(settings: GopherRepetition, language: Language) -> GopherRepetitionAnnotator:
    """The annotator of a recipe block; what is not of a kept language is not looked at."""
    return GopherRepetitionAnnotator(settings, language)
