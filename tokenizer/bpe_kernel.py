"""Compiled: documents → ids of a BPE model, through a bounded cache of what was encoded before.

A text is cut where no piece of the model has the two characters on both sides next to each other: nothing
can be merged across such a place, so what lies between two of them, a segment, is encoded by itself,
whatever stands around it. (After a word, around every digit, at line ends; in scripts without spaces often.)
Segments are found in the cache by hash and compared by their bytes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from corpus.kernels.arrays import Bytes, Int, Ints, Keys, Positions
from corpus.kernels.equal_bytes import equal_bytes
from tokenizer.model import MULTIPLIER, Tables

Ids = Any  # uint16[*]

_SPACE, _SPACE_CODE = 32, 0x2581
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a of 64 bits
_MULTIPLIER = np.uint64(MULTIPLIER)
_LONGEST_CACHED = 256  # bytes
_BYTES_PER_SEGMENT, _IDS_PER_SEGMENT, _SLOTS_PER_SEGMENT = 12, 4, 2
_FEW = 24  # symbols, up to which the best pair is looked for among all


class SegmentCache(NamedTuple):
    """Segments and their ids; for one thread at a time, and always the same model.

    `slots` int32[2^k, 2]: upper half of a segment's hash, and its number; −1 where empty. Segment s is
    `text[text_ends[s]:text_ends[s + 1]]` and became `ids[id_ends[s]:id_ends[s + 1]]`. `used` int64[1].
    """

    slots: Ints
    text: Bytes
    text_ends: Ints
    ids: Ids
    id_ends: Ints
    used: Positions


class Scratch(NamedTuple):
    """Room to encode one segment of at most n bytes; grown when a longer one comes."""

    symbol: Ints
    start: Ints  # byte at which each symbol begins
    next: Ints
    previous: Ints
    heap: Keys  # rank and place of a pair


def new_cache(segments: int) -> SegmentCache:
    """An empty cache, for a power of two of segments: 2^18 take some 12 MB."""
    return SegmentCache(
        slots=np.full((_SLOTS_PER_SEGMENT * segments, 2), -1, np.int32),
        text=np.empty(_BYTES_PER_SEGMENT * segments, np.uint8),
        text_ends=np.zeros(segments + 1, np.int32),
        ids=np.empty(_IDS_PER_SEGMENT * segments, np.uint16),
        id_ends=np.zeros(segments + 1, np.int32),
        used=np.zeros(1, np.int64),
    )


def new_scratch(size: int) -> Scratch:
    """Room for a segment of `size` bytes."""
    symbol, start, following, previous = (np.empty(size + 1, np.int32) for _ in range(4))
    return Scratch(symbol, start, following, previous, np.empty(3 * size + 3, np.uint64))


@njit(nogil=True, cache=True)
def encode(
    data: Bytes, offsets: Positions, tables: Tables, cache: SegmentCache, scratch: Scratch,
    out: Ids, ends: Positions, state: Positions,
) -> Int:  # fmt: skip
    """Encode documents until all are done or a segment is longer than the scratch.

    Args:
        data: UTF-8 of documents, each preceded by one space (the dummy prefix).
        offsets: int64[n + 1], of the documents with that space; one of no more is empty and has no ids.
        out: room for one id a byte.
        ends: int64[n], filled with where each document's ids end.
        state: int64[3]: document, byte and ids written, to go on from after a longer scratch was made.

    Returns:
        0, or the bytes of the segment that wants more room.
    """
    i, p, w = state[0], state[1], state[2]
    n = len(offsets) - 1
    while i < n:
        stop = offsets[i + 1]
        if stop - offsets[i] <= 1:
            p = stop
        while p < stop:
            s = p
            h = _BASIS
            code, width = _character(data, p)
            while True:
                for q in range(p, p + width):
                    h = (h ^ np.uint64(data[q])) * _PRIME
                p += width
                if p == stop:
                    break
                following, width = _character(data, p)
                if not _are_neighbours(code, following, tables):
                    break
                code = following
            length = p - s
            h ^= h >> np.uint64(32)
            tag = np.int32(h >> np.uint64(32))
            slot = np.int64(h & np.uint64(len(cache.slots) - 1))
            number = -1
            while cache.slots[slot, 1] >= 0:
                candidate = cache.slots[slot, 1]
                if cache.slots[slot, 0] == tag:
                    first = cache.text_ends[candidate]
                    if cache.text_ends[candidate + 1] - first == length and equal_bytes(
                        data, s, cache.text, first, length
                    ):
                        number = candidate
                        break
                slot = (slot + 1) & (len(cache.slots) - 1)
            if number >= 0:
                for q in range(cache.id_ends[number], cache.id_ends[number + 1]):
                    out[w] = cache.ids[q]
                    w += 1
                continue
            if length >= len(scratch.symbol):
                state[0], state[1], state[2] = i, s, w
                return np.int64(length)
            before = w
            w = _encode_segment(data, s, p, tables, scratch, out, w)
            if length <= _LONGEST_CACHED:
                _remember(data, s, p, out, before, w, tag, slot, cache)
        ends[i] = w
        i += 1
    state[0], state[1], state[2] = i, p, w
    return 0


@njit(nogil=True, cache=True)
def _character(data: Bytes, p: Int) -> tuple[Int, Int]:
    """Code point at p, of a space that of U+2581, and its bytes; the text is valid UTF-8."""
    c = np.int64(data[p])
    if c < 0x80:
        return (_SPACE_CODE if c == _SPACE else c), 1
    if c < 0xE0:
        return ((c & 0x1F) << 6) | (np.int64(data[p + 1]) & 0x3F), 2
    if c < 0xF0:
        return ((c & 0x0F) << 12) | ((np.int64(data[p + 1]) & 0x3F) << 6) | (np.int64(data[p + 2]) & 0x3F), 3
    return (
        ((c & 0x07) << 18)
        | ((np.int64(data[p + 1]) & 0x3F) << 12)
        | ((np.int64(data[p + 2]) & 0x3F) << 6)
        | (np.int64(data[p + 3]) & 0x3F)
    ), 4


@njit(nogil=True, cache=True)
def _are_neighbours(a: Int, b: Int, tables: Tables) -> Any:
    """Whether a piece has the two characters side by side."""
    x = _SPACE if a == _SPACE_CODE else a
    y = _SPACE if b == _SPACE_CODE else b
    if x < 128 and y < 128:
        return tables.neighbours[x, y]
    key = (np.uint64(a) << np.uint64(21)) + np.uint64(b) + np.uint64(1)
    return tables.bigrams[_slot(tables.bigrams, key)] != 0


@njit(nogil=True, cache=True)
def _slot(keys: Keys, key: Any) -> Int:
    """The slot of a key in an open hash table, or the empty one where it would stand."""
    slots = len(keys)
    bits = np.uint64(0)
    while (1 << bits) < slots:
        bits += np.uint64(1)
    slot = np.int64((key * _MULTIPLIER) >> (np.uint64(64) - bits))
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & (slots - 1)
    return slot


@njit(nogil=True, cache=True)
def _symbol_of(code: Int, tables: Tables) -> Any:
    """The symbol of a code point, −1 where no piece has it."""
    if code < 128:
        return tables.ascii[code]
    slot = _slot(tables.characters, np.uint64(code + 1))
    return tables.symbols[slot] if tables.characters[slot] else np.int32(-1)


@njit(nogil=True, cache=True)
def _rank(left: Int, right: Int, tables: Tables) -> tuple[Any, Any]:
    """Rank and symbol of what two symbols merge into; a rank of −1 where nothing."""
    if left < 0 or right < 0:
        return -1, -1
    slot = _slot(tables.pairs, (np.uint64(left) << np.uint64(32)) + np.uint64(right) + np.uint64(1))
    if tables.pairs[slot] == 0:
        return -1, -1
    return np.int64(tables.merged[slot, 1]), np.int64(tables.merged[slot, 0])


@njit(nogil=True, cache=True)
def _encode_segment(
    data: Bytes, start: Int, stop: Int, tables: Tables, scratch: Scratch, out: Ids, w: Int
) -> Int:
    """Write the ids of a segment; returns where they end."""
    k = 0
    p = start
    while p < stop:
        code, width = _character(data, p)
        scratch.symbol[k] = _symbol_of(code, tables)
        scratch.start[k] = p - start
        scratch.next[k], scratch.previous[k] = k + 1, k - 1
        k += 1
        p += width
    scratch.start[k] = stop - start
    scratch.next[k - 1] = -1
    if k <= _FEW:
        _merge_few(k, tables, scratch)
    else:
        _merge_many(k, tables, scratch)
    at = 0
    while at >= 0:
        following = scratch.next[at]
        symbol = scratch.symbol[at]
        if 0 <= symbol < tables.size:
            out[w] = symbol
            w += 1
        else:  # a character that is no piece
            end = scratch.start[following if following >= 0 else k]
            for q in range(start + scratch.start[at], start + end):
                out[w] = tables.byte_ids[data[q]]
                w += 1
        at = following
    return w


@njit(nogil=True, cache=True)
def _merge_few(k: Int, tables: Tables, scratch: Scratch) -> None:
    """Merge the best pair of all until none is left."""
    while True:
        best, place, symbol = np.int64(-1), -1, np.int64(-1)
        at = 0
        while scratch.next[at] >= 0:
            rank, merged = _rank(scratch.symbol[at], scratch.symbol[scratch.next[at]], tables)
            if rank >= 0 and (best < 0 or rank < best):
                best, place, symbol = rank, at, merged
            at = scratch.next[at]
        if best < 0:
            return
        scratch.symbol[place] = symbol
        scratch.next[place] = scratch.next[scratch.next[place]]


@njit(nogil=True, cache=True)
def _merge_many(k: Int, tables: Tables, scratch: Scratch) -> None:
    """The same with a heap of pairs, some of which are no more when they come up."""
    size: Int = 0
    for at in range(k - 1):
        size = _push(at, tables, scratch, size)
    while size:
        top = scratch.heap[0]
        size = _pop(scratch.heap, size)
        place = np.int64(top & np.uint64(0xFFFFFFFF))
        right = scratch.next[place]
        if scratch.previous[place] == -2 or right < 0:
            continue
        rank, merged = _rank(scratch.symbol[place], scratch.symbol[right], tables)
        if rank < 0 or np.uint64(rank) != top >> np.uint64(32):
            continue
        scratch.symbol[place] = merged
        scratch.next[place] = scratch.next[right]
        scratch.previous[right] = -2
        if scratch.next[right] >= 0:
            scratch.previous[scratch.next[right]] = place
            size = _push(place, tables, scratch, size)
        if scratch.previous[place] >= 0:
            size = _push(scratch.previous[place], tables, scratch, size)


@njit(nogil=True, cache=True)
def _push(place: Int, tables: Tables, scratch: Scratch, size: Int) -> Int:
    """Add the pair that begins at a place, if it can be merged; returns the heap's size."""
    rank, _ = _rank(scratch.symbol[place], scratch.symbol[scratch.next[place]], tables)
    if rank < 0:
        return size
    heap = scratch.heap
    entry = (np.uint64(rank) << np.uint64(32)) | np.uint64(place)
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if heap[above] <= entry:
            break
        heap[at] = heap[above]
        at = above
    heap[at] = entry
    return size + 1


