"""A small model with LLaMA's settings, trained on the sample's own texts."""

from __future__ import annotations

from pathlib import Path

import pytest
import sentencepiece

from corpus.sample import TEXTS

# The settings of LLaMA's tokenizer (recipe, section 12), but for its size and its sample.
LLAMA = {
    "model_type": "bpe",
    "character_coverage": 0.99995,
    "split_digits": True,
    "byte_fallback": True,
    "allow_whitespace_only_pieces": True,
    "remove_extra_whitespaces": False,
    "normalization_rule_name": "identity",
    "minloglevel": 2,
    "num_threads": 1,
}


def train(folder: Path, name: str, texts: list[str], **changes: object) -> Path:
    lines = folder / f"{name}.txt"
    lines.write_text("\n".join(line for text in texts for line in text.split("\n") if line), "utf-8")
    settings = LLAMA | {"vocab_size": 1_500} | changes
    sentencepiece.SentencePieceTrainer.train(input=str(lines), model_prefix=str(folder / name), **settings)
    return folder / f"{name}.model"


@pytest.fixture(scope="session")
def texts() -> list[str]:
    pages = [path.read_text("utf-8") for path in sorted((TEXTS / "pages").rglob("*.txt"))]
    code = [path.read_text("utf-8") for path in sorted(Path(__file__).parents[1].glob("*.py"))]
    return [*pages, *code]


@pytest.fixture(scope="session")
def model(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("model"), "llama", texts)
