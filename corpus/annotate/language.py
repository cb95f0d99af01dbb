"""Language of a document by fastText (CCNet: cc_net/split_by_lang.py).

In: column `text`. Out: `language` (the model's code, ISO 639 for lid.176) and `lid_v1_score`
(probability, 2 decimals); null where there is no text. Which languages and scores are kept is
decided later.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from corpus.annotate import fasttext_model
from corpus.annotate.columns import rows_with_text, scatter
from corpus.recipe import Language

_DECIMALS = 2  # as CCNet, whose threshold applies to the rounded score


class LanguageAnnotator:
    """Top-1 label of the whole document, its line feeds deleted."""

    fields = (pa.field("language", pa.string()), pa.field("lid_v1_score", pa.float64()))

    def __init__(self, model: str) -> None:
        self._model = fasttext_model.classifier(model)

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Columns `language` and `lid_v1_score`, aligned with the batch's rows."""
        rows = rows_with_text(batch)
        labels, scores = self._model.top_labels(batch.column("text"), rows, "deleted", _DECIMALS)
        rounded = pa.array(np.round(scores, _DECIMALS))
        return [scatter(labels, rows, len(batch)), scatter(rounded, rows, len(batch))]


def open_annotator(settings: Language, paths: Mapping[str, str]) -> LanguageAnnotator:
    """The annotator of a recipe block, its model loaded.

    Args:
        settings: the recipe's language block.
        paths: local file of each asset.
    """
    return LanguageAnnotator(paths[settings.model])
