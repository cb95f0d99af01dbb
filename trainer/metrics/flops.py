"""How near a run's speed is to its device's: FLOPs of one token, forward and backward, and peaks in FLOP/s.

MFU is FLOPs a token × tokens/s over the peaks of all devices.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from trainer.metrics.devices import Board, board_of
from trainer.presets import Shape


def flops_6n(shape: Shape) -> int:
    """FLOPs a token as 6 × parameters, all of them, without attention (Kaplan et al. 2020, section 2.1)."""
    return 6 * shape.parameters


def flops_attention(shape: Shape, length: int) -> int:
    """FLOPs a token with attention over `length`, without the embedding, which multiplies nothing.

    6 × (parameters − V·D) + 12 × layers × dim × length: PaLM, appendix B, and torchtitan. Masked scores count
    too, though causal attention skips them, so that figures compare with those of others.
    """
    return 6 * (shape.parameters - shape.vocab * shape.dim) + 12 * shape.layers * shape.dim * length


class Peak(NamedTuple):
    """The most a device does: FLOP/s, and what says so, as "data sheet of NVIDIA H100 SXM, bfloat16"."""

    flops: float
    origin: str


def peak_flops(device: torch.device, dtype: torch.dtype) -> Peak:
    """The most a device does with matrices of a type: by its data sheet, else by a short matrix product.

    float32 counts as tf32 where `torch.set_float32_matmul_precision` allows it.
    """
    tf32 = dtype is torch.float32 and torch.get_float32_matmul_precision() != "highest"
    number_format = "tf32" if tf32 else str(dtype).removeprefix("torch.")
    return sheet_peak(board_of(device), number_format) or measured_peak(device, dtype)


def sheet_peak(board: Board | None, number_format: str) -> Peak | None:
    """The peak of a board's data sheet, None where that has none for the format (bfloat16, tf32, float32)."""
    if board is None or number_format not in board.flops:
        return None
    return Peak(board.flops[number_format], f"data sheet of {board.name}, {number_format}")


def measured_peak(
    device: torch.device, dtype: torch.dtype, clock: Callable[[], float] = time.perf_counter
) -> Peak:
    """The best of ten products of square matrices, 2·n³ FLOPs each: under a second on two cores.

    A data sheet says what a device could do, this what it does: an MFU by this is higher.
    """
    n = 1024 if device.type == "cpu" else 8192
    generator = torch.Generator(device).manual_seed(
        0
    )  # numbers of zeros and ones would draw less power, and run faster
    a = torch.randn(n, n, generator=generator, device=device, dtype=dtype)
    best = math.inf
    for _ in range(10):
        _synchronise(device)
        start = clock()
        torch.mm(a, a)
        _synchronise(device)
        best = min(best, clock() - start)
    return Peak(2 * n**3 / best, f"measured, {str(dtype).removeprefix('torch.')}")


def _synchronise(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
