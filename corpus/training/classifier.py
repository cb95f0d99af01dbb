"""The classifier of pages that Wikipedia cites against random pages: annotated pages → a fastText model.

In: a crawl-filter run and a list of cited URLs. Out: `reference.bin` (or `.ftz`, quantised) and
`reference.manifest.json` with its AUC on pages held out. The same input and settings give the same bytes.

The paper (arXiv 2302.13971, section 2.1) names the classifier only. RedPajama's (rp_v1,
data_prep/cc/classifier) learned lengths instead of quality; here both classes have the same lengths.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa

from corpus import assets, storage
from corpus.annotate import fasttext_model
from corpus.annotate.fasttext_model import LABEL_PREFIX
from corpus.annotate.reference import CITED, RANDOM, cited_probabilities, classifier_text
from corpus.errors import UserError
from corpus.training.cited_urls import Match, read_cited
from corpus.training.manifests import file_entry, write_manifest
from corpus.training.selection import Selection, SelectionRule, candidates, select

# fastText's words: src/dictionary.cc, readWord.
_WORD = re.compile(rb"[^ \n\r\t\v\f\0]+")
_MIN_PAGES = 20  # a class; below, a held-out AUC says nothing


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings:
    """How the pages are chosen and the model is trained; fastText's own defaults, but for `min_count`.

    Attributes:
        pages: which pages may train.
        match: a page is cited if its URL is, or if any page of its host is.
        held_out: share of the pages that test and do not train.
        dim, epochs, learning_rate, min_count, seed: fastText's options. Features are single words, as in
            RedPajama: no n-grams.
        quantize: compress the model (fastText's product quantisation).
    """

    pages: SelectionRule = field(default_factory=SelectionRule)
    match: Match = "url"
    held_out: float = 0.05
    dim: int = 100
    epochs: int = 5
    learning_rate: float = 0.1
    min_count: int = 5
    seed: int = 0
    quantize: bool = False


def train_classifier(run: str, cited_path: str, output: str, settings: ClassifierSettings) -> dict[str, Any]:
    """Train, test and write the classifier.

    Args:
        run: output folder or address of a crawl-filter run; its columns `id`, `key` (URL), `language` and
            `text` are read.
        cited_path: list of cited URLs, one a line, compressed or not.
        output: local folder for the model and its manifest.
        settings: how to choose and train.

    Returns:
        The manifest: hashes, settings, versions, counts, AUC.

    Raises:
        UserError: there are too few cited or too few other pages of the same lengths.
    """
    cited = read_cited(cited_path, settings.match)
    selection = select(run, cited, settings.pages)
    pages = len(selection.cited)
    if pages < _MIN_PAGES:
        raise UserError(
            f"{selection.cited_found} cited and {selection.random_found} other pages in "
            f"{settings.pages.language!r} of {settings.pages.min_chars} characters or more share lengths for "
            f"{pages} pairs only; at least {_MIN_PAGES} are wanted: more input, --match host, a lower "
            "--min-chars or --length-classes"
        )
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        lines = _Lines(work / "pages.txt")
        for page in candidates(run, cited, settings.pages):
            lines.add(page.text, page.hashes, page.cited, selection)
        held_out = lines.split(settings.held_out, work / "train.txt")
        model = work / ("reference.ftz" if settings.quantize else "reference.bin")
        fit(work / "train.txt", model, settings)
        auc = held_out_auc(model, held_out)
        with open(model, "rb") as source, storage.write(str(Path(output) / model.name)) as f:
            shutil.copyfileobj(source, f)
        text_sha256 = assets.file_sha256(work / "train.txt")
    manifest = {
        "kind": "reference-classifier",
        "settings": asdict(settings),
        "cited": {**file_entry(cited_path), "entries": len(cited)},
        "pages": {
            "cited_found": selection.cited_found,
            "random_found": selection.random_found,
            "of_each_class": pages,
            "held_out_of_each_class": len(held_out[CITED]),
            "training_text_sha256": text_sha256,
        },
        "auc": round(auc, 4),
        "versions": {"fasttext": version("fasttext")},
        "output": file_entry(str(Path(output) / model.name)),
    }
    write_manifest(Path(output) / "reference.manifest.json", manifest)
    return manifest


def area_under_curve(
    positives: Sequence[float] | np.ndarray, negatives: Sequence[float] | np.ndarray
) -> float:
    """Share of (positive, negative) pairs in which the positive scores higher; a tie counts half.

    The exact area under the receiver operating characteristic (Mann–Whitney U).
    """
    low = np.sort(negatives)
    below = np.searchsorted(low, positives, "left").sum()
    not_above = np.searchsorted(low, positives, "right").sum()
    return float((below + not_above) / (2 * len(positives) * len(negatives)))


class _Lines:
    """The chosen pages as they come, in one file; read back in the order of their id hashes.

    That order is a shuffle that no order of files changes, and memory holds no text.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._index: dict[str, list[tuple[int, int, int]]] = {CITED: [], RANDOM: []}  # hash, offset, bytes

    def add(self, text: pa.StringArray, hashes: np.ndarray, cited: np.ndarray, chosen: Selection) -> None:
        rows = np.flatnonzero(np.where(cited, np.isin(hashes, chosen.cited), np.isin(hashes, chosen.random)))
        with open(self._path, "ab") as f:
            lines = classifier_text(text.take(rows)).cast(pa.binary()).to_pylist()
            for row, line in zip(rows, lines, strict=True):
                label = CITED if cited[row] else RANDOM
                self._index[label].append((int(hashes[row]), f.tell(), len(line)))
                f.write(line)

    def split(self, held_out: float, train: Path) -> dict[str, list[str]]:
        """Write fastText's training file; return the texts held out, by label."""
        kept: list[tuple[int, int, int, str]] = []
        tested: dict[str, list[str]] = {}
        with open(self._path, "rb") as f:
            for label, index in self._index.items():
                index.sort()
                tests = max(1, round(held_out * len(index)))
                tested[label] = [_read(f, offset, size).decode() for _, offset, size in index[:tests]]
                kept += [(*entry, label) for entry in index[tests:]]
            with open(train, "wb") as out:
                for _, offset, size, label in sorted(kept):
                    out.write(f"{LABEL_PREFIX}{label} ".encode() + _read(f, offset, size) + b"\n")
        return tested


def _read(f: Any, offset: int, size: int) -> bytes:
    f.seek(offset)
    data: bytes = f.read(size)
    return data


def fit(train: Path, model_path: Path, settings: ClassifierSettings) -> None:
    """Train on fastText's training file (a label and a page's words a line) and write the model.

    Beside the model it leaves `start.vec`, what training started from.

    Raises:
        UserError: fastText's weights grew beyond numbers, or the text is too small for `quantize`.
    """
    start = model_path.with_name("start.vec")
    _write_start(train, start, settings)
    try:
        model = _trained(train, start, settings)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"fastText: {error} (try another --learning-rate, or without --quantize)") from error
    model.save_model(str(model_path))


