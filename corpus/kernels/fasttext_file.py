"""Supervised fastText models as plain arrays: a `.bin` or `.ftz` file in, a `FasttextFile` out.

Layout: facebookresearch/fastText, `FastText::loadModel` (src/fasttext.cc), `Args::load` (src/args.cc),
`Dictionary::load` (src/dictionary.cc), `DenseMatrix::load`, `QuantMatrix::load`, `ProductQuantizer::load`.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.kernels.arrays import Bytes, Ints, Positions

Floats = npt.NDArray[np.float32]

HIERARCHICAL_SOFTMAX, NEGATIVE_SAMPLING, SOFTMAX, ONE_VS_ALL = 1, 2, 3, 4  # loss_name (src/args.h)

_MAGIC = 793712314
_VERSION = 12
_SUPERVISED = 3  # model_name::sup
_CENTROIDS = 256  # ProductQuantizer::ksub_


class UnsupportedModel(Exception):
    """The file is not a model that the compiled classifier can serve; the message says why."""


class Matrix(NamedTuple):
    """m rows of n floats: row i is `rows[i]` times `scale[i]`, its quantised norm, or 1.

    `rows` float32[m, n], not aligned in memory where the file holds plain numbers; `scale` float32[m].
    """

    rows: Floats
    scale: Floats


@dataclass(frozen=True)
class FasttextFile:
    """What a supervised model's file says, of k entries: words, then labels.

    `text` uint8[*]: the entries one after the other; entry i is `text[offsets[i]:offsets[i + 1]]`
    (int64[k + 1]). `is_label` uint8[k], `count` int64[k]: occurrences in training. `kept_buckets`
    int32[p, 2]: (bucket, row beyond the words) of the n-grams that pruning has left; None where nothing
    was pruned.
    """

    loss: int
    word_ngrams: int
    buckets: int
    min_chars: int
    max_chars: int
    text: Bytes
    offsets: Positions
    is_label: Bytes
    count: Positions
    kept_buckets: Ints | None
    input: Matrix
    output: Matrix


def read(path: str) -> FasttextFile:
    """Read a model.

    Raises:
        UnsupportedModel: not a supervised fastText model of a version we know, or cut short.
    """
    with open(path, "rb") as f:
        if not os.fstat(f.fileno()).st_size:
            raise UnsupportedModel("an empty file")
        return parse(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ))


def parse(content: bytes | mmap.mmap) -> FasttextFile:
    """As `read`, from the content of a file."""
    try:
        return _parse(_Reader(content))
    except (struct.error, ValueError) as error:
        raise UnsupportedModel(f"not a whole fastText model: {error}") from error


class _Reader:
    """Takes one value after the other from a file's bytes."""

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self.data: Bytes = np.frombuffer(content, np.uint8)
        self.at = 0

    def values(self, layout: str) -> tuple[Any, ...]:
        found = struct.unpack_from("<" + layout, self.data.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return found

    def bytes(self, count: int) -> Bytes:
        if not 0 <= count <= len(self.data) - self.at:
            raise ValueError(f"{count} bytes wanted, {len(self.data) - self.at} left")
        self.at += count
        return self.data[self.at - count : self.at]

    def array(self, dtype: type, count: int) -> Any:
        """A copy, since values in the file are not aligned."""
        return self.bytes(count * np.dtype(dtype).itemsize).copy().view(dtype)


def _parse(file: _Reader) -> FasttextFile:
    magic, version = file.values("2i")
    if magic != _MAGIC or version > _VERSION:
        raise UnsupportedModel(f"not a fastText model of version {_VERSION} or before")
    columns, *_, word_ngrams, loss, model, buckets, min_chars, max_chars, _, _ = file.values("12id")
    if model != _SUPERVISED:
        raise UnsupportedModel("not a classifier")
    entries, words, labels, _, kept = file.values("3i2q")
    offsets, count = np.zeros(entries + 1, np.int64), np.zeros(entries, np.int64)
    is_label, text = np.zeros(entries, np.uint8), np.empty(len(file.data) - file.at, np.uint8)
    size = _entries(file.data[file.at :], text, offsets, count, is_label)
    if size < 0 or int(is_label.sum()) != labels or is_label[:words].any():
        raise ValueError("the dictionary does not end, or its words are not before its labels")
    file.at += size
    kept_buckets = file.array(np.int32, 2 * kept).reshape(kept, 2) if kept >= 0 else None
    (quantized,) = file.values("?")
    input = _quantized(file) if quantized else _dense(file)
    (output_quantized,) = file.values("?")
    output = _quantized(file) if quantized and output_quantized else _dense(file)
    if input.rows.shape[1] != columns or output.rows.shape != (labels, columns):
        raise ValueError("matrices that do not fit the dictionary")
    return FasttextFile(
        loss, word_ngrams, buckets, min_chars,
        max_chars if version > 11 else 0,  # `FastText::loadModel`: old classifiers have no n-grams
        text[: offsets[-1]].copy(), offsets, is_label, count, kept_buckets, input, output,
    )  # fmt: skip


def _dense(file: _Reader) -> Matrix:
    rows, columns = file.values("2q")
    data = file.bytes(4 * rows * columns)
    return Matrix(data.view(np.float32).reshape(rows, columns), np.ones(rows, np.float32))


def _quantized(file: _Reader) -> Matrix:
    """Rows put together from their codes (`ProductQuantizer::get_centroids`); their norms apart."""
    normed, rows, columns, code_bytes = file.values("?2qi")
    codes = file.bytes(code_bytes)
    width, parts, part_columns, last_columns, centroids = _quantizer(file)
    decoded = np.empty((rows, columns), np.float32)
    codes = codes.reshape(rows, parts)
    for part in range(parts):
        n = part_columns if part < parts - 1 else last_columns
        first = part * part_columns
        of_part = centroids[_CENTROIDS * first : _CENTROIDS * (first + n)].reshape(_CENTROIDS, n)
        decoded[:, first : first + n] = of_part[codes[:, part]]
    scale = np.ones(rows, np.float32)
    if normed:
        norm_codes = file.bytes(rows)
        scale = _quantizer(file)[-1][norm_codes]
    if width != columns:
        raise ValueError(f"{width} columns quantised of {columns}")
    return Matrix(decoded, scale)


def _quantizer(file: _Reader) -> tuple[int, int, int, int, Floats]:
    """Columns, parts of a row, columns of a part and of the last part; centroids float32[columns · 256]."""
    columns, parts, part_columns, last_columns = file.values("4i")
    return columns, parts, part_columns, last_columns, file.array(np.float32, columns * _CENTROIDS)


@njit(nogil=True, cache=True)
def _entries(data: Bytes, text: Bytes, offsets: Positions, count: Positions, is_label: Bytes) -> int:
    """Read entries: bytes, NUL, int64 count, int8 type. Returns the bytes read; −1 if `data` ends before."""
    p, w = 0, 0
    for i in range(len(count)):
        while p < len(data) and data[p] != 0:
            text[w] = data[p]
            p, w = p + 1, w + 1
        if p + 10 > len(data):
            return -1
        offsets[i + 1] = w
        for k in range(8):
            count[i] |= np.int64(data[p + 1 + k]) << np.int64(8 * k)
        is_label[i] = data[p + 9]
        p += 10
    return p
