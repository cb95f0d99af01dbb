"""The compiled fastText classifier gives the library's answers: models of every kind, odd and real text."""

from __future__ import annotations

import bz2
import gzip
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import assets, recipe
from corpus.annotate import fasttext_model
from corpus.annotate.fasttext_model import Classifier
from corpus.errors import UserError
from corpus.kernels import fasttext_file, fasttext_words
from corpus.kernels.fasttext import FasttextKernel
from corpus.kernels.fasttext_file import UnsupportedModel
from corpus.kernels.fasttext_words import new_cache
from corpus.recipe import Limits
from corpus.sources.commoncrawl import read_pages
from corpus.tally import Tally
from corpus.training.classifier import ClassifierSettings, fit
from tests.corpus.fasttext_models import ModelSpec, write
from tests.shared import DATA

PARAGRAPHS_PER_FILE = 300

WORDS = [
    b"</s>",
    b"the",
    b"a",
    "été".encode(),
    "渡し船".encode(),
    b"__label__no",
    b"harbour",
    b"x" * 80,
    b">",
]
SPECS = {
    "softmax": ModelSpec(),
    "softmax, words only": ModelSpec(chars=(0, 0), labels=2, dim=100),
    "softmax, odd columns": ModelSpec(dim=13, chars=(1, 3)),
    "softmax, rows longer than a chunk": ModelSpec(dim=50, labels=40),
    "hierarchical": ModelSpec(loss="hs", labels=40),
    "hierarchical, flat": ModelSpec(loss="hs", labels=300, spread=0.01),
    "hierarchical, steep": ModelSpec(loss="hs", labels=40, spread=50.0),
    "one against all": ModelSpec(loss="ova", labels=5),
    "negative sampling": ModelSpec(loss="ns", labels=5, spread=9.0),
    "quantised": ModelSpec(loss="hs", quantized=True, labels=20),
    "quantised, pruned": ModelSpec(loss="hs", quantized=True, pruned=True, labels=20),
    "quantised, norms": ModelSpec(quantized=True, normed=True, pruned=True, dim=15),
    "quantised, output too": ModelSpec(loss="hs", quantized=True, normed=True, output_quantized=True),
    "ties": ModelSpec(equal_outputs=True),
    "hierarchical ties": ModelSpec(loss="hs", equal_outputs=True),
    "ties on a step": ModelSpec(loss="ova", equal_outputs=True),
    "version 11 without n-grams": ModelSpec(version=11),
}

settings.register_profile("compiled", deadline=None)
settings.load_profile("compiled")


@pytest.fixture(scope="session", params=SPECS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("models") / "model", SPECS[request.param], WORDS)


@pytest.fixture(scope="session")
def lid() -> str:
    try:
        return assets.fetch("lid.176.ftz", recipe.load("sample").assets["lid.176.ftz"])
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("trained")
    lines = [f"__label__{'wiki' if i % 5 < 2 else 'random'} w{i % 5} w{i % 7} w{i % 3}" for i in range(900)]
    (folder / "train.txt").write_text("\n".join(lines) + "\n")
    fit(
        folder / "train.txt",
        folder / "reference.bin",
        ClassifierSettings(dim=20, epochs=20, learning_rate=0.5),
    )
    return str(folder / "reference.bin")


def line_of(text: str, newlines: str) -> str:
    """A document as the library is given it: on one line, which the word `</s>` does not end."""
    one_line = text.replace("\n", "" if newlines == "deleted" else " ")
    return " ".join([word for word in re.split("[ \r\t\v\f\0]+", one_line) if word and word != "</s>"]) + "\n"


def by_library(path: str, texts: Iterable[str], newlines: str, decimals: int) -> list[tuple[Any, float]]:
    library, answers = fasttext_model.load(path), []
    for text in texts:
        found = library.predict(line_of(text, newlines), 1, 0.0, "strict")
        score, label = found[0] if found else (0.0, None)
        answers.append((label and label.removeprefix("__label__"), float(np.round(score, decimals))))
    return answers


