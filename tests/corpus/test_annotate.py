"""Annotators: exact values on our own text, null where they must not run, and odd text."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import kenlm
import numpy as np
import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from corpus import assets, recipe
from corpus.annotate import fasttext_model, language, perplexity, reference
from corpus.annotate.columns import scatter
from corpus.errors import UserError
from corpus.recipe import Language, LanguageModel, Perplexity, Reference
from corpus.training.classifier import ClassifierSettings, fit

MODELS = resources.files("corpus") / "sample" / "models"
LANGUAGE = Language(model="lid", min_score=0.5, keep=["en", "fr"])

DOCUMENTS = {
    "en": "The ferry leaves the small harbour twice a day,\nunless the wind is too strong.",
    "fr": "Le bac quitte le petit port deux fois par jour,\nsauf quand le vent est trop fort.",
    "de": "Die Fähre verlässt den kleinen Hafen zweimal am Tag,\nwenn der Wind nicht zu stark ist.",
    "ja": "渡し船は、風が強すぎないかぎり、\n一日に二回小さな港を出ます。",
}


def batch(**columns: list[Any]) -> pa.RecordBatch:
    kinds = {"lid_v1_score": pa.float64()}
    return pa.record_batch({k: pa.array(v, kinds.get(k, pa.string())) for k, v in columns.items()})


@pytest.fixture(scope="session")
def lid_path() -> str:
    try:
        return assets.fetch("lid.176.ftz", recipe.load("sample").assets["lid.176.ftz"])
    except UserError as error:
        pytest.skip(str(error))


# Language


@pytest.fixture(scope="session")
def lid(lid_path: str) -> language.LanguageAnnotator:
    return language.open_annotator(LANGUAGE, {"lid": lid_path})


def test_language_of_four_documents(lid: language.LanguageAnnotator) -> None:
    labels, scores = lid.annotate(batch(text=list(DOCUMENTS.values())))
    assert labels.to_pylist() == list(DOCUMENTS)
    assert scores.to_pylist() == [0.97, 1.0, 0.99, 1.0]
    assert [f.name for f in lid.fields] == ["language", "lid_v1_score"]
    assert [f.type for f in lid.fields] == [labels.type, scores.type]


def test_language_is_null_without_text(lid: language.LanguageAnnotator) -> None:
    labels, scores = lid.annotate(batch(text=[None, DOCUMENTS["fr"], "", None]))
    assert labels.to_pylist() == [None, "fr", None, None]
    assert [s is None for s in scores.to_pylist()] == [True, False, True, True]
    assert [len(column) for column in lid.annotate(batch(text=[]))] == [0, 0]


def test_newlines_are_deleted_not_replaced(lid: language.LanguageAnnotator) -> None:
    joined = {k: lid.annotate(batch(text=[t])) for k, t in (("", "mai\nson"), ("none", "maison"))}
    assert joined[""] == joined["none"]


def test_language_reads_past_nul_and_the_end_of_line_word(lid: language.LanguageAnnotator) -> None:
    """The library stops at the word `</s>`; a page about language models must not be cut there."""
    tail = DOCUMENTS["en"].replace("\n", " ") * 5
    plain, *odd = lid.annotate(
        batch(
            text=[f"bonjour {tail}", f"bonjour\0{tail}", f"bonjour </s> {tail}", f"</s> bonjour {tail} </s>"]
        )
    )[1].to_pylist()
    assert lid.annotate(batch(text=[f"bonjour </s> {tail}"]))[0].to_pylist() == ["en"]
    assert odd == [plain] * 3


ODD_WORDS = st.sampled_from(
    ["</s>", "\0", "\n", "__label__en", " ", "\r", "\u2028", "\ufeff", "\x85", "été", "the"]
)


@given(st.lists(st.none() | st.text() | st.lists(ODD_WORDS).map("".join), max_size=5))
def test_any_text_has_a_language(lid_path: str, texts: list[str | None]) -> None:
    annotator = language.LanguageAnnotator(lid_path)
    encodable = [None if t is None else t.encode("utf-8", "replace").decode() for t in texts]
    labels, scores = annotator.annotate(batch(text=encodable))
    assert [x is not None for x in labels.to_pylist()] == [bool(t) for t in encodable]
    assert all(0 <= s <= 1.01 for s in scores.drop_null().to_pylist())


@given(st.lists(st.sampled_from([*DOCUMENTS.values(), ""]), max_size=6), st.integers(0, 6))
def test_language_does_not_depend_on_the_batch(lid_path: str, texts: list[str], cut: int) -> None:
    annotator = language.LanguageAnnotator(lid_path)
    whole = annotator.annotate(batch(text=texts))
    rows = batch(text=texts)
    parts = [annotator.annotate(rows.slice(0, cut)), annotator.annotate(rows.slice(cut))]
    assert [pa.concat_arrays(p) for p in zip(*parts, strict=True)] == whole


# Perplexity

# Recipe section "golden tests": what CCNet's normalisation makes of this text.
RAW = "Hello World.\nNext Line 2019 — “ok” １ é"
NORMALIZED = 'hello world.next line 0000  -  "ok" 0 e'
# A model in which every piece is unknown: log10 p(piece) = −2, log10 p(</s>) = −1.
ARPA = """\\data\\
ngram 1=3
ngram 2=1

