"""The limit: what the library calls cost that the filter cannot do without, and nothing else.

Imports nothing of this project. Given the bytes as the filter passes them (compressed files; documents after
deduplication with their newlines deleted; normalised texts of the pages that are scored), it calls inflate,
fastText, SentencePiece and KenLM in the fastest form found. Reading the given documents is not counted.
Prints CPU seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import fasttext
import kenlm
import pyarrow as pa
import sentencepiece
from isal import igzip

_BLOCK = 1 << 20
_DOCUMENTS_PER_CALL = 256


def main(wet: str, documents: str, scored: str, lid: str, pieces_model: str, ngram_model: str) -> None:
    """Time each library over its input."""
    language_model = fasttext.load_model(lid).f
    pieces = sentencepiece.SentencePieceProcessor(model_file=pieces_model)
    ngrams = kenlm.Model(ngram_model)
    lines, texts = _column(documents), _column(scored)
    encoded: list[str] = []

    def inflate() -> None:
        for path in sorted(Path(wet).glob("*.gz")):
            with igzip.open(path, "rb") as f:
                while f.read(_BLOCK):
                    pass

    def identify() -> None:
        for line in lines:
            language_model.predict(line + b"\n", 1, 0.0, "strict")

    def encode() -> None:
        for start in range(0, len(texts), _DOCUMENTS_PER_CALL):
            batch = texts[start : start + _DOCUMENTS_PER_CALL]
            encoded.extend(map(" ".join, pieces.encode(batch, out_type=str, num_threads=1)))

    def score() -> None:
        for text in encoded:
            ngrams.score(text)

    steps = {"inflate": inflate, "fastText": identify, "SentencePiece": encode, "KenLM": score}
    print(json.dumps({name: _cpu(work) for name, work in steps.items()}))


def _column(path: str) -> list[bytes]:
    with pa.memory_map(path) as f:
        column = pa.ipc.open_file(f).read_all()["text"]
    return column.cast(pa.binary()).to_pylist()  # type: ignore[no-any-return]


def _cpu(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main(*sys.argv[1:])
