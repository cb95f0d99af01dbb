"""A SentencePiece model → the tokenizer files of a Hugging Face folder, which give the same ids.

In: a ``.model`` file with LLaMA's settings. Out: the texts of ``tokenizer.json`` and
``tokenizer_config.json``; neither `tokenizers` nor `transformers` is needed to write them.

SentencePiece joins the neighbours whose concatenation is the piece of the highest score, the leftmost first;
a ``tokenizer.json`` lists pairs in the order in which they are joined. One pair a piece is enough, and exact:
wherever a piece comes about, no pair across its edges was joined before, so inside it the same pairs were
joined in the same order as where it is the whole text, and the last of them is always the same one.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import sentencepiece

from tokenizer import model
from trainer.errors import TrainerError


class TokenizerFiles(NamedTuple):
    """Texts by the names of their files; ids of the marks of a document's beginning and end."""

    texts: dict[str, str]
    begin: int
    end: int


def read_tokenizer(path: Path, length: int) -> TokenizerFiles:
    """The files with which `AutoTokenizer` gives SentencePiece's ids, a beginning mark before them.

    Args:
        path: of the ``.model`` file.
        length: of the sequences the language model was trained on, in tokens.

    Raises:
        TrainerError: it is no model of LLaMA's kind, for which alone the ids are known to be the same.
    """
    try:
        data = path.read_bytes()
        processor = sentencepiece.SentencePieceProcessor(model_proto=data)
        model.read(data)
    except (OSError, RuntimeError, model.UnsupportedModelError) as error:
        raise TrainerError(
            f"{path}: {error}; give a SentencePiece model as `python -m tokenizer train` writes it"
        ) from error
    pieces = [processor.id_to_piece(i) for i in range(len(processor))]
    marks = {
        "bos_token": processor.bos_id(),
        "eos_token": processor.eos_id(),
        "unk_token": processor.unk_id(),
    }
    if min(marks.values()) < 0:
        raise TrainerError(f"{path}: the model lacks a beginning, end or unknown mark")
    special = {id_ for id_ in range(len(pieces)) if processor.is_control(id_) or processor.is_unknown(id_)}
    scores = {
        piece: processor.get_score(id_)
        for id_, piece in enumerate(pieces)
        if len(piece) > 1 and id_ not in special and not processor.is_byte(id_)
    }
    if len(set(scores.values())) < len(scores):
        raise TrainerError(f"{path}: pieces have equal scores, so that their order cannot be written down")
    config = {name: pieces[id_] for name, id_ in marks.items()} | {
        "tokenizer_class": "PreTrainedTokenizerFast",  # LlamaTokenizer puts no space before a leading space
        "split_special_tokens": True,  # a text "<s>" is text, as it is to SentencePiece
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": length,
        "padding_side": "left",
    }
    pipeline = _pipeline(pieces, sorted(special), pieces[marks["bos_token"]], pieces[marks["unk_token"]])
    pipeline["model"]["merges"] = merges(scores)
    texts = {
        "tokenizer.json": json.dumps(pipeline, ensure_ascii=False, indent=1) + "\n",
        "tokenizer_config.json": json.dumps(config, ensure_ascii=False, indent=2) + "\n",
    }
    return TokenizerFiles(texts, marks["bos_token"], marks["eos_token"])


def merges(scores: dict[str, float]) -> list[tuple[str, str]]:
    """The pairs to join, in order.

    Args:
        scores: of the pieces longer than a character, each its own.
    """
    pairs = {piece: pair for piece in scores if (pair := _last_pair(piece, scores))}
    return [pairs[piece] for piece in sorted(pairs, key=scores.__getitem__, reverse=True)]


def _last_pair(piece: str, scores: dict[str, float]) -> tuple[str, str] | None:
    """The two symbols joined last where the piece is the whole text; None if that never becomes the piece."""
    symbols = list(piece)
    while len(symbols) > 2:
        candidates = [(-scores[a + b], i) for i, (a, b) in enumerate(pairwise(symbols)) if a + b in scores]
        if not candidates:
            return None
        _, i = min(candidates)
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    return symbols[0], symbols[1]


def _pipeline(pieces: list[str], special: list[int], begin: str, unknown: str) -> dict[str, Any]:
    """What stands in a ``tokenizer.json``, but for the merges."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    mark = {"SpecialToken": {"id": begin, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": id_, "content": pieces[id_], "special": True, **flags} for id_ in special],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": model.SPACE},
                {"type": "Replace", "pattern": {"String": " "}, "content": model.SPACE},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [mark, first],
            "pair": [mark, first, mark, second],
            "special_tokens": {begin: {"id": begin, "ids": [pieces.index(begin)], "tokens": [begin]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": model.SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {piece: id_ for id_, piece in enumerate(pieces)},
        },
    }
