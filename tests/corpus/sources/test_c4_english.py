"""langdetect, compiled, against the library itself: to the last bit."""

from __future__ import annotations

import gzip
import json
import random
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langdetect.lang_detect_exception import LangDetectException

from corpus.annotate.english import factory, langdetect
from corpus.kernels.langdetect import stream
from corpus.sample import TEXTS
from tests.shared import DATA, needs

REAL = DATA / "c4" / "c4-sample.dev.json.gz"
LIBRARY = factory()
# From Python 3.12 on `sum` makes up for what is rounded off; the compiled loop does not.
SAME_SUMS = sys.version_info < (3, 12)


def by_library(text: str) -> tuple[str | None, float]:
    detector = LIBRARY.create()
    detector.append(text)
    try:
        found = detector.get_probabilities()
    except LangDetectException:
        return None, 0.0
    return (found[0].lang, found[0].prob) if found else (None, 0.0)


def check(texts: list[str]) -> None:
    for text in texts:
        language, probability = langdetect().detect(text)
        expected = by_library(text)
        if SAME_SUMS:
            assert (language, probability) == expected, text[:100]
        else:
            assert language == expected[0]
            assert probability == pytest.approx(expected[1], abs=1e-9)


def test_pages_of_the_sample_in_six_languages() -> None:
    pages = [path.read_text("utf-8") for path in sorted((TEXTS / "pages").rglob("*.txt"))]
    assert len(pages) > 100
    check(pages)


ALPHABET = "abc XYZ.@ é\u00df Ж日本語のカタ\u0301\u0323ạ한ـی\u06ccșțㄅ http://x.yß\n  𝒳\u2019\u0000"


@settings(deadline=None, max_examples=200)
@given(st.text(ALPHABET, max_size=120) | st.text(max_size=60))
def test_any_text(text: str) -> None:
    check([text])


def test_addresses_capitals_long_and_empty_texts() -> None:
    check([
        "", " ", "12345 --- !!!", "a", "Ж", "WRITE IN CAPITALS ALONE AND NOTHING IS KNOWN",
        "see http://example.org/what-a-long-road?to=follow or write to somebody@mail.example for more",
        "the cat sat on the mat and looked at the dog " * 400,
        " " * 9_990 + "beyond the limit of what is looked at", "日本" * 6000 + "english",
    ])  # fmt: skip


def test_the_same_text_gives_the_same_in_any_order() -> None:
    texts = ["This is a sentence in English.", "Dies ist ein deutscher Satz.", "Ceci est une phrase."]
    first = [langdetect().detect(text) for text in texts]
    for seed in range(5):
        order = random.Random(seed).sample(range(len(texts)), len(texts))
        assert {i: langdetect().detect(texts[i]) for i in order} == dict(enumerate(first))
    assert [language for language, _ in first] == ["en", "de", "fr"]


def test_random_numbers_are_those_of_python_and_suffice() -> None:
    generator = random.Random(0)
    assert generator.gauss(0.0, 1.0) == stream().normal[0, 0]
    assert generator.gauss(0.0, 1.0) == stream().normal[0, 1]
    assert generator.getrandbits(32) == stream().draws[4]
    # The most that a detection can draw, for each number of bits the number of n-grams that rejects the most.
    for bits in range(1, 16):
        accepted = np.flatnonzero(stream().draws >> np.uint64(32 - bits) < np.uint64(1 << (bits - 1)))
        assert len(accepted) > 7 * 1001 + 7 * 4


@needs(REAL)
def test_real_pages() -> None:
    with gzip.open(REAL, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    check(texts)
    # C4 has none that is less sure.
    assert min(langdetect().detect(text)[1] for text in texts) >= 0.99
