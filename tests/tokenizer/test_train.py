"""A tokenizer's settings and pieces are LLaMA's; its sample is cut, weighted and drawn as it says."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import UserError
from corpus.finished import FinishedRun
from corpus.settings.mixture import Tokenizer
from tests.tokenizer.runs import write_run
from tokenizer.encoder import Encoder
from tokenizer.model import SPACE, _parse
from tokenizer.train import LONGEST_LINE, MANIFEST, MODEL, cut_lines, train, write_sample

WEIGHTS = {"books": 0.5, "github": 0.3, "wikipedia": 0.2}
SMALL = Tokenizer(vocab_size=1_200, sample_bytes=60_000, seed=3)
# A tokenizer.model's trainer_spec, field by field (sentencepiece_model.proto): number, value in a file,
# value that stands for what is not in the file. The values are those of LLaMA's own model.
TRAINER = {
    "model_type": (3, 2, 1),
    "character_coverage": (10, 0.99995, 0.9995),
    "input_sentence_size": (11, 200_000_000, 0),
    "shuffle_input_sentence": (19, 1, 1),
    "max_sentence_length": (18, 4_192, 4_192),
    "max_sentencepiece_length": (20, 16, 16),
    "split_by_unicode_script": (21, 1, 1),
    "split_by_whitespace": (22, 1, 1),
    "split_by_number": (23, 1, 1),
    "treat_whitespace_as_suffix": (24, 0, 0),
    "split_digits": (25, 1, 0),
    "allow_whitespace_only_pieces": (26, 1, 0),
    "byte_fallback": (35, 1, 0),
    "unk_id": (40, 0, 0),
    "bos_id": (41, 1, 1),
    "eos_id": (42, 2, 2),
    "pad_id": (43, 2**64 - 1, 2**64 - 1),
    "unk_surface": (44, " \u2047 ".encode(), " \u2047 ".encode()),
    "train_extremely_large_corpus": (49, 0, 0),
    "hard_vocab_limit": (33, 1, 1),
}
NORMALIZER = {
    "name": (1, b"identity", b""),
    "precompiled_charsmap": (2, b"", b""),
    "add_dummy_prefix": (3, 1, 1),
    "remove_extra_whitespaces": (4, 0, 1),
    "escape_whitespaces": (5, 1, 1),
}


@pytest.fixture(scope="module")
def runs(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[FinishedRun, ...]:
    """Three sources: indented code with numbers, and prose, some of it held out."""
    root = tmp_path_factory.mktemp("runs")
    code = [text for text in texts if "import" in text]
    prose = [text for text in texts if "import" not in text]
    return (
        write_run(root / "wikipedia", "wikipedia", prose[::2], held_out=[1, 4], files=2),
        write_run(root / "books", "books", prose[1::2], held_out=[0]),
        write_run(root / "github", "github", code * 5),
    )


@pytest.fixture(scope="module")
def trained(runs: tuple[FinishedRun, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("tokenizer")
    train(runs, WEIGHTS, SMALL, str(output))
    return output


@pytest.fixture(scope="module")
def processor(trained: Path) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(trained / MODEL))


def test_the_settings_that_stand_in_the_model_are_llamas(trained: Path) -> None:
    _, trainer, normalizer = _parse((trained / MODEL).read_bytes())
    for table, found in ((TRAINER, trainer), (NORMALIZER, normalizer)):
        for name, (number, value, default) in table.items():
            stands = found.get(number, default)
            if isinstance(value, float):
                stands = struct.unpack("<f", stands)[0] if isinstance(stands, bytes) else stands
                value = struct.unpack("<f", struct.pack("<f", value))[0]
            assert stands == value, name
    assert trainer[4] == SMALL.vocab_size
    assert str(trained).encode() not in (trained / MODEL).read_bytes()


def test_pieces_are_controls_bytes_and_no_numbers(processor: sentencepiece.SentencePieceProcessor) -> None:
    pieces = [processor.id_to_piece(i) for i in range(len(processor))]
    assert len(pieces) == SMALL.vocab_size
    assert pieces[:3] == ["<unk>", "<s>", "</s>"]
    assert [processor.is_control(i) or processor.is_unknown(i) for i in range(3)] == [True] * 3
    assert pieces[3:259] == [f"<0x{byte:02X}>" for byte in range(256)]
    assert all(processor.is_byte(i) for i in range(3, 259))
    learnt = pieces[259:]
    assert not any(processor.is_byte(i) or processor.is_control(i) for i in range(259, len(pieces)))
    assert max(map(len, learnt)) <= 16
    for piece in learnt:
        digits = sum(c in "0123456789" for c in piece)
        assert digits == 0 or piece in "0123456789"
        assert "\n" not in piece
        assert SPACE not in piece.lstrip(SPACE)  # white space only before a word
    assert sum(set(piece) == {SPACE} for piece in learnt) > 3  # runs of spaces, which code has


ODD = st.sampled_from(
    [" ", "  ", "    ", "\t", "\r", "\n", "\r\n", "\0", "👩‍👩‍👧", "é", "e\u0301", "字", "0", "17", "<s>"]
)
TEXTS = st.one_of(st.text(), st.lists(ODD | st.text(max_size=5), max_size=20).map("".join))


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_any_text_comes_back(processor: sentencepiece.SentencePieceProcessor, text: str) -> None:
    """But for U+2581, which SentencePiece takes for a space."""
    ids = processor.encode(text)
    assert processor.decode(ids) == text.replace(SPACE, " ")
    assert not {0, 1, 2}.intersection(ids)
    for i in ids:
        assert sum(c in "0123456789" for c in processor.id_to_piece(i)) <= 1 or processor.is_byte(i)


def test_a_lone_surrogate_is_a_clear_error(trained: Path, tmp_path: Path) -> None:
    """It is no text: Arrow takes it neither as a string nor, where bytes were forced on it, the encoder."""
    encoder = Encoder(trained / MODEL)
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        pa.array(["good", "bad \ud800"])
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        list(cut_lines("bad \udfff"))
    for bad in (b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xff", b"\xf0\x9f\x99"):
        parts = [b"good", bad, b"good"]
        offsets = [0]
        for part in parts:
            offsets.append(offsets[-1] + len(part))
        array = pa.StringArray.from_buffers(
            3, pa.py_buffer(struct.pack("<4i", *offsets)), pa.py_buffer(b"".join(parts))
        )
        with pytest.raises(ValueError, match="Invalid UTF8 sequence at string index 1"):
            encoder.encode(array)
        assert encoder.encode(array.slice(2)).ids.tolist() == encoder.processor.encode("good")


LINES = st.lists(
    st.sampled_from(["a", "é", "字", "🙂", " ", "\t", "\r", "x" * 900, "字" * 1_500, " " * 3_000])
)


@settings(max_examples=200, deadline=None)
@given(lines=st.lists(LINES.map("".join), max_size=4))
def test_lines_are_cut_and_nothing_of_them_is_lost(lines: list[str]) -> None:
    found = list(cut_lines("\n".join(lines)))
    assert all(0 < len(piece) <= LONGEST_LINE for piece in found)
    assert b"".join(found) == "".join(lines).encode()
    for piece in found:
        piece.decode()  # no character is cut
    left = iter(found)
    for line in filter(None, lines):
        size = 0
        while size < len(line.encode()):
            size += len(next(left))
        assert size == len(line.encode())  # no piece has parts of two lines


def test_a_line_is_cut_before_a_word_where_it_can_be() -> None:
    text = "word " * 2_000
    first, *_ = cut_lines(text)
    assert LONGEST_LINE - 5 <= len(first) <= LONGEST_LINE
    assert first.endswith(b"word")
    assert [len(piece) for piece in cut_lines("x" * LONGEST_LINE)] == [LONGEST_LINE]
    assert [len(piece) for piece in cut_lines("x" * (LONGEST_LINE + 1))] == [LONGEST_LINE, 1]
    assert list(cut_lines("a\0b\n\0\n")) == [b"ab"]


def sampled(runs: tuple[FinishedRun, ...], tokenizer: Tokenizer, path: Path) -> tuple[dict[str, int], bytes]:
    found = write_sample(runs, WEIGHTS, tokenizer, path)
    data = path.read_bytes()
    assert sum(found.bytes.values()) == len(data) - data.count(b"\n")
    assert sum(found.lines.values()) == data.count(b"\n")
    return found.bytes, data


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sources_have_their_weights_right_to_one_document(
    seed: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = random.Random(seed)
    made, largest = [], {}
    for source in WEIGHTS:
        texts = [f"{source}{i} " + "x" * rng.randrange(400) for i in range(400)]
        largest[source] = max(map(len, texts))
        made.append(write_run(tmp_path / source, source, texts, held_out=range(0, 400, 7), files=3))
    wanted = Tokenizer(vocab_size=1_200, sample_bytes=50_000, seed=seed)
    found, data = sampled(tuple(made), wanted, tmp_path / "sample.txt")
    for source, weight in WEIGHTS.items():
        assert weight * 50_000 - 1 <= found[source] < weight * 50_000 + largest[source]
    names = [line.split(b" ")[0].decode() for line in data.splitlines()]
    assert max(Counter(names).values()) == 1
    assert not {f"{source}{i}" for source in WEIGHTS for i in range(0, 400, 7)}.intersection(names)
    again, same = sampled(tuple(made), wanted, tmp_path / "again.txt")
    assert (again, same) == (found, data)
    other = Tokenizer(vocab_size=1_200, sample_bytes=50_000, seed=seed + 10)
    assert sampled(tuple(made), other, tmp_path / "other.txt")[1] != data
    everything = Tokenizer(vocab_size=1_200, sample_bytes=1 << 40)
    _, data = sampled(tuple(made), everything, tmp_path / "all.txt")
    assert len(data.splitlines()) == 3 * (400 - 58)


def test_a_source_without_a_weight_gives_nothing(runs: tuple[FinishedRun, ...], tmp_path: Path) -> None:
    found = write_sample(runs, {"github": 0.2, "arxiv": 0.8}, SMALL, tmp_path / "sample.txt")
    assert list(found.bytes) == ["github"]
    assert (
        found.bytes["github"] + found.lines["github"] >= SMALL.sample_bytes * 0.99
    )  # of what is there, it has all the weight


def test_training_again_gives_the_same_bytes_and_hashes(
    runs: tuple[FinishedRun, ...], trained: Path, tmp_path: Path
) -> None:
    sample = train(runs, WEIGHTS, SMALL, str(tmp_path))
    for name in (MODEL, MANIFEST):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()
    manifest = json.loads((trained / MANIFEST).read_bytes())
    assert manifest["model_sha256"] == hashlib.sha256((trained / MODEL).read_bytes()).hexdigest()
    write_sample(runs, WEIGHTS, SMALL, tmp_path / "sample.txt")
    data = (tmp_path / "sample.txt").read_bytes()
    assert manifest["sample"] == {
        "bytes": sample.bytes,
        "lines": sample.lines,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    assert manifest["runs"] == [[run.name, run.sha256] for run in runs]
    assert manifest["settings"]["remove_extra_whitespaces"] is False


def test_too_little_text_is_a_clear_error(runs: tuple[FinishedRun, ...], tmp_path: Path) -> None:
    few = write_run(tmp_path / "few", "books", ["only a few words"])
    with pytest.raises(UserError, match=r"no model of 1,200 pieces from 16 bytes.*more text, or a smaller"):
        train([few], WEIGHTS, SMALL, str(tmp_path / "out"))
    empty = write_run(tmp_path / "empty", "books", ["", "\n\n", "\0"])
    held_out = write_run(tmp_path / "held", "github", ["def f(): pass"], held_out=[0])
    nothing = write_run(tmp_path / "nothing", "wikipedia", [])
    for some in ([empty], [held_out], [nothing], [empty, held_out, nothing]):
        with pytest.raises(UserError, match="no text of a source with a weight"):
            train(some, WEIGHTS, SMALL, str(tmp_path / "out"))
    with pytest.raises(UserError, match="no text of a source with a weight"):
        train(runs, {"arxiv": 1.0}, SMALL, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
