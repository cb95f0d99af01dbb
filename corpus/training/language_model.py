"""A language model for perplexity: text → SentencePiece unigram model + KenLM n-gram model.

In: text files, one document a line (CCNet: the opening text of a million Wikipedia articles). Out:
`LANG.sp.model`, `LANG.binary` and `LANG.manifest.json`. The same input and settings give the same bytes.
Rules: CCNet's Makefile; facebookresearch/cc_net, Makefile and cc_net/text_normalizer.py.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import fsspec
import numpy as np
import pyarrow as pa
import sentencepiece

from corpus import storage
from corpus.annotate.perplexity import DOCUMENTS_PER_CALL, encode_pieces
from corpus.errors import UserError
from corpus.kernels.language_model_text import normalize_for_language_model
from corpus.kernels.words import new_cache, translate
from corpus.recipe import Encoding
from corpus.training import kenlm_tools
from corpus.training.manifests import file_entry, write_manifest

_DOCUMENTS_PER_BATCH = 1000


@dataclass(frozen=True, kw_only=True)
class LanguageModelSettings:
    """How a model is trained; the defaults are CCNet's, but for `encoding`.

    Attributes:
        vocab_size: SentencePiece pieces.
        character_coverage: share of the text's characters that pieces can spell.
        order: longest n-gram, in pieces.
        max_documents: lines read, over all inputs.
        binary: `probing` is fast, `trie` (quantised to 8 bits) is small.
        encoding: what SentencePiece is given at a time: each `words` by itself, or the whole `text` as
            CCNet. A recipe that names the model must say the same.
    """

    vocab_size: int = 65_536
    character_coverage: float = 0.9995
    order: int = 5
    max_documents: int = 1_000_000
    binary: Literal["probing", "trie"] = "probing"
    encoding: Encoding = "words"


def train_language_model(
    inputs: Sequence[str], language: str, output: str, settings: LanguageModelSettings, memory: str = "1G"
) -> dict[str, Any]:
    """Train and write one language's model.

    Args:
        inputs: text files, one document a line; `.gz`, `.bz2`, `.xz` and `.zst` are read as such.
        language: code that names the output files.
        output: local folder that receives them.
        settings: how to train.
        memory: what lmplz may sort in, as `sort -S`; without influence on the result.

    Returns:
        The manifest: hashes of inputs and outputs, settings, versions, sizes of the training text.

    Raises:
        UserError: an input is missing or empty, the vocabulary does not fit the text, or KenLM's tools
            cannot be built.
    """
    tools = kenlm_tools.kenlm_tools()
    folder = Path(output)
    names = {"sp": f"{language}.sp.model", "binary": f"{language}.binary"}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        text = work / "normalized.txt"
        documents, longest = _normalize(inputs, text, settings.max_documents)
        sp_model = _train_pieces(text, longest, settings)
        pieces = _encode(sp_model, text, work / "pieces.txt", settings.encoding)
        binary = _train_ngrams(tools, work, settings, memory)
        storage.write_bytes(str(folder / names["sp"]), sp_model)
        storage.write_bytes(str(folder / names["binary"]), binary.read_bytes())
        normalized_bytes = text.stat().st_size
    manifest = {
        "kind": "language-model",
        "language": language,
        "inputs": [file_entry(path) for path in inputs],
        "settings": asdict(settings),
        "versions": {"sentencepiece": version("sentencepiece"), "kenlm": kenlm_tools.VERSION},
        "documents": documents,
        "normalized_bytes": normalized_bytes,
        "pieces": pieces,
        "outputs": [file_entry(str(folder / name)) for name in names.values()],
    }
    write_manifest(folder / f"{language}.manifest.json", manifest)
    return manifest


def _lines(inputs: Sequence[str]) -> Iterator[str]:
    for path in inputs:
        try:
            opened = fsspec.open(path, "rt", encoding="utf-8", newline="\n", compression="infer").open()
        except FileNotFoundError as error:
            raise UserError(f"training text {path} does not exist") from error
        with contextlib.closing(opened) as f:
            yield from (line.removesuffix("\n") for line in f)


def _normalize(inputs: Sequence[str], target: Path, limit: int) -> tuple[int, int]:
    """Write the normalised documents, one a line; their number, and the longest one's bytes."""
    documents = longest = 0
    lines = itertools.islice(_lines(inputs), limit)
    with open(target, "wb") as f:
        while batch := list(itertools.islice(lines, _DOCUMENTS_PER_BATCH)):
            for line in normalize_for_language_model(pa.array(batch, pa.string())).cast(pa.binary()):
                data = line.as_py()
                if data:
                    f.write(data + b"\n")
                    documents, longest = documents + 1, max(longest, len(data))
    if not documents:
        raise UserError(f"training text {', '.join(inputs)} is empty")
    return documents, longest


def _train_pieces(text: Path, longest: int, settings: LanguageModelSettings) -> bytes:
    """The SentencePiece model file, as bytes: nothing in it tells where it was trained."""
    model = io.BytesIO()
    with open(text, encoding="utf-8", newline="\n") as lines:
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=(line.removesuffix("\n") for line in lines),
                model_writer=model,
                model_type="unigram",
                vocab_size=settings.vocab_size,
                character_coverage=settings.character_coverage,
                # Longer lines would be left out with no more than a warning.
                max_sentence_length=longest + 1,
                num_threads=1,
                minloglevel=2,
            )
        except RuntimeError as error:
            fits = re.search(r"<= (\d+)", str(error))
            hint = f": this text allows at most {fits[1]}" if fits else f": {error}"
            raise UserError(f"--vocab-size {settings.vocab_size} does not fit the text{hint}") from error
    return model.getvalue()


def _encode(sp_model: bytes, text: Path, target: Path, encoding: Encoding) -> int:
    """Write each document's pieces joined by spaces; their number."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=sp_model)
    cache = new_cache(np.uint8)
    total = 0
    with open(text, encoding="utf-8", newline="\n") as f, open(target, "wb") as out:
        while batch := [line.removesuffix("\n") for line in itertools.islice(f, _DOCUMENTS_PER_BATCH)]:
            if encoding == "text":
                pieces = encode_pieces(processor, batch, DOCUMENTS_PER_CALL)
            else:
                pieces = translate(
                    pa.array(batch, pa.string()), functools.partial(encode_pieces, processor), cache
                )
            for start, end in itertools.pairwise(pieces.offsets.tolist()):
                out.write(pieces.values[start:end].tobytes().removesuffix(b" ") + b"\n")
            total += int(pieces.pieces.sum())
    return total


def _train_ngrams(
    tools: kenlm_tools.KenlmTools, work: Path, settings: LanguageModelSettings, memory: str
) -> Path:
    """`pieces.txt` → `model.binary` in the working folder."""
    lmplz = [tools.lmplz, "--order", str(settings.order), "--memory", memory]
    # As CCNet: modified Kneser-Ney, nothing pruned. A text too small to estimate discounts falls back to
    # fixed ones; a page that spells <s> must not stop the training.
    lmplz += ["--vocab_estimate", str(settings.vocab_size), "--discount_fallback", "--skip_symbols"]
    _run([*lmplz, "--temp_prefix", f"{work}/", "--text", "pieces.txt", "--arpa", "model.arpa"], work)
    quantised = ["-q", "8", "-b", "8", "-a", "22"] if settings.binary == "trie" else []
    _run([tools.build_binary, *quantised, settings.binary, "model.arpa", "model.binary"], work)
    return work / "model.binary"


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise UserError(f"{Path(command[0]).name} failed: {done.stderr.strip()[-500:]}")
