"""`python -m tests.bench.reader`: tokens from shards to batches, M tokens/s a core, and what opening costs.

Seconds are CPU seconds of one core, but of opening, which is by the clock. *Cold*: each shard is hashed when
it is first read, and where shards lie elsewhere copied to the cache; *warm*: verified before.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.bench.measure import process
from tokenizer import shards
from tokenizer.cache import Open, read_local
from tokenizer.reader import Corpus, Reader

_LENGTH, _BATCH = 2_048, 512
_SHARD_TOKENS = 16 << 20
_SHARDS = (4, 24)
_MANY = 11_000


def main() -> None:
    """Make corpora of random tokens, and read them."""
    with tempfile.TemporaryDirectory(prefix="llama-corpus-bench-") as name:
        folder = Path(name)
        roots = [_corpus(folder / str(count), count) for count in _SHARDS]
        print(
            f"\nreading batches of {_BATCH} sequences of {_LENGTH:,} tokens, shuffled, {_SHARDS[1]} shards:"
        )
        for what, open_ in (("local shards", None), ("shards elsewhere", read_local)):
            for state in ("cold", "warm"):
                print(f"  {what + ', ' + state:<42} {_rate(roots[1], folder / what, open_):8.0f} M tokens/s")
        memory = [_peak(root, folder / "memory") for root in roots]
        times = f"{_SHARDS[1] / _SHARDS[0]:.0f} times the tokens"
        print(
            f"peak memory without file pages: {memory[0] / 1e6:.0f} MB, at {times} {memory[1] / 1e6:.0f} MB"
        )
        seconds, rest = _opened(_table(folder / "many"), folder / "cache")
        print(f"opening {_MANY:,} shards: {seconds:.3f} s, the first of its batches' places: {rest:.3f} s")


def _corpus(root: Path, count: int) -> Path:
    rng = np.random.default_rng(0)
    (root / "train").mkdir(parents=True)
    rows = []
    for number in range(count):
        tokens = rng.integers(0, 32_000, _SHARD_TOKENS, dtype=np.uint16)
        (root / "train" / f"shard-{number:05d}.bin").write_bytes(tokens.tobytes())
        rows.append((_SHARD_TOKENS, 1, np.frombuffer(shards.sha256(tokens), np.uint8)))
    return _write_table(root, np.array(rows, shards.SHARD))


def _table(root: Path) -> Path:
    """The manifest and table of a corpus of full size, without its shards."""
    (root / "train").mkdir(parents=True)
    table = np.zeros(_MANY, shards.SHARD)
    table["tokens"], table["documents"] = 128 << 20, 100_000
    return _write_table(root, table)


def _write_table(root: Path, table: np.ndarray) -> Path:
    data = shards.array_bytes(table)
    (root / "train" / "shards.npy").write_bytes(data)
    sets = {"train": {"table_sha256": shards.sha256(data).hex()}}
    (root / "manifest.json").write_text(json.dumps({"tokenizer": {"sha256": "t"}, "sets": sets}))
    return root


def _rate(root: Path, cache: Path, open_: Open | None) -> float:
    reader = Reader([Corpus.open(root, open_=open_)], _LENGTH, 0, cache, keep=_SHARDS[1])
    start, read = time.process_time(), 0
    for batch in reader.batches(_BATCH, 0, 1, 0):
        read += batch.size
    return read / 1e6 / (time.process_time() - start)


def _peak(root: Path, cache: Path) -> int:
    """Anonymous memory that a process of its own had at its peak while it read everything."""
    call = "import sys; from tests.bench.reader import read_all; read_all(*sys.argv[1:])"
    return int(process([sys.executable, "-c", call, str(root), str(cache)]).output)


def read_all(root: str, cache: str) -> None:
    """Read all batches, and print the most memory that was no page of a file."""
    most = 0
    for _ in Reader([Corpus.open(root)], _LENGTH, 0, cache).batches(_BATCH, 0, 1, 0):
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        most = max(most, int(status["RssAnon"].split()[0]) * 1_024)
    print(most)


def _opened(root: Path, cache: Path) -> tuple[float, float]:
    """Seconds by the clock to open a corpus, and to know where the samples of the first batch lie."""
    start = time.perf_counter()
    reader = Reader([Corpus.open(root)], _LENGTH, 0, cache)
    opened = time.perf_counter()
    for i in range(_BATCH):
        reader.place(i * (reader.samples // _BATCH))
    return opened - start, time.perf_counter() - opened


if __name__ == "__main__":
    main()
