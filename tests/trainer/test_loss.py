"""The loss by chunks is PyTorch's cross-entropy, and never holds all logits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainer.loss import CHUNK, cross_entropy

TOKENS, DIM, VOCAB = 2 * CHUNK + 37, 24, 311  # the last chunk is a part of one


def inputs(dtype: torch.dtype = torch.float32, tokens: int = TOKENS) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states, an fp32 matrix that makes logits of some 5 either way, targets."""
    generator = torch.Generator().manual_seed(0)
    x_ND = torch.randn(tokens, DIM, generator=generator).to(dtype).requires_grad_()
    weight_VD = torch.randn(VOCAB, DIM, generator=generator).requires_grad_()
    return x_ND, weight_VD, torch.randint(VOCAB, (tokens,), generator=generator)


def expected(x_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Losses, and gradients of their sum, by PyTorch in fp64."""
    x_ND, weight_VD = (t.detach().double().requires_grad_() for t in (x_ND, weight_VD))
    losses_N = F.cross_entropy(x_ND @ weight_VD.T, targets_N, reduction="none")
    return losses_N, *torch.autograd.grad(losses_N.sum(), (x_ND, weight_VD))


class Watched(TorchDispatchMode):
    """Counts the elements of the largest tensor that any operation gave, and the products of matrices."""

    numel = 0
    products = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **kwargs or {})
        self.products += func is torch.ops.aten.mm.default
        self.numel = max([self.numel, *(t.numel() for t in tree_leaves(out) if isinstance(t, Tensor))])
        return out


@pytest.mark.parametrize("tokens", [1, CHUNK - 1, CHUNK, TOKENS])
@pytest.mark.parametrize("compiled", [False, True])
def test_losses_and_gradients_are_pytorchs(tokens: int, compiled: bool) -> None:
    x_ND, weight_VD, targets_N = inputs(tokens=tokens)
    losses_N = cross_entropy(x_ND, weight_VD, targets_N, compiled=compiled)
    losses_N.sum().backward()
    wanted_N, wanted_x_ND, wanted_w_VD = expected(x_ND, weight_VD, targets_N)
    assert losses_N.dtype == torch.float32
    torch.testing.assert_close(losses_N.double(), wanted_N, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(x_ND.grad.double(), wanted_x_ND, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(weight_VD.grad.double(), wanted_w_VD, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("compiled", [False, True])
def test_in_bf16_they_are_as_near_as_its_eight_bits_allow(compiled: bool) -> None:
    x_ND, weight_VD, targets_N = inputs(torch.bfloat16)
    losses_N = cross_entropy(x_ND, weight_VD, targets_N, compiled=compiled)
    losses_N.sum().backward()
    wanted = expected(x_ND, weight_VD, targets_N)
    assert [t.dtype for t in (losses_N, x_ND.grad, weight_VD.grad)] == [
        torch.float32,
        torch.bfloat16,
        torch.float32,
    ]
    for found, exact in zip((losses_N, x_ND.grad, weight_VD.grad), wanted, strict=True):
        assert (found.double() - exact).norm() < 2**-7 * exact.norm()


def test_logits_beyond_the_range_of_exp_stay_finite() -> None:
    x_ND, weight_VD, targets_N = inputs()
    with torch.no_grad():
        x_ND *= 1_000
    losses_N = cross_entropy(x_ND, weight_VD, targets_N, compiled=False)
    losses_N.sum().backward()
    torch.testing.assert_close(
        losses_N.double(), expected(x_ND, weight_VD, targets_N)[0], rtol=1e-5, atol=1e-2
    )
    assert x_ND.grad.isfinite().all()


def test_the_gradient_of_a_multiple_of_the_sum_is_that_multiple() -> None:
    x_ND, weight_VD, targets_N = inputs()
    (3 * cross_entropy(x_ND, weight_VD, targets_N, compiled=False).sum()).backward()
    _, wanted_x_ND, wanted_w_VD = expected(x_ND, weight_VD, targets_N)
    torch.testing.assert_close(x_ND.grad.double(), 3 * wanted_x_ND, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(weight_VD.grad.double(), 3 * wanted_w_VD, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "of",
    [lambda losses_N: losses_N[1:].sum(), lambda losses_N: losses_N[0], lambda losses_N: losses_N @ losses_N],
)
def test_anything_but_the_sum_is_refused_rather_than_wrong(of: Any) -> None:
    with pytest.raises(RuntimeError, match="only the sum of these losses can be differentiated"):
        of(cross_entropy(*inputs(), compiled=False)).backward()


@pytest.mark.parametrize("gradients", [False, True])
def test_no_tensor_holds_more_than_a_chunk_of_logits(gradients: bool) -> None:
    x_ND, weight_VD, targets_N = inputs()
    with Watched() as watched, torch.set_grad_enabled(gradients):
        losses_N = cross_entropy(x_ND, weight_VD, targets_N, compiled=False)
        if gradients:
            losses_N.sum().backward()
    assert watched.numel == CHUNK * VOCAB < TOKENS * VOCAB


def test_without_gradients_the_losses_are_the_same_and_no_gradient_is_computed() -> None:
    x_ND, weight_VD, targets_N = inputs()
    trained_N = cross_entropy(x_ND, weight_VD, targets_N, compiled=False)
    with torch.no_grad(), Watched() as watched:
        scored_N = cross_entropy(x_ND, weight_VD, targets_N, compiled=False)
    assert torch.equal(scored_N, trained_N.detach())
    assert not scored_N.requires_grad
    assert watched.products == math.ceil(TOKENS / CHUNK)  # the logits of each chunk
