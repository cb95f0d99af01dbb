"""Overlaps of books: shingles, chunks and signatures against the plain rule and datasketch; what is found."""

from __future__ import annotations

import io
import itertools
from fractions import Fraction

import numpy as np
import pytest
import xxhash
from datasketch import MinHash, MinHashLSH
from hypothesis import given
from hypothesis import strategies as st

from corpus.dedup.books import Sketch, Sketcher
from corpus.dedup.overlap import SetPlace, SetWriter, common, least_common, read_set
from corpus.errors import CorruptPartError
from corpus.kernels.book_shingles import chunk_starts, shingle_hashes
from corpus.kernels.book_text import book_table, fold_character, words
from corpus.settings.books import Overlap
from tests.corpus.sources import books_texts as texts
from tests.corpus.sources.books_texts import all_pairs

SETTINGS = Overlap()
SKETCH = Sketcher(SETTINGS)


def sketch(tokens: list[str]) -> Sketch:
    return SKETCH(texts.text(tokens))


def found(sketches: list[Sketch]) -> set[tuple[int, int]]:
    """Pairs that meet in a bucket."""
    keys = np.concatenate([s.keys for s in sketches])
    books = np.repeat(np.arange(len(sketches)), [len(s.keys) for s in sketches])
    sizes = np.repeat([len(s.shingles) for s in sketches], [len(s.keys) for s in sketches])
    return {(a, b) for a, b in all_pairs(keys, books, sizes, SETTINGS.max_bucket)[0]}


