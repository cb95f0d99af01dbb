"""Annotators of published quality rules: their columns are what the published definitions give.

The kernels are compared with `tests.corpus.plain_rules` over all of Unicode and over real pages.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import recipe
from corpus.annotate import c4, fineweb, gopher_quality, gopher_repetition
from corpus.decide import Cutoffs, Removals, columns, decide
from corpus.errors import UserError
from corpus.kernels.rules_c4 import LineRules, c4_counts
from corpus.kernels.rules_c4_search import patterns
from corpus.recipe import CommonCrawl, Language
from corpus.rules import C4Rules, FineWebRules, GopherQuality, GopherRepetition, checks, readings
from corpus.sources.commoncrawl import read_pages
from corpus.tally import Tally
from tests.corpus.plain_rules import Row, plain_c4, plain_fineweb, plain_gopher_quality, plain_repetition
from tests.shared import DATA, needs

# The first call compiles.
settings.register_profile("compiled", deadline=None)
settings.load_profile("compiled")

ENGLISH = Language(model="none", keep=["en"])
SAMPLE: CommonCrawl = recipe.load("sample").commoncrawl
BAD_WORDS = ["bad", "2 bad words", "b-d", "b&d", "shibari", "kk", "🖕", "é́x"]

READINGS: dict[str, tuple[Callable[[str], Row], Any]] = {
    "c4": (
        lambda t: plain_c4(t, C4Rules(), BAD_WORDS),
        c4.C4Annotator(C4Rules(), BAD_WORDS, ENGLISH),
    ),
    "c4, datatrove": (
        lambda t: plain_c4(t, C4_DATATROVE, []),
        c4.C4Annotator(
            C4_DATATROVE := C4Rules(
                end_marks=".?!\"'", line_min_words=3, line_words="original", line_max_word=7, lines="newline"
            ),
            [],
            ENGLISH,
        ),
    ),
    "c4, every line": (
        lambda t: plain_c4(t, C4_ALL, BAD_WORDS),
        c4.C4Annotator(C4_ALL := C4Rules(end_marks="", line_min_words=0), BAD_WORDS, ENGLISH),
    ),
    "gopher quality": (
        lambda t: plain_gopher_quality(t, GopherQuality()),
        gopher_quality.GopherQualityAnnotator(GopherQuality(), ENGLISH),
    ),
    "gopher quality, dolma": (
        lambda t: plain_gopher_quality(t, QUALITY_DOLMA),
        gopher_quality.GopherQualityAnnotator(
            QUALITY_DOLMA := GopherQuality(
                lines="newline", counted="all", symbols="words", ellipses="character", bullets="*-"
            ),
            ENGLISH,
        ),
    ),
    "gopher quality, marks split": (
        lambda t: plain_gopher_quality(t, QUALITY_SPLIT),
        gopher_quality.GopherQualityAnnotator(
            QUALITY_SPLIT := GopherQuality(
                words="wordpunct", symbols="words", stop_word_count="distinct", stop_words=["a", "é", "bad"]
            ),
            ENGLISH,
        ),
    ),
    "gopher repetition": (
        lambda t: plain_repetition(t, GopherRepetition()),
        gopher_repetition.GopherRepetitionAnnotator(GopherRepetition(), ENGLISH),
    ),
    "gopher repetition, dolma": (
        lambda t: plain_repetition(t, REPETITION_DOLMA),
        gopher_repetition.GopherRepetitionAnnotator(
            REPETITION_DOLMA := GopherRepetition(counting="dolma"), ENGLISH
        ),
    ),
    "gopher repetition, marks split": (
        lambda t: plain_repetition(t, REPETITION_SPLIT),
        gopher_repetition.GopherRepetitionAnnotator(
            REPETITION_SPLIT := GopherRepetition(words="wordpunct"), ENGLISH
        ),
    ),
    "fineweb": (
        lambda t: plain_fineweb(t, FineWebRules()),
        fineweb.FineWebAnnotator(FineWebRules(), ENGLISH),
    ),
    "fineweb, all lines": (
        lambda t: plain_fineweb(t, FINEWEB_ALL),
        fineweb.FineWebAnnotator(
            FINEWEB_ALL := FineWebRules(lines="all", words="wordpunct", terminal="。.", short_line=3), ENGLISH
        ),
    ),
}


def documents(texts: list[str | None], language: str = "en", score: float = 1.0) -> pa.RecordBatch:
    n = len(texts)
    return pa.record_batch(
        {
            "text": pa.array(texts, pa.string()),
            "language": pa.array([language] * n),
            "lid_v1_score": pa.array([score] * n),
        }
    )


def annotate(annotator: Any, texts: list[str]) -> list[Row]:
    found = annotator.annotate(documents(list(texts)))
    return pa.RecordBatch.from_arrays(found, schema=pa.schema(annotator.fields)).to_pylist()


def differences(name: str, texts: list[str]) -> list[tuple[Any, ...]]:
    plain, annotator = READINGS[name]
    return [
        (text, column, value, row[column])
        for text, row in zip(texts, annotate(annotator, texts), strict=True)
        for column, value in plain(text).items()
        if row[column] != value
    ]


PIECES = [
    "a", "b", "bad", "the", "The", "of", "be", "word", "1", "٣", "x²", "_", "é", "É",
    "é́x", "你好", "😀", "🖕", "𐐀",
    ".", "..", "...", "....", "…", "!", "?", '"', "'", "”", "»", ")", "#", "•", "-", "*", "–", "{", "[", "]",
    "[1]", "[٣]", "[²]", "[]", "[edit]", "[citation needed]", "[12", "lorem ipsum",
    "Lorem\u00a0Ipsum", "LOREM IPSUM",
    "JavaScript", "javascrıpt", "use cooKies", "Terms of Use", "2 bad words", "b-d", "b&d",
    "shibarİ", "SHIBARI", "kK",
    " ", " ", " ", "  ", "\n", "\n", "\n\n", "\n\n\n", "\r\n", "\r", "\t", "\v", "\f", "\x1c", "\x1f", "\x85",
    "\u00a0", "\u2028", "\u2029", "\u200b", "\u3000", "\ufeff", "\u0301", "Σ", "ς",
]  # fmt: skip
TEXTS = st.lists(
    st.one_of(
        st.sampled_from(PIECES), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3)
    ),
    min_size=1,
    max_size=40,
).map("".join)
# Few words, so that n-grams and lines repeat.
REPEATS = st.lists(
    st.sampled_from(["a ", "b ", "ab ", "é ", "a. ", "b\n", "\n"]), min_size=1, max_size=120
).map("".join)


@pytest.mark.parametrize("name", READINGS)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
@settings(max_examples=300)
def test_any_text(name: str, texts: list[str]) -> None:
    assert differences(name, texts) == []


@pytest.mark.parametrize("name", [name for name in READINGS if "repetition" in name or "fineweb" in name])
@given(texts=st.lists(REPEATS, min_size=1, max_size=4))
@settings(max_examples=300)
def test_repetitive_text(name: str, texts: list[str]) -> None:
    assert differences(name, texts) == []


@pytest.mark.parametrize("name", READINGS)
def test_every_code_point(name: str) -> None:
    """Alone in a word, between words and at both ends of a line."""
    chars = [chr(c) for c in (*range(0xD800), *range(0xE000, 0x30000), *range(0xE0000, 0xE0200), 0x10FFFF)]
    blocks = [chars[i : i + 64] for i in range(0, len(chars), 64)]
    texts = ["".join(f"{c}a bad{c} {c} b d{c}e f.{c}\n" for c in block) for block in blocks]
    assert differences(name, texts) == []


def real_texts() -> Iterator[str]:
    limits = recipe.load("sample").limits
    for path in sorted((DATA / "commoncrawl").rglob("*")):
        if path.is_file():
            for batch in read_pages(str(path), path.name, limits, 1 << 24, Tally(lambda records: None)):
                yield from batch.column("text").to_pylist()
    with gzip.open(DATA / "c4" / "c4-sample.dev.json.gz", "rt", encoding="utf-8") as rows:
        yield from (json.loads(row)["text"] for row in rows)
    for path in (DATA / "c4").glob("*.jsonl"):
        yield from (json.loads(row)["text"] for row in path.read_text("utf-8").splitlines())


@pytest.fixture(scope="module")
def real() -> list[str]:
    return [text for text in real_texts() if text]


@needs(DATA)
@pytest.mark.parametrize("name", READINGS)
def test_real_pages(name: str, real: list[str]) -> None:
    assert len(real) > 1000
    assert differences(name, real) == []


@needs(DATA)
def test_the_list_of_bad_words_that_c4_took(real: list[str], tmp_path: Path) -> None:
    path = DATA / "assets" / "ldnoobw-en-25e679f0.txt"
    words = path.read_text("utf-8").split("\n")
    annotator = c4.open_annotator(C4Rules(bad_words="list"), {"list": str(path)}, ENGLISH)
    rows = annotate(annotator, real)
    plain = [plain_c4(text, C4Rules(), [w for w in words if w]) for text in real]
    assert [row["c4_v1_bad_words"] for row in rows] == [row["c4_v1_bad_words"] for row in plain]
    assert sum(row["c4_v1_bad_words"] > 0 for row in rows) > 0


def c4_row(text: str) -> Row:
    return annotate(READINGS["c4"][1], [text])[0]


def test_a_four_word_line_is_dropped() -> None:
    assert c4_row("One two three four.")["c4_v1_few_words"] == 1


def test_three_short_sentences_on_one_line_pass() -> None:
    row = c4_row("It rained. We waited. Then it stopped.")
    assert (row["c4_v1_kept_lines"], row["c4_v1_sentences_by_marks"]) == (1, 3)


def test_a_bracket_on_a_dropped_line_does_not_drop_the_page() -> None:
    assert c4_row("function f() {\nThis is a line that stays.")["c4_v1_curly_bracket"] == 0


def test_a_bad_word_that_cannot_be_looked_for_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("fine\nλόγος\n", "utf-8")
    with pytest.raises(UserError, match=r"asset list: bad word 'λόγος'"):
        c4.open_annotator(C4Rules(bad_words="list"), {"list": str(tmp_path / "list")}, ENGLISH)


def test_counts_of_no_documents() -> None:
    counts = c4_counts(pa.array([], pa.string()), patterns([]), LineRules())
    assert counts.shape == (0, 12)


@pytest.mark.parametrize("name", READINGS)
def test_only_pages_of_a_kept_language_are_looked_at(name: str) -> None:
    annotator = READINGS[name][1]
    for batch in (documents(["A text."], "de"), documents(["A text."], score=0.49), documents([None, ""])):
        assert all(column.null_count == len(batch) for column in annotator.annotate(batch))


RULED = replace(
    SAMPLE,
    c4=C4Rules(enforce=True, bad_words="list"),
    gopher_quality=GopherQuality(enforce=True),
    gopher_repetition=GopherRepetition(enforce=True),
    fineweb=FineWebRules(enforce=True),
)
GOOD: Row = {
    "id": "0" * 32, "key": "https://a.example/", "language": "en", "lid_v1_score": 0.9,
    "perplexity_v1": 150.0,    "paragraphs_v1_reason": None, "reference_v1": 0.9,
    **{check.column: check.limit for check in checks(RULED)},
    "gopher_v1_words": 100.0, "gopher_v1_mean_word_length": 5.0,
}  # fmt: skip


def reasons(settings: CommonCrawl, *changes: Row) -> list[str | None]:
    names = columns(settings)
    text = ("id", "key", "language", "paragraphs_v1_reason")
    schema = pa.schema([(name, pa.string() if name in text else pa.float64()) for name in names])
    batch = pa.RecordBatch.from_pylist(
        [{k: v for k, v in {**GOOD, **change}.items() if k in names} for change in changes], schema=schema
    )
    return decide(batch, settings, {"en": Cutoffs(100.0, 200.0)}, Removals()).column("reason").to_pylist()


def test_each_threshold_has_its_reason_and_holds_at_its_value() -> None:
    for check in checks(RULED):
        assert reasons(RULED, {}, {check.column: check.limit + check.sign * 1e-9}) == [None, check.reason]


def test_the_first_failed_rule_counts_after_language_and_before_perplexity() -> None:
    bad = {"gopher_v1_mean_word_length": 11.0, "fineweb_v1_short_lines": 1.0, "perplexity_v1": 900.0}
    assert reasons(RULED, bad, {**bad, "language": "xx"}, {"perplexity_v1": 900.0}) == [
        "gopher_mean_word_length",
        "language",
        "perplexity",
    ]


def test_columns_alone_decide_nothing() -> None:
    settings = replace(SAMPLE, gopher_quality=GopherQuality(), fineweb=FineWebRules())
    assert checks(settings) == []
    assert reasons(settings, {}) == [None]
    assert list(readings(settings)) == ["GopherQuality", "FineWebRules"]


def test_rejecting_at_the_threshold() -> None:
    settings = replace(SAMPLE, fineweb=FineWebRules(enforce=True, at_threshold="reject"))
    assert reasons(settings, {}) == ["fineweb_terminal_lines"]


def test_an_enforced_rule_needs_its_column() -> None:
    with pytest.raises(UserError, match="gopher_v1_words is empty for 1 pages"):
        reasons(RULED, {}, {"gopher_v1_words": None})
    without = {k: v for k, v in GOOD.items() if not k.startswith("gopher_v1_")}
    batch = pa.RecordBatch.from_pylist([without])
    with pytest.raises(UserError, match="column gopher_v1_words is empty"):
        decide(batch, RULED, {"en": Cutoffs(100.0, 200.0)}, Removals())


def test_without_a_list_bad_words_are_not_held_against_a_page() -> None:
    enforced = checks(replace(SAMPLE, c4=C4Rules(enforce=True)))
    assert "c4_v1_bad_words" not in [check.column for check in enforced]


def test_every_threshold_has_a_column() -> None:
    fields = {
        field.name
        for annotator in (
            c4.C4Annotator, gopher_quality.GopherQualityAnnotator,
            gopher_repetition.GopherRepetitionAnnotator, fineweb.FineWebAnnotator,
        )
        for field in annotator.fields
    }  # fmt: skip
    assert {check.column for check in checks(RULED)} <= fields


def test_a_threshold_shapes_no_column() -> None:
    block = GopherRepetition()
    changed = replace(SAMPLE, gopher_repetition=replace(block, max_duplicate_lines=0.5, enforce=True))
    assert readings(changed) == readings(replace(SAMPLE, gopher_repetition=block))
    assert readings(changed) != readings(replace(SAMPLE, gopher_repetition=replace(block, counting="dolma")))


def test_an_unknown_key_of_a_block_is_named() -> None:
    raw = recipe.to_dict(recipe.load("sample"))
    raw["commoncrawl"]["gopher_quality"] = {"max_word": 5}
    with pytest.raises(UserError, match=r"gopher_quality.max_word'; did you mean 'max_words'"):
        recipe.from_dict(raw, "test")
