"""What one part of tokenized documents gives to each shard: a file with a block a shard.

A block: rows (`DRAW`), then their tokens, one document after the other. The index of all blocks stands at the
end: where each begins, its rows and a checksum of its bytes. A task that makes a shard reads one entry of the
index and one range of bytes of each part's file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import xxhash

from corpus import storage
from corpus.errors import CorruptPartError
from corpus.kernels.arrays import Positions
from tokenizer.shards import TOKEN, Tokens

# A document's copy: its position in the corpus, its id, which copy, and what its shard says of it.
DRAW = np.dtype(
    [
        ("position", "<f8"),
        ("id_high", "<u8"),  # its first and last 64 bits
        ("id_low", "<u8"),
        ("copy", "<u4"),
        ("source", "u1"),
        ("tokens", "<u4"),
        ("bytes", "<u4"),
        ("part", "<u4"),
        ("row", "<u4"),
    ]
)
Draws = npt.NDArray[Any]
_ENTRY = np.dtype([("offset", "<u8"), ("rows", "<u8"), ("bytes", "<u8"), ("checksum", "<u8")])
_FOOTER = struct.Struct("<8sQQ")  # magic, blocks, checksum of the index
_MAGIC = b"LCDRAWS\1"
_AHEAD = 1 << 16  # of a remote file: a block is some 46 kB where a part has 256M tokens for 11,000 shards


def write_draws(
    f: IO[bytes],
    shard: Positions,
    rows: Draws,
    tokens_of: Callable[[int], Tokens],
    document: Positions,
    shards: int,
) -> None:
    """Write a file of draws; `f` need not seek.

    Args:
        f: opened for writing.
        shard: int64[n], which shard each draw belongs to.
        rows: DRAW[n].
        tokens_of: the tokens of a document of the part.
        document: int64[n], the document of each draw.
        shards: how many there are.
    """
    order = np.argsort(shard, kind="stable")
    starts = np.searchsorted(shard[order], np.arange(shards + 1))
    index = np.zeros(shards, _ENTRY)
    offset = 0
    for number in range(shards):
        chosen = order[starts[number] : starts[number + 1]]
        index["offset"][number] = offset
        if not len(chosen):
            continue
        digest = xxhash.xxh3_64()
        for data in _block(rows[chosen], tokens_of, document[chosen]):
            digest.update(data)
            f.write(data)
            offset += len(data)
        index["rows"][number] = len(chosen)
        index["bytes"][number] = offset - index["offset"][number]
        index["checksum"][number] = digest.intdigest()
    data = index.tobytes()
    f.write(data + _FOOTER.pack(_MAGIC, shards, xxhash.xxh3_64_intdigest(data)))


def _block(rows: Draws, tokens_of: Callable[[int], Tokens], document: Positions) -> Iterator[bytes]:
    yield rows.tobytes()
    for number in document.tolist():
        yield np.asarray(tokens_of(number), TOKEN).tobytes()


def read_draws(path: str, size: int, shard: int) -> tuple[Draws, Tokens]:
    """The draws of one shard, DRAW[n], and their tokens.

    Args:
        path: of the file.
        size: its bytes.
        shard: its number among all.

    Raises:
        CorruptPartError: the file is missing or damaged.
    """
    try:
        with storage.open_read(path, _AHEAD) as f:
            f.seek(size - _FOOTER.size)
            magic, blocks, _ = _FOOTER.unpack(f.read(_FOOTER.size))
            if magic != _MAGIC or shard >= blocks:
                raise CorruptPartError(f"{path} has no draws for shard {shard}; delete it and run again")
            f.seek(size - _FOOTER.size - (blocks - shard) * _ENTRY.itemsize)
            (entry,) = np.frombuffer(f.read(_ENTRY.itemsize), _ENTRY)
            f.seek(int(entry["offset"]))
            data = f.read(int(entry["bytes"]))
    except FileNotFoundError as error:
        raise CorruptPartError(f"{path} is missing: run the command again") from error
    except (struct.error, ValueError, OSError) as error:
        raise CorruptPartError(f"{path} is damaged ({error}); delete it and run again") from error
    rows = int(entry["rows"])
    if (rows or data or entry["bytes"]) and xxhash.xxh3_64_intdigest(data) != entry["checksum"]:
        raise CorruptPartError(f"{path} is damaged: the block of shard {shard} does not match its checksum")
    draws = np.frombuffer(data, DRAW, rows)
    return draws, np.frombuffer(data, TOKEN, offset=rows * DRAW.itemsize)
