"""Words and n-grams: the compiled loop finds what the plain rules find, in any script."""

from __future__ import annotations

import string
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.kernels.ngram_scan import MAX_WORDS, every_ngram, scan, sieve_of
from corpus.kernels.ngram_words import SPACE, fold_one, word_table, words
from corpus.overlap.evaluations import Text
from corpus.overlap.ngrams import GRAM, NgramIndex, gather

GOLDEN = Path(__file__).parents[1] / "golden" / "overlap" / "ngram_words.toml"
# Letters of one, two, three and four bytes, what folds to nothing or to more, and spaces.
_PIECES = ["a", "B", "é", "e\u0301", "ß", "ﬁ", "Σ", "ж", "今", "𝔸", "😀", "-", "’", "\u200b", "½", "हि"]
_SPACES = [" ", "\n", "  ", "\u00a0", "\u3000", "\x1c"]
_text = st.lists(st.sampled_from(_PIECES + _SPACES), max_size=40).map("".join)


def plain_ngrams(text: str, n: int) -> list[tuple[str, int, int]]:
    """Each n-gram with its place in code points, by the plain rules."""
    found = list(words(text))
    return [
        (" ".join(w.text for w in found[i : i + n]), found[i].start, found[i + n - 1].end)
        for i in range(len(found) - n + 1)
    ]


@pytest.mark.parametrize("case", tomllib.loads(GOLDEN.read_text())["case"], ids=lambda case: case["why"])
def test_golden_words(case: dict[str, Any]) -> None:
    assert [word.text for word in words(case["input"])] == case["expected"]


def test_places_are_those_of_the_tokens() -> None:
    text = " “Hello,” — she said."
    assert [text[w.start : w.end] for w in words(text)] == ["“Hello,”", "she", "said."]


@settings(deadline=None)
@given(st.text(alphabet=string.printable))
def test_of_ascii_the_words_are_the_janitors(text: str) -> None:
    table = str.maketrans(string.ascii_uppercase, string.ascii_lowercase, string.punctuation)
    assert [word.text for word in words(text)] == text.translate(table).split()


def test_the_table_says_what_the_plain_rules_say_of_every_code_point() -> None:
    folded, pool, ends = (array.tolist() for array in word_table())
    for cp in (*range(0xD800), *range(0xE000, 0x110000)):
        value = folded[cp]
        if value == SPACE:
            assert chr(cp).isspace(), hex(cp)
            continue
        found = pool[ends[-2 - value] : ends[-1 - value]] if value < SPACE else [value] * (value > 0)
        assert "".join(map(chr, found)) == fold_one(chr(cp)), hex(cp)
        assert not chr(cp).isspace(), hex(cp)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.none() | _text, max_size=5), st.sets(st.integers(1, 4), min_size=1))
def test_every_ngram_of_the_plain_rules_and_no_other_is_a_candidate(
    documents: list[str | None], sizes: set[int]
) -> None:
    found = scan(pa.array(documents, pa.string()), every_ngram(sorted(sizes)))
    rows = []
    for document, start, end, size in zip(found.document, found.start, found.end, found.size, strict=True):
        data = (documents[document] or "").encode()
        before, inside = data[:start].decode(), data[start:end].decode()
        spelled = " ".join(word.text for word in words(inside))
        rows.append((int(document), int(size), spelled, len(before), len(before) + len(inside)))
    expected = [
        (i, n, *g) for i, text in enumerate(documents) for n in sizes for g in plain_ngrams(text or "", n)
    ]
    assert sorted(rows) == sorted(expected)


@settings(deadline=None)
@given(st.lists(_text, max_size=4), st.integers(1, 3))
def test_equal_ngrams_and_only_they_have_equal_hashes(documents: list[str], n: int) -> None:
    found = scan(pa.array(documents, pa.string()), every_ngram([n]))
    texts = [gram for text in documents for gram, _, _ in plain_ngrams(text, n)]
    assert (
        len(set(zip(texts, found.key.tolist(), strict=True)))
        == len(set(texts))
        == len(set(found.key.tolist()))
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(_text, min_size=1, max_size=3), st.lists(st.none() | _text, max_size=4), st.integers(1, 3))
def test_the_index_finds_what_a_search_by_hand_finds(
    evaluations: list[str], documents: list[str | None], n: int
) -> None:
    tables = gather({"e": [Text(i, "f", text) for i, text in enumerate(evaluations)]}, n)
    index = NgramIndex(tables.grams, [n])
    found = index.find(pa.array(documents, pa.string()))
    texts = tables.grams.column("text").to_pylist()
    rows = [
        (int(d), texts[g], int(s), int(e))
        for d, g, s, e in zip(found.document, found.gram, found.start, found.end, strict=True)
    ]
    wanted = {gram for text in evaluations for gram, _, _ in plain_ngrams(text, n)}
    assert set(texts) == wanted
    expected = [
        (i, gram, start, end)
        for i, text in enumerate(documents)
        for gram, start, end in plain_ngrams(text or "", n)
        if gram in wanted
    ]
    assert rows == expected


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.integers(1, 4), _text, min_size=2), st.lists(_text, max_size=4))
def test_several_sizes_are_searched_for_at_once(evaluations: dict[int, str], documents: list[str]) -> None:
    by_size = [gather({"e": [Text(0, "f", text)]}, n) for n, text in sorted(evaluations.items())]
    grams = pa.concat_tables([tables.grams for tables in by_size]).sort_by("key")
    found = NgramIndex(grams, list(evaluations)).find(pa.array(documents, pa.string()))
    spelled = grams.column("text").to_pylist()
    rows = [
        (int(d), spelled[g], int(s), int(e))
        for d, g, s, e in zip(found.document, found.gram, found.start, found.end, strict=True)
    ]
    expected = [
        (i, *gram)
        for i, text in enumerate(documents)
        for n, evaluation in evaluations.items()
        for gram in plain_ngrams(text, n)
        if gram[0] in {g for g, _, _ in plain_ngrams(evaluation, n)}
    ]
    assert sorted(rows) == sorted(expected)


