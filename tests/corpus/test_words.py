"""Word by word through the cache, and KenLM's probing files: the same as the plain definitions."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import kenlm
import numpy as np
import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import recipe
from corpus.annotate.perplexity import Model, encode_pieces
from corpus.errors import UserError
from corpus.kernels.kenlm_probing import ProbingModel, UnsupportedModel, open_model
from corpus.kernels.language_model_text import normalize_for_language_model
from corpus.kernels.words import Encoded, new_cache, translate
from corpus.training import kenlm_tools
from tests.corpus.sources.commoncrawl_files import read_file
from tests.shared import DATA, needs

SAMPLE = resources.files("corpus") / "sample"
SENTENCEPIECE = str(SAMPLE / "models" / "en.sp.model")
PAGES = [DATA / "commoncrawl" / f"html-{x}.warc.gz" for x in ("multilang-a", "trafilatura-a")]

PROCESSOR = sentencepiece.SentencePieceProcessor(model_file=SENTENCEPIECE)

# Words come again; some are long, some have white space of other kinds in them, some become nothing.
WORDS = st.sampled_from(
    [
        "the",
        "a",
        "été",
        "\u00a0",
        "a\u3000b",
        "\u200b",
        "▁",
        "▁a",
        "x" * 64,
        "x" * 65,
        "渡し船は",
        "ﷺ",
        "</s>",
    ]
)
LINES = st.lists(WORDS | st.text(st.characters(exclude_categories=["Cs"]))).map(" ".join)
TEXTS = st.lists(st.none() | LINES, max_size=6)


def one_by_one(text: str | None) -> list[bytes]:
    """The definition: the pieces of each word by itself."""
    return [p for word in (text or "").split(" ") for p in PROCESSOR.encode(word, out_type=bytes)]


def pieces_of(texts: list[str]) -> Encoded:
    return encode_pieces(PROCESSOR, texts)


def rows(encoded: Encoded) -> list[Any]:
    """Rows of UTF-8 without the space behind, and their pieces."""
    lines = [encoded.values[a:b].tobytes().removesuffix(b" ") for a, b in pairwise(encoded.offsets)]
    return list(zip(lines, encoded.pieces.tolist(), strict=True))


# Words


@settings(deadline=None)  # the first call compiles
@given(TEXTS, st.sampled_from([1, 2, 16]), st.integers(1, 100))
def test_words_become_what_each_becomes_by_itself(texts: list[str | None], words: int, chunk: int) -> None:
    """Whatever the cache can hold, and however the text is cut."""
    expected = [(b" ".join(p), len(p)) for p in map(one_by_one, texts)]
    cache = new_cache(np.uint8, words)
    for _ in range(2):
        assert rows(translate(pa.array(texts, pa.string()), pieces_of, cache, chunk)) == expected


def test_a_word_seen_before_is_not_encoded_again() -> None:
    asked: list[str] = []

    def encode(texts: list[str]) -> Encoded:
        asked.extend(texts)
        return pieces_of(texts)

    cache = new_cache(np.uint8)
    long = "x" * 65
    translate(pa.array(["the cat", None, "  the  dog the ", "", long]), encode, cache)
    assert asked == ["the", "cat", "dog", long]
    translate(pa.array([f"a dog {long}", "the cat"]), encode, cache)
    assert asked[4:] == ["a", long]


def test_a_full_cache_is_emptied() -> None:
    cache = new_cache(np.uint8, 4)
    for text, known in (("a b c", 3), ("a d", 4), ("a", 4), ("e", 0), ("a", 1)):
        assert rows(translate(pa.array([text]), pieces_of, cache)) == rows(pieces_of([text]))
        assert cache.used[0] == known


def test_slices_of_an_array_are_translated() -> None:
    text = pa.array(["zero one", "two", None, "three four"])
    cache = new_cache(np.uint8)
    whole = rows(translate(text, pieces_of, cache))
    assert rows(translate(text.slice(1, 3), pieces_of, cache)) == whole[1:]
    assert rows(translate(text.slice(4), pieces_of, cache)) == []


# Probing models


@pytest.fixture(scope="session")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Models of the sample's essays: probing of several orders, sizes of tables, and pruned; and a trie."""
    try:
        tools = kenlm_tools.kenlm_tools()
    except UserError as error:
        pytest.skip(f"lmplz cannot be built here: {error}")
    folder = tmp_path_factory.mktemp("ngrams")
    essays = (SAMPLE / "texts" / "encyclopaedia" / "en.txt").read_text(encoding="utf-8").splitlines()
    normalized = normalize_for_language_model(pa.array(essays)).to_pylist()
    (folder / "pieces.txt").write_bytes(b"".join(b" ".join(one_by_one(t)) + b"\n" for t in normalized))

    def run(*command: str) -> None:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    for order in "235":
        run(
            tools.lmplz, "--order", order, "--memory", "100M", "--discount_fallback",
            "--text", "pieces.txt", "--arpa", f"{order}.arpa",
        )  # fmt: skip
        for multiplier in ("1.5", "1.01"):
            run(tools.build_binary, "-p", multiplier, "probing", f"{order}.arpa", f"{order}-{multiplier}")
    run(
        tools.lmplz, "--order", "4", "--prune", "0", "0", "1", "2", "--memory", "100M", "--discount_fallback",
        "--text", "pieces.txt", "--arpa", "pruned.arpa",
    )  # fmt: skip
    run(tools.build_binary, "probing", "pruned.arpa", "pruned")
    run(tools.build_binary, "-v", "probing", "5.arpa", "no-words")
    run(tools.build_binary, "trie", "5.arpa", "trie")
    return {path.name: str(path) for path in folder.iterdir()}


