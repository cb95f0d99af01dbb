"""Kernels over Arrow buffers give what the plain Python rules give, for all of Unicode."""

from __future__ import annotations

import hashlib
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.kernels import ccnet_text
from corpus.kernels.language_model_text import delete_newlines, normalize_for_language_model
from corpus.kernels.lines import assemble, scan
from corpus.kernels.sorted_keys import Lookup
from corpus.kernels.unicode_tables import language_model_table
from corpus.kernels.xxh64 import xxh64

CODE_POINTS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
COMBINING = [c for c in CODE_POINTS if unicodedata.combining(c)]

WHITESPACE = "\t\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2003\u2028\u2029\u202f\u205f\u3000"
TRICKY = (
    WHITESPACE + "\n\n\nΣΑσς'·İıIi̇ȺȾA.ÀÉÅ\u212bﬁǅẞ09٣९１𝟗" + "".join(ccnet_text.MARKS)
    + "\x00\x07\x7f\x9f\u0301\u0327\u0345\u05b0\u302e\U0001d165\U0001d16d\u200b\ufeff한각😀𐐀\U000e0100"
)  # fmt: skip
TEXTS = st.text(st.one_of(st.sampled_from(TRICKY), st.characters(exclude_categories=["Cs"])), max_size=60)


# The first call compiles.
settings.register_profile("compiled", deadline=None)
settings.load_profile("compiled")


def key_of(line: str, hash: str = "xxh64") -> int:
    folded = ccnet_text.normalize_for_dedup(line).encode()
    if hash == "xxh64":
        return xxhash.xxh64_intdigest(folded)
    return int.from_bytes(hashlib.sha1(folded).digest()[:8], "little")


def plain_scan(texts: list[str | None], min_chars: int, hash: str = "xxh64"):
    """`scan` in the recipe's words: lines as (document, ordinal, stripped, key, candidate), and pages."""
    lines, pages = [], []
    for document, text in enumerate(texts):
        stripped = [line.strip() for line in (text or "").split("\n")]
        while stripped and not stripped[-1]:
            stripped.pop()
        chars = len("\n".join(stripped))
        short = text is None or chars < min_chars
        pages.append((short, len(stripped), chars))
        seen = set()
        for ordinal, line in enumerate(stripped):
            if not short and ccnet_text.normalize_for_dedup(line):
                key = key_of(line, hash)
                lines.append((document, ordinal, line, key, key not in seen))
                seen.add(key)
    return lines, pages


def kernel_scan(text: pa.StringArray, min_chars: int, hash: str = "xxh64"):
    """`scan` in the form of `plain_scan`."""
    lines = scan(text, min_chars, hash)
    data = text.buffers()[2].to_pybytes() if len(lines.key) else b""
    stripped = [data[a:b].decode() for a, b in zip(lines.start, lines.end, strict=True)]
    columns = (lines.document.tolist(), lines.ordinal.tolist(), stripped, lines.key.tolist())
    pages = (lines.short.tolist(), lines.lines.tolist(), lines.chars.tolist())
    return (
        list(zip(*columns, lines.candidate.tolist(), strict=True)),
        list(zip(*pages, strict=True)),
    )


class TestRules:
    """Golden texts of the recipe, section 17."""

    def test_dedup_key_text(self):
        line = "Hello, World. É 2019 — “ok” １ a/b"
        assert ccnet_text.normalize_for_dedup(line) == "hello, world. é 0000  ok 0 a/b"

    def test_language_model_text(self):
        text = "Hello World.\nNext Line 2019 — “ok” １ é"
        assert ccnet_text.normalize_for_language_model(text) == 'hello world.next line 0000  -  "ok" 0 e'
        assert normalize_for_language_model(pa.array([text])).to_pylist() == [
            'hello world.next line 0000  -  "ok" 0 e'
        ]

    def test_there_are_34_marks(self):
        assert len(ccnet_text.MARKS) == 34

    def test_key_is_not_stripped_again(self):
        assert ccnet_text.normalize_for_dedup("« a »") == " a "

    @pytest.mark.parametrize(
        ("line", "folded"),
        [("ΟΔΟΣ", "οδος"), ("Σ", "σ"), ("ΑΣΑ", "ασα"), ("İ", "i̇"), ("a\tb\x85c", "abc"), ("٣९𝟗", "000")],
    )
    def test_lower_case_and_digits_are_pythons(self, line, folded):
        assert ccnet_text.normalize_for_dedup(line) == folded
        assert scan(pa.array([line]), 0).key.tolist() == [xxhash.xxh64_intdigest(folded.encode())]


