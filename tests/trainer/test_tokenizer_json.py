"""An exported tokenizer gives, in `transformers`, the ids that SentencePiece gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokenizer.test_encoder import TEXTS
from tests.trainer.models import write_tokenizer
from trainer.errors import TrainerError
from trainer.export.tokenizer_json import merges, read_tokenizer

transformers = pytest.importorskip("transformers")
BEGIN = 1


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def processor(model: Path) -> Any:
    return sentencepiece.SentencePieceProcessor(model_file=str(model))


@pytest.fixture(scope="module")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("exported")
    for name, text in read_tokenizer(model, 64).texts.items():
        (folder / name).write_text(text, "utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return transformers.AutoTokenizer.from_pretrained(folder)


def check(exported: Any, processor: Any, text: str) -> None:
    ids = processor.encode(text)
    assert exported.encode(text) == [BEGIN, *ids]
    assert exported.encode(text, add_special_tokens=False) == ids
    if "\u2581" not in text:
        assert exported.decode(ids) == text == exported.decode([BEGIN, *ids], skip_special_tokens=True)


@settings(max_examples=500, deadline=None)
@given(text=TEXTS)
def test_ids_of_any_text(exported: Any, processor: Any, text: str) -> None:
    check(exported, processor, text)


@settings(max_examples=500, deadline=None)
@given(text=st.lists(st.sampled_from(["a", "b", "aa", "-", "=", " ", "  ", "the"]), max_size=80).map("".join))
def test_ids_of_repetitions_which_could_be_cut_in_many_ways(exported: Any, processor: Any, text: str) -> None:
    check(exported, processor, text)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_ids_of_pieces_in_any_order(exported: Any, processor: Any, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(259, len(processor) - 1), max_size=20))
    check(exported, processor, "".join(processor.id_to_piece(i).replace("\u2581", " ") for i in ids))


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "   ", "\n", "\n\n\n", " a", "a ", "▁a", " ▁ a", "0123 4,567.89",
        "<s>", "</s> <unk>", " <s> a", "<0x0A>", "<0x41>b", "a\0b\r\n\tc", "\x01\x7f\u2028\ufeff",
        "naïve café ﬁne", "日本語" * 50, "👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "x" * 3_000, " " * 3_000, "aab" * 700, "e\u0301" * 300, "𝔘𝔫𝔦" * 40,
    ],
)  # fmt: skip
def test_edges(exported: Any, processor: Any, text: str) -> None:
    check(exported, processor, text)


def test_the_marks_are_known_by_their_ids(exported: Any, processor: Any) -> None:
    assert (exported.bos_token_id, exported.eos_token_id, exported.unk_token_id) == (1, 2, 0)
    assert len(exported) == len(processor)
    assert exported.model_max_length == 64


def test_two_texts_have_a_mark_each(exported: Any, processor: Any) -> None:
    assert exported.encode("ab", "c") == [BEGIN, *processor.encode("ab"), BEGIN, *processor.encode("c")]


def test_a_piece_has_the_pair_that_joins_it_last() -> None:
    """`bc` is joined before `ab`, so `abc` comes from (a, bc); `xyz` never comes about."""
    scores = {"bc": -1.0, "ab": -2.0, "abc": -3.0, "xyz": -4.0}
    assert merges(scores) == [("b", "c"), ("a", "b"), ("a", "bc")]


def test_a_tokenizer_of_another_kind_is_an_error(tmp_path: Path) -> None:
    model = write_tokenizer(tmp_path, "nfkc", normalization_rule_name="nmt_nfkc")
    with pytest.raises(TrainerError, match=r"nfkc\.model: the model lacks: normalisation identity"):
        read_tokenizer(model, 64)


@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_a_file_that_is_no_tokenizer_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.model"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrainerError, match=r"broken\.model: .*give a SentencePiece model"):
        read_tokenizer(path, 64)
