"""Training: what the log says of it, that it learns, and the steps that are not taken."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainer.corpora import SOURCES, write_corpus
from tests.trainer.runs import records, weights
from tests.trainer.small import PRESET, finish, one_thread, prepare
from tokenizer.reader import Corpus, Reader
from trainer import console
from trainer.console import Console
from trainer.data import Batch, Loader
from trainer.errors import TrainerError
from trainer.evaluate.held_out import held_out
from trainer.evaluate.scores import unigram
from trainer.run import Run

STEPS = 130
SAMPLES = PRESET.batch_tokens // PRESET.length  # of a step
Change = Callable[[Tensor], Tensor]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "shards", (60, 60, 60))


@pytest.fixture(scope="module")
def calm(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which nothing happens."""
    output = tmp_path_factory.mktemp("calm") / "run"
    finish(prepare(shards, output, STEPS))
    return output


def test_a_record_of_a_step_tells_all_of_it(calm: Path) -> None:
    train = records(calm, "train")
    for number, record in enumerate(train, 1):
        assert list(record) == [
            *("kind", "step", "loss", "loss_by_source", "tokens_by_source", "gradient_norm"),
            *("learning_rate", "tokens", "position", "tokens_per_second", "mfu_6n", "mfu_attention"),
            *("step_seconds", "wait_seconds", "joules"),
        ]
        assert record["step"] == number
        assert record["tokens"] == number * PRESET.batch_tokens
        assert record["position"] == number * SAMPLES
        by_source, tokens = record["loss_by_source"], record["tokens_by_source"]
        assert set(tokens) == set(SOURCES)
        assert by_source.keys() == {source for source, count in tokens.items() if count}
        assert sum(tokens.values()) == PRESET.batch_tokens
        total = sum(loss * tokens[source] for source, loss in by_source.items())
        assert record["loss"] == pytest.approx(total / PRESET.batch_tokens, rel=1e-12)
        assert 0 <= record["wait_seconds"] <= record["step_seconds"]
        assert record["tokens_per_second"] == pytest.approx(PRESET.batch_tokens / record["step_seconds"])
        assert record["mfu_6n"] > 0
        assert record["gradient_norm"] > 0
    assert [record["learning_rate"] for record in train[:10]] == pytest.approx(
        [PRESET.learning_rate * step / 10 for step in range(1, 11)]
    )
    assert train[-1]["learning_rate"] == pytest.approx(PRESET.learning_rate / 10)


def test_tokens_by_source_are_those_of_the_shards(shards: Path, calm: Path) -> None:
    """Counted again: the document of each target of the samples of a step, by the reader alone."""
    corpus = Corpus.open(shards)
    sources: list[int] = []
    for shard in range(len(corpus.table)):
        index, rows = corpus.documents(shard)
        for length, row in zip(index.lengths.tolist(), rows, strict=True):
            sources += [int(row["source"])] * length
    reader = Reader([corpus], PRESET.length, seed=0)
    for step, record in enumerate(records(calm, "train")[:20]):
        counts = dict.fromkeys(SOURCES, 0)
        for sample in range(step * SAMPLES, (step + 1) * SAMPLES):
            place = reader.place(sample).position
            for source in sources[place + 1 : place + 1 + PRESET.length]:
                counts[SOURCES[source]] += 1
        assert record["tokens_by_source"] == counts


def test_energy_and_carbon_follow_from_joules(calm: Path) -> None:
    joules = sum(record["joules"] for record in records(calm, "train"))
    (end,) = records(calm, "end")
    assert 0 < joules < end["joules"]  # the last step's evaluation is in it too
    assert end["kwh"] == pytest.approx(end["joules"] / 3.6e6 * 1.1)
    assert end["kg_co2eq"] == pytest.approx(end["kwh"] * 0.385)
    assert (end["pue"], end["kg_per_kwh"], end["skipped"]) == (1.1, 0.385, 0)
    seconds = sum(record["step_seconds"] for record in records(calm, "train"))
    assert end["device_hours"] == pytest.approx(seconds / 3600)
    assert "10" in end["origin"]


