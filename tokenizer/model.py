"""A SentencePiece BPE model file → the tables that the compiled encoder looks things up in.

In: the bytes of a ``.model`` file. Out: `Tables`. What stands in such a file is SentencePiece's own
(src/sentencepiece_model.proto); how it is used, src/bpe_model.cc. A pair of neighbouring symbols is merged if
their concatenation is a piece, the piece of the highest score first, of equal ones the leftmost.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from corpus.kernels.arrays import Bools, Ints, Keys, Positions

SPACE = "\u2581"  # what SentencePiece writes for a space
BYTES = 256
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6  # kinds of pieces
_ASCII = 128
# Mixes a key into a slot: 2^64 / golden ratio.
MULTIPLIER = 0x9E37_79B9_7F4A_7C15


class UnsupportedModelError(ValueError):
    """The model is not of the kind whose encoding is known to fall apart as `corpus` cuts text."""


class Tables(NamedTuple):
    """What the encoder knows of a model with v pieces.

    Symbols are ids of pieces, and from v on characters that are part of a piece without being one. A
    character that is in no piece at all is symbol −1 and becomes its bytes.

    Attributes:
        ascii: int32[128], symbol of each ASCII character; of the space that of U+2581.
        characters: uint64[*, 2], open hash table, code point + 1 (0: empty) → symbol, as uint32.
        neighbours: bool[128, 128], whether two ASCII characters stand side by side in a piece.
        bigrams: uint64[*, 2], open hash set of code points that stand side by side in a piece, the first
            times 2^21 plus the second plus 1 (0: empty).
        pairs: uint64[*, 2], open hash table, left symbol times 2^32 plus right symbol plus 1 (0: empty) →
            rank times 2^32 plus the symbol they merge into; the smaller rank first.
        shifts: int64[3], what a mixed key of characters, bigrams, pairs is shifted by to make a slot.
        byte_ids: int32[256], id of each byte's piece.
        size: v.
    """

    ascii: Ints
    characters: Keys
    neighbours: Bools
    bigrams: Keys
    pairs: Keys
    shifts: Positions
    byte_ids: Ints
    size: int


def read(data: bytes) -> Tables:
    """Read a model.

    Raises:
        UnsupportedModelError: it is not a BPE model with LLaMA's settings of normalisation: identity, a
            dummy prefix, no white space removed, spaces escaped, bytes for what is unknown.
    """
    pieces_, trainer, normalizer = _parse(data)
    _check({piece: kind for piece, _, kind in pieces_}, trainer, normalizer)
    pieces = {piece: (i, score) for i, (piece, score, kind) in enumerate(pieces_) if kind == _NORMAL}
    ranks = {score: rank for rank, score in enumerate(sorted({s for _, s in pieces.values()}, reverse=True))}
    size = len(pieces_)
    symbols = {piece: i for piece, (i, _) in pieces.items()}
    for character in sorted({c for piece in pieces for c in piece}):
        symbols.setdefault(character, size + len(symbols) - len(pieces))

    pairs: dict[int, int] = {}
    bigrams: set[tuple[int, int]] = set()
    for piece, (i, score) in pieces.items():
        bigrams.update((ord(a), ord(b)) for a, b in itertools.pairwise(piece))
        for cut in range(1, len(piece)):
            left, right = symbols.get(piece[:cut]), symbols.get(piece[cut:])
            if left is not None and right is not None:
                pairs[(left << 32) + right + 1] = (ranks[score] << 32) + i

    characters = {ord(piece): i for piece, i in symbols.items() if len(piece) == 1}
    found = np.full(_ASCII, -1, np.int32)
    neighbours = np.zeros((_ASCII, _ASCII), bool)
    for code, i in characters.items():
        if code < _ASCII:
            found[code] = i
    found[ord(" ")] = characters.get(ord(SPACE), -1)
    for a, b in bigrams:
        # A space in the text is U+2581 in the model.
        a, b = (ord(" ") if c == ord(SPACE) else c for c in (a, b))
        if a < _ASCII and b < _ASCII:
            neighbours[a, b] = True
    tables = (
        _table({c + 1: i for c, i in characters.items()}),
        _table({(a << 21) + b + 1: 0 for a, b in bigrams}),
        _table(pairs),
    )
    bytes_ = {piece: i for i, (piece, _, kind) in enumerate(pieces_) if kind == _BYTE}
    return Tables(
        found,
        tables[0],
        neighbours,
        tables[1],
        tables[2],
        np.array([65 - len(table).bit_length() for table in tables], np.int64),
        np.array([bytes_[f"<0x{byte:02X}>"] for byte in range(BYTES)], np.int32),
        size,
    )


def slot_of(key: int, slots: int) -> int:
    """Where a key of an open hash table with so many slots, a power of two, would stand."""
    return (key * MULTIPLIER % 2**64) >> (65 - slots.bit_length())


def _table(entries: dict[int, int]) -> Keys:
    """An open hash table, at most half full: keys, 0 where empty, and values beside them."""
    slots = 1 << max(4, (2 * len(entries)).bit_length())
    table = np.zeros((slots, 2), np.uint64)
    for key, value in entries.items():
        slot = slot_of(key, slots)
        while table[slot, 0]:
            slot = (slot + 1) % slots
        table[slot] = key, value
    return table


def _check(kinds_of: dict[str, int], trainer: dict[int, Any], normalizer: dict[int, Any]) -> None:
    wanted = {
        "model_type BPE": trainer.get(3, 1) == 2,
        "byte_fallback": trainer.get(35, 0) == 1,
        "white space before words": trainer.get(24, 0) == 0,
        "normalisation identity": not normalizer.get(2),
        "add_dummy_prefix": normalizer.get(3, 1) == 1,
        "remove_extra_whitespaces=false": normalizer.get(4, 1) == 0,
        "escape_whitespaces": normalizer.get(5, 1) == 1,
        "no symbols of one's own": set(kinds_of.values()) <= {_NORMAL, _UNKNOWN, _CONTROL, _BYTE},
        "a piece for the space": kinds_of.get(SPACE) == _NORMAL,
    }
    if lacking := [name for name, is_so in wanted.items() if not is_so]:
        raise UnsupportedModelError(f"the model lacks: {', '.join(lacking)}")


def _parse(data: bytes) -> tuple[list[tuple[str, float, int]], dict[int, Any], dict[int, Any]]:
    """Text, score and kind of each piece; trainer and normaliser settings by field number.

    The classes that SentencePiece generates from its schema want a newer protobuf than Beam allows.
    """
    pieces, trainer, normalizer = [], {}, {}
    for number, value in _fields(data):
        if number == 1:
            piece = dict(_fields(value))
            (score,) = struct.unpack("<f", piece.get(2, bytes(4)))
            pieces.append((piece.get(1, b"").decode(), score, piece.get(3, _NORMAL)))
        elif number == 2:
            trainer = dict(_fields(value))
        elif number == 3:
            normalizer = dict(_fields(value))
    return pieces, trainer, normalizer


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers and values of a message in protobuf's wire format (protobuf.dev, Encoding)."""
    p = 0
    while p < len(data):
        tag, p = _varint(data, p)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, p = _varint(data, p)
            yield number, value
            continue
        if kind == 2:
            size, p = _varint(data, p)
        else:
            size = {1: 8, 5: 4}[kind]
        yield number, data[p : p + size]
        p += size


def _varint(data: bytes, p: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[p]
        value |= (byte & 0x7F) << shift
        p, shift = p + 1, shift + 7
        if byte < 0x80:
            return value, p
