"""C4's rules for one page: the compiled cleaning against plain Python, addresses, the page's own lines."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.kernels.rules_c4 import LineRules, c4_clean, c4_counts, line_measures
from corpus.kernels.rules_c4_search import BAD_WORDS, CURLY_BRACKET, KEPT_LINES, LOREM_IPSUM, patterns
from corpus.kernels.rules_text import NEWLINE
from corpus.sources.c4.pages import page_text
from corpus.sources.c4.urls import is_validation, line_key, normalize_url, url_key, url_order
from tests.corpus.sources.plain_c4 import Page, clean, md5, split_page

PIECES = [
    "One two three four five.", "It rained.", "We waited!", "Did it stop?", 'He said "no more of it."',
    "and so on...", "Home | News", "lorem ipsum dolor sit amet.", "Turn JavaScript on, please do so.",
    "A set {1} of one thing.", "Our privacy policy is this one.", "[12]", "[edit]", "[citation needed]",
    "[]", "[x]", "x" * 999, "y" * 1001, "İstanbul ΟΔΟΣ ends here as well.", "zażółć gęślą jaźń i co dalej.",
    " ", "\t", "\x85", "\u2028", "\r\n", "\n", "\n", ".", "\u00a0", "…", "٣ [٣]", "😀.",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=14).map("".join)


def by_mark(line: str) -> int:
    """Any count will do here."""
    return line.count(".") + 1


@settings(deadline=None)  # compiled on first use
@given(st.lists(texts, max_size=6))
def test_the_cleaned_text_is_that_of_the_plain_rules(pages: list[str]) -> None:
    counts, cleaned = c4_clean(pa.array(pages, pa.string()), patterns(()), LineRules())
    assert (counts == c4_counts(pa.array(pages, pa.string()), patterns(()), LineRules())).all()
    for page, row, text in zip(pages, counts, cleaned.to_pylist(), strict=True):
        expected = clean(page, by_mark, min_sentences=0)
        dropped = row[LOREM_IPSUM] or row[CURLY_BRACKET]
        assert (expected is None) == bool(dropped)
        if expected is not None:
            assert text == expected
            assert row[KEPT_LINES] == (text.count("\n") + 1 if row[KEPT_LINES] else 0)


def test_every_line_stays_where_no_rule_is_on() -> None:
    rules = LineRules(NEWLINE, "", 0, False, 10**6)
    _, cleaned = c4_clean(pa.array(["  a\n\n b [1] \nc  ", "", "\n"]), patterns(()), rules)
    assert cleaned.to_pylist() == ["a\n\nb \nc", "", ""]


WORDS = ["zarnquat", "grobble snark", "é!"]


@pytest.mark.parametrize(
    ("line", "by_word", "by_letter"),
    [
        ("A zarnquat.", 1, 1),
        ("ZARNQUAT", 1, 0),  # at both ends of the line: version 2 wants a character there
        ("zarnquats and prezarnquat", 0, 0),
        ("a zarnquat_ here", 0, 1),  # "_" is a word character, and no letter
        ("a zarnquaté", 0, 1),
        ("a 1zarnquat2", 0, 1),
        ("(grobble snark)", 1, 1),
        ("grobble  snark", 0, 0),
        ("so é! it is", 1, 1),
    ],
)
def test_what_may_stand_beside_a_bad_word(line: str, by_word: int, by_letter: int) -> None:
    searched = patterns(WORDS)
    text = pa.array([line])
    assert line_measures(text, searched)[0, 0] == by_word
    assert line_measures(text, searched, letter_flanks=True)[0, 0] == by_letter


def test_bad_words_are_counted_in_lines_that_stay() -> None:
    text = pa.array(["A zarnquat is no thing that is known.\nA zarnquat and another zarnquat"])
    counts = c4_counts(text, patterns(WORDS), LineRules())
    assert (counts[0, KEPT_LINES], counts[0, BAD_WORDS]) == (1, 1)
    assert line_measures(text, patterns(WORDS)).tolist() == [[2, 2]]


@given(st.text() | texts, st.none() | st.text(max_size=20))
def test_a_page_has_its_title_and_no_blank_or_header_line(body: str, title: str | None) -> None:
    plain = split_page("url", "time", f"{title}\n{body}" if title else body)
    assert page_text(title, body) == (plain.text if plain else "")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://www.example.org/a/?utm_source=x&b=1", "example.org/a"),
        ("http://example.org/a?ref=b", "example.org/a"),
        ("http://example.org/a?b=1&ref=c", "example.org/a?b=1&ref=c"),
        ("https://web.example/save/http://www.other.example//", "web.example/save/other.example"),
        ("HTTP://Example.org/", "HTTP://Example.org"),
        ("ftp://www.example.org/feed", "ftp://www.example.org/feed"),
        ("http://example.org?feed\nx", "example.org\nx"),
    ],
)
def test_addresses_are_compared_as_tfds_compares_them(url: str, expected: str) -> None:
    assert normalize_url(url) == expected == Page(url, "", "").normalized_url


@given(st.text(max_size=60))
def test_hashes_are_the_first_64_bits_of_an_md5(url: str) -> None:
    if url.encode(errors="replace").decode() != url:
        return
    assert f"{url_order(url):016x}" == md5(url)[:16]
    assert f"{line_key(' ' + url + ' '):016x}" == md5(url.strip().lower())[:16]
    assert is_validation(url) == (int(md5(normalize_url(url)), 16) % 1000 == 0)
    assert url_key("http://" + url) == url_key("https://www." + url)
