"""The paper's optimiser (section 2.3): its schedule, its update, what is clipped, and what is left out."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from tests.trainer.models import SHAPE, random_model
from trainer import optim
from trainer.errors import TrainerError
from trainer.model import Llama
from trainer.optim import Guard

PAPER = {"peak": 3e-4, "warmup": 2_000, "steps": 238_419}  # the 7B: 1T tokens, 4M a batch
ROWS, LENGTH = 4, 16
CALM = 100  # steps, before a norm can be out of the ordinary


def backward(model: Llama, *, mean: bool) -> None:
    """Gradients of the losses' sum, or of their mean by PyTorch."""
    tokens_BT, targets_BT = torch.randint(
        SHAPE.vocab, (2, ROWS, LENGTH), generator=torch.Generator().manual_seed(0)
    )
    if mean:
        logits_NV = model(tokens_BT).flatten(0, 1)
        torch.nn.functional.cross_entropy(logits_NV, targets_BT.flatten()).backward()
    else:
        model(tokens_BT, targets_BT).sum().backward()


def gradients(model: Llama) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def calm(limit: float = 10.0, norm: float = 2.0, steps: int = CALM) -> Guard:
    """One that has seen steps of the same norm."""
    guard = Guard(limit)
    for _ in range(steps):
        assert guard.objection(1.0, norm) is None
    return guard


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (1, 3e-4 / 2_000),
        (1_000, 1.5e-4),
        (2_000, 3e-4),
        (2_000 + (238_419 - 2_000) / 2, 3e-4 * 0.55),
        (2_000 + (238_419 - 2_000) / 4, 3e-4 * (0.1 + 0.45 * (1 + math.sqrt(0.5)))),
        (238_419, 3e-5),
    ],
)
def test_the_papers_schedule(step: int, expected: float) -> None:
    assert optim.learning_rate(step, **PAPER) == pytest.approx(expected, rel=1e-12)


def test_the_rate_grows_by_equal_parts_and_then_only_falls() -> None:
    rates = [optim.learning_rate(step, peak=1.0, warmup=20, steps=100) for step in range(1, 101)]
    assert rates[:20] == pytest.approx([i / 20 for i in range(1, 21)])
    assert rates[19:] == sorted(rates[19:], reverse=True)
    assert rates[-1] == 0.1


def test_without_a_warm_up_the_first_rate_is_below_the_peak() -> None:
    assert optim.learning_rate(1, peak=1.0, warmup=0, steps=2) == pytest.approx(0.55)


def test_matrices_decay_the_embedding_too_and_norms_do_not() -> None:
    model = Llama(SHAPE)
    names = {id(p): name for name, p in model.named_parameters()}
    decays = {
        names[id(p)]: group["weight_decay"]
        for group in optim.adamw(model).param_groups
        for p in group["params"]
    }
    assert decays.keys() == {name for name, _ in model.named_parameters()}
    for name, decay in decays.items():
        assert decay == (0.0 if name.endswith("norm.weight") else 0.1), name
    assert decays["tok_embeddings.weight"] == decays["output.weight"] == 0.1


