"""Checkpoints for tests: tensors in which every bit counts, and their saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainer.checkpoint.folder import Checkpoints

STATE = {"position": 512, "config": {"preset": "tiny", "rates": [0.1, 3e-4]}, "loss": float("inf")}


def some_tensors() -> dict[str, Tensor]:
    """Every bit counts: negative zero, NaN with a payload, the smallest numbers, other types and strides."""
    odd = torch.tensor([0x80000000, 0x7FC01234, 1, 0x7F800000], dtype=torch.int64).to(torch.int32)
    return {
        "model.w": torch.randn(7, 5, generator=torch.Generator().manual_seed(0)),
        "model.odd": odd.view(torch.float32),
        "model.half": torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).bfloat16(),
        "exp_avg.w": torch.arange(12.0).view(3, 4).t(),
        "empty": torch.zeros(0, 3),
        "step": torch.tensor(41),
    }


def blank(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.full_like(tensor, 9) for name, tensor in tensors.items()}


def bits(tensors: dict[str, Tensor]) -> dict[str, tuple[Any, ...]]:
    return {
        name: (t.dtype, t.shape, t.contiguous().flatten().view(torch.uint8).tolist())
        for name, t in tensors.items()
    }


def saved(folder: Path, keep: int = 3, steps: tuple[int, ...] = (1,)) -> Checkpoints:
    checkpoints = Checkpoints(folder, keep, 0, 1, "start")
    for step in steps:
        checkpoints.save(step, some_tensors(), STATE | {"step": step})
    checkpoints.wait()
    return checkpoints