class TestXxh64:
    @pytest.mark.parametrize("length", range(201))
    def test_equals_the_library(self, length):
        self.check(np.random.default_rng(length).bytes(length))

    @given(st.binary(max_size=2000))
    def test_equals_the_library_on_any_bytes(self, data):
        self.check(data)

    def check(self, data: bytes):
        words = np.frombuffer(data.ljust(-(-len(data) // 8) * 8 + 8, b"\xff"), np.uint64).copy()
        assert int(xxh64(words.view(np.uint8), words, len(data))) == xxhash.xxh64_intdigest(data)


class TestScan:
    @given(st.lists(st.none() | TEXTS, max_size=6), st.integers(0, 30), st.sampled_from(["xxh64", "sha1"]))
    def test_equals_the_rules(self, texts, min_chars, hash):
        assert kernel_scan(pa.array(texts, pa.string()), min_chars, hash) == plain_scan(
            texts, min_chars, hash
        )

    def test_every_code_point_alone_and_inside(self):
        changed = [c for c in CODE_POINTS if c.isspace() or ccnet_text.normalize_for_dedup(c) != c]
        texts = CODE_POINTS + [f"a{c}b" for c in changed]
        assert kernel_scan(pa.array(texts), 0) == plain_scan(texts, 0)

    @given(st.lists(st.none() | TEXTS, min_size=1, max_size=8), st.data())
    def test_slices(self, texts, data):
        start = data.draw(st.integers(0, len(texts)))
        stop = data.draw(st.integers(start, len(texts)))
        sliced = pa.array(texts, pa.string())[start:stop]
        assert kernel_scan(sliced, 0) == plain_scan(texts[start:stop], 0)

    def test_only_newlines_end_a_line(self):
        lines = scan(pa.array(["a\rb\x85c\u2028d\x1ce\x0bf\ng"]), 0)
        assert lines.ordinal.tolist() == [0, 1]

    def test_minimum_length_counts_stripped_lines_and_newlines_between(self):
        text = "  äb \n\n c\u2003\n \n\n"  # "äb", "", "c": 3 code points and 2 newlines
        at, above = scan(pa.array([text]), 5), scan(pa.array([text]), 6)
        assert (at.chars.tolist(), at.lines.tolist(), at.short.tolist()) == ([5], [3], [False])
        assert (above.chars.tolist(), above.short.tolist(), len(above.key)) == ([5], [True], 0)

    def test_blank_after_marks_are_deleted_is_blank(self):
        assert scan(pa.array(["»\n\x07\na\n…"]), 0).ordinal.tolist() == [2]

    def test_repeat_inside_a_document_only_is_no_candidate(self):
        lines = scan(pa.array(["Go 1\nx\ngo 2", "GO 3"]), 0)
        assert lines.candidate.tolist() == [True, True, False, True]

    @pytest.mark.parametrize("texts", [[], [None], [""], ["\n \n"], [None, "", None]])
    def test_nothing_to_find(self, texts):
        lines = scan(pa.array(texts, pa.string()), 0)
        assert len(lines.key) == 0
        assert lines.short.tolist() == [t is None for t in texts]
        text, ordinals = assemble(pa.array(texts, pa.string()), lines, lines.candidate)
        assert text.to_pylist() == ordinals.to_pylist() == [None] * len(texts)

    def test_a_very_long_line(self):
        text = "Ⱥ " * 300_000 + "x"
        assert scan(pa.array(["y", text]), 0).key[1] == key_of(text)

    def test_refuses_other_types_and_bad_utf8(self):
        with pytest.raises(TypeError, match="StringArray"):
            scan(pa.array(["a"], pa.large_string()), 0)
        broken = pa.StringArray.from_buffers(
            1, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xf0")
        )
        with pytest.raises(pa.ArrowInvalid, match="UTF8"):
            scan(broken, 0)
        with pytest.raises(ValueError, match="md5"):
            scan(pa.array(["a"]), 0, "md5")


class TestAssemble:
    @given(st.lists(st.none() | TEXTS, max_size=6), st.randoms(use_true_random=False))
    def test_kept_lines_joined(self, texts, random):
        array = pa.array(["before", *texts], pa.string())[1:]
        lines = scan(array, 3)
        kept = np.array([random.random() < 0.6 for _ in lines.key], bool)
        expected = [[] for _ in texts]
        for (document, ordinal, line, _, _), keep in zip(plain_scan(texts, 3)[0], kept, strict=True):
            if keep:
                expected[document].append((ordinal, line))
        text, ordinals = assemble(array, lines, kept)
        text.validate(full=True)
        ordinals.validate(full=True)
        assert ordinals.type == pa.list_(pa.int32())
        assert text.to_pylist() == [
            "\n".join(line for _, line in rows) if rows else None for rows in expected
        ]
        assert ordinals.to_pylist() == [[n for n, _ in rows] or None for rows in expected]

    def test_a_mask_of_another_batch_is_refused(self):
        lines = scan(pa.array(["a\nb"]), 0)
        with pytest.raises(ValueError, match="1 marks"):
            assemble(pa.array(["a\nb"]), lines, np.ones(1, bool))


class TestLanguageModelText:
    @given(st.lists(st.none() | TEXTS, max_size=6), st.integers(0, 3))
    def test_equals_the_rules(self, texts, start):
        array = pa.array(texts, pa.string())[start:]
        got = normalize_for_language_model(array)
        got.validate(full=True)
        assert got.to_pylist() == [
            None if t is None else ccnet_text.normalize_for_language_model(t) for t in texts[start:]
        ]

    def test_every_code_point_alone_and_inside(self):
        texts = [form for c in CODE_POINTS for form in (c, f"a{c}b")]
        expected = [ccnet_text.normalize_for_language_model(t) for t in texts]
        assert normalize_for_language_model(pa.array(texts)).to_pylist() == expected

    def test_only_what_stays_can_show_an_order(self):
        """What the table rests on: reordering shows only where two that combine are not of category Mn."""
        entries = language_model_table().entries
        shown = {c for c in COMBINING if unicodedata.category(c) != "Mn"}
        exact = {c for c in CODE_POINTS if int(entries[ord(c)]) >> 41 & 1}
        assert shown <= exact
        assert all(set(unicodedata.normalize("NFD", c.lower())) & shown for c in exact - {"Σ"})

    def test_every_pair_of_combining_code_points(self):
        texts = ["a".join(first + second for second in COMBINING) for first in COMBINING]
        expected = [ccnet_text.normalize_for_language_model(t) for t in texts]
        assert normalize_for_language_model(pa.array(texts)).to_pylist() == expected

    def test_hangul_grows_threefold(self):
        assert normalize_for_language_model(pa.array(["각" * 1000])).to_pylist() == [
            "\u1100\u1161\u11a8" * 1000
        ]

    def test_newlines_are_deleted_without_a_space(self):
        texts = pa.array(["x", "a\nb\n\n", None, ""])[1:]
        assert delete_newlines(texts).to_pylist() == ["ab", None, ""]


class TestLookup:
    @given(
        st.sets(st.one_of(st.integers(0, 40), st.integers(0, 2**64 - 1), st.just(2**64 - 1)), max_size=60),
        st.lists(st.one_of(st.integers(0, 40), st.integers(0, 2**64 - 1)), max_size=20),
    )
    def test_positions(self, keys, others):
        ordered = sorted(keys)
        wanted = ordered + others
        expected = [ordered.index(k) if k in keys else -1 for k in wanted]
        assert Lookup(np.array(ordered, np.uint64))(np.array(wanted, np.uint64)).tolist() == expected