def test_two_steps_are_those_computed_by_hand() -> None:
    """AdamW (Loshchilov and Hutter 2019, algorithm 2) with β 0.9 and 0.95, decay 0.1, ε 1e-8."""
    model = random_model()
    optimizer = optim.adamw(model)
    optim.start(optimizer, 0)
    wanted = {name: p.detach().double() for name, p in model.named_parameters()}
    m, v = ({name: torch.zeros_like(w) for name, w in wanted.items()} for _ in range(2))
    for step, rate in ((1, 0.01), (2, 0.005)):
        backward(model, mean=True)
        for name, g in gradients(model).items():
            m[name] = 0.9 * m[name] + 0.1 * g.double()
            v[name] = 0.95 * v[name] + 0.05 * g.double() ** 2
            update = m[name] / (1 - 0.9**step) / ((v[name] / (1 - 0.95**step)).sqrt() + 1e-8)
            decay = 0.1 if wanted[name].ndim > 1 else 0.0
            wanted[name] = wanted[name] - rate * (update + decay * wanted[name])
        optim.take_step(optimizer, rate)
        optimizer.zero_grad()
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach().double(), wanted[name], rtol=1e-4, atol=1e-6, msg=name)
    tensors = optim.named_tensors(model, optimizer)
    for name in wanted:
        torch.testing.assert_close(tensors[f"exp_avg.{name}"].double(), m[name], rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(tensors[f"exp_avg_sq.{name}"].double(), v[name], rtol=1e-4, atol=1e-9)


def test_the_norm_is_that_of_the_mean_losss_gradient() -> None:
    model = random_model()
    backward(model, mean=True)
    wanted = math.sqrt(sum(g.double().square().sum().item() for g in gradients(model).values()))
    model.zero_grad()
    backward(model, mean=False)
    norm = optim.gradient_norm(model.parameters(), ROWS * LENGTH)
    assert norm.item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_clipped_gradients_are_those_of_the_mean_loss_no_longer_than_one(scale: float) -> None:
    """Short ones are left as they are, long ones keep their direction."""
    model = random_model()
    backward(model, mean=True)
    length = float(torch.nn.utils.get_total_norm(list(gradients(model).values())))
    wanted = {name: g * min(scale, 1 / length) for name, g in gradients(model).items()}
    model.zero_grad()
    backward(model, mean=False)
    for p in model.parameters():
        p.grad *= scale
    norm = optim.gradient_norm(model.parameters(), ROWS * LENGTH).item()
    assert norm == pytest.approx(scale * length, rel=1e-4)
    assert (norm > 1) == (scale > 1)
    optim.clip(model.parameters(), norm, ROWS * LENGTH)
    for name, g in gradients(model).items():
        torch.testing.assert_close(g, wanted[name], rtol=1e-4, atol=1e-7, msg=name)


def test_calm_steps_are_taken_and_counted() -> None:
    assert calm(steps=7) == Guard(10.0, mean=2.0, taken=7)


@pytest.mark.parametrize(
    ("loss", "norm"),
    [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf), (math.nan, math.nan)],
)
def test_what_is_not_finite_is_not_followed_even_at_the_first_step(loss: float, norm: float) -> None:
    guard = Guard(10.0)
    assert guard.objection(loss, norm) == f"not finite: loss {loss}, gradient norm {norm}"
    assert guard == Guard(10.0, skipped=1, in_a_row=1)
    assert guard.objection(1.0, 3.0) is None
    assert guard == Guard(10.0, mean=3.0, taken=1, skipped=1)


def test_an_explosion_is_told_after_a_hundred_steps_and_not_before() -> None:
    assert calm(steps=CALM - 1).objection(1.0, 1_000.0) is None
    guard = calm()
    assert guard.objection(1.0, 1_000.0) == "gradient norm 1e+03, 500.0 times its mean"
    assert guard == Guard(10.0, mean=pytest.approx(2.0), taken=CALM, skipped=1, in_a_row=1)


def test_the_limit_is_times_the_mean() -> None:
    assert calm(limit=3.0).objection(1.0, 5.99) is None
    assert calm(limit=3.0).objection(1.0, 6.01) is not None


def test_the_mean_follows_the_latest_steps() -> None:
    guard = calm()
    assert guard.objection(1.0, 3.0) is None
    assert guard.mean == pytest.approx(2.0 * 0.98 + 3.0 * 0.02)
    for _ in range(500):
        guard.objection(1.0, 3.0)
    assert guard.mean == pytest.approx(3.0, rel=1e-3)


def test_a_step_taken_ends_the_row_of_those_that_are_not() -> None:
    guard = calm()
    for _ in range(4):
        for _ in range(24):
            assert guard.objection(math.nan, 1.0) is not None
        assert guard.objection(1.0, 2.0) is None
    assert (guard.skipped, guard.in_a_row) == (96, 0)


def test_twenty_five_in_a_row_end_the_run() -> None:
    guard = calm()
    for _ in range(24):
        guard.objection(1.0, 1_000.0)
    with pytest.raises(TrainerError, match=r"25 steps in a row .* diverged: begin another run"):
        guard.objection(math.nan, 1.0)


def test_what_a_guard_knows_goes_through_a_checkpoint() -> None:
    guard = calm()
    guard.objection(math.nan, 1.0)
    assert Guard(**dataclasses.asdict(guard)) == guard


def test_moments_begin_at_zero_and_are_kept_when_the_number_of_updates_is_set() -> None:
    model = random_model()
    optimizer = optim.adamw(model)
    optim.start(optimizer, 0)
    tensors = optim.named_tensors(model, optimizer)
    names = [name for name, _ in model.named_parameters()]
    assert tensors.keys() == {f"{kind}.{n}" for kind in ("model", "exp_avg", "exp_avg_sq") for n in names}
    assert all(torch.equal(tensors[f"model.{n}"], p) for n, p in model.named_parameters())
    assert not any(t.any() for name, t in tensors.items() if name.startswith("exp_avg"))
    tensors["exp_avg.norm.weight"].fill_(0.5)
    optim.start(optimizer, 7)
    assert (optim.named_tensors(model, optimizer)["exp_avg.norm.weight"] == 0.5).all()
    assert {float(optimizer.state[p]["step"]) for p in model.parameters()} == {7.0}