def overlaps(a: Sketch, b: Sketch, threshold: float = SETTINGS.threshold) -> bool:
    least = least_common(min(len(a.shingles), len(b.shingles)), threshold)
    return common(a.shingles, b.shingles, least) > 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Cat\n\tsat.", ["the", "cat", "sat"]),
        ("“Don’t!”—he said--no", ["donthe", "saidno"]),  # punctuation goes, and leaves no space
        ("_italics_ and =bold= `quote'", ["italics", "and", "bold", "quote"]),
        ("É e\u0301 ΣΟΦΟΣ İ £100", ["é", "é", "σοφοσ", "i\u0307", "100"]),
        ("soft\u00adhyphen \ufeffmark", ["softhyphen", "mark"]),
        ("孔子曰 ok", ["孔", "子", "曰", "ok"]),  # no spaces: a character is a word
        ("a\u00a0b\u2003c", ["a", "b", "c"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_the_table_is_the_rule_for_every_code_point() -> None:
    points = [*range(0xD800), *range(0xE000, 0x30000), *range(0xE0000, 0xE1000), 0x10FFFF]
    for start in range(0, len(points), 5_000):
        some = [chr(p) for p in points[start : start + 5_000]]
        # An x on each side keeps the words apart where a character leaves nothing, or a space.
        text = " ".join(f"x{char}x" for char in some)
        plain = "".join(map(fold_character, text)).split()
        expected = [xxhash.xxh64_intdigest(w.encode()) for w in plain]
        assert shingle_hashes(text.encode(), 1).tolist() == expected
    assert len(book_table().entries) == 0x110000


@given(st.text(max_size=200), st.integers(1, 6))
def test_shingles_are_xxh64_of_words(text: str, ngram: int) -> None:
    tokens = words(text)
    expected = [
        xxhash.xxh64_intdigest(" ".join(tokens[i : i + ngram]).encode())
        for i in range(len(tokens) - ngram + 1)
    ]
    sketcher = Sketcher(Overlap(ngram=ngram))
    assert sketcher.hashes(text).tolist() == expected


def test_texts_of_one_letter_words_and_of_one_word() -> None:
    """The most words that a text can have, and the longest shingles."""
    assert len(SKETCH.hashes("a " * 100_000)) == 100_000 - 4
    assert len(SKETCH.hashes("孔" * 100_000)) == 100_000 - 4
    long = " ".join(["b" * 300_000] * 6)
    assert SKETCH.hashes(long).tolist() == [xxhash.xxh64_intdigest(long[: 5 * 300_001 - 1].encode())] * 2
    assert len(SKETCH("a " * 100_000).shingles) == 1


def test_a_signature_is_datasketchs() -> None:
    hashes = SKETCH.hashes(texts.text(texts.words(1, 3_000)))
    (whole, *chunks), passages = SKETCH.signatures(hashes)
    size = SETTINGS.bands * SETTINGS.rows
    theirs = MinHash(size, seed=SETTINGS.seed, scheme="affine32", hashfunc=lambda h: h)
    theirs.update_batch([int(h) & 0xFFFFFFFF for h in hashes])
    assert whole.tolist() == theirs.hashvalues.tolist()
    for signatures, size_of in ((chunks, SETTINGS.chunk_shingles), (passages, SETTINGS.passage_shingles)):
        starts = [*chunk_starts(hashes, size_of).tolist(), len(hashes)]
        assert len(signatures) == len(starts) - 1 > 5
        for signature, (start, stop) in zip(signatures, itertools.pairwise(starts), strict=True):
            theirs = MinHash(size, seed=SETTINGS.seed, scheme="affine32", hashfunc=lambda h: h)
            theirs.update_batch([int(h) & 0xFFFFFFFF for h in hashes[start:stop]])
            assert signature.tolist() == theirs.hashvalues.tolist()


def test_books_that_meet_are_those_of_datasketchs_index() -> None:
    """The whole books alone, at similarities around the point where half of the pairs are found."""
    settings = Overlap(chunk_shingles=10**6, passage_bands=0)
    sketcher = Sketcher(settings)
    base = texts.words(2, 4_000)
    books = [base, *(texts.replaced(base, seed, 0.02 * seed) for seed in range(1, 40))]
    index = MinHashLSH(num_perm=250, params=(50, 5))
    signatures = [sketcher.signatures(sketcher.hashes(texts.text(b)))[0][0] for b in books]
    expected = set()
    for i, signature in enumerate(signatures):
        theirs = MinHash(seed=1, hashvalues=signature, scheme="affine32")
        expected |= {(j, i) for j in index.query(theirs)}
        index.insert(i, theirs)
    assert 100 < len(expected) < 39 * 40 // 2
    assert found([sketcher(texts.text(b)) for b in books]) == expected


@given(st.lists(st.integers(0, 2**64 - 1), max_size=400), st.integers(2, 40))
def test_chunks_cover_a_text_and_are_not_short(values: list[int], size: int) -> None:
    hashes = np.array(values, np.uint64)
    starts = chunk_starts(hashes, size).tolist()
    assert starts[:1] == [0][: len(values)]
    width = size // 2
    expected = [0] if values else []
    for i in range(width, len(values) - width):
        before, after = values[i - width : i], values[i + 1 : i + 1 + width]
        if all(values[i] < h for h in before) and all(values[i] <= h for h in after):
            expected.append(i)
    assert starts == expected


def test_chunks_of_equal_passages_begin_alike() -> None:
    passage = texts.words(3, 3_000)
    a = sketch([*texts.words(4, 777), *passage])
    hashes = [SKETCH.hashes(texts.text([*texts.words(seed, 500 + seed), *passage])) for seed in (5, 6)]
    cut = [{int(h[i]) for i in chunk_starts(h, SETTINGS.chunk_shingles) if i > 900} for h in hashes]
    assert cut[0] == cut[1]
    assert len(cut[0]) > 5
    assert len(a.keys) > 0


@pytest.mark.parametrize("size", [1_500, 5_000, 60_000])
@pytest.mark.parametrize("spread", ["words", "passage"])
@pytest.mark.parametrize(("share", "duplicate"), [(0.85, False), (0.89, False), (0.91, True), (0.95, True)])
def test_planted_overlaps_decide_correctly(size: int, spread: str, share: float, duplicate: bool) -> None:
    base = texts.words(size, size)
    if spread == "words":
        copy = texts.with_containment(base, size, share + (0.004 if duplicate else 0))
    else:
        copy = texts.replaced(base, size, 1 - share - (0.003 if duplicate else 0))
    assert abs(texts.containment(base, copy) - share) < 0.009
    a, b = sketch(base), sketch(copy)
    assert overlaps(a, b) == duplicate
    assert found([a, b]) == {(0, 1)}  # all are near enough to be compared


@pytest.mark.parametrize("share", [0.85, 0.89, 0.91, 0.95])
@pytest.mark.parametrize("parts", [2, 5, 10, 20])
def test_an_omnibus_finds_its_parts(parts: int, share: float) -> None:
    """Each part was edited, word by word, before it went in: the hardest case."""
    stories = [texts.words(100 + i, 3_000) for i in range(parts)]
    inside = [
        texts.with_containment(s, 200 + i, share + 0.004 * (share > 0.9)) for i, s in enumerate(stories)
    ]
    omnibus = sketch([word for story in inside for word in story])
    books = [omnibus, *map(sketch, stories)]
    assert found(books) == {(0, i) for i in range(1, parts + 1)}
    assert [overlaps(omnibus, part) for part in books[1:]] == [share > 0.9] * parts


def test_small_parts_of_large_books_are_found() -> None:
    """Twenty stories of 2,000 words, one in each of twenty books of 60,000, edited to 92 %."""
    missed = 0
    for i in range(20):
        story = texts.words(300 + i, 2_000)
        inside = texts.with_containment(story, 400 + i, 0.92)
        book = [*texts.words(500 + i, 31_000), *inside, *texts.words(600 + i, 27_000)]
        missed += found([sketch(story), sketch(book)]) != {(0, 1)}
    assert missed == 0


def test_short_stories_of_large_books_are_found() -> None:
    """Of 60 stories of 400 words, one in each of 60 books, edited to 92 %, one or two may be missed."""
    missed = 0
    for i in range(60):
        story = texts.words(800 + i, 400)
        inside = texts.with_containment(story, 900 + i, 0.92)
        book = [*texts.words(1_000 + i, 9_000), *inside, *texts.words(1_100 + i, 9_000)]
        missed += found([sketch(story), sketch(book)]) != {(0, 1)}
        unedited = [*texts.words(1_000 + i, 9_000), *story, *texts.words(1_100 + i, 9_000)]
        assert found([sketch(story), sketch(unedited)]) == {(0, 1)}
    assert missed <= 2


def test_different_books_do_not_meet() -> None:
    books = [sketch(texts.words(700 + i, 20_000)) for i in range(30)]
    assert found(books) == set()


def test_a_share_is_taken_as_it_is_written() -> None:
    assert least_common(1_000, 0.9) == 901
    for n in range(1, 3_000):
        least = least_common(n, 0.9)
        assert Fraction(least, n) > Fraction(9, 10) >= Fraction(least - 1, n)


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)), st.integers(0, 70))
def test_common_counts_or_gives_up(a: set[int], b: set[int], least: int) -> None:
    first, second = (np.array(sorted(s), np.uint64) for s in (a, b))
    n = len(a & b)
    assert common(first, second, least) == (n if n >= least else -1)


def test_sets_are_read_back_and_damage_is_seen() -> None:
    f = io.BytesIO()
    writer = SetWriter(f)
    sets = [np.arange(n, dtype=np.uint64) * np.uint64(2**60) for n in (3, 0, 5)]
    places = [writer.add(s) for s in sets]
    for place, expected in zip(places, sets, strict=True):
        assert read_set(f, "f", place).tolist() == expected.tolist()
    f.getbuffer()[4] ^= 1
    with pytest.raises(CorruptPartError, match="byte 0"):
        read_set(f, "f", places[0])
    with pytest.raises(CorruptPartError):
        read_set(f, "f", SetPlace(48, 5, places[2].checksum))
