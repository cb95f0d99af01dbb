"""Small corpora of shards, written as `llama-corpus mix` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tokenizer import shards


def write_corpus(
    root: Path, sizes: Sequence[Sequence[int]], name: str = "train", tokenizer: str = "t", first: int = 0
) -> np.ndarray:
    """Shards of documents with so many tokens each; the tokens count up. Returns all of them."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    rows, stream, value = [], [], first
    for number, lengths in enumerate(sizes):
        count = sum(lengths)
        tokens = (np.arange(value, value + count) % 65_521).astype(shards.TOKEN)
        value += count
        base = folder / f"shard-{number:05d}"
        base.with_suffix(".bin").write_bytes(tokens.tobytes())
        base.with_suffix(".idx").write_bytes(shards.index_bytes(np.array(lengths)))
        documents = np.zeros(len(lengths), shards.DOCUMENT)
        documents["row"] = np.arange(len(lengths))
        (folder / f"shard-{number:05d}.documents.npy").write_bytes(shards.array_bytes(documents))
        rows.append((count, len(lengths), np.frombuffer(shards.sha256(tokens.tobytes()), np.uint8)))
        stream.append(tokens)
    table = shards.array_bytes(np.array(rows, shards.SHARD))
    (folder / "shards.npy").write_bytes(table)
    sets = {name: {"table_sha256": shards.sha256(table).hex()}}
    manifest = {"tokenizer": {"sha256": tokenizer}, "sets": sets}
    (root / "manifest.json").write_text(json.dumps(manifest))
    return np.concatenate(stream) if stream else np.empty(0, np.uint16)
