"""From texts to the hidden vectors of a fastText classifier, the library's to the last bit.

In: Arrow buffers of documents, a model's dictionary and rows. Out: for each text the mean of the rows of
its words and their n-grams (float32), and how many rows these are.

Floating-point sums depend on their order, so rows are added one by one as the library adds them: words in
the order of the text, each followed by its n-grams, the end of the line last. What is cached of a word
is therefore the numbers of its rows, not their sum. Words are compared by their bytes: no collision of
hashes can change a vector. Rules: facebookresearch/fastText, src/dictionary.cc.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from corpus.kernels.arrays import Bytes, Int, Ints, Positions
from corpus.kernels.equal_bytes import equal_bytes
from corpus.kernels.fasttext_file import FasttextFile, Floats
from corpus.kernels.fasttext_rows import add_row

# The library would end the line at this word; we pass over it, and add it at the end as the library does.
END_OF_LINE = b"</s>"
# Words that begin so and that the dictionary lacks count as labels, which are not read
# (`Dictionary::getType`). A model does not say which prefix it was trained with; the library takes this.
LABEL_PREFIX = b"__label__"
_END, _PREFIX = tuple(END_OF_LINE), tuple(LABEL_PREFIX)  # as compiled loops take them

_SPACES = b" \n\r\t\v\f\0"  # `Dictionary::readWord`
_IN_WORD, _SPACE, _DELETED = 0, 1, 2

# FNV-1a of 32 bits over signed bytes (`Dictionary::hash`), for n-grams; we find words by it, too.
_BASIS = np.uint32(2166136261)
_PRIME = np.uint32(16777619)
_SPREAD = np.uint32(2654435769)  # 2^32 over the golden ratio

# 19 MB. Most words come once only: what comes again is kept. A full cache is emptied, so that it follows the
# text.
_CACHE_BITS = 18
_CACHE_WORDS = 1 << (_CACHE_BITS - 1)
_SEEN_BITS = 21
_CACHE_INTS = 7 << 19  # row numbers and bytes of words
_LONGEST_CACHED = 64  # bytes; longer words hardly come again
_LISTED = 4096  # rows that are noted at once: more than such a word can have
_HASH, _START, _ROWS, _LENGTH = 0, 1, 2, 3  # columns of a slot


class Vocabulary(NamedTuple):
    """A model's words and n-grams as arrays.

    `text`, `offsets`, `is_label`: the dictionary, see `FasttextFile`. `slots` int32[2^b]: entries by hash,
    −1 where empty. `kept` uint8[buckets / 8]: a bit per bucket of n-grams, unset where it was pruned: small
    enough for a near cache of the processor; `bucket_rows` int32[buckets]: rows of those kept. Both are empty
    where nothing was pruned. `numbers` int64[5]: fewest and most characters of an n-gram, entry of the end
    of the line or −1, buckets, words.
    """

    text: Bytes
    offsets: Positions
    is_label: Bytes
    slots: Ints
    kept: Bytes
    bucket_rows: Ints
    numbers: Positions


class WordCache(NamedTuple):
    """The rows of words seen before; for one thread at a time and one model. It never changes an answer.

    `slots` int32[2^18, 4]: hash, start in `store`, rows, bytes; −1 where empty. `store` int32[*], which
    `store_bytes` uint8[*] views: of each word its row numbers, then its bytes. `seen` uint8[2^18]: a bit per
    hash of a word that came once. `used` int64[2]: words, integers of the store.
    """

    slots: Ints
    store: Ints
    store_bytes: Bytes
    seen: Bytes
    used: Positions


def new_cache() -> WordCache:
    """An empty cache: 19 MB once it is full."""
    store = np.empty(_CACHE_INTS, np.int32)
    slots = np.full((1 << _CACHE_BITS, 4), -1, np.int32)
    return WordCache(
        slots, store, store.view(np.uint8), np.zeros(1 << _SEEN_BITS - 3, np.uint8), np.zeros(2, np.int64)
    )


def vocabulary(file: FasttextFile) -> Vocabulary:
    """The dictionary and the n-grams of a model, ready for lookup."""
    words = int((file.is_label == 0).sum())
    slots = np.full(1 << (2 * len(file.is_label)).bit_length(), -1, np.int32)
    _fill_slots(file.text, file.offsets, slots)
    kept, bucket_rows = np.zeros(0, np.uint8), np.zeros(0, np.int32)
    if file.kept_buckets is not None and file.max_chars > 0:
        bucket_rows = np.full(file.buckets, -1, np.int32)
        bucket_rows[file.kept_buckets[:, 0]] = words + file.kept_buckets[:, 1]
        kept = np.packbits(bucket_rows >= 0, bitorder="little")
    end = np.array(list(END_OF_LINE), np.uint8)
    entry = _find(end, 0, len(end), _hash(end, 0, len(end)), file.text, file.offsets, slots)
    end_entry = entry if entry < words else -1
    numbers = np.array([file.min_chars, file.max_chars, end_entry, file.buckets, words], np.int64)
    return Vocabulary(file.text, file.offsets, file.is_label, slots, kept, bucket_rows, numbers)


def kinds(delete_newlines: bool) -> Bytes:
    """What each byte is, uint8[256]: part of a word, a space, or as if it were not there."""
    kind = np.full(256, _IN_WORD, np.uint8)
    kind[list(_SPACES)] = _SPACE
    if delete_newlines:
        kind[ord("\n")] = _DELETED
    return kind


@njit(nogil=True, cache=True)
def sum_rows(
    data: Bytes, offsets: Ints, documents: Positions, kind: Bytes, scratch: Bytes,
    text: Bytes, text_offsets: Positions, is_label: Bytes, slots: Ints,
    kept: Bytes, bucket_rows: Ints, numbers: Positions,
    input: Floats, scale: Floats,
    cache: Ints, store: Ints, store_bytes: Bytes, seen: Bytes, used: Positions,
    hidden: Floats, counts: Positions,
) -> None:  # fmt: skip
    """Fill `hidden` float32[n, columns of `padded`], zeros before, and `counts` int64[n].

    Args:
        documents: int64[n], which of those in `data` and `offsets`.
        kind: see `kinds`.
        scratch: uint8[longest document + 2]: holds each word between `<` and `>`, as n-grams see it.
        input: float32[*], the input's rows, padded, one after the other; `scale` float32[rows], or of
            length 1 if it is one for all: what is read at random costs most.
        others: fields of `Vocabulary` and of `WordCache`.
    """
    rows = np.empty(_LISTED, np.int32)
    mask = len(cache) - 1
    scratch[0] = 60
    for i in range(len(documents)):
        total = hidden[i]
        count: Int = 0
        p: Int = np.int64(offsets[documents[i]])
        end = np.int64(offsets[documents[i] + 1])
        while p < end:
            h = _BASIS
            m = 0
            while p < end:
                b = data[p]
                p += 1
                if kind[b] != _IN_WORD:
                    if kind[b] == _SPACE:
                        break
                    continue
                h = _hash_byte(h, b)
                m += 1
                scratch[m] = b
            if m == 0:
                continue
            tag = np.int32(h)
            slot: Int = _slot(h)
            while cache[slot, _START] >= 0:
                start, n_rows = np.int64(cache[slot, _START]), np.int64(cache[slot, _ROWS])
                if (
                    cache[slot, _HASH] == tag
                    and cache[slot, _LENGTH] == m
                    and equal_bytes(scratch, 1, store_bytes, 4 * (start + n_rows), m)
                ):
                    for k in range(start, start + n_rows):
                        add_row(total, input, scale, store[k])
                    count += n_rows
                    break
                slot = (slot + 1) & mask
            else:
                added = _add_word(
                    scratch, m, h, text, text_offsets, is_label, slots, kept, bucket_rows, numbers,
                    input, scale, rows, total,
                )  # fmt: skip
                count += added
                if m <= _LONGEST_CACHED:
                    _remember(scratch, m, rows, added, tag, slot, h, cache, store, store_bytes, seen, used)
        if numbers[2] >= 0:
            add_row(total, input, scale, numbers[2])
            count += 1
        if count > 0:
            total *= np.float32(1.0 / count)
        counts[i] = count


@njit(nogil=True, cache=True, inline="always")
def _hash_byte(h: np.uint32, b: np.uint8) -> np.uint32:
    return np.uint32((h ^ np.uint32(np.int32(np.int8(b)))) * _PRIME)


@njit(nogil=True, cache=True, inline="always")
def _slot(h: np.uint32) -> Int:
    # The compiler takes a product of 32 bits to 64.
    return np.int64(np.uint32(h * _SPREAD) >> np.uint32(32 - _CACHE_BITS))


@njit(nogil=True, cache=True)
def _hash(data: Bytes, start: Int, end: Int) -> np.uint32:
    h = _BASIS
    for p in range(start, end):
        h = _hash_byte(h, data[p])
    return h


@njit(nogil=True, cache=True, inline="always")
def _add_word(
    scratch: Bytes, length: Int, h: np.uint32,
    text: Bytes, text_offsets: Positions, is_label: Bytes, slots: Ints,
    kept: Bytes, bucket_rows: Ints, numbers: Positions,
    input: Floats, scale: Floats, rows: Ints, total: Floats,
) -> Int:  # fmt: skip
    """Add a word's rows as `Dictionary::getLine` and `addSubwords` list them, and count them.

    They are left in `rows`, all of them if the word is of `_LONGEST_CACHED` bytes at most.
    """
    if length == len(_END) and _starts_with(scratch, length, _END):
        return 0
    entry = _find(scratch, 1, length, h, text, text_offsets, slots)
    count: Int = 0
    listed: Int = 0
    if entry >= 0:
        if is_label[entry]:
            return 0
        rows[0] = entry
        count, listed = 1, 1
        add_row(total, input, scale, entry)
    elif _starts_with(scratch, length, _PREFIX):
        return 0
    fewest, most, buckets = numbers[0], numbers[1], np.uint32(numbers[3])
    scratch[length + 1] = 62
    stop = length + 2
    first = listed
    for i in range(stop if most > 0 else 0):  # `Dictionary::computeSubwords`
        if scratch[i] & 0xC0 == 0x80:
            continue
        if listed + min(most, stop) > len(rows):
            _add_grams(total, input, scale, rows, first, listed, kept, bucket_rows, numbers[4])
            first, listed = 0, 0
        gram, j, chars, before = _BASIS, i, 0, listed
        while j < stop and chars < most:
            gram = _hash_byte(gram, scratch[j])
            j += 1
            while j < stop and scratch[j] & 0xC0 == 0x80:
                gram = _hash_byte(gram, scratch[j])
                j += 1
            chars += 1
            if chars >= fewest and not (chars == 1 and (i == 0 or j == stop)):
                bucket = np.int64(gram % buckets)
                rows[listed] = bucket
                # Not a branch: it would be taken at random.
                listed += np.int64(kept[bucket >> 3] >> np.uint8(bucket & 7) & 1) if len(kept) else 1
        count += listed - before
    _add_grams(total, input, scale, rows, first, listed, kept, bucket_rows, numbers[4])
    return count


@njit(nogil=True, cache=True, inline="always")
def _add_grams(
    total: Floats, input: Floats, scale: Floats, rows: Ints, start: Int, end: Int,
    kept: Bytes, bucket_rows: Ints, words: Int,
) -> None:  # fmt: skip
    """Turn `rows[start:end]` from buckets into rows, and add these."""
    for k in range(start, end):
        rows[k] = bucket_rows[rows[k]] if len(kept) else words + rows[k]
        add_row(total, input, scale, rows[k])


@njit(nogil=True, cache=True, inline="always")
def _starts_with(scratch: Bytes, length: Int, start: tuple[int, ...]) -> bool:
    if length < len(start):
        return False
    for i in range(len(start)):  # noqa: SIM110, a compiled loop
        if scratch[1 + i] != start[i]:
            return False
    return True


@njit(nogil=True, cache=True, inline="always")
def _remember(
    scratch: Bytes, length: Int, rows: Ints, n_rows: Int, tag: np.int32, slot: Int, h: np.uint32,
    cache: Ints, store: Ints, store_bytes: Bytes, seen: Bytes, used: Positions,
) -> None:  # fmt: skip
    """Put a word that comes again into the empty `slot`; into a full cache, after emptying it."""
    place, bit = np.int64(h) >> (32 - _SEEN_BITS + 3), np.uint8(1 << (h & 7))
    if not seen[place] & bit:
        seen[place] |= bit
        return
    need = n_rows + (length + 3) // 4
    if used[0] == _CACHE_WORDS or used[1] + need > len(store):
        cache[:, _START] = -1
        seen[:] = 0
        used[:] = 0
        slot = _slot(h)
    start = used[1]
    cache[slot, _HASH], cache[slot, _START] = tag, start
    cache[slot, _ROWS], cache[slot, _LENGTH] = n_rows, length
    store[start : start + n_rows] = rows[:n_rows]
    first = 4 * (start + n_rows)
    store_bytes[first : first + length] = scratch[1 : 1 + length]
    used[0] += 1
    used[1] += need


@njit(nogil=True, cache=True)
def _fill_slots(text: Bytes, offsets: Positions, slots: Ints) -> None:
    for entry in range(len(offsets) - 1):
        slot = np.int64(_hash(text, offsets[entry], offsets[entry + 1])) & (len(slots) - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = entry


@njit(nogil=True, cache=True, inline="always")
def _find(
    word: Bytes, start: Int, length: Int, h: np.uint32, text: Bytes, offsets: Positions, slots: Ints
) -> Int:
    """The dictionary's entry of `word[start:start + length]`, −1 where it has none."""
    slot = np.int64(h) & (len(slots) - 1)
    while slots[slot] >= 0:
        entry = np.int64(slots[slot])
        first = offsets[entry]
        if offsets[entry + 1] - first == length and equal_bytes(word, start, text, first, length):
            return entry
        slot = (slot + 1) & (len(slots) - 1)
    return -1
