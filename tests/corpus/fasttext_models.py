"""fastText model files of any kind, written from random numbers: training is neither exact nor quick."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LOSSES = {"hs": 1, "ns": 2, "softmax": 3, "ova": 4}
MAGIC = 793712314


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What a model is like; rows are drawn by `seed`, output rows are `spread` times as long."""

    loss: str = "softmax"
    dim: int = 16
    labels: int = 7
    chars: tuple[int, int] = (2, 4)
    buckets: int = 1000
    word_ngrams: int = 1
    pruned: bool = False
    quantized: bool = False
    normed: bool = False
    output_quantized: bool = False
    equal_outputs: bool = False
    kind: int = 3
    version: int = 12
    spread: float = 2.0
    seed: int = 0


def write(path: Path, spec: ModelSpec, words: Sequence[bytes], prefix: str = "__label__") -> str:
    """Write a model (src/fasttext.cc, `saveModel`) and return its path."""
    rng = np.random.default_rng(spec.seed)
    low, high = spec.chars
    pruned = np.flatnonzero(rng.random(spec.buckets) < 0.5).astype(np.int32)
    grams = 0 if high == 0 and spec.word_ngrams == 1 else len(pruned) if spec.pruned else spec.buckets
    entries = [(word, 1, 0) for word in words]
    counts = np.sort(rng.integers(1, 1000, spec.labels))[::-1].tolist()
    entries += [(f"{prefix}l{i}".encode(), counts[i], 1) for i in range(spec.labels)]
    parts = [
        struct.pack("<2i", MAGIC, spec.version),
        struct.pack("<12id", spec.dim, 5, 5, 1, 5, spec.word_ngrams, LOSSES[spec.loss], spec.kind,
                    spec.buckets, low, high, 100, 1e-4),
        struct.pack("<3i2q", len(entries), len(words), spec.labels, 1000, len(pruned) if spec.pruned else -1),
        *[word + b"\0" + struct.pack("<qb", count, kind) for word, count, kind in entries],
    ]  # fmt: skip
    if spec.pruned:
        parts.append(np.stack([pruned, rng.permutation(len(pruned))], axis=1).astype("<i4").tobytes())
    rows = rng.standard_normal((len(words) + grams, spec.dim)).astype(np.float32)
    output = (spec.spread * rng.standard_normal((spec.labels, spec.dim))).astype(np.float32)
    if spec.equal_outputs:
        output[:] = output[0]
    parts += [_matrix(rows, spec.quantized, spec.normed, rng)]
    parts += [_matrix(output, spec.output_quantized, spec.normed, rng)]
    path.write_bytes(b"".join(parts))
    return str(path)


def _matrix(rows: np.ndarray, quantized: bool, normed: bool, rng: np.random.Generator) -> bytes:
    """A flag and a matrix: `rows`, or, quantised, other random ones of its size."""
    m, n = rows.shape
    if not quantized:
        return struct.pack("<?2q", False, m, n) + rows.tobytes()
    parts = (n + 1) // 2
    data = struct.pack("<2?2qi", True, normed, m, n, m * parts) + rng.bytes(m * parts)
    data += struct.pack("<4i", n, parts, 2, 2 - n % 2) + _floats(rng, n * 256)
    if normed:
        norms = (0.5 + 5 * rng.random(256)).astype("<f4").tobytes()
        data += rng.bytes(m) + struct.pack("<4i", 1, 1, 1, 1) + norms
    return data


def _floats(rng: np.random.Generator, count: int) -> bytes:
    return rng.standard_normal(count).astype("<f4").tobytes()
