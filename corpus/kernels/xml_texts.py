"""Raw values of many rows → Arrow columns: plain texts decoded, bodies as running text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.kernels.arrays import Bytes, Int, Ints, Keys, Positions
from corpus.kernels.html_entities import references
from corpus.kernels.html_tags import tags
from corpus.kernels.html_text import STATE_SIZE, html_to_text
from corpus.kernels.xml_values import GOOD, decode_value

_SLACK = 64


class Decoder:
    """Decodes values; holds buffers that grow to the longest value seen."""

    def __init__(self, list_mark: str) -> None:
        self._mark = np.frombuffer(list_mark.encode(), np.uint8)
        self._value = np.empty(1 << 16, np.uint8)
        self._text = np.empty(1 << 18, np.uint8)

    def texts(
        self, data: Bytes, spans: Positions, is_html: bool, why: np.ndarray[Any, Any]
    ) -> pa.StringArray:
        """Decode a value a row.

        Args:
            data: uint8[*].
            spans: int64[k, 2], bytes of the values in `data`; null where the start is −1.
            is_html: the value is a body.
            why: int8[k]; takes, where it is `GOOD` so far, why a value cannot be decoded, and is then null.
        """
        sizes = spans[:, 1] - spans[:, 0]
        longest = int(sizes.max(initial=0))
        if len(self._value) < longest:
            self._value = np.empty(2 * longest, np.uint8)
        room = (2 + len(self._mark) // 4 + 1) * longest + _SLACK
        if is_html and len(self._text) < room:
            self._text = np.empty(room, np.uint8)
        # Of a body less is left than there was: it grows only where the first room was not enough.
        out = np.empty(int(sizes.sum()) + _SLACK, np.uint8)
        ends = np.zeros(len(spans) + 1, np.int32)
        done: Any = 0
        while done < len(spans):
            done = _texts(
                data, spans, is_html, why, self._value, self._text, self._mark,
                *tags(), *references(), np.empty(STATE_SIZE, np.int64), done, out, ends,  # type: ignore[arg-type]
            )  # fmt: skip
            if done < len(spans):
                out = np.concatenate([out, np.empty(len(out) + room, np.uint8)])
        valid = (spans[:, 0] >= 0) & (why == GOOD)
        bitmap = pa.py_buffer(np.packbits(valid, bitorder="little"))
        size = int(ends[-1])
        return pa.StringArray.from_buffers(
            len(spans), pa.py_buffer(ends), pa.py_buffer(out[:size]), bitmap, int(len(valid) - valid.sum())
        )


@njit(nogil=True, cache=True)
def _texts(
    data: Bytes, spans: Positions, is_html: bool, why: Any, value: Bytes, text: Bytes, mark: Bytes,
    keys: Keys, kinds: Bytes, names: Bytes, name_ends: Ints, values: Bytes, value_ends: Ints, c1: Ints,
    state: Positions, first: Int, out: Bytes, ends: Ints,
) -> Int:  # fmt: skip
    """Fill `out` and `ends` from row `first` on; returns the first row that did not fit, or their number."""
    w: Any = np.int64(ends[first])
    for i in range(first, len(spans)):
        size: Any = 0
        if spans[i, 0] >= 0 and why[i] == GOOD:
            size, why[i] = decode_value(data, spans[i, 0], spans[i, 1], value)
            if why[i] != GOOD:
                size = 0
        if is_html:
            size = html_to_text(
                value, size, text, mark, state, keys, kinds, names, name_ends, values, value_ends, c1
            )
            if w + size > len(out):
                return i
            out[w : w + size] = text[:size]
        else:
            out[w : w + size] = value[:size]
        w += size
        ends[i + 1] = w
    return len(spans)
