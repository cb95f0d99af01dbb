"""Compiles every kernel once, so that workers started afterwards find them in numba's cache."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpus.kernels.language_model_text import normalize_for_language_model
from corpus.kernels.lines import assemble, scan
from corpus.kernels.sorted_keys import Lookup, at_most_twice, distinct, only_repeated


def warm_up() -> None:
    """Run each kernel on next to nothing; seconds on first use of a machine, then milliseconds."""
    text = pa.array(["one\ntwo", None])
    lines = scan(text, 0, "sha1")
    assemble(text, lines, lines.candidate)
    normalize_for_language_model(text)
    keys, flags = np.arange(2, dtype=np.uint64), np.zeros(2, bool)
    Lookup(keys)(keys)
    Lookup(keys).claim(keys, flags, True)
    at_most_twice(keys)
    distinct(keys, flags)
    only_repeated(keys)
