"""The sample's models, built again from the sample's texts with the settings in their manifests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from corpus.annotate import fasttext_model, perplexity
from corpus.annotate.reference import cited_probabilities
from corpus.errors import UserError
from corpus.sample import ROOT, TEXTS
from corpus.training.classifier import ClassifierSettings, train_classifier
from corpus.training.cutoffs import load_cutoffs, measure_cutoffs
from corpus.training.kenlm_tools import kenlm_tools
from corpus.training.language_model import LanguageModelSettings, train_language_model
from corpus.training.selection import SelectionRule
from tests.pipelines.conftest import llama_corpus

MODELS = ROOT / "models"
FOLDERS = {"en": ("en-reference", "en-ordinary", "en-poor"), "fr": ("fr",)}


def _pages(language: str) -> pa.StringArray:
    paths = [p for folder in FOLDERS[language] for p in sorted((TEXTS / "pages" / folder).glob("*.txt"))]
    return pa.array([path.read_text().split("\n\n", 1)[1] for path in paths])


def _manifest(name: str) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((MODELS / f"{name}.manifest.json").read_text())
    return manifest


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The sample crawl up to its scores, without the classifier that is to be trained on it."""
    output = tmp_path_factory.mktemp("models") / "run"
    llama_corpus("crawl-filter", "--output", output, "--until", "annotate", "--without", "reference")
    return str(output)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_language_model_built_again_scores_the_same(language: str, tmp_path: Path) -> None:
    try:
        kenlm_tools()
    except UserError as error:
        pytest.skip(f"lmplz cannot be built here: {error}")
    text = str(TEXTS / "encyclopaedia" / f"{language}.txt")
    settings = LanguageModelSettings(**_manifest(language)["settings"])
    train_language_model([text], language, str(tmp_path), settings)
    found, committed = (_perplexities(folder, language, settings) for folder in (tmp_path, MODELS))
    np.testing.assert_allclose(found, committed, rtol=0.01)


def _perplexities(folder: Path, language: str, settings: LanguageModelSettings) -> list[float]:
    files = (str(folder / f"{language}.sp.model"), str(folder / f"{language}.binary"))
    return perplexity.load(*files, settings.encoding).perplexities(_pages(language))


def test_cutoffs_measured_again_are_the_committed_ones(run: str) -> None:
    found, committed = measure_cutoffs(run, min_documents=5), load_cutoffs(str(MODELS / "cutoffs.csv"))
    assert found.keys() == committed.keys()
    for language, column in committed.items():
        np.testing.assert_allclose(found[language], column, rtol=0.01, atol=0.1)


def test_the_classifier_trained_again_gives_the_same_probabilities(run: str, tmp_path: Path) -> None:
    manifest = _manifest("reference")["settings"]
    settings = ClassifierSettings(**{**manifest, "pages": SelectionRule(**manifest["pages"])})
    train_classifier(run, str(TEXTS / "cited-urls.txt"), str(tmp_path), settings)
    found, committed = (
        cited_probabilities(fasttext_model.load(str(folder / "reference.bin")), _pages("en"))
        for folder in (tmp_path, MODELS)
    )
    np.testing.assert_allclose(found, committed, atol=0.02)
