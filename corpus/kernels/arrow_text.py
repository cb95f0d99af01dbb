"""Arrow string arrays as the three plain arrays that compiled loops read, and back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from corpus.kernels.arrays import Bools, Bytes, Ints


class TextBuffers(NamedTuple):
    """A string array of n documents, without copying its text.

    `data` uint8[*]: UTF-8, read-only. `offsets` int32[n + 1]: document i is
    `data[offsets[i]:offsets[i + 1]]`. `valid` bool[n]: False where the document is null.
    """

    data: Bytes
    offsets: Ints
    valid: Bools


def text_buffers(text: pa.StringArray) -> TextBuffers:
    """Views of a string array's buffers; a slice's offsets point into the whole data.

    Raises:
        TypeError: not an array of Arrow type `string`.
        pyarrow.ArrowInvalid: offsets or UTF-8 are not valid (the loops decode without checking).
    """
    if not isinstance(text, pa.StringArray):
        raise TypeError(f"text must be a pyarrow.StringArray, not {type(text).__name__}")
    text.validate(full=True)
    _, offsets, data = text.buffers()
    n = len(text)
    if n == 0:
        return TextBuffers(_view(None, np.uint8, 0, 0), np.zeros(1, np.int32), np.zeros(0, bool))
    return TextBuffers(
        data=_view(data, np.uint8, 0, data.size if data else 0),
        offsets=_view(offsets, np.int32, text.offset, n + 1).copy(),
        valid=np.ones(n, bool) if text.null_count == 0 else text.is_valid().to_numpy(zero_copy_only=False),
    )


def string_array(data: Bytes, offsets: Ints, valid: Bools) -> pa.StringArray:
    """A string array over `data` uint8[*] and `offsets` int32[n + 1]; null where `valid` bool[n] is not."""
    bitmap, nulls = validity(valid)
    return pa.StringArray.from_buffers(len(valid), pa.py_buffer(offsets), pa.py_buffer(data), bitmap, nulls)


def validity(valid: Bools) -> tuple[pa.Buffer | None, int]:
    """Arrow's validity bitmap of bool[n], and the number of nulls."""
    nulls = len(valid) - int(np.count_nonzero(valid))
    return (pa.py_buffer(np.packbits(valid, bitorder="little")) if nulls else None), nulls


def _view(buffer: pa.Buffer | None, dtype: type, start: int, count: int) -> np.ndarray[Any, Any]:
    """Read-only view, of one type for the compiler even where there is nothing to see."""
    if buffer is None or count == 0:
        view: np.ndarray[Any, Any] = np.zeros(count, dtype)
    else:
        view = np.frombuffer(buffer, dtype, count, start * np.dtype(dtype).itemsize)
    view.flags.writeable = False
    return view
