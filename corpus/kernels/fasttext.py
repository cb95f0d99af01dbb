"""fastText classifiers over Arrow buffers: texts in, the best label of each and its probability out.

The answer is that of the library (facebookresearch/fastText), whatever compiler built it. Hidden vectors
are the library's to the last bit (`fasttext_words`). From there on we compute in float64 and bound how far
the library's float32 can lie from that (`fasttext_score`): where the label or the wanted decimals stay
open, a text is reported as unsure, and the caller asks the library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from corpus.kernels.arrays import Bools, Ints, Positions
from corpus.kernels.arrow_text import text_buffers
from corpus.kernels.fasttext_file import FasttextFile, Floats, UnsupportedModel
from corpus.kernels.fasttext_rows import padded
from corpus.kernels.fasttext_score import Doubles, best_labels, output
from corpus.kernels.fasttext_words import (
    END_OF_LINE,
    WordCache,
    kinds,
    new_cache,
    sum_rows,
    vocabulary,
)

Newlines = Literal["deleted", "spaces"]

_PROBE_WORDS = 2000


class Answers(NamedTuple):
    """Of n texts: `label` int32[n], −1 where the model knows nothing of the text, not even its end;
    `score` float64[n], the label's probability (as the library's it can exceed 1 by some 1e-5), 0.0
    without a label; `unsure` bool[n], where only the library knows.
    """

    label: Ints
    score: Doubles
    unsure: Bools


class FasttextKernel:
    """A model of which the library is asked only about the texts that `classify` is unsure of."""

    def __init__(self, file: FasttextFile, sentence_vector: Callable[[str], Floats]) -> None:
        """Prepare a model, and compare its hidden vectors with the library's.

        Args:
            file: what the model's file says.
            sentence_vector: the library's hidden vector of a line, `get_sentence_vector` of the same model.

        Raises:
            UnsupportedModel: it is not one we can serve, or the library's hidden vectors are not ours.
        """
        _check(file)
        self._vocabulary = vocabulary(file)
        self._output = output(file)
        try:
            self.labels = [label.decode() for label in _texts(file, np.flatnonzero(file.is_label))]
        except UnicodeDecodeError as error:
            raise UnsupportedModel("a label is not UTF-8") from error
        words = _texts(file, np.flatnonzero(file.is_label == 0)[:_PROBE_WORDS])
        probe = b" ".join([word for word in words if word != END_OF_LINE]).decode(errors="replace")
        self._input = self._summed_alike(file, probe, sentence_vector(probe))

    def classify(
        self, text: pa.StringArray, rows: Positions, newlines: Newlines, decimals: int, cache: WordCache
    ) -> Answers:
        """The best label of each text, which is read as one line.

        Args:
            text: documents.
            rows: which of them, int64[n]; none of these null.
            newlines: line feeds are deleted, so that words join across lines, or count as spaces.
            decimals: of the score, that matter: rounded to them it is the library's.
            cache: of this model, used by no other thread meanwhile.

        Raises:
            TypeError, pyarrow.ArrowInvalid: see `text_buffers`.
        """
        hidden, counts = self._sum(text, rows, newlines, self._input, cache)
        n = len(rows)
        answers = Answers(np.empty(n, np.int32), np.empty(n), np.empty(n, bool))
        best_labels(hidden, counts, *self._output, 10.0**decimals, *answers)
        return answers

    def _sum(
        self,
        text: pa.StringArray,
        rows: Positions,
        newlines: Newlines,
        input: tuple[Floats, Floats],
        cache: WordCache,
    ) -> tuple[Floats, Positions]:
        """Hidden vectors float32[n, at least columns], and of how many rows each is the mean, int64[n]."""
        data, offsets, _ = text_buffers(text)
        summed, scale = input
        hidden = np.zeros((len(rows), summed.shape[1]), np.float32)
        counts = np.zeros(len(rows), np.int64)
        scratch = np.empty(int(np.diff(offsets).max(initial=0)) + 2, np.uint8)
        sum_rows(
            data, offsets, rows, kinds(newlines == "deleted"), scratch, *self._vocabulary,
            summed.reshape(-1), scale, *cache, hidden, counts,  # type: ignore[arg-type]
        )  # fmt: skip
        return hidden, counts

    def _summed_alike(self, file: FasttextFile, probe: str, expected: Floats) -> tuple[Floats, Floats]:
        """The input rows and their scales, in the one of two ways in which the library sums them.

        `ProductQuantizer::addcode` adds norm · centroid: a compiler for processors that can do it in one
        step rounds once, others twice. Adding a row unscaled rounds once in any case.
        """
        rows, scale = file.input
        text = pa.array([probe])
        unscaled = np.ones(1, np.float32)
        for fused in (False, True) if (scale != 1).any() else (False,):
            input = (padded(rows), scale) if fused else (padded(rows * scale[:, None]), unscaled)
            hidden, _ = self._sum(text, np.zeros(1, np.int64), "spaces", input, new_cache())
            if np.array_equal(hidden[0, : rows.shape[1]], expected):
                return input
        raise UnsupportedModel("the library's sums are not ours")


def _check(file: FasttextFile) -> None:
    """Raise `UnsupportedModel` for what is not done here, and for rows that are not there."""
    words = int((file.is_label == 0).sum())
    if file.word_ngrams > 1:
        raise UnsupportedModel("it reads words in pairs")
    if file.max_chars > 0 and file.buckets <= 0:
        raise UnsupportedModel("it has n-grams of characters, and no rows for them")
    if file.max_chars <= 0:
        last = words
    elif file.kept_buckets is None:
        last = words + file.buckets
    else:
        buckets, beyond = file.kept_buckets.T
        if len(buckets) and not (buckets.min() >= 0 and buckets.max() < file.buckets and beyond.min() >= 0):
            raise UnsupportedModel("its pruned n-grams are out of range")
        last = words + (int(beyond.max()) + 1 if len(beyond) else 0)
    if last > len(file.input.scale):
        raise UnsupportedModel("it has fewer rows than words and n-grams")


def _texts(file: FasttextFile, entries: Positions) -> list[bytes]:
    """The dictionary's text of some entries."""
    return [file.text[file.offsets[i] : file.offsets[i + 1]].tobytes() for i in entries]
