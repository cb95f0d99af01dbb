"""Small corpora of shards that a model can learn something from, written as `llama-corpus mix` does.

A document of source s is a walk: after token t comes mostly (5·t + s) mod the tokens of text, else any. A
token has 1 to 4 bytes, by its number. Nothing but numpy is needed; the same arguments give the same files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tokenizer import shards

SOURCES = ("books", "github", "wikipedia")
BEGIN, END, FIRST = 1, 2, 3  # marks, and the first token of text (0 is the unknown piece)


def write_corpus(
    root: Path,
    train: Sequence[int] = (40, 30, 50),
    held_out: Mapping[str, Sequence[int]] | None = None,
    *,
    vocab: int = 256,
    longest: int = 150,
    seed: int = 0,
    likely: float = 0.9,
    marks: tuple[int | None, int | None] = (BEGIN, END),
    tokenizer: str = "0" * 64,
) -> Path:
    """Write a corpus; returns its folder.

    Args:
        root: the folder.
        train: documents of each shard of the train set.
        held_out: the same of the set held-out/SOURCE of some of `SOURCES`; by default of the first two.
        vocab: ids of tokens are below it.
        longest: tokens of text a document has at most; it has one at least.
        seed: of everything.
        likely: chance that a token is the one that follows from the one before.
        marks: at begin and end of each document; None for none.
        tokenizer: SHA-256 in the manifest.
    """
    rng = np.random.default_rng(seed)
    sets: dict[str, Any] = {}
    held_out = {"books": [6, 3], "github": [5]} if held_out is None else held_out
    wanted = {"train": train} | {f"held-out/{source}": counts for source, counts in held_out.items()}
    for name, counts in wanted.items():
        rows, counters = [], dict.fromkeys(("documents", "tokens"), 0)
        (root / name).mkdir(parents=True, exist_ok=True)
        for number, count in enumerate(counts):
            drawn = rng.integers(0, len(SOURCES), count)
            source = drawn if name == "train" else np.full(count, SOURCES.index(name.split("/")[1]))
            texts = _walks(rng, source, rng.integers(1, longest + 1, count), vocab, likely)
            rows.append(_write_shard(root / name / f"shard-{number:05d}", source, texts, marks))
            counters["documents"] += count
            counters["tokens"] += rows[-1][0]
        table = shards.array_bytes(np.array(rows, shards.SHARD))
        (root / name / "shards.npy").write_bytes(table)
        sets[name] = {
            "shards": len(rows),
            "table_sha256": shards.sha256(table).hex(),
            "counters": counters,
        }
    manifest = {
        "kind": "shards",
        "complete": True,
        "dtype": shards.TOKEN.str,
        "marks": {"begin": marks[0], "end": marks[1]},
        "sets": sets,
        "sources": list(SOURCES),
        "tokenizer": {"pieces": vocab, "sentencepiece": "0.2.3", "sha256": tokenizer},
        "mixture": {"seed": seed, "weights": dict.fromkeys(SOURCES, 1 / len(SOURCES))},
    }
    (root / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True))
    return root


def _walks(
    rng: np.random.Generator, source: np.ndarray, lengths: np.ndarray, vocab: int, likely: float
) -> list[np.ndarray]:
    """The tokens of each document's text."""
    size, count, longest = vocab - FIRST, len(source), int(lengths.max(initial=0))
    any_ = rng.integers(0, size, (count, longest))
    follows = rng.random((count, longest)) < likely
    for t in range(1, longest):
        any_[:, t] = np.where(follows[:, t], (5 * any_[:, t - 1] + source) % size, any_[:, t])
    return [row[:length] + FIRST for row, length in zip(any_, lengths, strict=True)]


def _write_shard(
    base: Path, source: np.ndarray, texts: Sequence[np.ndarray], marks: tuple[int | None, int | None]
) -> tuple[int, int, np.ndarray]:
    """The three files of a shard; returns its row of the table."""
    begin, end = ([] if mark is None else [mark] for mark in marks)
    whole = [np.array([*begin, *text, *end], shards.TOKEN) for text in texts]
    tokens = np.concatenate([np.empty(0, shards.TOKEN), *whole])
    documents = np.zeros(len(texts), shards.DOCUMENT)
    documents["source"] = source
    documents["bytes"] = [int((1 + text % 4).sum()) for text in texts]
    documents["row"] = np.arange(len(texts))
    base.with_suffix(".bin").write_bytes(tokens.tobytes())
    base.with_suffix(".idx").write_bytes(shards.index_bytes(np.array([len(t) for t in whole])))
    base.with_suffix(".documents.npy").write_bytes(shards.array_bytes(documents))
    return len(tokens), len(texts), np.frombuffer(shards.sha256(tokens.tobytes()), np.uint8)
