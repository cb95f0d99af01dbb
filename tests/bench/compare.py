"""`python -m tests.bench.compare`: two runs of a million documents compared, in one order and in another.

Seconds and memory are those of `llama-corpus compare`. Run B has other perplexities for a third of its
documents and a higher threshold of the classifier; `counts` says what must be found.
"""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpus.schema import DECISION, document_id
from tests.bench.measure import process
from tests.review.decided import ANNOTATED, write_batches

_A_PART = 50_000  # documents
_VARIETY = 1 << 22  # of texts
_LIMITS = {"a": 0.5, "b": 0.6}  # of the classifier


def main() -> None:
    """Make the runs, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.compare", description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--characters", type=int, default=1_024, help="of each text (default 1024)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llama-corpus-bench-") as folder:
        write_runs(Path(folder), args.documents, args.characters)
        for name in ("aligned", "shuffled"):
            runs = [f"{folder}/a", f"{folder}/{name}"]
            cost = process([sys.executable, "-m", "pipelines", "compare", *runs])
            print(
                f"{args.documents:,} documents, {name}: {cost.wall:.1f} s, {cost.cpu:.1f} core seconds, "
                f"{cost.memory / 1e6:.0f} MB"
            )


def write_runs(folder: Path, documents: int, characters: int) -> None:
    """Write run A as ``a``, and run B as ``aligned`` and, in another order, as ``shuffled``."""
    order = np.arange(documents)
    shuffled = np.random.default_rng(1).permutation(documents)
    for name, run, numbers in (("a", "a", order), ("aligned", "b", order), ("shuffled", "b", shuffled)):
        decide = {"buckets": ["head", "middle"], "held_out": 0.05, "min_reference": _LIMITS[run]}
        files = (
            _batch(numbers[start : start + _A_PART], run, characters)
            for start in range(0, documents, _A_PART)
        )
        write_batches(folder / name, files, {"decide": decide})


def counts(documents: int) -> Counter[tuple[str, str]]:
    """Documents by their fate in A and in B."""
    numbers = np.arange(documents)
    fates = [_fates(numbers, run)[1] for run in "ab"]
    return Counter(zip(*(fate.tolist() for fate in fates), strict=True))


def _fates(numbers: np.ndarray, run: str) -> tuple[np.ndarray, np.ndarray]:
    """Perplexities and fates."""
    perplexity = (numbers * 7919 % 1000) / 2.0
    if run == "b":
        perplexity = np.where(numbers % 3 == 0, perplexity + numbers % 17 - 8, perplexity)
    fate = np.where(_reference(numbers) < _LIMITS[run], "reference", "kept")
    return perplexity, np.where(perplexity >= 300, "perplexity", fate)


def _reference(numbers: np.ndarray) -> np.ndarray:
    return (numbers * 104_729 % 1000) / 1000


def _batch(numbers: np.ndarray, run: str, characters: int) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    n = len(numbers)
    perplexity, fate = _fates(numbers, run)
    kept = fate == "kept"
    language = np.where(numbers % 5 == 0, "fr", "en")
    both = {"id": [document_id("commoncrawl", int(i)) for i in numbers], "language": language}
    annotated = {
        **both,
        "source": ["commoncrawl"] * n,
        "text": list(_texts(numbers, characters)),
        "key": [f"https://example.com/some/longer/path/{i}" for i in numbers],
        "bytes": np.full(n, characters),
        "file": ["raw"] * n,
        "offset": numbers,
        "paragraphs_v1": [[1, 2, 3]] * n,
        "lid_v1_score": np.full(n, 0.9),
        "perplexity_v1": perplexity,
        "reference_v1": _reference(numbers),
    }
    decisions = {
        **both,
        "kept": kept,
        "reason": pa.array(fate, mask=kept),
        "bucket": np.where(perplexity < 200, "head", np.where(perplexity < 300, "middle", "tail")),
        "held_out": kept & (numbers % 50 == 0),
    }
    absent = {name: pa.nulls(n) for name in ANNOTATED.names if name not in annotated}
    return (
        pa.Table.from_pydict({**annotated, **absent}).select(ANNOTATED.names).cast(ANNOTATED).to_batches()[0],
        pa.Table.from_pydict(decisions).select(DECISION.names).cast(DECISION).to_batches()[0],
    )


def _texts(numbers: np.ndarray, characters: int) -> Iterator[str]:
    """Text that compression makes little of, of the document's number alone."""
    blob = base64.b64encode(np.random.default_rng(0).bytes(_VARIETY + characters)).decode()
    return (blob[at : at + characters] for at in numbers * 31 % _VARIETY)


if __name__ == "__main__":
    main()
