"""fastText models, loaded once a process, and the preparation of text that they all need.

In: documents' text, on one line each. Out: the best label and its probability.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

import fasttext
import pyarrow as pa
import pyarrow.compute as pc

LABEL_PREFIX = "__label__"

# fastText's words end at these bytes (src/dictionary.cc, readWord) and at no other white space.
_SPACES = r" \n\r\t\v\f\0"
_END_OF_LINE = "</s>"
_END_OF_LINE_WORD = re.compile(rf"(?<![^{_SPACES}]){_END_OF_LINE}(?![^{_SPACES}])")


@functools.cache
def load(path: str) -> Any:
    """The model in a file: the object below fastText's Python class, whose `predict` fails with numpy 2."""
    return fasttext.load_model(path).f


def readable_to_the_end(text: pa.StringArray) -> pa.StringArray:
    """Text without the word `</s>`, at which fastText ends the line and reads no further."""
    suspicious = pc.fill_null(pc.match_substring(text, _END_OF_LINE), False)
    if not pc.any(suspicious).as_py():
        return text
    cleaned = [_END_OF_LINE_WORD.sub("", s) for s in text.filter(suspicious).to_pylist()]
    return pc.replace_with_mask(text, suspicious, pa.array(cleaned, pa.string()))


def top_labels(model: Any, lines: Iterable[bytes]) -> tuple[list[str | None], list[float]]:
    """The best label of each line, without its prefix, and its probability.

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