\\1-grams:
-2.0\t<unk>\t0
-99\t<s>\t0
-1.0\t</s>

\\2-grams:
-0.5\t<s> </s>

\\end\\
"""


@pytest.fixture(scope="session")
def english() -> perplexity.Model:
    return perplexity.load(str(MODELS / "en.sp.model"), str(MODELS / "en.binary"))


def test_perplexity_by_hand(tmp_path: Path) -> None:
    """Two pieces: 10^((2·2 + 1)/(2 + 1)) = 46.4; none: the end of the sentence, 10^(0.5/1) = 3.2."""
    (tmp_path / "unknown.arpa").write_text(ARPA)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(MODELS / "en.sp.model"))
    assert len(pieces.encode("the the", out_type=str)) == 2
    model = perplexity.load(str(MODELS / "en.sp.model"), str(tmp_path / "unknown.arpa"))
    assert model.perplexities(pa.array(["The\x07 thé", "\u0301\n", "the the"])) == [46.4, 3.2, 46.4]


def test_perplexity_is_ccnets_formula_on_ccnets_normalisation(english: perplexity.Model) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(MODELS / "en.sp.model"))
    line = " ".join(pieces.encode_as_pieces(NORMALIZED))
    score = kenlm.Model(str(MODELS / "en.binary")).score(line)
    expected = round(10.0 ** (-score / (len(line.split()) + 1)), 1)
    assert english.perplexities(pa.array([RAW])) == [expected]


def test_perplexity_tells_prose_from_keywords_from_noise(english: perplexity.Model) -> None:
    prose, keywords, noise = (
        [
            "The bridge was closed for two years while the stone piers were repaired.",
            "Farmers in the region grow wheat and barley, and some of them also keep sheep.",
            "I walked home through the rain and forgot my umbrella at the station.",
            "Water expands when it freezes, and this is why ice floats on a pond.",
        ],
        [
            "cheap flights cheap hotels best deals online casino free bonus buy now coupon",
            "payday loans instant approval bad credit loan online fast cash loans same day",
            "home contact login register cart checkout wishlist account sitemap privacy terms",
        ],
        [
            "asdf qwer zxcv lkjh poiu mnbv qpwo eiru tyal skdj fhgz mxnc bvqw",
            "thg fjruw oqpz xcmnv bhty ghqo wleki zuqv nprt jjkx vvwq",
        ],
    )
    low, middle, high = (english.perplexities(pa.array(texts)) for texts in (prose, keywords, noise))
    assert max(low) * 2 < min(middle)
    assert np.median(middle) < min(high)


def test_perplexity_runs_where_the_language_is_kept_and_sure() -> None:
    files = {
        lang: LanguageModel(sentencepiece=f"{lang}.sp", kenlm=f"{lang}.lm", encoding=encoding)
        for lang, encoding in (("en", "words"), ("fr", "text"), ("de", "words"))
    }
    settings = Perplexity(models=files)
    paths = {f"{x}.sp": str(MODELS / f"{x}.sp.model") for x in ("en", "fr")}
    paths |= {f"{x}.lm": str(MODELS / f"{x}.binary") for x in ("en", "fr")}
    annotator = perplexity.open_annotator(
        settings, paths, LANGUAGE
    )  # de is not kept: its model is not opened
    text = DOCUMENTS["en"]
    rows = batch(
        text=[text, text, None, text, DOCUMENTS["fr"], "\x07", text, text],
        language=["en", "en", "en", "de", "fr", "en", None, "it"],
        lid_v1_score=[0.5, 0.49, 0.9, 0.9, 1.0, 0.9, None, 0.9],
    )
    (values,) = annotator.annotate(rows)
    scored = [i for i, value in enumerate(values.to_pylist()) if value is not None]
    assert scored == [0, 4, 5]
    for row, lang, encoding in ((0, "en", "words"), (4, "fr", "text")):
        model = perplexity.load(paths[f"{lang}.sp"], paths[f"{lang}.lm"], encoding)
        assert annotator._models[lang] is model
        assert values[row].as_py() == model.perplexities(pa.array([DOCUMENTS[lang]]))[0]


def test_perplexity_without_a_model_for_any_kept_language_is_null() -> None:
    annotator = perplexity.open_annotator(Perplexity(models={}), {}, LANGUAGE)
    assert annotator.annotate(batch(text=["x"], language=["en"], lid_v1_score=[0.9]))[0].to_pylist() == [None]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_perplexity_of_any_text_is_positive_or_null(texts: list[str]) -> None:
    model = perplexity.load(str(MODELS / "en.sp.model"), str(MODELS / "en.binary"))
    values = model.perplexities(pa.array(texts, pa.string()))
    assert len(values) == len(texts)
    assert all(v is None or v > 0 for v in values)


# Reference


@pytest.fixture(scope="session")
def classifier_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("classifier")
    lines = ["__label__wiki the committee published its report", "__label__random buy cheap shoes now"] * 50
    (folder / "train.txt").write_text("\n".join(lines) + "\n")
    fit(
        folder / "train.txt",
        folder / "reference.bin",
        ClassifierSettings(dim=4, epochs=20, learning_rate=0.5),
    )
    return str(folder / "reference.bin")


def test_reference_is_the_probability_of_the_cited_label(classifier_path: str) -> None:
    annotator = reference.open_annotator(Reference(model="ref", languages=["en"]), {"ref": classifier_path})
    good, bad = "The report\nthe committee published", "buy shoes\ncheap cheap shoes"
    (values,) = annotator.annotate(
        batch(text=[good, bad, None, "", good], language=["en", "en", "en", "en", "fr"])
    )
    high, low, *nothing = values.to_pylist()
    assert high > 0.9 > 0.1 > low
    assert nothing == [None, None, None]
    model = fasttext_model.load(classifier_path)
    both = {label: p for p, label in model.predict(bad.replace("\n", " ") + "\n", 2, 0.0, "strict")}
    assert low == pytest.approx(both["__label__wiki"], abs=1e-4)


def test_classifier_text_cannot_label_or_cut_itself() -> None:
    text = ["a\nb", "__label__wiki x", "__label____label__</s> y", "a </s> b</s>", None]
    assert reference.classifier_text(pa.array(text)).to_pylist() == [
        "a b", " wiki x", "   y", "a  b</s>", None
    ]  # fmt: skip


@given(
    st.lists(st.sampled_from(["__label__", "</s>", "\n", " ", "a", "_", "<", "/s>", "label"])).map("".join)
)
def test_classifier_text_holds_nothing_that_fasttext_obeys(text: str) -> None:
    (line,) = reference.classifier_text(pa.array([text])).to_pylist()
    words = line.split()
    assert "</s>" not in words
    assert not any(word.startswith("__label__") for word in words)
    assert "\n" not in line


# Columns


@given(st.sets(st.integers(0, 19)))
def test_scatter_puts_values_back_in_their_rows(rows: set[int]) -> None:
    values = scatter(
        pa.array([str(r) for r in sorted(rows)], pa.string()), np.array(sorted(rows), np.int64), 20
    )
    assert values.to_pylist() == [str(i) if i in rows else None for i in range(20)]
