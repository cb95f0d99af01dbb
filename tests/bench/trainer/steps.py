"""A training step of ours beside that of `transformers`: the same weights, batch, precision and optimiser.

In: `Work`. Out: seconds of forward and backward, and of the whole step with clipping and AdamW. Contenders
take turns, so that what else the machine does hits all of them.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from tests.bench.trainer.work import Work, seconds_since
from trainer import optim, parallel
from trainer.export.hugging_face import config_of, their_name, to_theirs
from trainer.model import Llama

_RATE = 1e-4
_STD = 0.02


class Times(NamedTuple):
    """Seconds of a step: of forward and backward, and of all of it."""

    backward: float
    whole: float


class Step(ABC):
    """A model with its optimiser, and what takes a step with them.

    Attributes:
        work: that it does.
        model: whose parameters are updated.
        deterministic: whether kernels that give other bits each time are refused.
    """

    def __init__(self, work: Work, model: nn.Module, deterministic: bool) -> None:
        self.work, self.model, self.deterministic = work, model, deterministic
        self._batch = work.batch()
        self._parameters = list(model.parameters())
        self._optimizer = optim.adamw(model)

    def take(self) -> Times:
        """Take a step, and time it."""
        torch.use_deterministic_algorithms(self.deterministic)
        seconds_since(0.0, self.work.device)
        start = time.perf_counter()
        self.backward()
        backward = seconds_since(start, self.work.device)
        self.clip()
        optim.take_step(self._optimizer, _RATE)
        self._optimizer.zero_grad()
        return Times(backward, seconds_since(start, self.work.device))

    def gradients(self) -> tuple[float, dict[str, Tensor]]:
        """Mean loss, in nats, and its gradients by parameter name; they stay where a step adds to them."""
        torch.use_deterministic_algorithms(self.deterministic)
        loss = self.backward().item()
        return loss, {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}

    def forget(self) -> None:
        """Drop the gradients."""
        self._optimizer.zero_grad()

    @abstractmethod
    def backward(self) -> Tensor:
        """Forward and backward; returns the mean loss."""

    @abstractmethod
    def clip(self) -> None:
        """Make of the gradients those of the mean loss, no longer than the paper's limit."""


class Ours(Step):
    """The step of `python -m trainer`, as `trainer.run` takes it."""

    model: Llama

    def __init__(
        self, work: Work, *, compiled: bool, checkpointing: str = "none", deterministic: bool = True
    ) -> None:
        with torch.device("meta"):
            model = Llama(work.shape, work.dtype)
        parallel.distribute(model, work.ranks, checkpointing=checkpointing, compiled=compiled)
        _fill(model)
        super().__init__(work, model, deterministic)
        optim.start(self._optimizer, 0)

    def backward(self) -> Tensor:
        losses_BT = self.model(*self._batch)
        losses_BT.sum().backward()
        mean: Tensor = losses_BT.detach().mean()
        return mean

    def clip(self) -> None:
        tokens = self.work.tokens
        optim.clip(self._parameters, optim.gradient_norm(self._parameters, tokens).item(), tokens)


@torch.no_grad()
def _fill(model: Llama) -> None:
    """Random weights, drawn on the device: the trainer's own, drawn off it, take a minute a size of 7B."""
    for seed, p in enumerate(model.parameters()):
        if p.ndim == 1:
            p.fill_(1.0)
        else:
            p.normal_(0.0, _STD, generator=torch.Generator(p.device).manual_seed(seed))


class Theirs(Step):
    """`LlamaForCausalLM` with SDPA, in bf16 by autocast, with the weights that another model has."""

    def __init__(self, work: Work, ours: Llama, *, compiled: bool) -> None:
        config = config_of(work.shape, work.length, torch.float32, 1, 2) | {"attn_implementation": "sdpa"}
        with torch.device(work.device):
            model = LlamaForCausalLM(LlamaConfig(**config)).train()
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for name, p in ours.named_parameters():
                parameters[their_name(name)].copy_(to_theirs(name, p, work.shape.heads))
        super().__init__(work, model, deterministic=False)
        self._forward: Any = torch.compile(model) if compiled else model
        self._autocast = torch.autocast(work.device.type, torch.bfloat16, enabled=work.precision == "bf16")

    def backward(self) -> Tensor:
        tokens_BT, targets_BT = self._batch
        with self._autocast:
            # With `shift_labels` targets are taken as they are; `labels` says that a loss is wanted.
            out = self._forward(
                input_ids=tokens_BT, labels=targets_BT, shift_labels=targets_BT, use_cache=False
            )
        out.loss.backward()
        loss: Tensor = out.loss.detach()
        return loss

    def clip(self) -> None:
        nn.utils.clip_grad_norm_(self._parameters, optim.MAX_NORM)


class Apart(NamedTuple):
    """How far two models are apart: difference of losses in nats, of gradients by the norm of theirs."""

    loss: float
    gradient: float


def compare(ours: Ours, theirs: Theirs) -> Apart:
    """Loss and gradient of both, once; both are compiled by that, and neither takes a step."""
    (our_loss, our_gradients), (their_loss, their_gradients) = ours.gradients(), theirs.gradients()
    heads, tokens = ours.work.shape.heads, ours.work.tokens
    differences, lengths = [], []
    for name, gradient in our_gradients.items():
        expected = their_gradients[their_name(name)]
        differences.append((to_theirs(name, gradient / tokens, heads) - expected).norm())
        lengths.append(expected.norm())
    ours.forget()
    theirs.forget()
    apart = torch.stack(differences).norm() / torch.stack(lengths).norm()
    return Apart(abs(our_loss - their_loss), apart.item())


def alternate(steps: Mapping[str, Step], rounds: int) -> dict[str, Times]:
    """The median times of each contender, which take turns, after a step each that is not counted."""
    taken: dict[str, list[Times]] = {name: [] for name in steps}
    for step in steps.values():
        step.take()
    for number in range(rounds):
        order = list(steps)[:: 1 if number % 2 else -1]
        for name in order:
            taken[name].append(steps[name].take())
    return {
        name: Times(*(median(column) for column in zip(*some, strict=True))) for name, some in taken.items()
    }
