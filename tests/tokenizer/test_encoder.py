"""The encoder gives SentencePiece's own ids, whatever the text, the batch and the state of its cache."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.real_texts import kinds
from tests.tokenizer.conftest import train
from tokenizer.encoder import Encoder
from tokenizer.model import UnsupportedModelError, read
from tokenizer.train import SETTINGS, cut_lines

SCRIPTS = [(0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x4FF), (0x590, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F)]
SCRIPTS += [(0x3040, 0x30FF), (0x4E00, 0x4E80), (0xAC00, 0xAC80), (0x1F300, 0x1F64F), (0xFF00, 0xFFEF)]
CHARACTERS = st.one_of(
    *(st.characters(min_codepoint=low, max_codepoint=high) for low, high in SCRIPTS),
    st.characters(exclude_categories=("Cs",)),
    st.sampled_from(" \t\n\r\0▁0123456789.,aeothn"),
)
TEXTS = st.one_of(st.text(CHARACTERS, max_size=60), st.text(st.sampled_from(" aeinot▁1\n"), max_size=200))


@pytest.fixture(scope="module")
def encoder(model: Path) -> Encoder:
    found = Encoder(model)
    assert found.exact_kernel
    return found


def rows(encoder: Encoder, texts: list[str | None]) -> list[list[int]]:
    found = encoder.encode(pa.array(texts, pa.string()))
    starts = [0, *found.ends.tolist()]
    return [found.ids[a:b].tolist() for a, b in itertools.pairwise(starts)]


def expected(encoder: Encoder, texts: list[str | None]) -> list[list[int]]:
    return [encoder.processor.encode(text) if text else [] for text in texts]


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(TEXTS | st.none(), max_size=5))
def test_ids_are_those_of_sentencepiece(encoder: Encoder, texts: list[str | None]) -> None:
    assert rows(encoder, texts) == expected(encoder, texts)
    assert rows(encoder, texts) == expected(encoder, texts)  # of what is remembered now


@settings(max_examples=200, deadline=None)
@given(
    segments=st.lists(
        st.text(st.sampled_from("aetheinor\0\x01é字🙂\u0301"), min_size=1, max_size=18)
        | st.sampled_from(
            ["\0", "\0\0", "a\0", "🙂🙂🙂", "🙂🙂🙂🙂", "é" * 7, "é" * 8, "the" * 5, "x" * 15, "x" * 16]
        ),
        max_size=30,
    )
)
def test_segments_about_as_long_as_a_row_of_the_cache(model: Path, segments: list[str]) -> None:
    """Up to 15 bytes and 8 ids lie in one; each is met cold, warm and in a cache of a few rows."""
    text = " ".join([*segments, *segments])
    for encoder in (Encoder(model), Encoder(model, cached_segments=8)):
        for _ in range(2):
            assert rows(encoder, [text]) == expected(encoder, [text])


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "   ", "\n", "\n\n\n", " a", "a ", "▁a", " ▁ a", "0123 4,567.89", "<s></s><unk><0x0A>",
        "a\0b\r\n\tc", "naïve café ﬁne", "日本語" * 500, "👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿", "x" * 30_000, " " * 5_000,
        "the" * 2_000, "e\u0301" * 300, "𝔘𝔫𝔦" * 40,
    ],
)  # fmt: skip
def test_edges(encoder: Encoder, text: str) -> None:
    assert rows(encoder, [text]) == expected(encoder, [text])
    assert encoder.processor.decode(rows(encoder, [text])[0]) == text.replace("▁", " ")


def test_the_state_of_the_cache_changes_nothing(model: Path, texts: list[str]) -> None:
    """A cache of a few segments is emptied all the time."""
    small, large = Encoder(model, cached_segments=16), Encoder(model)
    reference = expected(large, list(texts))
    for encoder in (small, large, large, small):
        assert rows(encoder, list(texts)) == reference
    assert rows(large, list(reversed(texts))) == reference[::-1]


def test_a_slice_of_an_array_is_encoded_as_it_stands(encoder: Encoder) -> None:
    whole = pa.array(["left out", "kept", None, "kept too", "left out"])
    found = encoder.encode(whole.slice(1, 3))
    assert found.ids.tolist() == [i for row in expected(encoder, ["kept", "kept too"]) for i in row]
    assert encoder.encode(pa.array([], pa.string())).ends.tolist() == []


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "unigram"},
        {"remove_extra_whitespaces": True},
        {"normalization_rule_name": "nfkc"},
        {"user_defined_symbols": ["the"]},
        {"byte_fallback": False},
        {"add_dummy_prefix": False},
        {"treat_whitespace_as_suffix": True},
    ],
)
def test_models_of_another_kind_are_left_to_the_library(
    change: dict[str, object], texts: list[str], tmp_path: Path
) -> None:
    path = train(tmp_path, "other", texts, **change)
    with pytest.raises(UnsupportedModelError):
        read(path.read_bytes())
    encoder = Encoder(path)
    assert not encoder.exact_kernel
    some: list[str | None] = [*texts[:5], None, "the  the", ""]
    assert rows(encoder, some) == expected(encoder, some)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """Of real text of all kinds, as large as LLaMA's."""
    lines = [
        line for kind in kinds().values() for text in itertools.islice(kind, 20) for line in cut_lines(text)
    ]
    folder = tmp_path_factory.mktemp("learnt")
    (folder / "lines.txt").write_bytes(b"\n".join(lines))
    model = folder / "real"
    settings = SETTINGS | {"vocab_size": 32_000, "hard_vocab_limit": False, "num_threads": 1}
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "lines.txt"), model_prefix=str(model), minloglevel=2, **settings
    )
    return Encoder(f"{model}.model")


@pytest.mark.parametrize("kind", list(kinds()))
def test_on_real_text_no_id_differs(kind: str, learnt: Encoder) -> None:
    """On all of it; of whole web pages, markup and all, on the first 20 MB."""
    assert learnt.exact_kernel
    texts, left = [], 20_000_000
    for text in kinds()[kind]:
        texts.append(text)
        left -= len(text)
        if left < 0:
            break
    found = learnt.encode(pa.array(texts))
    starts = [0, *found.ends.tolist()]
    for text, first, last in zip(texts, starts, found.ends.tolist(), strict=False):
        reference = learnt.processor.encode(text) if text else []
        assert found.ids[first:last].tolist() == reference, text[:200]
