"""Documents into lines with their deduplication keys, and kept lines back into documents.

In: a string array, one document a row, lines separated by "\\n" alone. Out: `Lines`, in document order;
then, from a mask of kept lines, the new texts and the ordinals of their lines. Positions are bytes in
the array's data buffer, lengths of documents are code points.

A line is stripped as `str.strip` does. Its key is the hash of its normalised form
(facebookresearch/cc_net, cc_net/dedup.py, `compute_hashes`, and cc_net/text_normalizer.py,
`normalize_for_dedup`). A line whose normalised form is empty is blank and not listed: CCNet gives all of
them one key, and so drops them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pyarrow as pa
import xxhash
from numba import njit

from corpus.kernels.arrays import Bools, Bytes, Int, Ints, Keys, Positions
from corpus.kernels.arrow_text import TextBuffers, string_array, text_buffers, validity
from corpus.kernels.ccnet_text import normalize_for_dedup
from corpus.kernels.fold import SLACK, first_not_space, fold, folded_length, last_space
from corpus.kernels.unicode_tables import dedup_table
from corpus.kernels.xxh64 import xxh64

Hash = Literal["xxh64", "sha1"]


@dataclass(frozen=True)
class Lines:
    """The lines of n documents that are not short, without blank ones; k lines in document order.

    Per line: `start`, `end` int32[k], bytes of the stripped line in the array's data buffer;
    `document` int32[k], row of its document; `ordinal` int32[k], number of the line within its page,
    blank ones counted, from 0; `key` uint64[k]; `candidate` bool[k], False where an earlier line of
    the same document has the same key.

    Per document: `short` bool[n], null or below the minimum length; `lines` int32[n], lines up to the
    last that is not empty after stripping; `chars` int32[n], code points of these lines, stripped and
    joined by "\\n".
    """

    start: Ints
    end: Ints
    document: Ints
    ordinal: Ints
    key: Keys
    candidate: Bools
    short: Bools
    lines: Ints
    chars: Ints


def scan(text: pa.StringArray, min_chars: int, hash: Hash = "xxh64") -> Lines:
    """Split, strip, measure and key the lines of each document.

    Args:
        text: one document a row; null rows are short.
        min_chars: documents with fewer code points are short and give no lines.
        hash: the key is XXH64 (seed 0) of the normalised line's UTF-8, or the first eight bytes of its
            SHA-1, little-endian, as CCNet's.

    Raises:
        TypeError, pyarrow.ArrowInvalid: see `text_buffers`.
        ValueError: an unknown hash.
    """
    if hash not in ("xxh64", "sha1"):
        raise ValueError(f"hash must be 'xxh64' or 'sha1', not {hash!r}")
    source = text_buffers(text)
    n = len(text)
    capacity, longest = _measure(source.data, source.offsets, source.valid)
    words = np.empty(_folded_bound(longest) // 8 + 1, np.uint64)
    start, end, document, ordinal = (np.empty(capacity, np.int32) for _ in range(4))
    key, exact = np.empty(capacity, np.uint64), np.empty(capacity, bool)
    short, lines, chars = np.empty(n, bool), np.empty(n, np.int32), np.empty(n, np.int32)
    k = _scan(
        *source, min_chars, *dedup_table(), words.view(np.uint8), words,  # type: ignore[arg-type]
        start, end, document, ordinal, key, exact, short, lines, chars,
    )  # fmt: skip
    start, end, document, ordinal = start[:k], end[:k], document[:k], ordinal[:k]
    key, exact = key[:k], exact[:k]
    if hash == "sha1":
        _key_by_sha1(source, start, end, key)
    for i in np.flatnonzero(exact):
        folded = normalize_for_dedup(source.data[start[i] : end[i]].tobytes().decode()).encode()
        key[i] = xxhash.xxh64_intdigest(folded) if hash == "xxh64" else _sha1_key(folded)
    candidate = np.empty(k, bool)
    most = int(np.bincount(document).max()) if k else 0
    slots = 1 << (2 * most).bit_length()
    _first_in_document(document, key, np.empty(slots, np.uint64), np.full(slots, -1, np.int32), candidate)
    return Lines(start, end, document, ordinal, key, candidate, short, lines, chars)


def assemble(text: pa.StringArray, lines: Lines, kept: Bools) -> tuple[pa.StringArray, pa.ListArray]:
    """The documents made of their kept lines.

    Args:
        text: the array that `lines` was scanned from.
        lines: of k lines and n documents.
        kept: bool[k].

    Returns:
        n texts, kept lines stripped and joined by "\\n", and n lists of int32 ordinals of these lines;
        both null for short documents and where no line is kept.

    Raises:
        ValueError: `kept` or `text` does not fit `lines`.
    """
    if len(kept) != len(lines.key) or len(text) != len(lines.short):
        raise ValueError(
            f"{len(kept)} marks and {len(text)} documents given for lines of "
            f"{len(lines.key)} lines and {len(lines.short)} documents"
        )
    n = len(text)
    source = text_buffers(text)
    chosen = np.flatnonzero(kept)
    start, end, document = lines.start[chosen], lines.end[chosen], lines.document[chosen]
    out = np.empty(int((end - start).sum(dtype=np.int64)) + len(chosen), np.uint8)
    offsets, list_offsets = np.zeros(n + 1, np.int32), np.zeros(n + 1, np.int32)
    size = _join(source.data, start, end, document, out, offsets, list_offsets)
    valid = list_offsets[1:] > list_offsets[:-1]
    bitmap, nulls = validity(valid)
    ordinals = pa.ListArray.from_buffers(
        pa.list_(pa.int32()), n, [bitmap, pa.py_buffer(list_offsets)], nulls,
        children=[pa.array(lines.ordinal[chosen], pa.int32())],
    )  # fmt: skip
    return string_array(out[:size], offsets, valid), ordinals


def _folded_bound(size: int) -> int:
    """Bytes that `size` bytes can become: at worst two become three (U+0130, U+023A, U+023E)."""
    return size + size // 2 + SLACK


def _sha1_key(folded: bytes | memoryview) -> int:
    return int.from_bytes(hashlib.sha1(folded).digest()[:8], "little")


def _key_by_sha1(source: TextBuffers, start: Ints, end: Ints, key: Keys) -> None:
    """Fill `key` uint64[k] by CCNet's hash; the normalised lines go to one buffer first."""
    size = int((end - start).sum(dtype=np.int64))
    out, offsets = np.empty(_folded_bound(size), np.uint8), np.zeros(len(start) + 1, np.int64)
    _fold_lines(source.data, start, end, *dedup_table(), out, offsets)
    view, places = out.data, offsets.tolist()
    key[:] = [_sha1_key(view[a:b]) for a, b in pairwise(places)]


