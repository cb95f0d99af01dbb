"""The limit: what the matrix products of a step cost alone, in the type it computes in, and nothing else.

In: `Work`. Out: seconds of forward and backward, the best of some rounds. A product of x[N, inputs] with
weights[outputs, inputs] is three: outputs, the gradient of x, and that of the weights. Attention's products
are in a kernel of its own, which is timed whole.
"""

from __future__ import annotations

import functools
import math
import time
from collections import Counter
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.bench.trainer.work import Work, seconds_since
from trainer.presets import Shape

_LEAST = 0.02  # seconds of one measurement: short calls are repeated, so that starting them is no part of it


def products(shape: Shape) -> Counter[tuple[int, int]]:
    """How many matrices of a size (inputs, outputs) a token is multiplied with."""
    count: Counter[tuple[int, int]] = Counter()
    for size, many in (
        ((shape.dim, shape.dim), 4 * shape.layers),
        ((shape.dim, shape.hidden), 2 * shape.layers),
        ((shape.hidden, shape.dim), shape.layers),
        ((shape.dim, shape.vocab), 1),
    ):
        count[size] += many
    return count


@functools.cache
def products_seconds(work: Work, rounds: int) -> float:
    """Seconds of all products of a step."""
    return sum(
        many * _product_seconds(work, inputs, outputs, rounds)
        for (inputs, outputs), many in products(work.shape).items()
    )


@functools.cache
def attention_seconds(work: Work, rounds: int) -> float:
    """Seconds of causal attention, forward and backward, of all layers."""
    shape = work.shape
    size = (work.rows, shape.heads, work.length, shape.head_dim)
    q, k, v, gradient = (_random(work, *size).requires_grad_() for _ in range(4))

    def attend() -> None:
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        torch.autograd.grad(out, (q, k, v), gradient)

    return shape.layers * _seconds(attend, work, rounds)


def _product_seconds(work: Work, inputs: int, outputs: int, rounds: int) -> float:
    x, w, gradient = (
        _random(work, *size) for size in ((work.tokens, inputs), (outputs, inputs), (work.tokens, outputs))
    )
    calls = (lambda: x @ w.T, lambda: gradient @ w, lambda: gradient.T @ x)
    return sum(_seconds(call, work, rounds) for call in calls)


def _random(work: Work, *size: int) -> Tensor:
    """Numbers as they come: those of zeros and ones would draw less power, and be multiplied faster."""
    generator = torch.Generator(work.device).manual_seed(0)
    return torch.randn(size, generator=generator, device=work.device, dtype=work.dtype)


def _seconds(call: Callable[[], object], work: Work, rounds: int) -> float:
    torch.use_deterministic_algorithms(False)  # the fastest kernels there are
    _repeat(call, work, 1)
    times = max(1, math.ceil(_LEAST / _repeat(call, work, 1)))
    return min(_repeat(call, work, times) for _ in range(rounds)) / times


def _repeat(call: Callable[[], object], work: Work, times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()
    return seconds_since(start, work.device)