def by_us(path: str, texts: Sequence[str], newlines: Any, decimals: int) -> list[tuple[Any, float]]:
    classifier = fasttext_model.classifier(path)
    assert classifier.compiled, classifier.not_compiled
    text = pa.array(texts, pa.string())
    labels, scores = classifier.top_labels(text, np.arange(len(texts)), newlines, decimals)
    return list(zip(labels.to_pylist(), np.round(scores, decimals).tolist(), strict=True))


# Text

PIECES = [
    "the", "a", "été", "渡し船", "harbour", "</s>", "<", "/s>", "</s", "__label__", "__label__no",
    "__label__l0", "\n", "\r", "\t", "\v", "\f", "\0", " ", " ", "\u2028", "\x85", "\xa0", "\ufeff", "\x1c",
    ">", "x" * 80, "😀", "é" * 40, "_", "y" * 2000,
]  # fmt: skip
ANYTHING = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TEXTS = st.lists(st.lists(st.sampled_from(PIECES) | ANYTHING).map("".join), max_size=8)


@settings(max_examples=60)
@given(texts=TEXTS, newlines=st.sampled_from(["deleted", "spaces"]), decimals=st.sampled_from([2, 4]))
def test_any_text_and_any_model(model: str, texts: list[str], newlines: str, decimals: int) -> None:
    assert by_us(model, texts, newlines, decimals) == by_library(model, texts, newlines, decimals)


@settings(max_examples=300)
@given(texts=TEXTS, newlines=st.sampled_from(["deleted", "spaces"]))
def test_any_text_and_the_language_model(lid: str, texts: list[str], newlines: str) -> None:
    assert by_us(lid, texts, newlines, 2) == by_library(lid, texts, newlines, 2)


@settings(max_examples=60)
@given(texts=TEXTS)
def test_hidden_vectors_are_the_librarys_to_the_last_bit(model: str, texts: list[str]) -> None:
    library = fasttext.load_model(model)
    kernel = FasttextKernel(fasttext_file.read(model), library.get_sentence_vector)
    hidden, _ = kernel._sum(
        pa.array(texts, pa.string()), np.arange(len(texts)), "spaces", kernel._input, new_cache()
    )
    for vector, text in zip(hidden, texts, strict=True):
        expected = library.get_sentence_vector(line_of(text, "spaces").removesuffix("\n"))
        np.testing.assert_array_equal(vector[: len(expected)], expected)


def test_rows_are_those_asked_for(lid: str) -> None:
    text = pa.array(["unread", "Le bac quitte le petit port", None, "", "The ferry leaves the harbour"])
    rows, classifier = np.array([4, 1, 3]), fasttext_model.classifier(lid)
    labels, scores = classifier.top_labels(text, rows, "deleted", 2)
    assert labels.to_pylist()[:2] == ["en", "fr"]
    of_slice = classifier.top_labels(pa.array(["before", *text.to_pylist()]).slice(1), rows, "deleted", 2)
    assert of_slice[0] == labels
    assert of_slice[1].tolist() == scores.tolist()
    nothing = classifier.top_labels(text, rows[:0], "deleted", 2)
    assert [len(column) for column in nothing] == [0, 0]


def test_nothing_known_has_no_label(tmp_path: Path) -> None:
    path = write(tmp_path / "model", ModelSpec(chars=(0, 0)), [b"word"])  # not even the end of the line
    assert by_us(path, ["", "other", "word", "__label__l0"], "spaces", 2)[:2] == [(None, 0.0)] * 2
    texts = ["", "other", "word", "__label__l0"]
    assert by_us(path, texts, "spaces", 2) == by_library(path, texts, "spaces", 2)


def test_labels_of_another_prefix(tmp_path: Path) -> None:
    path = write(tmp_path / "model", ModelSpec(), [b"</s>", b"__label__word"], prefix="§")
    texts = ["§l0 a", "__label__word", "__label__other", "§l9", "word"]
    assert by_us(path, texts, "spaces", 4) == by_library(path, texts, "spaces", 4)


# The cache

LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", np.uint8)


