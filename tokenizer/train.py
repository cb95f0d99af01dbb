"""A tokenizer of one's own: documents of finished runs → a sample of lines → a SentencePiece BPE model.

In: Parquet of kept documents. Out: ``tokenizer.model``, and ``tokenizer.manifest.json`` with the hashes of
what it was made of. Settings are LLaMA's, as its published model file has them (karpathy/llama2.c,
doc/train_llama_tokenizer.md), ``remove_extra_whitespaces=false`` among them.

The sample: of each source documents in the order of their hash, until they have the source's share of the
bytes by the mixture's weights; held-out documents are left out. Lines longer than SentencePiece takes, which
it would pass over without a word, are cut, at a space where there is one.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import sentencepiece
import xxhash

from corpus import storage
from corpus.accounts import write_json
from corpus.assets import file_sha256
from corpus.errors import UserError
from corpus.finished import FinishedRun, read_documents
from corpus.parts import PartFile
from corpus.settings.mixture import Tokenizer

MODEL, MANIFEST = "tokenizer.model", "tokenizer.manifest.json"
LONGEST_LINE = 4_192  # bytes; SentencePiece leaves out what is longer
_SEED = 0x746F_6B65_6E73  # "tokens": a hash of its own, so that no other use of ids correlates

# LLaMA's, but for the size; SentencePiece's own defaults stand where it has them.
SETTINGS: dict[str, Any] = {
    "model_type": "bpe",
    "character_coverage": 0.99995,
    "input_sentence_size": 200_000_000,
    "shuffle_input_sentence": True,
    "max_sentence_length": LONGEST_LINE,
    "max_sentencepiece_length": 16,
    "split_by_unicode_script": True,
    "split_by_whitespace": True,
    "split_by_number": True,
    "split_digits": True,
    "treat_whitespace_as_suffix": False,
    "allow_whitespace_only_pieces": True,
    "byte_fallback": True,
    "normalization_rule_name": "identity",
    "add_dummy_prefix": True,
    "remove_extra_whitespaces": False,
    "unk_id": 0,
    "bos_id": 1,
    "eos_id": 2,
    "pad_id": -1,
    "unk_surface": " \u2047 ",
    "num_threads": 16,  # stands in the model, and changes nothing else
}


@dataclass(frozen=True)
class Sample:
    """What a tokenizer is trained on: bytes and lines, by source."""

    bytes: dict[str, int]
    lines: dict[str, int]


def train(
    runs: Sequence[FinishedRun], weights: Mapping[str, float], settings: Tokenizer, output: str
) -> Sample:
    """Train a tokenizer.

    Args:
        runs: whose documents are sampled.
        weights: of their sources; a source without one gives nothing.
        settings: the recipe's block.
        output: folder or address for the model and its manifest.

    Raises:
        UserError: there is nothing to train on, or too little for so many pieces.
    """
    with tempfile.TemporaryDirectory(prefix="llama-corpus-tokenizer-") as folder:
        path = Path(folder, "sample.txt")
        sample = write_sample(runs, weights, settings, path)
        if not sum(sample.bytes.values()):
            raise UserError("there is no text of a source with a weight in the runs given")
        sentencepiece.set_random_generator_seed(settings.seed)
        model = io.BytesIO()
        try:
            with open(path, "rb") as lines:
                sentencepiece.SentencePieceTrainer.train(
                    # Not by file names: they would stand in the model.
                    sentence_iterator=(line.rstrip(b"\n") for line in lines),
                    model_writer=model,
                    vocab_size=settings.vocab_size,
                    minloglevel=2,
                    **SETTINGS,
                )
        except (RuntimeError, OSError) as error:
            raise UserError(
                f"SentencePiece made no model of {settings.vocab_size:,} pieces from "
                f"{sum(sample.bytes.values()):,} bytes: {error}; more text, or a smaller tokenizer.vocab_size"
            ) from error
        storage.write_bytes(storage.join(output, MODEL), model.getvalue())
        manifest = {
            "runs": [[run.name, run.sha256] for run in runs],
            "weights": dict(sorted(weights.items())),
            "settings": SETTINGS | {"vocab_size": settings.vocab_size, "seed": settings.seed},
            "sample": {"bytes": sample.bytes, "lines": sample.lines, "sha256": file_sha256(path)},
            "model_sha256": hashlib.sha256(model.getvalue()).hexdigest(),
            "sentencepiece": version("sentencepiece"),
        }
    write_json(output, MANIFEST, manifest)
    return sample


def write_sample(
    runs: Sequence[FinishedRun], weights: Mapping[str, float], settings: Tokenizer, path: Path
) -> Sample:
    """Write the lines of the sample, by source, run and place; returns what it has."""
    present = dict.fromkeys(run.source for run in runs)
    total = sum(weights.get(source, 0.0) for source in present)
    found = Sample({}, {})
    with storage.write(str(path)) as f:  # which says so when the disk is full
        for source in present:
            if not weights.get(source):
                continue
            wanted = int(settings.sample_bytes * weights[source] / total)
            of_source = [run for run in runs if run.source == source]
            limit = _limit(of_source, wanted, settings.seed)
            size = lines = 0
            for text in _texts(of_source, limit, settings.seed):
                for line in cut_lines(text):
                    f.write(line + b"\n")
                    size, lines = size + len(line), lines + 1
            found.bytes[source], found.lines[source] = size, lines
    return found


def cut_lines(text: str) -> Iterator[bytes]:
    """The lines of a text that SentencePiece learns from, none longer than it takes.

    NUL, which it has its own use for, does not come through. (It is encoded as a byte all the same.)
    """
    for line in text.replace("\0", "").split("\n"):
        rest = line.encode()
        while len(rest) > LONGEST_LINE:
            at = rest.rfind(b" ", 1, LONGEST_LINE)
            if at < 0:  # not inside a character
                at = LONGEST_LINE
                while rest[at] & 0xC0 == 0x80:
                    at -= 1
            yield rest[:at]
            rest = rest[at:]
        if rest:
            yield rest


def _limit(runs: Sequence[FinishedRun], wanted: int, seed: int) -> int:
    """The hash below which documents have so many bytes together, right to one document."""
    hashes, sizes = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for run in runs:
        for file in run.files:
            for batch in _batches(run, file, ["id", "bytes"]):
                hashes.append(_hashes(batch.column("id").to_pylist(), seed))
                sizes.append(batch.column("bytes").to_numpy())
    keys, counts = np.concatenate(hashes), np.concatenate(sizes)
    order = np.argsort(keys, kind="stable")
    last = int(np.searchsorted(np.cumsum(counts[order]), wanted))
    return 1 << 64 if last >= len(order) else int(keys[order[last]]) + 1


def _texts(runs: Sequence[FinishedRun], limit: int, seed: int) -> Iterator[str]:
    for run in runs:
        for file in run.files:
            for batch in _batches(run, file, ["id", "text"]):
                hashes = _hashes(batch.column("id").to_pylist(), seed)
                for i in np.flatnonzero(hashes <= np.uint64(limit - 1)).tolist():
                    yield batch.column("text")[i].as_py()


def _batches(run: FinishedRun, file: PartFile, columns: list[str]) -> Iterator[Any]:
    """Rows that are not held out."""
    for batch in read_documents(run, file, [*columns, "held_out"]):
        yield batch.filter(pc.invert(batch.column("held_out")))


def _hashes(ids: list[str], seed: int) -> np.ndarray[Any, Any]:
    return np.array([xxhash.xxh3_64_intdigest(i.encode(), seed=_SEED ^ seed) for i in ids], np.uint64)
