"""The paper's optimiser (section 2.3): AdamW, its schedule, clipping, and which steps are not taken.

Gradients come in as those of the *sum* of the losses of a global batch; `clip` divides them by its tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from trainer.errors import TrainerError

BETAS = (0.9, 0.95)
WEIGHT_DECAY = 0.1
EPS = 1e-8  # not in the paper
MAX_NORM = 1.0
FLOOR = 0.1  # of the peak, at the end
_CALM_STEPS = 100  # before a norm can be told to be out of the ordinary
_MEMORY = 0.98  # of the mean norm, a step
_IN_A_ROW = 25


def adamw(model: nn.Module) -> torch.optim.AdamW:
    """AdamW with decay on matrices only: norms have none."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=BETAS, eps=EPS, fused=True)


def learning_rate(step: int, *, peak: float, warmup: int, steps: int) -> float:
    """The rate of a step, from 1 to `steps`: linear to the peak, then a cosine to a tenth of it."""
    if step <= warmup:
        return peak * step / warmup
    progress = (step - warmup) / (steps - warmup)
    return peak * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * progress)) / 2)


def take_step(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Update the parameters at a learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


def gradient_norm(parameters: Iterable[nn.Parameter], tokens: int) -> Tensor:
    """float32[], the norm of the gradient of the mean loss, over all ranks."""
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    whole = norm.full_tensor() if isinstance(norm, DTensor) else norm
    return whole / tokens


@torch.no_grad()
def clip(parameters: Iterable[nn.Parameter], norm: float, tokens: int) -> None:
    """Make of the gradients of a sum over `tokens` those of the mean, no longer than `MAX_NORM`."""
    factor = min(1.0, MAX_NORM / (norm + 1e-6)) / tokens
    torch._foreach_mul_([p.grad for p in parameters if p.grad is not None], factor)


@dataclass
class Guard:
    """Tells the steps that must not be taken: loss or gradient not finite, or a gradient that explodes.

    Attributes:
        limit: times the mean norm at which one explodes.
        mean: of the norms of the steps taken, the latest weighing most.
        taken: steps.
        skipped: steps.
        in_a_row: steps skipped since one was taken.
    """

    limit: float
    mean: float = 0.0
    taken: int = 0
    skipped: int = 0
    in_a_row: int = 0

    def objection(self, loss: float, norm: float) -> str | None:
        """Why a step is not to be taken, or None; it is counted.

        Raises:
            TrainerError: nothing but such steps came for a while.
        """
        reason = None
        if not math.isfinite(loss) or not math.isfinite(norm):
            reason = f"not finite: loss {loss}, gradient norm {norm}"
        elif self.taken >= _CALM_STEPS and norm > self.limit * self.mean:
            reason = f"gradient norm {norm:.3g}, {norm / self.mean:.1f} times its mean"
        if reason is None:
            self.mean = norm if not self.taken else _MEMORY * self.mean + (1 - _MEMORY) * norm
            self.taken += 1
            self.in_a_row = 0
            return None
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row == _IN_A_ROW:
            raise TrainerError(
                f"{_IN_A_ROW} steps in a row could not be taken, the last one: {reason}. Training has "
                "diverged: begin another run with a lower --learning-rate; --from an export of an earlier "
                "checkpoint, if it is to go on from there"
            )
        return reason


def start(optimizer: torch.optim.AdamW, updates: int) -> None:
    """Give each parameter its moments, zero unless it has some, and say how many updates are behind them."""
    for group in optimizer.param_groups:
        for p in group["params"]:
            state = optimizer.state[p]
            if not state:
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
            state["step"] = torch.tensor(float(updates), device=p.device)


def named_tensors(model: nn.Module, optimizer: torch.optim.AdamW) -> dict[str, Tensor]:
    """Parameters as ``model.NAME``, moments as ``exp_avg.NAME`` and ``exp_avg_sq.NAME``."""
    tensors: dict[str, Tensor] = {}
    for name, p in model.named_parameters():
        tensors[f"model.{name}"] = p.detach()
        for moment in ("exp_avg", "exp_avg_sq"):
            tensors[f"{moment}.{name}"] = optimizer.state[p][moment]
    return tensors