def test_it_learns_more_than_how_frequent_tokens_are(shards: Path, calm: Path) -> None:
    corpus = Corpus.open(shards)
    evaluations = records(calm, "evaluation")
    assert [record["step"] for record in evaluations] == [*range(0, STEPS, STEPS // 10), STEPS]
    first, last = evaluations[0]["bits_per_byte"], evaluations[-1]["bits_per_byte"]
    baseline = unigram(corpus, held_out(corpus), vocab=256, limit=400)
    assert set(last) == {"books", "github"} == set(baseline)
    for source, score in last.items():
        assert score < baseline[source].bits_per_byte < first[source]
        nats = evaluations[-1]["nats_per_token"][source]
        assert score == pytest.approx(nats / math.log(2) * baseline[source].tokens / baseline[source].bytes)


def poison(run: Run, change: Change, *forwards: int) -> None:
    """Change the losses of some of the forward passes that are trained on, numbered from 1."""
    seen = 0

    def hook(model: Any, inputs: Any, losses_BT: Tensor) -> Tensor | None:
        nonlocal seen
        if not losses_BT.requires_grad:
            return None
        seen += 1
        return change(losses_BT) if seen in forwards else None

    run.model.register_forward_hook(hook)


def times(losses_BT: Tensor, factor: float) -> Tensor:
    """The same losses with so many times their gradient."""
    whole = losses_BT.sum()
    return losses_BT.detach() + factor * (whole - whole.detach()) / losses_BT.numel()


def not_a_number(losses_BT: Tensor) -> Tensor:
    return times(losses_BT, math.nan)


def infinite_gradient(losses_BT: Tensor) -> Tensor:
    return times(losses_BT, 3e38)


def explosion(losses_BT: Tensor) -> Tensor:
    return times(losses_BT, 1e5)


@pytest.mark.parametrize(
    ("change", "step", "reason"),
    [
        (not_a_number, 3, "not finite: loss nan"),
        (infinite_gradient, 3, "not finite: loss [0-9.]+, gradient norm (nan|inf)"),
        (explosion, 120, r"gradient norm [0-9.e+]+, [0-9.]+ times its mean"),
    ],
)
def test_a_step_that_must_not_be_taken(
    change: Change, step: int, reason: str, shards: Path, calm: Path, tmp_path: Path
) -> None:
    """One micro-batch of two is poisoned: parameters and moments stay as they were, and the run goes on."""
    output = tmp_path / "run"
    run = prepare(shards, output, STEPS, checkpoint_every=1, keep=STEPS)
    poison(run, change, 2 * step)
    finish(run)

    (skipped,) = records(output, "skipped")
    first = (step - 1) * SAMPLES
    assert (skipped["step"], skipped["samples"]) == (step, [first, first + SAMPLES - 1])
    assert re.match(reason, skipped["reason"])
    assert weights(output, step - 1) == weights(output, step) != weights(output, step + 1)
    (end,) = records(output, "end")
    assert end["skipped"] == run.progress.guard.skipped == 1
    train, before = records(output, "train"), records(calm, "train")
    assert [record["step"] for record in train] == list(range(1, STEPS + 1))
    assert [record["loss"] for record in train[: step - 1]] == [r["loss"] for r in before[: step - 1]]
    assert all(math.isfinite(record["loss"]) for record in train[step:])
    assert train[step]["loss"] != before[step]["loss"]


def test_an_update_after_a_skipped_one_is_the_second(shards: Path, tmp_path: Path) -> None:
    """AdamW's correction counts updates, not steps, in a run that goes on as well."""
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    run = prepare(shards, straight, 16)
    poison(run, not_a_number, 3)  # the first half of step 2
    finish(run)
    run = prepare(shards, stopped, 16, stop_after=4)
    poison(run, not_a_number, 3)
    finish(run)
    run = prepare(shards, stopped, 16)
    assert (run.progress.step, run.progress.guard.taken, run.progress.guard.skipped) == (4, 3, 1)
    finish(run)
    assert weights(stopped) == weights(straight)
    assert [r["step"] for r in records(stopped, "skipped")] == [2]


def test_nothing_but_such_steps_is_an_error(shards: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    run = prepare(shards, output, STEPS)
    poison(run, not_a_number, *range(2 * 4, 2 * STEPS))
    with pytest.raises(TrainerError, match=r"^25 steps in a row could not be taken, .* --learning-rate"):
        finish(run)
    assert [record["step"] for record in records(output, "skipped")] == list(range(4, 28))


def test_attention_within_documents_is_another_recipe(shards: Path, calm: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    finish(prepare(shards, output, STEPS, within_documents=True, stop_after=3))
    masked, whole = records(output, "train"), records(calm, "train")
    assert [r["tokens_by_source"] for r in masked] == [r["tokens_by_source"] for r in whole[:3]]
    assert all(one["loss"] != other["loss"] for one, other in zip(masked, whole, strict=False))
    with pytest.raises(TrainerError, match="within_documents was True, is False"):
        prepare(shards, output, STEPS)


def test_masks_reach_the_model(shards: Path, tmp_path: Path) -> None:
    """A document's losses do not depend on what stands before it in the row."""
    run = prepare(shards, tmp_path / "run", STEPS, within_documents=True)
    reader = Reader([Corpus.open(shards)], PRESET.length, seed=0)
    about: dict[str, Any] = {"size": SAMPLES, "micro": SAMPLES, "rank": 0, "world": 1, "start": 0}
    with Loader(reader, **about, device=torch.device("cpu"), documents=True) as loader, one_thread():
        batch = next(batch for (batch,) in loader if has_two(batch))
        assert batch.documents_BT is not None
        other = torch.where(batch.documents_BT == 0, (batch.tokens_BT + 1) % 256, batch.tokens_BT)
        with torch.no_grad():
            losses = run.model(batch.tokens_BT, batch.targets_BT, batch.documents_BT)
            changed = run.model(other, batch.targets_BT, batch.documents_BT)
    later = batch.documents_BT > 0
    assert torch.equal(losses[later], changed[later])
    assert not torch.equal(losses[~later], changed[~later])


def has_two(batch: Batch) -> bool:
    assert batch.documents_BT is not None
    return bool(batch.documents_BT.any())


def test_a_log_gets_a_line_from_time_to_time(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "_LOG_SECONDS", -1.0)
    finish(prepare(shards, tmp_path / "run", 20, stop_after=3), Console())
    lines = capsys.readouterr().err.splitlines()
    losses = [record["loss"] for record in records(tmp_path / "run", "train")]
    for step, loss in enumerate(losses, 1):
        (line,) = [line for line in lines if line.startswith(f"step {step} of 20: ")]
        assert f"loss {loss:.3f}, " in line
        assert " tokens/s, " in line
        assert line.endswith(" left")