def test_two_sizes_and_their_places() -> None:
    texts = {"a": [Text(0, "f", "one two three")], "b": [Text(0, "f", "three four")]}
    short, long = gather({"b": texts["b"]}, 2), gather({"a": texts["a"]}, 3)
    grams = pa.concat_tables([short.grams, long.grams]).sort_by("key")
    found = NgramIndex(grams, [2, 3]).find(pa.array(["zero One, two three four"]))
    spelled = grams.column("text").to_pylist()
    assert [(spelled[g], s, e) for g, s, e in zip(found.gram, found.start, found.end, strict=True)] == [
        ("one two three", 5, 19),
        ("three four", 14, 24),
    ]


def test_a_hash_that_two_ngrams_share_neither_adds_nor_hides_one() -> None:
    tables = gather({"e": [Text(0, "f", "red green blue")]}, 3)
    key = tables.grams.column("key")[0].as_py()
    doubled = pa.table([[key, key], ["another text entirely", "red green blue"]], schema=GRAM)
    document = pa.array(["Red, green; blue!"])
    assert NgramIndex(doubled, [3]).find(document).gram.tolist() == [1]
    assert NgramIndex(doubled.slice(0, 1), [3]).find(document).gram.tolist() == []


def test_a_document_that_is_an_evaluation_is_searched_in_time() -> None:
    """Tens of thousands of matches in one document: places are counted once through, not for each."""
    text = "é ".join(f"w{i}" for i in range(30_000))
    index = NgramIndex(gather({"e": [Text(0, "f", text)]}, 13).grams, [13])
    found = index.find(pa.array(["nothing here", f"— {text}"]))
    assert found.document.tolist() == [1] * (30_000 - 12)
    assert found.start[0] == 2
    assert found.end[-1] == len(text) + 2
    last = f"— {text}"[found.start[-1] : found.end[-1]]
    assert last == "é ".join(f"w{i}" for i in range(30_000 - 13, 30_000))


def test_slices_nulls_and_nothing() -> None:
    index = NgramIndex(gather({"e": [Text(0, "f", "a b")]}, 2).grams, [2])
    whole = pa.array(["a b", None, "x a b a b", ""])
    assert index.find(whole).document.tolist() == [0, 2, 2]
    assert index.find(whole.slice(1)).document.tolist() == [1, 1]
    assert index.find(pa.array([], pa.string())).document.tolist() == []
    assert NgramIndex(GRAM.empty_table(), []).find(whole).document.tolist() == []


def test_the_sieve_lets_little_else_through() -> None:
    """Of four words each; of the last two the sieve knows too."""
    rng = np.random.default_rng(7)
    inside, outside = (
        [" ".join(f"w{n}" for n in row) for row in rng.integers(0, 10**9, (20_000, 4))] for _ in "ab"
    )
    texts = pa.array(inside)
    for sizes in ([4], [2, 4]):
        sieve = sieve_of(scan(texts, every_ngram([4])).key, texts, sizes)
        assert (scan(texts, sieve).size == 4).sum() == len(inside)
        assert len(scan(pa.array(outside), sieve).key) < 0.03 * len(outside) * (len(sizes) * 2 - 1)


def test_what_is_folded_stays_when_it_is_folded_again() -> None:
    """N-grams are kept folded, and scanned once more to find the hashes of their ends."""
    folded = {fold_one(chr(cp)) for cp in (*range(0xD800), *range(0xE000, 0x110000))}
    assert [text for text in folded if "".join(map(fold_one, text)) != text] == []


def test_an_ngram_may_be_as_long_as_the_loop_remembers_and_no_longer() -> None:
    text = " ".join(f"w{i}" for i in range(3 * MAX_WORDS))
    found = scan(pa.array([text]), every_ngram([MAX_WORDS]))
    assert len(found.key) == 2 * MAX_WORDS + 1
    assert [text[s:e] for s, e in zip(found.start, found.end, strict=True)] == [
        text[s:e] for _, s, e in plain_ngrams(text, MAX_WORDS)
    ]
    for wrong in ([], [0], [MAX_WORDS + 1]):
        with pytest.raises(ValueError, match="words"):
            every_ngram(wrong)
