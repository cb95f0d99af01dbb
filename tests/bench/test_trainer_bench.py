"""The two models that the trainer's benchmark times do the same work, and its limit is that of this work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

pytest.importorskip("transformers")

from tests.bench.trainer import tables
from tests.bench.trainer.limit import products
from tests.bench.trainer.steps import Ours, Theirs, compare
from tests.bench.trainer.work import Work, fitted
from trainer.metrics.flops import flops_6n
from trainer.presets import Shape

WORK = Work("small", Shape(dim=64, heads=4, layers=2, vocab=300), 2, 32, "fp32", torch.device("cpu"))


@pytest.fixture(autouse=True)
def same_kernels() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


def pair(work: Work) -> tuple[Ours, Theirs]:
    ours = Ours(work, compiled=False)
    return ours, Theirs(work, ours.model, compiled=False)


@pytest.mark.parametrize(("precision", "loss", "gradient"), [("fp32", 1e-6, 1e-5), ("bf16", 1e-2, 5e-2)])
def test_both_have_the_same_loss_and_gradient(precision: str, loss: float, gradient: float) -> None:
    apart = compare(*pair(replace(WORK, precision=precision)))
    assert apart.loss <= loss
    assert apart.gradient <= gradient


def test_other_weights_are_told_apart() -> None:
    ours, theirs = pair(WORK)
    with torch.no_grad():
        ours.model.layers[0].attention.wq.weight.mul_(1.5)
    assert compare(ours, theirs).gradient > 1e-3


def test_both_take_the_same_steps() -> None:
    ours, theirs = pair(WORK)
    first, _ = ours.gradients()
    ours.forget()
    for _ in range(3):
        ours.take()
        theirs.take()
    apart = compare(ours, theirs)
    last, _ = ours.gradients()
    assert last < first - 1e-3
    assert apart.loss <= 1e-5
    assert apart.gradient <= 1e-3


def test_the_limit_multiplies_with_every_matrix_but_the_embedding() -> None:
    shape = WORK.shape
    norms = (2 * shape.layers + 1) * shape.dim
    multiplied = sum(inputs * outputs * many for (inputs, outputs), many in products(shape).items())
    assert 6 * (multiplied + shape.vocab * shape.dim + norms) == flops_6n(shape)


def test_layers_are_left_out_until_memory_is_enough() -> None:
    tried = []

    def measure(work: Work) -> int:
        tried.append(work.shape.layers)
        if work.shape.layers > 4:
            raise torch.OutOfMemoryError
        return work.shape.layers

    assert fitted(WORK.with_layers(8), 2, measure) == 4
    assert tried == [8, 6, 4]


def test_layers_that_fit_are_by_the_trainers_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = WORK.with_layers(8)
    for layers in (3, 8):
        room = whole.with_layers(layers).estimate() / 0.9 + 1
        monkeypatch.setattr("trainer.memory.available", lambda ranks, room=room: room)
        assert whole.layers_that_fit(1) == layers
        assert whole.layers_that_fit(2) < layers


def test_what_two_models_have_no_memory_for_is_measured_with_fewer_layers_and_then_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    room, whole = 2.1 * WORK.estimate() / 0.9, WORK.with_layers(8)
    monkeypatch.setattr("trainer.memory.available", lambda ranks: room)
    two, one = whole.layers_that_fit(2), whole.layers_that_fit(1)
    assert two < one < 8
    tables.print_steps(whole, 1, ["eager"], True)
    beside, alone = capsys.readouterr().out.strip().split("\n\n")
    assert f"small, {two} of 8 layers" in beside
    assert "ours is" in beside
    assert f"small, {one} of 8 layers" in alone
    assert "nothing beside it" in alone
    assert "MFU of ours" in alone
