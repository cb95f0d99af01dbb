"""Cross-entropy of a large vocabulary, by chunks of tokens: hidden states in, nats of each target out.

The logits of a batch, N × V, would be the largest tensor of a training step. Here a chunk of them lives at a
time, and its gradients are taken at once, so that nothing is kept or computed twice: only hidden states, the
output matrix and their gradients stay. Letters of shapes are those of `trainer.model`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

Kernel = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
CHUNK = 512  # tokens; its logits of 32,000 pieces are 64 MB in fp32


def cross_entropy(x_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, *, compiled: bool) -> Tensor:
    """float32[N], −log softmax(x · weightᵀ) at the targets; only their sum can be differentiated.

    Args:
        x_ND: hidden states, of the type to compute in.
        weight_VD: output matrix, of that type or fp32; its gradient is of its own type.
        targets_N: int64.
        compiled: whether what is computed of a chunk's logits is one kernel, or several.
    """
    kernel = _compiled_kernel() if compiled else losses_and_gradient
    losses: Tensor = _CrossEntropy.apply(
        x_ND, weight_VD, targets_N, kernel if torch.is_grad_enabled() else None
    )
    return losses


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, kernel: Kernel | None
    ) -> Tensor:
        w_VD = weight_VD.to(x_ND.dtype)
        losses_N = torch.empty(len(x_ND), dtype=torch.float32, device=x_ND.device)
        if kernel:
            grad_x_ND = torch.empty_like(x_ND)
            grad_w_VD = torch.zeros_like(weight_VD, dtype=torch.float32)
        for start in range(0, len(x_ND), CHUNK):
            rows = slice(start, start + CHUNK)
            logits = x_ND[rows] @ w_VD.T
            if kernel:
                losses_N[rows], grad_logits = kernel(logits, targets_N[rows])
                grad_x_ND[rows] = grad_logits @ w_VD
                grad_w_VD += grad_logits.T @ x_ND[rows]
            else:
                losses_N[rows] = losses(logits, targets_N[rows])
        if kernel:
            ctx.save_for_backward(grad_x_ND, grad_w_VD)
        return losses_N

    @staticmethod
    def backward(ctx: FunctionCtx, *grad_losses: Any) -> Any:
        (grad_N,) = grad_losses
        if any(grad_N.stride()):  # the gradient of a sum is one number, expanded
            raise RuntimeError("only the sum of these losses can be differentiated")
        grad_x_ND, grad_w_VD = ctx.saved_tensors  # type: ignore[attr-defined]
        factor = grad_N[0]
        return (grad_x_ND.float() * factor).to(grad_x_ND.dtype), grad_w_VD * factor, None, None


def losses(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """float32[N], nats of each target."""
    wide_NV = logits_NV.float()
    picked_N = wide_NV.gather(1, targets_N.unsqueeze(1)).squeeze(1)
    return wide_NV.logsumexp(1) - picked_N


def losses_and_gradient(logits_NV: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
    """The losses, and the gradient of their sum by the logits, softmax − one-hot, in the logits' type."""
    wide_NV = logits_NV.float()
    total_N = wide_NV.logsumexp(1)
    picked_N = wide_NV.gather(1, targets_N.unsqueeze(1)).squeeze(1)
    pieces_V = torch.arange(wide_NV.shape[1], device=wide_NV.device)
    hit_NV = pieces_V == targets_N.unsqueeze(1)
    gradient_NV = torch.exp(wide_NV - total_N.unsqueeze(1)) - hit_NV.float()
    return total_N - picked_N, gradient_NV.to(logits_NV.dtype)


@functools.cache
def _compiled_kernel() -> Kernel:
    """One kernel, when it is first wanted: the compiler takes seconds to import."""
    compiled: Kernel = torch.compile(losses_and_gradient, dynamic=False)
    return compiled
