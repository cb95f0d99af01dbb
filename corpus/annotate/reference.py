"""Likeness of a document to pages that Wikipedia cites, by a linear fastText classifier.

In: columns `text`, `language`. Out: `reference_v1` (probability of the label `wiki`, 4 decimals); null
where there is no text or the language is not among the classifier's.

LLaMA (arXiv 2302.13971, section 2.1) names the classifier without publishing it; its form follows
RedPajama's (RedPajama-Data rp_v1: data_prep/cc/classifier).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.annotate import fasttext_model
from corpus.annotate.columns import rows_with_text, scatter
from corpus.annotate.fasttext_model import Classifier
from corpus.recipe import Reference

CITED = "wiki"
RANDOM = "random"

# Builds of fastText for different processors differ in the last bits of a probability.
_DECIMALS = 4


def classifier_text(text: pa.StringArray) -> pa.StringArray:
    """A document as the classifier reads it, in training and in use: one line, a space for a line feed.

    The prefix of fastText's labels is removed: a page that has it must not label itself in training.
    """
    return fasttext_model.readable_to_the_end(pc.replace_substring(_unlabelled(text), "\n", " "))


def _unlabelled(text: pa.StringArray) -> pa.StringArray:
    if not pc.any(pc.match_substring(text, fasttext_model.LABEL_PREFIX)).as_py():
        return text
    return pc.replace_substring(text, fasttext_model.LABEL_PREFIX, " ")


def cited_probabilities(model: Any, text: pa.StringArray) -> np.ndarray:
    """Probability (float64) that a page is of the kind that Wikipedia cites, a value a document.

    Args:
        model: as `fasttext_model.load` or, much faster, `fasttext_model.classifier` gives it.
        text: documents, as they are in the column `text`; no nulls.
    """
    classifier = model if isinstance(model, Classifier) else Classifier(model)
    rows = np.arange(len(text))
    labels, values = classifier.top_labels(_unlabelled(text), rows, "spaces", _DECIMALS)
    # Two labels: the other's probability is what is left. A page without one known word counts as random.
    cited = pc.fill_null(pc.equal(labels, CITED), False).to_numpy(zero_copy_only=False)
    known = labels.is_valid().to_numpy(zero_copy_only=False)
    values = np.where(cited, values, np.where(known, 1.0 - values, 0.0))
    rounded: np.ndarray = np.round(
        np.clip(values, 0.0, 1.0), _DECIMALS
    )  # fastText's sums can exceed 1 by 1e-5
    return rounded


class ReferenceAnnotator:
    """Classifies the documents of the languages that the classifier was trained for."""

    fields = (pa.field("reference_v1", pa.float64()),)

    def __init__(self, model: str, languages: list[str]) -> None:
        self._model = fasttext_model.classifier(model)
        self._languages = pa.array(languages, pa.string())

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Column `reference_v1`, aligned with the batch's rows."""
        wanted = np.flatnonzero(pc.is_in(batch.column("language"), self._languages))
        rows = np.intersect1d(rows_with_text(batch), wanted, assume_unique=True)
        values = cited_probabilities(self._model, batch.column("text").take(rows))
        return [scatter(pa.array(values), rows, len(batch))]


def open_annotator(settings: Reference, paths: Mapping[str, str]) -> ReferenceAnnotator:
    """The annotator of a recipe block, its model loaded.

    Args:
        settings: the recipe's reference block.
        paths: local file of each asset.
    """
    return ReferenceAnnotator(paths[settings.model], settings.languages)
