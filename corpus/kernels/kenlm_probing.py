"""KenLM's probing models, read from their own file: pieces in, the library's score out, to the last bit.

In: pieces joined by spaces (UTF-8). Out: their numbers in the model's vocabulary (int32), and from these the
log10 probability of each row as one sentence (float32, summed in the library's order).

Layout and rules: kpu/kenlm, lm/binary_format.cc, lm/vocab.{hh,cc}, lm/search_hashed.{hh,cc}, lm/value.hh,
lm/model.cc (`FullScore`, `ResumeScore`), lm/blank.hh, util/probing_hash_table.hh, util/murmur_hash.cc,
python/score_sentence.cc. Tables are found by hash alone, as the library does: two n-grams of the same 64
bits are one to both.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.core.extending import intrinsic

from corpus.kernels.arrays import Bytes, Int, Ints, Keys, Positions
from corpus.kernels.words import Encoded

Floats = npt.NDArray[np.float32]
Cells = npt.NDArray[np.uint32]

# `Sanity`: the magic line, then numbers that tell byte order and sizes apart.
SANITY = (
    b"mmap lm http://kheafield.com/code format version 5\n".ljust(56, b"\0")
    + struct.pack("<3f", 0.0, 1.0, -0.5)
    + struct.pack("<3IQ", 1, 0xFFFFFFFF, 0, 1)
)
FIXED = "<B3xfi?3xI"  # `FixedWidthParameters`: order, multiplier, type, has vocabulary, version
_PROBING = 0  # `ModelType`
_MAX_ORDER = 16  # far beyond what the library is built for

# Sizes in cells of 4 bytes: tables of 12-byte entries leave the next one aligned to 4 only.
_VOCABULARY_ENTRY, _UNIGRAM, _MIDDLE_ENTRY, _LONGEST_ENTRY = 3, 2, 4, 3

_PROBE_BYTES = 1 << 16
_PROBE_WORDS = 200  # a row

# Words whose n-grams are asked for together, before the first is read. A large model lies in main memory:
# reading one n-gram after the other would wait for it each time.
_AHEAD = 16

_SIGN = np.uint32(1 << 31)


class UnsupportedModel(Exception):
    """The file is not a probing model that can be scored here; the message says why."""


class Tables(NamedTuple):
    """A model's file as arrays.

    `cells` uint32[*] and `floats` float32[*] view the same memory. `first` int64[order + 1] is the cell at
    which begin: the vocabulary, the unigrams, the n-grams of order 2, 3, … `buckets` uint64[order + 1]:
    entries of each of these hash tables, 0 for the unigrams.
    """

    cells: Cells
    floats: Floats
    first: Positions
    buckets: Keys


class ProbingModel:
    """A model in its file's own bytes, which processes of one machine share. Threads may use it together."""

    def __init__(self, data: Bytes, score: Callable[[bytes], float]) -> None:
        """Read a model, and compare its scores with the library's.

        Args:
            data: uint8[*], read-only, what `build_binary probing` has written.
            score: the library's score of pieces joined by spaces, as one sentence.

        Raises:
            UnsupportedModel: it is of another kind, or the library scores differently.
        """
        self._tables, end = _read(data)
        # Words lie in the order in which the training text had them: neighbours make n-grams that exist.
        words = data[end : end + _PROBE_BYTES].tobytes().split(b"\0")[:-1]
        if words[:1] != [b"<unk>"]:
            raise UnsupportedModel("its words are not where they should be")
        self._ends = self.numbers(_rows([b"<s> </s>"])).values
        probe = [b" ".join(words[i : i + _PROBE_WORDS]) for i in range(0, len(words), _PROBE_WORDS)]
        if self.scores(self.numbers(_rows(probe))).tolist() != [score(row) for row in probe]:
            raise UnsupportedModel("the library's scores are not ours")

    def numbers(self, pieces: Encoded) -> Encoded:
        """Rows of pieces as rows of their numbers in the vocabulary (int32, 0 for what it lacks).

        Args:
            pieces: n rows of UTF-8, pieces between white space.
        """
        values = np.empty(len(pieces.values) // 2 + len(pieces.pieces), np.int32)
        offsets = np.zeros(len(pieces.pieces) + 1, np.int64)
        _numbers(pieces.values, pieces.offsets, *self._tables, values, offsets)
        return Encoded(values[: offsets[-1]], offsets, pieces.pieces)

    def scores(self, numbers: Encoded) -> Floats:
        """Log10 probability of each row as a sentence: float32[n]."""
        scores = np.empty(len(numbers.pieces), np.float32)
        _scores(numbers.values, numbers.offsets, *self._tables, self._ends, scores)
        return scores


def open_model(path: str, score: Callable[[bytes], float]) -> ProbingModel:
    """The model in a file.

    Raises:
        UnsupportedModel: see `ProbingModel`.
    """
    try:
        data = np.memmap(path, np.uint8, "r").view(np.ndarray)
    except ValueError as error:  # no bytes to map
        raise UnsupportedModel(str(error)) from error
    return ProbingModel(data, score)


def _rows(lines: list[bytes]) -> Encoded:
    """Lines as rows of UTF-8."""
    lengths = np.array([len(line) for line in lines], np.int64)
    values = np.frombuffer(b"".join(lines), np.uint8)
    return Encoded(values, np.concatenate([[0], np.cumsum(lengths)]), np.zeros_like(lengths))


def _read(data: Bytes) -> tuple[Tables, int]:
    """The tables of a file, and the byte behind them."""
    begin = data[: len(SANITY) + struct.calcsize(f"{FIXED}{_MAX_ORDER}Q")].tobytes()
    if not begin.startswith(SANITY):
        raise UnsupportedModel("not a binary model of version 5")
    try:
        order, multiplier, kind, has_vocabulary, version = struct.unpack_from(FIXED, begin, len(SANITY))
        if kind != _PROBING or version != 0:
            raise UnsupportedModel(f"of type {kind}, version {version}, not a probing model")
        if not (2 <= order <= _MAX_ORDER and multiplier >= 1 and has_vocabulary):
            raise UnsupportedModel("its parameters are out of range, or it does not list its words")
        counts = struct.unpack_from(f"<{order}Q", begin, len(SANITY) + struct.calcsize(FIXED))
    except struct.error as error:
        raise UnsupportedModel("the file is cut short") from error
    header_bytes = len(SANITY) + struct.calcsize(FIXED) + 8 * order
    start = -(-header_bytes // 8) * 8 // 4
    buckets = [_buckets(n, multiplier) for n in counts]
    # After the vocabulary's version and size, its table; it counts like the unigrams, which have no table.
    sizes = [
        _VOCABULARY_ENTRY * buckets[0],
        _UNIGRAM * (counts[0] + 1),
        *(_MIDDLE_ENTRY * n for n in buckets[1:-1]),
        _LONGEST_ENTRY * buckets[-1],
    ]
    first = start + 2 + np.concatenate([[0], np.cumsum(sizes)])
    end = 4 * int(first[-1])
    if len(data) < end:
        raise UnsupportedModel("the file is cut short")
    cells = data[:end].view(np.uint32)
    if int(cells[start]) != 0 or int(cells[start + 1]) > counts[0] + 1:
        raise UnsupportedModel("its vocabulary is of another version")
    if int(cells[start + 4 : start + 2 + sizes[0] : _VOCABULARY_ENTRY].max()) > counts[0]:
        raise UnsupportedModel("its words are out of range")
    sized = np.array([buckets[0], 0, *buckets[1:]], np.uint64)
    return Tables(cells, cells.view(np.float32), first[:-1].astype(np.int64), sized), end


def _buckets(entries: int, multiplier: float) -> int:
    """`ProbingHashTable::Size`, with its single precision."""
    return max(entries + 1, int(np.float32(multiplier) * np.float32(entries)))


@njit(nogil=True, cache=True)
def _numbers(
    text: Bytes, rows: Positions, cells: Cells, floats: Floats, first: Positions, buckets: Keys,
    values: Ints, offsets: Positions,
) -> None:  # fmt: skip
    """Fill `values` and `offsets` of the rows' numbers."""
    k = 0
    for i in range(len(rows) - 1):
        p, stop = rows[i], rows[i + 1]
        while p < stop:
            s = p
            while p < stop and not _is_space(text[p]):
                p += 1
            if p > s:
                key = _murmur(text, s, p - s)
                bucket = np.int64(key % buckets[0])
                at = _find(cells, first[0], buckets[0], _VOCABULARY_ENTRY, key, bucket)
                values[k] = np.int32(cells[at + 2]) if at >= 0 else 0
                k += 1
            p += 1
        offsets[i + 1] = k


@njit(nogil=True, cache=True, inline="always")
def _is_space(byte: Int) -> bool:
    """`kSpaces` (util/spaces.cc)."""
    return bool(byte == 32 or 9 <= byte <= 13)


@njit(nogil=True, cache=True)
def _murmur(text: Bytes, start: Int, length: Int) -> np.uint64:
    """MurmurHash64A with seed 0."""
    m, r = np.uint64(0xC6A4A7935BD1E995), np.uint64(47)
    h = np.uint64(length) * m
    p = start
    for _ in range(length >> 3):
        k = np.uint64(0)
        for i in range(8):
            k |= np.uint64(text[p + i]) << np.uint64(8 * i)
        p += 8
        k *= m
        k ^= k >> r
        h = (h ^ k * m) * m
    if length & 7:
        for i in range(length & 7):
            h ^= np.uint64(text[p + i]) << np.uint64(8 * i)
        h *= m
    h = (h ^ (h >> r)) * m
    return h ^ (h >> r)


@njit(nogil=True, cache=True, inline="always")
def _find(cells: Cells, first: Int, buckets: np.uint64, width: int, key: np.uint64, i: Int) -> Int:
    """Cell of the entry with a key, looked for from bucket i on; −1 where the table has none."""
    while True:
        at = first + width * i
        got = np.uint64(cells[at]) | np.uint64(cells[at + 1]) << np.uint64(32)
        if got == key:
            return at
        if got == np.uint64(0):
            return np.int64(-1)
        i += 1
        if i == np.int64(buckets):
            i = 0


@njit(nogil=True, cache=True, inline="always")
def _combine(node: np.uint64, word: Int) -> np.uint64:
    """`CombineWordHash`."""
    return (node * np.uint64(8978948897894561157)) ^ (np.uint64(1 + word) * np.uint64(17894857484156487943))


@intrinsic
def _prefetch(typing: Any, cells: Any, at: Any) -> Any:
    """Ask for the cache line of a cell that will be read soon."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        pointer = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type] + 3 * [ir.IntType(32)])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        read, near, of_data = (ir.Constant(ir.IntType(32), n) for n in (0, 3, 1))
        builder.call(prefetch, [pointer, read, near, of_data])
        return context.get_dummy_value()

    return types.void(cells, types.intp), generate


@njit(nogil=True, cache=True)
def _look_ahead(
    numbers: Ints, start: Int, stop: Int, block: Int, cells: Cells, first: Positions, buckets: Keys,
    ends: Ints, nodes: Keys, places: Positions,
) -> None:  # fmt: skip
    """Keys (`nodes`) and buckets (`places`) of the n-grams of each order that end in a block's words."""
    order = len(first) - 1
    for t in range(block, min(block + _AHEAD, stop + 1)):
        node = np.uint64(numbers[t] if t < stop else ends[1])
        for k in range(min(order - 1, t - start + 1)):
            node = _combine(node, numbers[t - 1 - k] if t - 1 - k >= start else ends[0])
            bucket = np.int64(node % buckets[k + 2])
            width = _MIDDLE_ENTRY if k < order - 2 else _LONGEST_ENTRY
            _prefetch(cells, first[k + 2] + width * bucket)  # type: ignore[call-arg]
            nodes[t - block, k], places[t - block, k] = node, bucket


@njit(nogil=True, cache=True)
def _scores(
    numbers: Ints, offsets: Positions, cells: Cells, floats: Floats, first: Positions, buckets: Keys,
    ends: Ints, scores: Floats,
) -> None:  # fmt: skip
    """Fill `scores` float32[n]; `ends` int32[2] are the numbers of <s> and </s>."""
    order = len(first) - 1
    backoff, next_backoff = np.empty(order, np.float32), np.empty(order, np.float32)
    nodes, places = np.empty((_AHEAD, order - 1), np.uint64), np.empty((_AHEAD, order - 1), np.int64)
    for row in range(len(scores)):
        start, stop = offsets[row], offsets[row + 1]
        total = np.float32(0)
        length = 1  # words of context that can matter
        backoff[0] = floats[first[1] + _UNIGRAM * ends[0] + 1]
        for block in range(start, stop + 1, _AHEAD):
            _look_ahead(numbers, start, stop, block, cells, first, buckets, ends, nodes, places)
            for t in range(block, min(block + _AHEAD, stop + 1)):
                word = np.int64(numbers[t]) if t < stop else np.int64(ends[1])
                at = first[1] + _UNIGRAM * word
                probability = -abs(floats[at])
                # The sign of a stored probability says that no longer n-gram ends in this one.
                extends = cells[at] < _SIGN
                next_backoff[0] = floats[at + 1]
                # A backoff of −0.0 says that no longer n-gram begins with this one.
                next_length = 1 if cells[at + 1] != _SIGN else 0
                matched = 1
                k = 0
                while k < length and extends:
                    node, bucket = nodes[t - block, k], places[t - block, k]
                    if k == order - 2:
                        at = _find(cells, first[order], buckets[order], _LONGEST_ENTRY, node, bucket)
                        if at >= 0:
                            probability = floats[at + 2]
                            matched = order
                        break
                    at = _find(cells, first[k + 2], buckets[k + 2], _MIDDLE_ENTRY, node, bucket)
                    if at < 0:
                        break
                    probability = -abs(floats[at + 2])
                    extends = cells[at + 2] < _SIGN
                    next_backoff[k + 1] = floats[at + 3]
                    matched = k + 2
                    if cells[at + 3] != _SIGN:
                        next_length = matched
                    k += 1
                for j in range(matched - 1, length):
                    probability += backoff[j]
                total += probability
                length = next_length
                backoff, next_backoff = next_backoff, backoff
        scores[row] = total
