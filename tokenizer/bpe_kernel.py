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

from corpus.kernels.arrays import Bools, Bytes, Int, Ints, Keys, Positions
from corpus.kernels.equal_bytes import equal_bytes
from tokenizer.model import MULTIPLIER, Tables

Ids = Any  # uint16[*]

_SPACE, _SPACE_CODE = 32, 0x2581
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a of 64 bits
_MULTIPLIER = np.uint64(MULTIPLIER)
_NONE = np.uint64(2**64 - 1)  # of a pair that merges into nothing
_SHORT_BYTES, _SHORT_IDS = 15, 8  # of a segment that fits a row of 32 bytes
_LONGEST_CACHED = 256  # bytes
_BYTES_PER_SEGMENT, _IDS_PER_SEGMENT, _SLOTS_PER_SEGMENT = 32, 12, 2
_SHORT_PER_LONG = 4
_FEW = 24  # symbols, up to which the best pair is looked for among all


class SegmentCache(NamedTuple):
    """Segments and their ids; for one thread at a time, and always the same model.

    `short` uint64[2^k, 4]: bytes 0 to 7 of a segment; bytes 8 to 14, and above them how many it has (0: empty
    row); its ids, 16 bits each, the first lowest, 0 after the last (nothing is encoded as id 0).

    Of those that are longer, `slots` int32[2^k, 2]: upper half of a segment's hash, and its number; −1 where
    empty. Segment s is `text[text_ends[s]:text_ends[s + 1]]`, and became `ids[id_ends[s]:id_ends[s + 1]]`.
    `used` int64[2]: how many of them, and of the short ones, there are.
    """

    short: Keys
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
    pair: Keys  # rank and symbol of what each symbol and the next merge into
    heap: Keys  # rank and place of a pair


