"""fastText models, loaded once a process, and the preparation of text that they all need.

In: documents' text, read as one line each. Out: the best label and its probability.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.kernels.fasttext import FasttextKernel, Newlines
from corpus.kernels.fasttext_file import UnsupportedModel, read
from corpus.kernels.fasttext_words import WordCache, new_cache
from corpus.kernels.language_model_text import delete_newlines

LABEL_PREFIX = "__label__"

# fastText's words end at these bytes (src/dictionary.cc, readWord) and at no other white space.
_SPACES = r" \n\r\t\v\f\0"
_END_OF_LINE = "</s>"
_END_OF_LINE_WORD = re.compile(rf"(?<![^{_SPACES}]){_END_OF_LINE}(?![^{_SPACES}])")


class Classifier:
    """A fastText classifier whose every answer is the library's.

    Most answers come from a compiled kernel, which knows where it could differ: there, and for models it
    cannot serve, the library is asked. Any number of threads may use it.
    """

    def __init__(self, library: Any, path: str | None = None) -> None:
        """Prepare the kernel.

        Args:
            library: the object below fastText's Python class.
            path: the same model's file; without it only the library is used.
        """
        self._library = library
        self._kernel: FasttextKernel | None = None
        self._idle: list[WordCache] = []
        self.not_compiled = "its file is not given"  # why, where the library alone answers
        if path is not None:
            try:
                self._kernel = FasttextKernel(read(path), _loaded(path).get_sentence_vector)
                names = [label.removeprefix(LABEL_PREFIX) for label in self._kernel.labels]
                self._names = pa.array(names, pa.string())
                self.not_compiled = ""
            except UnsupportedModel as error:
                self.not_compiled = str(error)

    @property
    def compiled(self) -> bool:
        """Whether the kernel serves the model; else `not_compiled` says why not."""
        return self._kernel is not None

    def top_labels(
        self, text: pa.StringArray, rows: np.ndarray, newlines: Newlines, decimals: int
    ) -> tuple[pa.StringArray, np.ndarray]:
        """The best label of documents, without its prefix, and its probability.

        Args:
            text: documents.
            rows: which of them, int64[n]; none null.
            newlines: line feeds are deleted, so that words join across lines, or count as spaces.
            decimals: to which the probability will be rounded.

        Returns:
            n labels, null where the model knows no word, not even the end of line; float64[n]
            probabilities, 0.0 there. What is beyond `decimals` need not be the library's.
        """
        if self._kernel is None:
            labels, scores = top_labels(self._library, _lines(text.take(rows), newlines))
            return pa.array(labels, pa.string()), np.array(scores, np.float64)
        try:
            cache = self._idle.pop()
        except IndexError:
            cache = new_cache()
        answers = self._kernel.classify(text, rows, newlines, decimals, cache)
        self._idle.append(cache)
        found = self._names.take(pa.array(answers.label, mask=answers.label < 0))
        if answers.unsure.any():
            labels, scores = top_labels(self._library, _lines(text.take(rows[answers.unsure]), newlines))
            found = pc.replace_with_mask(found, pa.array(answers.unsure), pa.array(labels, pa.string()))
            answers.score[answers.unsure] = scores
        return found, answers.score


def load(path: str) -> Any:
    """The model in a file: the object below fastText's Python class, whose `predict` fails with numpy 2."""
    return _loaded(path).f


@functools.cache
def classifier(path: str) -> Classifier:
    """The classifier in a file."""
    return Classifier(load(path), path)


@functools.cache
def _loaded(path: str) -> Any:
    return fasttext.load_model(path)


def readable_to_the_end(text: pa.StringArray) -> pa.StringArray:
    """Text without the word `</s>`, at which fastText ends the line and reads no further."""
    suspicious = pc.fill_null(pc.match_substring(text, _END_OF_LINE), False)
    if not pc.any(suspicious).as_py():
        return text
    cleaned = [_END_OF_LINE_WORD.sub("", s) for s in text.filter(suspicious).to_pylist()]
    return pc.replace_with_mask(text, suspicious, pa.array(cleaned, pa.string()))


def top_labels(model: Any, lines: Iterable[bytes]) -> tuple[list[str | None], list[float]]:
    """The library's best label of each line, without its prefix, and its probability.

    A model that knows no word of a line, not even the end of line, has no answer: (None, 0.0).
    """
    labels: list[str | None] = []
    scores: list[float] = []
    for line in lines:
        # One call a line is as fast as multilinePredict, which also makes a numpy array of each score. Bytes
        # spare decoding and encoding; the line feed gives the end-of-line word that models are trained with.
        answer = model.predict(line + b"\n", 1, 0.0, "strict")
        score, label = answer[0] if answer else (0.0, None)
        labels.append(label.removeprefix(LABEL_PREFIX) if label else None)
        scores.append(score)
    return labels, scores


def _lines(text: pa.StringArray, newlines: Newlines) -> list[bytes]:
    """Documents as the library must be given them to answer as the kernel does."""
    joined = delete_newlines(text) if newlines == "deleted" else pc.replace_substring(text, "\n", " ")
    lines: list[bytes] = readable_to_the_end(joined).cast(pa.binary()).to_pylist()
    return lines
