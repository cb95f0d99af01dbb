"""What a step is given: a model's shape, rows of tokens, a precision, a device; and what fits the device."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from trainer import memory
from trainer.parallel import Ranks
from trainer.presets import Shape
from trainer.recipe import PRECISIONS, Options, Recipe

Result = TypeVar("Result")
_LOGITS = 4  # copies of them in fp32 that `transformers` holds at its peak


@dataclass(frozen=True)
class Work:
    """The work of one training step.

    Attributes:
        name: of the preset.
        shape: of the model.
        rows: sequences of a batch.
        length: tokens of a sequence.
        precision: of what is computed, a key of `PRECISIONS`; parameters are fp32.
        device: that does it.
    """

    name: str
    shape: Shape
    rows: int
    length: int
    precision: str
    device: torch.device

    @property
    def tokens(self) -> int:
        """Of a batch."""
        return self.rows * self.length

    @property
    def dtype(self) -> torch.dtype:
        """Of what is computed."""
        return PRECISIONS[self.precision]

    @property
    def ranks(self) -> Ranks:
        """One process, on the device."""
        return Ranks(0, 1, 1, self.device, "bench")

    def batch(self) -> tuple[Tensor, Tensor]:
        """Random tokens and targets, int64[B, T] each, the same every time."""
        size = (self.rows, self.length + 1)
        ids = torch.randint(0, self.shape.vocab, size, generator=torch.Generator().manual_seed(0))
        return ids[:, :-1].contiguous().to(self.device), ids[:, 1:].contiguous().to(self.device)

    def with_layers(self, layers: int) -> Work:
        """The same with a model of so many layers."""
        return replace(self, shape=replace(self.shape, layers=layers))

    def estimate(self, checkpointing: str = "none") -> int:
        """Bytes that the trainer says the work needs."""
        recipe = Recipe(self.shape, self.length, self.rows, 1, 0.0, 0, 0, self.precision, False, 10.0, "", "")
        return memory.needed(recipe, Options("", Path(), self.rows, checkpointing), 1)

    def layers_that_fit(self, models: int) -> int:
        """How many layers, at most those there are, the device has memory for when it holds some models."""
        room = 0.9 * memory.available(self.ranks)
        room -= _LOGITS * 4 * self.tokens * self.shape.vocab if models > 1 else 0
        fitting = (
            n for n in range(self.shape.layers, 1, -1) if self.with_layers(n).estimate() * models < room
        )
        return next(fitting, 1)


def fitted(work: Work, models: int, measure: Callable[[Work], Result]) -> Result:
    """What is measured with as many layers as fit; fewer where less memory is there than it was taken for."""
    layers = work.layers_that_fit(models)
    while layers:
        try:
            return measure(work.with_layers(layers))
        except torch.OutOfMemoryError:
            pass  # what holds the memory is let go of with the exception, after this block
        finally:
            release()
        layers = layers * 3 // 4
    raise SystemExit(f"{work.name}: not one layer fits {work.device}")


def release() -> None:
    """Let go of models that are no longer named, and of what was compiled for them."""
    torch.compiler.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def seconds_since(start: float, device: torch.device) -> float:
    """Seconds by the clock since then, once the device has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter() - start