PROBING = [f"{order}-{multiplier}" for order in "235" for multiplier in ("1.5", "1.01")]
PROBING.append("pruned")


def kernel_scores(model: ProbingModel, texts: list[str]) -> list[float]:
    """Scores of texts encoded word by word."""
    cache = new_cache(np.int32, 16)
    numbered = translate(pa.array(texts, pa.string()), lambda words: model.numbers(pieces_of(words)), cache)
    return model.scores(numbered).tolist()


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(LINES, max_size=4))
@pytest.mark.parametrize("name", PROBING)
def test_a_probing_model_scores_as_the_library(binaries: dict[str, str], name: str, texts: list[str]) -> None:
    library = kenlm.Model(binaries[name])
    readable = [t.replace("\0", "") for t in texts]  # the library would end there
    expected = [library.score(b" ".join(one_by_one(t))) for t in readable]
    assert kernel_scores(open_model(binaries[name], library.score), readable) == expected


@pytest.mark.parametrize("name", PROBING)
def test_text_that_the_model_knows_scores_as_the_library(binaries: dict[str, str], name: str) -> None:
    """The longest n-grams are there, one after the other."""
    library = kenlm.Model(binaries[name])
    text = Path(binaries["pieces.txt"]).read_bytes()
    joined = [text.replace(b"\n", by) for by in (b" ", b" <unk> <s> </s> ")]
    lines = [*text.splitlines(), *joined, b"", b" \t"]
    ends = np.cumsum([0, *map(len, lines)], dtype=np.int64)
    encoded = Encoded(np.frombuffer(b"".join(lines), np.uint8), ends, np.zeros(len(lines), np.int64))
    model = open_model(binaries[name], library.score)
    assert model.scores(model.numbers(encoded)).tolist() == [library.score(line) for line in lines]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("trie", "not a probing model"),
        ("no-words", "does not list its words"),
        ("5.arpa", "not a binary model"),
    ],
)
def test_other_models_are_the_librarys(binaries: dict[str, str], name: str, reason: str) -> None:
    model = Model(SENTENCEPIECE, binaries[name], "words")
    assert reason in model.not_compiled
    assert model.perplexities(pa.array(["the cat sat on the mat"]))[0] > 1
    assert Model(SENTENCEPIECE, binaries["5-1.5"]).not_compiled == ""


def test_damaged_models_are_refused(binaries: dict[str, str]) -> None:
    data = np.fromfile(binaries["3-1.5"], np.uint8)
    score = kenlm.Model(binaries["3-1.5"]).score
    for cut in (0, 50, 100, 130, 1000, len(data) - 100_000):
        with pytest.raises(UnsupportedModel):
            ProbingModel(data[:cut], score)
    with pytest.raises(UnsupportedModel, match="scores are not ours"):
        ProbingModel(data, lambda sentence: score(sentence) + 1e-5)
    with_rest_costs = data.copy()
    with_rest_costs[96] = 1  # the type of model
    with pytest.raises(UnsupportedModel, match="not a probing model"):
        ProbingModel(with_rest_costs, score)
    (Path(binaries["trie"]).parent / "empty").touch()
    with pytest.raises(UnsupportedModel):
        open_model(str(Path(binaries["trie"]).parent / "empty"), score)


# Perplexity


def slow_perplexities(path: str, texts: list[str], encoding: str) -> list[float]:
    """The definition of both encodings, one call of each library a text."""
    library = kenlm.Model(path)
    values = []
    for text in normalize_for_language_model(pa.array(texts, pa.string())).to_pylist():
        pieces = PROCESSOR.encode(text, out_type=bytes) if encoding == "text" else one_by_one(text)
        values.append(round(10.0 ** (-library.score(b" ".join(pieces)) / (len(pieces) + 1)), 1))
    return values


@pytest.mark.parametrize("encoding", ["text", "words"])
@pytest.mark.parametrize("name", ["5-1.5", "trie"])
@settings(max_examples=50, deadline=None)
@given(texts=st.lists(LINES, max_size=4))
def test_perplexity_is_that_of_the_definition(
    binaries: dict[str, str], name: str, encoding: recipe.Encoding, texts: list[str]
) -> None:
    model = Model(SENTENCEPIECE, binaries[name], encoding)
    assert model.perplexities(pa.array(texts, pa.string())) == slow_perplexities(
        binaries[name], texts, encoding
    )


@needs(*PAGES)
@pytest.mark.parametrize("encoding", ["text", "words"])
@pytest.mark.parametrize("name", ["5-1.5", "trie"])
def test_perplexity_of_real_pages_is_that_of_the_definition(
    binaries: dict[str, str], name: str, encoding: recipe.Encoding
) -> None:
    texts = [page["text"] for path in PAGES for page in read_file(path).pages]
    assert len(texts) > 100
    model = Model(SENTENCEPIECE, binaries[name], encoding)
    expected = slow_perplexities(binaries[name], texts, encoding)
    assert model.perplexities(pa.array(texts, pa.string())) == expected
    halves = [texts[len(texts) // 2 :], texts[: len(texts) // 2]]
    second, first = (model.perplexities(pa.array(half, pa.string())) for half in halves)
    assert first + second == expected


def test_threads_share_a_model(binaries: dict[str, str]) -> None:
    model = Model(SENTENCEPIECE, binaries["5-1.5"], "words")
    essays = (SAMPLE / "texts" / "encyclopaedia" / "en.txt").read_text(encoding="utf-8").splitlines()
    expected = slow_perplexities(binaries["5-1.5"], essays, "words")
    with ThreadPoolExecutor(4) as pool:
        assert all(v == expected for v in pool.map(model.perplexities, [pa.array(essays)] * 20))
