"""`python -m tests.bench.encoder`: documents to ids, beside SentencePiece and the fastest library of its ids.

MB are 10^6 bytes of UTF-8, seconds CPU seconds of one core. *Cold*: with an empty cache; *warm*: once more.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kitoken
import numpy as np
import pyarrow as pa
import sentencepiece

from tests.bench.measure import line
from tests.bench.texts import texts_by_kind
from tokenizer.encoder import Encoder
from tokenizer.train import SETTINGS, cut_lines

_KIND_BYTES = 3_000_000
_TRAINING_BYTES = 500_000  # of each kind
_NOT_LATIN = "wikipedia, not Latin"


def main() -> None:
    """Train a model on a part of the texts, and encode them all."""
    texts = texts_by_kind(_KIND_BYTES)
    sets = {"mixed text": [text for some in texts.values() for text in some], "English books": texts["books"]}
    if _NOT_LATIN in texts:
        sets["text that is not Latin"] = texts[_NOT_LATIN]
    with tempfile.TemporaryDirectory(prefix="llama-corpus-bench-") as folder:
        model = _train(Path(folder), [t for some in texts_by_kind(_TRAINING_BYTES).values() for t in some])
        Encoder(model).encode(pa.array(["one two"]))  # compiled before
        for name, some in sets.items():
            _measure(name, some, model)


def _train(folder: Path, texts: list[str]) -> Path:
    lines = folder / "lines.txt"
    lines.write_bytes(b"\n".join(found for text in texts for found in cut_lines(text)))
    settings = SETTINGS | {"vocab_size": 32_000, "hard_vocab_limit": False, "num_threads": os.cpu_count()}
    sentencepiece.SentencePieceTrainer.train(
        input=str(lines), model_prefix=str(folder / "bench"), minloglevel=2, **settings
    )
    return folder / "bench.model"


def _measure(name: str, texts: list[str], model: Path) -> None:
    size = sum(len(text.encode()) for text in texts)
    column = pa.array(texts)
    encoder = Encoder(model)
    library = kitoken.Kitoken.from_file(str(model))
    print(f"\nencoding {name}, {size / 1e6:.1f} MB, {len(encoder.processor):,} pieces:")
    cold, found = _timed(lambda: encoder.encode(column))
    warm, again = _timed(lambda: encoder.encode(column))
    sentence, rows = _timed(lambda: [np.array(encoder.processor.encode(t), np.uint16) for t in texts])
    other, others = _timed(lambda: [np.array(library.encode(t, True), np.uint16) for t in texts])
    for what, seconds in (("ours, cold", cold), ("ours, warm", warm)):
        line(what, size, seconds)
    for what, seconds in (("SentencePiece", sentence), ("kitoken", other)):
        line(what, size, seconds)
        print(f"    ours is {seconds / cold:.1f} times as fast cold, {seconds / warm:.1f} warm")
    same = [bool(np.array_equal(ids, np.concatenate(rows))) for ids in (found.ids, again.ids)]
    differ = sum(not np.array_equal(a, b) for a, b in zip(rows, others, strict=True))
    print(f"  ids equal to SentencePiece's: {all(same)}; kitoken's differ in {differ} of {len(texts)} texts")


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


if __name__ == "__main__":
    main()