def colliding_words() -> tuple[str, str]:
    """Two words of one length and one hash (FNV-1a, 32 bits)."""
    words = LETTERS[np.random.default_rng(1).integers(0, 26, (300_000, 8))]
    hashes = np.full(len(words), 2166136261, np.uint32)
    for column in words.T:
        hashes = (hashes ^ column) * np.uint32(16777619)
    order = np.argsort(hashes, kind="stable")
    for i in np.flatnonzero(np.diff(hashes[order]) == 0):
        first, second = (words[order[i + k]].tobytes().decode() for k in (0, 1))
        if first != second:
            return first, second
    raise AssertionError("no collision")


def test_words_of_one_hash_stay_apart(lid: str) -> None:
    first, second = colliding_words()
    texts = [first, second, f"{first} {second} {first}", second, f"{second} {second}"]
    assert by_us(lid, texts, "spaces", 2) == by_library(lid, texts, "spaces", 2)
    library = fasttext.load_model(lid)
    kernel = FasttextKernel(fasttext_file.read(lid), library.get_sentence_vector)
    hidden, _ = kernel._sum(pa.array(texts), np.arange(len(texts)), "spaces", kernel._input, new_cache())
    for vector, text in zip(hidden, texts, strict=True):
        np.testing.assert_array_equal(vector, library.get_sentence_vector(text))
    assert not np.array_equal(hidden[0], hidden[1])


def test_a_full_cache_is_emptied_and_changes_nothing(lid: str) -> None:
    words = [f"w{i}" for i in range(fasttext_words._CACHE_WORDS + 1000)]
    texts = [" ".join(words[i : i + 500]) for i in range(0, len(words), 500)] * 2
    kernel = FasttextKernel(fasttext_file.read(lid), fasttext.load_model(lid).get_sentence_vector)
    cache, rows = new_cache(), np.arange(len(texts))
    filled = kernel.classify(pa.array(texts), rows, "spaces", 2, cache)
    assert 0 < cache.used[0] <= fasttext_words._CACHE_WORDS
    assert cache.used[1] <= len(cache.store)
    for text, label, score in list(zip(texts, filled.label, filled.score, strict=True))[-9:]:
        fresh = kernel.classify(pa.array([text]), np.zeros(1, np.int64), "spaces", 2, new_cache())
        assert (fresh.label[0], fresh.score[0]) == (label, score)
    assert by_us(lid, texts[:40], "spaces", 2) == by_library(lid, texts[:40], "spaces", 2)


def test_threads_do_not_share_a_cache(lid: str) -> None:
    texts = [f"the ferry number {i} quitte le port" for i in range(2000)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: by_us(lid, texts, "spaces", 2), range(16)))
    assert all(answer == answers[0] for answer in answers)


# Models that are not served


@pytest.mark.parametrize("spec", [ModelSpec(word_ngrams=2), ModelSpec(labels=1)])
def test_other_models_are_left_to_the_library(tmp_path: Path, spec: ModelSpec) -> None:
    path = write(tmp_path / "model", spec, WORDS)
    classifier = Classifier(fasttext_model.load(path), path)
    assert not classifier.compiled
    assert classifier.not_compiled
    texts = ["the harbour", "</s> a", ""]
    labels, scores = classifier.top_labels(pa.array(texts), np.arange(3), "spaces", 2)
    expected = by_library(path, texts, "spaces", 2)
    assert list(zip(labels.to_pylist(), np.round(scores, 2).tolist(), strict=True)) == expected


def test_a_library_that_sums_otherwise_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "model", ModelSpec(), WORDS)
    vector = fasttext.load_model(path).get_sentence_vector
    with pytest.raises(UnsupportedModel, match="sums"):
        FasttextKernel(fasttext_file.read(path), lambda line: np.nextafter(vector(line), np.float32(9)))