def _trained(train: Path, start: Path, settings: ClassifierSettings) -> Any:
    model = fasttext.train_supervised(
        input=str(train),
        label=LABEL_PREFIX,
        dim=settings.dim,
        epoch=settings.epochs,
        lr=settings.learning_rate,
        wordNgrams=1,
        minCount=settings.min_count,
        pretrainedVectors=str(start),
        loss="softmax",
        seed=settings.seed,
        thread=1,  # several write to the same weights without locks: no two runs alike
        verbose=0,
    )
    if settings.quantize:
        model.quantize(input=str(train), qnorm=True, retrain=False, thread=1, verbose=0)
    return model


def _write_start(train: Path, start: Path, settings: ClassifierSettings) -> None:
    """Write the vectors that training starts from: ±1/dim for every word, drawn by the seed.

    fastText 0.9.3 itself fills a tenth of its matrix with one thread and leaves the rest as the memory
    was (src/densematrix.cc, `uniform`): other models each time, or not-a-number.
    """
    counts: Counter[bytes] = Counter()
    with open(train, "rb") as f:
        for line in f:
            counts.update(_WORD.findall(line)[1:])  # the first is the label
            counts[b"</s>"] += 1
    words = sorted(word for word, n in counts.items() if n >= settings.min_count)
    generator = np.random.Generator(np.random.PCG64(settings.seed))
    signs = (f" {1 / settings.dim:.6f}".encode(), f" {-1 / settings.dim:.6f}".encode())
    with open(start, "wb") as out:
        out.write(f"{len(words)} {settings.dim}\n".encode())
        for word in words:
            drawn = generator.integers(0, 2, settings.dim).tolist()
            out.write(word + b"".join([signs[bit] for bit in drawn]) + b"\n")


def held_out_auc(model: Path, held_out: dict[str, list[str]]) -> float:
    """Area under the curve of a model's scores of pages by label, as `reference_v1` scores them."""
    loaded = fasttext_model.classifier(str(model))
    scores = {
        label: cited_probabilities(loaded, pa.array(texts, pa.string())) for label, texts in held_out.items()
    }
    return area_under_curve(scores[CITED], scores[RANDOM])
