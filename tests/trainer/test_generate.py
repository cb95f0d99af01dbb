"""Continuations are drawn from the model's own distribution, and are the same every time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.trainer.models import random_model, write_run, write_tokenizer
from trainer.errors import TrainerError
from trainer.generate import generate, main, sample
from trainer.presets import Shape

PROMPTS = [[1, 20, 30], [1], [1, 250, 7, 7, 90]]


@torch.no_grad()
def greedy(prompt: list[int], tokens: int) -> list[int]:
    """The likeliest token, a row at a time and nothing behind it."""
    model, ids = random_model(), list(prompt)
    for _ in range(tokens):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return ids[len(prompt) :]


def test_prompts_of_several_lengths_are_continued_as_if_alone() -> None:
    found = generate(random_model(), PROMPTS, 8, temperature=0, top_p=1, seed=0)
    assert found == [greedy(prompt, 8) for prompt in PROMPTS]


def test_the_seed_decides() -> None:
    model = random_model()
    first, again, other = (generate(model, PROMPTS, 20, 1.0, 1.0, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert [len(ids) for ids in first] == [20, 20, 20]


@pytest.mark.parametrize(
    ("temperature", "top_p", "expected"),
    [
        (1.0, 1.0, [0.5, 0.3, 0.15, 0.05]),
        (1.0, 0.79, [0.625, 0.375, 0.0, 0.0]),  # the first two reach it
        (1.0, 0.81, [0.5263, 0.3158, 0.1579, 0.0]),
        (1.0, 0.01, [1.0, 0.0, 0.0, 0.0]),
        (0.5, 1.0, [0.6849, 0.2466, 0.0616, 0.0068]),  # squares of the first
        (0.0, 1.0, [1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_shares_of_the_tokens_drawn(temperature: float, top_p: float, expected: list[float]) -> None:
    draws = 100_000
    logits_BV = torch.tensor([[0.15, 0.5, 0.05, 0.3]]).log().expand(draws, 4)
    found_B = sample(logits_BV, temperature, top_p, torch.Generator().manual_seed(0))
    shares = torch.bincount(found_B, minlength=4)[[1, 3, 0, 2]] / draws
    torch.testing.assert_close(shares, torch.tensor(expected), atol=0.01, rtol=0)
    assert not shares[torch.tensor(expected) == 0].any()


@pytest.mark.parametrize(
    ("prompts", "tokens", "temperature", "top_p"),
    [
        ([[1], []], 1, 1.0, 1.0), ([[1]], -1, 1.0, 1.0), ([[1]], 1, -1.0, 1.0), ([[1]], 1, 1.0, 0.0),
        ([[1]], 1, 1.0, 1.1),
    ],
)  # fmt: skip
def test_what_cannot_be_continued_is_an_error(
    prompts: list[list[int]], tokens: int, temperature: float, top_p: float
) -> None:
    with pytest.raises(TrainerError, match=r"a prompt has no tokens|cannot draw"):
        generate(random_model(), prompts, tokens, temperature, top_p, seed=0)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"), vocab=1_000)


@pytest.fixture(scope="module")
def run(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model to which, whatever came before, the end of the document is likeliest."""
    model = random_model(Shape(dim=32, heads=4, layers=1, vocab=1_000))
    with torch.no_grad():
        model.norm.weight.fill_(0.0)
        model.norm.weight[0] = 1.0
        model.tok_embeddings.weight[:, 0] = 100.0
        model.output.weight[2, 0] = 10.0
    return write_run(tmp_path_factory.mktemp("run"), {1: model}, tokenizer)


def test_the_command_prints_prompts_and_what_follows_up_to_the_end_of_the_document(
    run: Path, tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--prompt", "A mill  stood", "--prompt", " by the river\n"]
    assert main([str(run), "--tokenizer", str(tokenizer), *asked, "--temperature", "0", "--tokens", "9"]) == 0
    assert capsys.readouterr().out == "A mill  stood\n\n by the river\n\n"


def test_a_tokenizer_of_another_model_is_an_error(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_tokenizer(tmp_path, vocab=600)
    assert main([str(run), "--tokenizer", str(other), "--prompt", "A"]) == 2
    assert "not the tokenizer that the model was trained with" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_an_error(
    run: Path, tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--prompt", "A", "--tokens", "1", "--device", "abacus"]
    assert main([str(run), "--tokenizer", str(tokenizer), *asked]) == 2
    assert "no device 'abacus'" in capsys.readouterr().err


def test_more_tokens_than_the_model_was_trained_on_are_an_error(
    run: Path, tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run), "--tokenizer", str(tokenizer), "--prompt", "A", "--tokens", "1000"]) == 2
    assert "trained on sequences of 64" in capsys.readouterr().err