def new_cache(segments: int) -> SegmentCache:
    """An empty cache, for a power of two of segments: 2^18 take some 14 MB."""
    short = segments
    segments = max(segments // _SHORT_PER_LONG, 1)
    return SegmentCache(
        short=np.zeros((short, 4), np.uint64),
        slots=np.full((_SLOTS_PER_SEGMENT * segments, 2), -1, np.int32),
        text=np.empty(_BYTES_PER_SEGMENT * segments, np.uint8),
        text_ends=np.zeros(segments + 1, np.int32),
        ids=np.empty(_IDS_PER_SEGMENT * segments, np.uint16),
        id_ends=np.zeros(segments + 1, np.int32),
        used=np.zeros(2, np.int64),
    )


def new_scratch(size: int) -> Scratch:
    """Room for a segment of `size` bytes."""
    symbol, start, following, previous = (np.empty(size + 1, np.int32) for _ in range(4))
    pair, heap = np.empty(size + 1, np.uint64), np.empty(3 * size + 3, np.uint64)
    return Scratch(symbol, start, following, previous, pair, heap)


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
    # Arrays that are taken out of a tuple again and again cost more than what is done with them.
    neighbours, bigrams, bigram_shift = tables.neighbours, tables.bigrams, tables.shifts[1]
    short, slots, text, text_ends = cache.short, cache.slots, cache.text, cache.text_ends
    known_ids, id_ends = cache.ids, cache.id_ends
    room = len(scratch.symbol)
    i, p, w = state[0], state[1], state[2]
    n = len(offsets) - 1
    while i < n:
        stop = offsets[i + 1]
        if stop - offsets[i] <= 1:
            p = stop
        while p < stop:
            s = p
            code, width = _character(data, p)
            while True:
                p += width
                if p == stop:
                    break
                following, width = _character(data, p)
                if not _are_neighbours(code, following, neighbours, bigrams, bigram_shift):
                    break
                code = following
            length = p - s
            if length <= _SHORT_BYTES:
                low, high = _packed(data, s, p)
                row = _short_row(short, low, high)
                if short[row, 1]:
                    w = _unpack(short[row, 2], out, w)
                    w = _unpack(short[row, 3], out, w)
                    continue
                before = w
                w = _encode_segment(data, s, p, tables, scratch, out, w)
                if w - before <= _SHORT_IDS:
                    _remember_short(low, high, row, out, before, w, cache)
                continue
            h = _hash(data, s, p)
            tag = np.int32(h >> np.uint64(32))
            slot = np.int64(h & np.uint64(len(slots) - 1))
            number = -1
            while slots[slot, 1] >= 0:
                candidate = slots[slot, 1]
                if slots[slot, 0] == tag:
                    first = text_ends[candidate]
                    if text_ends[candidate + 1] - first == length and equal_bytes(
                        data, s, text, first, length
                    ):
                        number = candidate
                        break
                slot = (slot + 1) & (len(slots) - 1)
            if number >= 0:
                for q in range(id_ends[number], id_ends[number + 1]):
                    out[w] = known_ids[q]
                    w += 1
                continue
            if length >= room:
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
def _packed(data: Bytes, start: Int, stop: Int) -> tuple[Any, Any]:
    """The bytes of a short segment, and how many, as the two numbers that its row begins with."""
    low, high = np.uint64(0), np.uint64(stop - start) << np.uint64(56)
    middle = min(stop, start + 8)
    for q in range(start, middle):
        low |= np.uint64(data[q]) << np.uint64(8 * (q - start))
    for q in range(middle, stop):
        high |= np.uint64(data[q]) << np.uint64(8 * (q - middle))
    return low, high


@njit(nogil=True, cache=True)
def _short_row(short: Keys, low: Any, high: Any) -> Int:
    """The row of a short segment, or the empty one where it would stand."""
    h = (low ^ (high * _PRIME)) * _MULTIPLIER
    row = np.int64((h ^ (h >> np.uint64(32))) & np.uint64(len(short) - 1))
    while short[row, 1] != 0 and (short[row, 0] != low or short[row, 1] != high):
        row = (row + 1) & (len(short) - 1)
    return row


@njit(nogil=True, cache=True)
def _unpack(ids: Any, out: Ids, w: Int) -> Int:
    """Write ids that stand in one number; returns where they end."""
    while ids:
        out[w] = np.uint16(ids & np.uint64(0xFFFF))
        ids >>= np.uint64(16)
        w += 1
    return w


@njit(nogil=True, cache=True)
def _remember_short(
    low: Any, high: Any, row: Int, ids: Ids, first: Int, last: Int, cache: SegmentCache
) -> None:
    """Put a short segment into the cache; when three rows in four are full empty it."""
    if 4 * cache.used[1] >= 3 * len(cache.short):
        cache.short[:] = 0
        cache.used[1] = 0
        return
    cache.short[row, 0], cache.short[row, 1] = low, high
    for half in range(2):
        packed = np.uint64(0)
        for q in range(first + 4 * half, min(last, first + 4 * half + 4)):
            packed |= np.uint64(ids[q]) << np.uint64(16 * (q - first - 4 * half))
        cache.short[row, 2 + half] = packed
    cache.used[1] += 1


@njit(nogil=True, cache=True)
def _hash(data: Bytes, start: Int, stop: Int) -> Any:
    h = _BASIS
    for q in range(start, stop):
        h = (h ^ np.uint64(data[q])) * _PRIME
    return h ^ (h >> np.uint64(32))


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
def _are_neighbours(a: Int, b: Int, neighbours: Bools, bigrams: Keys, shift: Int) -> Any:
    """Whether a piece has the two characters side by side."""
    x = _SPACE if a == _SPACE_CODE else a
    y = _SPACE if b == _SPACE_CODE else b
    if x < 128 and y < 128:
        return neighbours[x, y]
    key = (np.uint64(a) << np.uint64(21)) + np.uint64(b) + np.uint64(1)
    return bigrams[_slot(bigrams, key, shift), 0] != 0


@njit(nogil=True, cache=True)
def _slot(table: Keys, key: Any, shift: Int) -> Int:
    """The slot of a key in an open hash table, or the empty one where it would stand."""
    slot = np.int64((key * _MULTIPLIER) >> np.uint64(shift))
    while table[slot, 0] != 0 and table[slot, 0] != key:
        slot = (slot + 1) & (len(table) - 1)
    return slot


@njit(nogil=True, cache=True)
def _symbol_of(code: Int, ascii_: Ints, characters: Keys, shift: Int) -> Any:
    """The symbol of a code point, −1 where no piece has it."""
    if code < 128:
        return ascii_[code]
    slot = _slot(characters, np.uint64(code + 1), shift)
    return np.int32(characters[slot, 1]) if characters[slot, 0] else np.int32(-1)


@njit(nogil=True, cache=True)
def _merged(left: Int, right: Int, pairs: Keys, shift: Int) -> Any:
    """Rank times 2^32 and the symbol that two symbols merge into; `_NONE` where nothing."""
    if left < 0 or right < 0:
        return _NONE
    key = (np.uint64(left) << np.uint64(32)) + np.uint64(right) + np.uint64(1)
    slot = _slot(pairs, key, shift)
    return pairs[slot, 1] if pairs[slot, 0] else _NONE


@njit(nogil=True, cache=True)
def _encode_segment(
    data: Bytes, start: Int, stop: Int, tables: Tables, scratch: Scratch, out: Ids, w: Int
) -> Int:
    """Write the ids of a segment; returns where they end."""
    ascii_, characters, character_shift = tables.ascii, tables.characters, tables.shifts[0]
    pairs, shift, byte_ids, size = tables.pairs, tables.shifts[2], tables.byte_ids, tables.size
    symbol, begin, following, previous = scratch.symbol, scratch.start, scratch.next, scratch.previous
    pair = scratch.pair
    k = 0
    p = start
    while p < stop:
        code, width = _character(data, p)
        symbol[k] = _symbol_of(code, ascii_, characters, character_shift)
        begin[k] = p - start
        following[k], previous[k] = k + 1, k - 1
        k += 1
        p += width
    begin[k] = stop - start
    following[k - 1] = -1
    pair[k - 1] = _NONE
    for place in range(k - 1):
        pair[place] = _merged(symbol[place], symbol[place + 1], pairs, shift)
    if k <= _FEW:
        _merge_few(symbol, following, pair, pairs, shift)
    else:
        _merge_many(k, symbol, following, previous, pair, scratch.heap, pairs, shift)
    at = np.int64(0)
    while at >= 0:
        after = np.int64(following[at])
        if 0 <= symbol[at] < size:
            out[w] = symbol[at]
            w += 1
        else:  # a character that is no piece
            end = begin[after if after >= 0 else k]
            for q in range(start + begin[at], start + end):
                out[w] = byte_ids[data[q]]
                w += 1
        at = after
    return w


@njit(nogil=True, cache=True)
def _merge_few(symbol: Ints, following: Ints, pair: Keys, pairs: Keys, shift: Int) -> None:
    """Merge the best pair of all, of equal ones the first, until none is left."""
    while True:
        best, place, before = _NONE >> np.uint64(32), np.int64(-1), np.int64(-1)
        at, last = np.int64(0), np.int64(-1)
        while at >= 0:
            rank = pair[at] >> np.uint64(32)
            if rank < best:
                best, place, before = rank, at, last
            last, at = at, np.int64(following[at])
        if place < 0:
            return
        _merge(place, before, symbol, following, pair, pairs, shift)


@njit(nogil=True, cache=True)
def _merge(
    place: Int, before: Int, symbol: Ints, following: Ints, pair: Keys, pairs: Keys, shift: Int
) -> None:
    """Merge the pair that begins at a place, and look up what its neighbours' pairs have become."""
    merged = np.int32(pair[place] & np.uint64(0xFFFFFFFF))
    after = following[following[place]]
    symbol[place] = merged
    following[place] = after
    pair[place] = _merged(merged, symbol[after], pairs, shift) if after >= 0 else _NONE
    if before >= 0:
        pair[before] = _merged(symbol[before], merged, pairs, shift)


@njit(nogil=True, cache=True)
def _merge_many(
    k: Int, symbol: Ints, following: Ints, previous: Ints, pair: Keys, heap: Keys, pairs: Keys, shift: Int
) -> None:
    """The same with a heap of pairs, some of which are no more when they come up."""
    size: Int = 0
    for at in range(k - 1):
        size = _push(at, pair, heap, size)
    while size:
        top = heap[0]
        size = _pop(heap, size)
        place = np.int64(top & np.uint64(0xFFFFFFFF))
        if previous[place] == -2 or pair[place] >> np.uint64(32) != top >> np.uint64(32):
            continue
        previous[following[place]] = -2
        before = previous[place]
        _merge(place, before, symbol, following, pair, pairs, shift)
        if following[place] >= 0:
            previous[following[place]] = place
            size = _push(place, pair, heap, size)
        if before >= 0:
            size = _push(before, pair, heap, size)


@njit(nogil=True, cache=True)
def _push(place: Int, pair: Keys, heap: Keys, size: Int) -> Int:
    """Add the pair that begins at a place, if it can be merged; returns the heap's size."""
    if pair[place] == _NONE:
        return size
    entry = (pair[place] & np.uint64(0xFFFFFFFF00000000)) | np.uint64(place)
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