@njit(nogil=True, cache=True)
def _measure(data: Bytes, offsets: Ints, valid: Bools) -> tuple[int, int]:
    """Lines at most, and bytes of the longest document."""
    lines, longest = 0, 0
    for i in range(len(valid)):
        if valid[i]:
            longest = max(longest, offsets[i + 1] - offsets[i])
            newlines = 0
            for p in range(offsets[i], offsets[i + 1]):
                newlines += data[p] == 10
            lines += newlines + 1
    return lines, longest


@njit(nogil=True, cache=True)
def _scan(
    data: Bytes, offsets: Ints, valid: Bools, min_chars: int,
    ascii_bytes: Bytes, entries: Keys, pool: Bytes, pool_offsets: Ints, scratch: Bytes, words: Keys,
    start: Ints, end: Ints, document: Ints, ordinal: Ints, key: Keys, exact: Bools,
    short: Bools, lines: Ints, chars: Ints,
) -> int:  # fmt: skip
    """Fill the arrays of `Lines`, but `candidate`; `exact` marks keys to be made again. Returns k."""
    k = 0
    for i in range(len(valid)):
        first, number, text_chars = k, 0, 0
        lines[i], chars[i] = 0, 0
        p, stop = (offsets[i], offsets[i + 1]) if valid[i] else (0, -1)
        while p <= stop:
            s = first_not_space(data, p, stop, entries, False)
            p, m, continuation, is_exact = fold(
                data, s, stop, ascii_bytes, entries, pool, pool_offsets, scratch, 0
            )
            e = p
            q, space = last_space(data, e, s, entries)
            while q < e:  # the spaces at the end have been folded: take them back
                m -= folded_length(space)
                continuation -= e - q - 1
                e = q
                q, space = last_space(data, e, s, entries)
            if e > s:
                text_chars += e - s - continuation
                lines[i] = number + 1
                chars[i] = text_chars + number
                if m > 0:
                    start[k], end[k], document[k], ordinal[k] = s, e, i, number
                    key[k] = xxh64(scratch, words, m)
                    exact[k] = is_exact
                    k += 1
            number += 1
            p += 1
        short[i] = not valid[i] or chars[i] < min_chars
        if short[i]:
            k = first
    return k


@njit(nogil=True, cache=True)
def _fold_lines(
    data: Bytes, start: Ints, end: Ints,
    ascii_bytes: Bytes, entries: Keys, pool: Bytes, pool_offsets: Ints, out: Bytes, offsets: Positions,
) -> None:  # fmt: skip
    """Normalised form of each line, one after the other; offsets int64[k + 1]."""
    m: Int = 0
    for k in range(len(start)):
        _, m, _, _ = fold(data, start[k], end[k], ascii_bytes, entries, pool, pool_offsets, out, m)
        offsets[k + 1] = m


@njit(nogil=True, cache=True)
def _first_in_document(document: Ints, key: Keys, slots: Keys, owner: Ints, candidate: Bools) -> None:
    """Mark the first line of each key in each document; slots: a hash set, entries owned by documents."""
    mask = len(slots) - 1
    for k in range(len(key)):
        j = np.int64(key[k] & np.uint64(mask))
        while owner[j] == document[k] and slots[j] != key[k]:
            j = (j + 1) & mask
        candidate[k] = owner[j] != document[k]
        owner[j], slots[j] = document[k], key[k]


@njit(nogil=True, cache=True)
def _join(
    data: Bytes, start: Ints, end: Ints, document: Ints, out: Bytes, offsets: Ints, list_offsets: Ints
) -> int:
    """Copy lines, "\\n" between those of one document. Returns the bytes written."""
    w, done = 0, 0  # `done` documents have their end in the offsets
    for k in range(len(start)):
        while done < document[k]:
            offsets[done + 1], list_offsets[done + 1] = w, k
            done += 1
        if k > list_offsets[done]:
            out[w] = 10
            w += 1
        for p in range(start[k], end[k]):
            out[w] = data[p]
            w += 1
    while done < len(offsets) - 1:
        offsets[done + 1], list_offsets[done + 1] = w, len(start)
        done += 1
    return w
