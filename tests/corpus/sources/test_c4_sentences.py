"""Punkt that counts against nltk's own; its tables out of a zip, and what is wrong with one."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import assets, recipe
from corpus.annotate.c4 import open_annotator
from corpus.annotate.sentences import Punkt, count_by_line, open_punkt, untrained_punkt
from corpus.errors import UserError
from corpus.recipe import Language
from corpus.rules import C4Rules, checks
from corpus.sample import TEXTS
from tests.shared import DATA

ENGLISH = Language(model="", keep=["en"])

# A model of our own in the format of nltk's: words and numbers stand for what a training finds.
TABLES = {
    "abbrev_types.txt": "dr\nst\ne.g\nvol\n",
    "sent_starters.txt": "however\nthe\n",
    "collocations.tab": "saint\tmary\n##number##\tstreet\n",
    "ortho_context.tab": "mary\t36\nthe\t46\nit\t62\nstreet\t4\nhouse\t32\n",
}


def model(folder: Path, **changes: str | None) -> str:
    path = folder / "punkt_tab.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in (TABLES | {k.replace("__", "."): v for k, v in changes.items()}).items():
            if text is not None:
                archive.writestr(f"punkt_tab/english/{name}", text)
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Punkt:
    return open_punkt(model(tmp_path_factory.mktemp("punkt")), "english")


def by_nltk(punkt: Punkt, text: str) -> int:
    return len(punkt.tokenizer.tokenize(text))


PIECES = [
    "Dr", "dr", "saint", "Saint", "Mary", "the", "The", "It", "it", "house", "street", "St", "e.g", "J",
    "3", "1999", "vol", "word", "don't", "well-known", ".", "..", "...", "?", "!", "?!", '"', "”", ")", "]",
    "(", " ", " ", " ", "  ", "\n", "\n\n", "\t", "\u00a0", ",", ";", "--", "'", "*", "é", "Ж",
]  # fmt: skip


@settings(deadline=None, max_examples=600)
@given(st.lists(st.sampled_from(PIECES), max_size=24).map("".join) | st.text(max_size=40))
def test_it_counts_what_nltk_finds(trained: Punkt, text: str) -> None:
    for punkt in (trained, untrained_punkt()):
        assert [text[start:stop] for start, stop in punkt.spans(text)] == punkt.tokenizer.tokenize(text)
        assert punkt.count(text) == by_nltk(punkt, text)


def test_the_model_knows_abbreviations_collocations_and_first_words(trained: Punkt) -> None:
    assert trained.count("Dr. Mary went home. It rained.") == 2
    assert untrained_punkt().count("Dr. Mary went home. It rained.") == 3
    assert trained.count("They went to saint. Mary came.") == 1
    assert trained.count("It was e.g. The house.") == 2
    assert trained.count("") == 0


def test_pages_of_the_sample(trained: Punkt) -> None:
    for path in sorted((TEXTS / "pages").rglob("*.txt")):
        text = path.read_text("utf-8")
        assert trained.count(text) == by_nltk(trained, text), path.name
        lines = sum(by_nltk(trained, line) for line in text.split("\n"))
        assert count_by_line(trained.count, text) == lines, path.name


def test_punkts_of_nltk_itself() -> None:
    """Where the model of `llama1` can be had."""
    asset = recipe.load("llama1").assets["punkt_tab"]
    try:
        punkt = open_punkt(assets.fetch("punkt_tab", asset), "english")
    except UserError as error:
        pytest.skip(str(error))
    assert len(punkt.tokenizer._params.abbrev_types) == 156
    assert punkt.count("Mr. Smith paid $3.50 at 5 p.m. on Jan. 3. He left.") == 2
    books = sorted((DATA / "books").glob("*/*-0.txt"))[:2]
    for path in books:
        for paragraph in path.read_text("utf-8", "replace").replace("\r", "").split("\n\n")[:1500]:
            assert punkt.count(paragraph) == by_nltk(punkt, paragraph)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"abbrev_types__txt": None}, "abbrev_types.txt"),
        ({"ortho_context__tab": "word\tmany\n"}, "invalid literal"),
        ({"collocations__tab": "one\n"}, "not enough values"),
    ],
)
def test_what_is_no_model(tmp_path: Path, change: dict[str, str | None], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_punkt(model(tmp_path, **change), "english")


def test_no_zip_no_language_and_a_table_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no zip")
    with pytest.raises(UserError, match="no Punkt model of english"):
        open_punkt(str(tmp_path / "text"), "english")
    with pytest.raises(UserError, match="latin"):
        open_punkt(model(tmp_path), "latin")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("punkt_tab/english/abbrev_types.txt", "a" * (17 << 20))
    with pytest.raises(UserError, match="17825792 bytes"):
        open_punkt(str(tmp_path / "bomb.zip"), "english")


def test_the_crawls_annotator_counts_by_punkt_where_it_is_asked(tmp_path: Path) -> None:
    text = "Dr. Mary lives in the house by the river. It rained.\nHome\nSo it was, and nobody went out."
    batch = pa.record_batch({"text": [text, "x"], "language": ["en", "de"], "lid_v1_score": [0.9, 0.9]})
    found = {}
    for sentences in ("marks", "untrained-punkt", "punkt"):
        annotator = open_annotator(C4Rules(sentences=sentences), {"punkt_tab": model(tmp_path)}, ENGLISH)
        columns = dict(zip([f.name for f in annotator.fields], annotator.annotate(batch), strict=True))
        found[sentences] = columns["c4_v1_sentences"].to_pylist()
        assert columns["c4_v1_sentences_by_marks"].to_pylist() == [4, None]
    assert found == {"marks": [None, None], "untrained-punkt": [4, None], "punkt": [3, None]}


def test_a_page_is_held_to_the_sentences_that_are_counted() -> None:
    sample = recipe.load("sample").commoncrawl

    def columns(rules: C4Rules) -> set[str]:
        return {check.column for check in checks(replace(sample, c4=rules))}

    marks, punkt = columns(C4Rules(enforce=True)), columns(C4Rules(enforce=True, sentences="punkt"))
    assert marks - punkt == {"c4_v1_sentences_by_marks"}
    assert punkt - marks == {"c4_v1_sentences"}