@njit(nogil=True, cache=True)
def _pop(heap: Keys, size: Int) -> Int:
    """Remove the first entry; returns the heap's size."""
    size -= 1
    entry = heap[size]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and heap[below + 1] < heap[below]:
            below += 1
        if heap[below] >= entry:
            break
        heap[at] = heap[below]
        at = below
    heap[at] = entry
    return size


@njit(nogil=True, cache=True)
def _remember(
    data: Bytes, start: Int, stop: Int, ids: Ids, first: Int, last: Int,
    tag: Any, slot: Int, cache: SegmentCache,
) -> None:  # fmt: skip
    """Put a segment into the cache; where there is no room empty it, so that it follows the text."""
    number = cache.used[0]
    text, id_ = np.int64(cache.text_ends[number]), np.int64(cache.id_ends[number])
    if (
        number + 1 == len(cache.text_ends)
        or text + stop - start > len(cache.text)
        or id_ + last - first > len(cache.ids)
    ):
        cache.slots[:] = -1
        cache.used[0] = 0
        return
    for q in range(stop - start):
        cache.text[text + q] = data[start + q]
    for q in range(last - first):
        cache.ids[id_ + q] = ids[first + q]
    cache.text_ends[number + 1] = text + stop - start
    cache.id_ends[number + 1] = id_ + last - first
    cache.slots[slot, 0], cache.slots[slot, 1] = tag, number
    cache.used[0] = number + 1
