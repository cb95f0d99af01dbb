"""Documents → ids, exactly as SentencePiece gives them.

In: Arrow string arrays. Out: `Encoded`, the ids of all documents one after the other. Models of LLaMA's kind
are run by a compiled kernel; all others by the library itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sentencepiece

from corpus.kernels.arrays import Bytes, Positions
from corpus.kernels.arrow_text import text_buffers
from tokenizer import bpe_kernel, model

Ids = npt.NDArray[np.uint16]

_CHUNK_BYTES = 1 << 20
_CACHED_SEGMENTS = 1 << 18
_FIRST_SCRATCH, _LARGEST_KEPT = 1 << 10, 1 << 20  # bytes of a segment


class Encoded(NamedTuple):
    """Document i has the ids `ids[ends[i - 1]:ends[i]]`, of the first from 0 on: uint16[*], int64[n]."""

    ids: Ids
    ends: Positions


class Encoder:
    """Encodes by one model; not for several threads at once.

    Attributes:
        exact_kernel: whether the compiled kernel is used, else the library.
    """

    def __init__(self, model_file: str | Path | bytes, cached_segments: int = _CACHED_SEGMENTS) -> None:
        """Load a model.

        Args:
            model_file: path of a ``.model`` file, or its bytes.
            cached_segments: a power of two; 2^18 take some 14 MB.

        Raises:
            ValueError: the model has more pieces than 16 bits can number.
        """
        data = model_file if isinstance(model_file, bytes) else Path(model_file).read_bytes()
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=data)
        if len(self.processor) > 1 << 16:
            raise ValueError(f"the model has {len(self.processor):,} pieces; ids are kept as 16 bits")
        try:
            self._tables = model.read(data)
            self.exact_kernel = True
        except model.UnsupportedModelError:
            self.exact_kernel = False
        self._cache = bpe_kernel.new_cache(cached_segments)
        self._scratch = bpe_kernel.new_scratch(_FIRST_SCRATCH)

    def encode(self, text: pa.StringArray) -> Encoded:
        """The ids of n documents, without beginning or end marks; none of a null or empty one."""
        if not self.exact_kernel:
            rows = self.processor.encode([t or "" for t in text.to_pylist()])
            ids = np.array([i for row in rows for i in row], np.uint16)
            return Encoded(ids, np.cumsum([len(row) for row in rows], dtype=np.int64))
        data, offsets, valid = text_buffers(text)
        lengths = np.where(valid, np.diff(offsets), 0).astype(np.int64)
        parts, ends, written = [], [], 0
        start = 0
        while start < len(valid):
            # Whole documents, one at least.
            limit = int(offsets[start]) + _CHUNK_BYTES
            stop = max(start + 1, int(np.searchsorted(offsets, limit, side="right")) - 1)
            found = self._encode_chunk(data, offsets[start:stop], lengths[start:stop])
            parts.append(found.ids)
            ends.append(found.ends + written)
            written += len(found.ids)
            start = stop
        if len(self._scratch.symbol) > _LARGEST_KEPT:
            self._scratch = bpe_kernel.new_scratch(_FIRST_SCRATCH)
        return Encoded(
            np.concatenate([np.empty(0, np.uint16), *parts]), np.concatenate([np.empty(0, np.int64), *ends])
        )

    def _encode_chunk(self, data: Bytes, starts: npt.NDArray[np.int32], lengths: Positions) -> Encoded:
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths + 1, out=offsets[1:])
        spaced = np.full(int(offsets[-1]), ord(" "), np.uint8)
        for at, start, length in zip(offsets.tolist(), starts.tolist(), lengths.tolist(), strict=False):
            spaced[at + 1 : at + 1 + length] = data[start : start + length]
        out, ends = np.empty(len(spaced), np.uint16), np.empty(len(lengths), np.int64)
        state = np.zeros(3, np.int64)
        while wanted := bpe_kernel.encode(
            spaced, offsets, self._tables, self._cache, self._scratch, out, ends, state
        ):
            self._scratch = bpe_kernel.new_scratch(2 * int(wanted))
        return Encoded(out[: int(state[2])], ends)
