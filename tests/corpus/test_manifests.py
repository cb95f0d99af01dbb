"""A recipe that says of a language model what its manifest denies is an error before any work."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corpus.errors import UserError
from corpus.recipe import LanguageModel
from corpus.sample import CRAWL
from corpus.training.manifests import check_language_model

MODELS = CRAWL.parent / "models"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sample's English model (encoding "words") with its manifest."""
    for path in MODELS.glob("en.*"):
        shutil.copyfile(path, tmp_path / path.name)
    return tmp_path


def check(folder: Path, encoding: str, pieces: str = "en.sp.model", ngrams: str = "en.binary") -> None:
    model = LanguageModel(sentencepiece="p", kenlm="n", encoding=encoding)  # type: ignore[arg-type]
    check_language_model("en", model, {"p": str(folder / pieces), "n": str(folder / ngrams)})


def test_what_the_manifest_says_is_accepted(folder: Path) -> None:
    check(folder, "words")


def test_what_it_denies_is_an_error_that_names_both(folder: Path) -> None:
    with pytest.raises(UserError, match=r"models\.en\] says encoding = 'text'.*en\.sp\.model was .*'words'"):
        check(folder, "text")
    (folder / "en.sp.model").rename(folder / "pieces")
    with pytest.raises(UserError, match=r"en\.binary was trained with 'words'.*en\.manifest\.json"):
        check(folder, "text", pieces="pieces")


def test_a_model_without_a_manifest_is_taken_as_the_recipe_says(folder: Path) -> None:
    (folder / "en.manifest.json").unlink()
    check(folder, "text")


def test_a_manifest_of_another_model_says_nothing(folder: Path) -> None:
    for name in ("en.sp.model", "en.binary"):
        with (folder / name).open("ab") as f:
            f.write(b" ")
    check(folder, "text")


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"outputs": [], "settings": {}}'])
def test_a_manifest_that_cannot_be_read_is_an_error(folder: Path, content: bytes) -> None:
    (folder / "en.manifest.json").write_bytes(content)
    with pytest.raises(UserError, match=r"en\.manifest\.json beside en\.sp\.model is no manifest"):
        check(folder, "words")