def test_a_library_that_multiplies_and_adds_at_once(tmp_path: Path) -> None:
    """Built for a processor that can, the library rounds a norm's product and the sum only once."""
    path = write(tmp_path / "model", ModelSpec(quantized=True, normed=True, pruned=True), WORDS)
    library, file = fasttext.load_model(path), fasttext_file.read(path)

    def fused(line: str) -> np.ndarray:
        total = np.zeros(16, np.float32)
        rows = [row for word in [*line.split(), "</s>"] for row in library.get_subwords(word)[1]]
        for row in rows:
            product = file.input.rows[row].astype(np.float64) * file.input.scale[row]
            total = (total + product).astype(np.float32)
        return total * np.float32(1 / len(rows))

    texts = ["the harbour été a", "渡し船 été " * 30]
    kernel = FasttextKernel(file, fused)
    hidden, _ = kernel._sum(pa.array(texts), np.arange(2), "spaces", kernel._input, new_cache())
    np.testing.assert_array_equal(hidden, [fused(text) for text in texts])
    assert kernel._input[1] is file.input.scale


@pytest.mark.parametrize("spec", [ModelSpec(), ModelSpec(quantized=True, normed=True, pruned=True)])
def test_a_cut_file_is_an_error(tmp_path: Path, spec: ModelSpec) -> None:
    content = Path(write(tmp_path / "model", spec, WORDS)).read_bytes()
    for size in (0, 3, 60, 100, 150, len(content) // 2, len(content) - 1):
        (tmp_path / "cut").write_bytes(content[:size])
        with pytest.raises(UnsupportedModel):
            fasttext_file.read(str(tmp_path / "cut"))
    (tmp_path / "cut").write_bytes(b"\0" * 4 + content[4:])
    with pytest.raises(UnsupportedModel, match="not a fastText model"):
        fasttext_file.read(str(tmp_path / "cut"))
    with pytest.raises(UnsupportedModel, match="not a classifier"):
        fasttext_file.read(write(tmp_path / "vectors", ModelSpec(kind=2, loss="ns"), WORDS))


# Real text


def real_pages() -> Iterator[str]:
    for path in sorted((DATA / "commoncrawl").rglob("*.gz")):
        for batch in read_pages(str(path), path.name, Limits(), 1 << 24, Tally(lambda bad: None)):
            yield from filter(None, batch.column("text").to_pylist())


def real_paragraphs() -> Iterator[str]:
    with gzip.open(DATA / "c4" / "c4-sample.dev.json.gz", "rt") as f:
        yield from (json.loads(line)["text"] for line in f)
    for path in sorted((DATA / "wikipedia").rglob("*.bz2")):
        lines = bz2.decompress(path.read_bytes()).decode("utf-8", "replace").split("\n")
        yield from [line for line in lines if len(line) > 20][:PARAGRAPHS_PER_FILE]
    for path in sorted((DATA / "books").rglob("*.txt")):
        yield from path.read_bytes().decode("utf-8", "replace").split("\r\n\r\n")[:PARAGRAPHS_PER_FILE]


@pytest.fixture(scope="session")
def real() -> list[str]:
    if not DATA.is_dir():
        pytest.skip("no real data beside the checkout")
    texts = [*real_pages(), *real_paragraphs()]
    assert len(texts) > 5000
    return texts


@pytest.mark.parametrize("newlines", ["deleted", "spaces"])
def test_languages_of_real_text(lid: str, real: list[str], newlines: str) -> None:
    ours = by_us(lid, real, newlines, 2)
    assert ours == by_library(lid, real, newlines, 2)
    assert len({label for label, _ in ours}) > 25


def test_few_real_texts_need_the_library(lid: str, real: list[str]) -> None:
    kernel = FasttextKernel(fasttext_file.read(lid), fasttext.load_model(lid).get_sentence_vector)
    unsure = kernel.classify(pa.array(real), np.arange(len(real)), "deleted", 2, new_cache()).unsure
    assert unsure.sum() < 0.01 * len(real)


def test_real_text_on_any_model(model: str, real: list[str]) -> None:
    texts = [text[:3000] for text in real[::9]]
    assert by_us(model, texts, "spaces", 4) == by_library(model, texts, "spaces", 4)


def test_real_text_on_a_trained_classifier(trained: str, real: list[str]) -> None:
    texts = [re.sub(r"\w+", lambda w: f"w{len(w[0])}", text) for text in real[::5]]
    ours = by_us(trained, texts, "spaces", 4)
    assert ours == by_library(trained, texts, "spaces", 4)
    assert len({score for _, score in ours}) > 100
