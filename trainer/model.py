"""LLaMA: tokens in, logits or the loss of each target token out.

The architecture of the paper's section 2.2, as released (facebookresearch/llama, branch llama_v1,
llama/model.py): RMSNorm before attention and feed-forward, SwiGLU, rotary positions on adjacent pairs, no
biases, embedding and output apart. Parameters bear Meta's names, so a released checkpoint is a `state_dict`.

Letters of shapes: B batch, T time, D dim, H heads, K width of a head, F width of the feed-forward,
V vocabulary, N = B·T tokens.

Parameters are fp32 master weights; what is computed is of `Llama.dtype`: each weight is cast where it is
used, which is nothing where FSDP has gathered it in that type already. Norms, rotation and loss are computed
in fp32.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from trainer.loss import cross_entropy
from trainer.presets import Shape

_INIT_STD = 0.02
Mask = Tensor | BlockMask | None


class Llama(nn.Module):
    """The model; `Llama(shape)` has no sensible weights until `initialise` or a checkpoint gives them.

    Attributes:
        shape: of its tensors.
        dtype: that it computes in.
        compiled: whether the loss's kernel is; blocks are where `parallel.distribute` does it.
    """

    def __init__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.shape = shape
        self.dtype = dtype
        self.compiled = False
        self.tok_embeddings = nn.Embedding(shape.vocab, shape.dim)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.dim, shape.norm_eps)
        self.output = Linear(shape.dim, shape.vocab)

    def forward(
        self, tokens_BT: Tensor, targets_BT: Tensor | None = None, documents_BT: Tensor | None = None
    ) -> Tensor:
        """Logits, or the losses of targets.

        Args:
            tokens_BT: int64, ids.
            targets_BT: int64, the id that follows each.
            documents_BT: int64, the number of the document each token is of, within its row: attention then
                stays within a document. Positions need not begin anew: rotary ones are relative.

        Returns:
            Without targets float32[B, T, V], logits. With targets float32[B, T], nats of each target; the
            logits are never held whole, and only the sum of the losses can be differentiated.
        """
        x_BTD = self.tok_embeddings(tokens_BT).to(self.dtype)
        rotation = rotations(tokens_BT.shape[1], self.shape.head_dim, self.shape.rope_theta, x_BTD.device)
        mask = None if documents_BT is None else within_documents(documents_BT)
        for layer in self.layers:
            x_BTD = layer(x_BTD, rotation, mask)
        x_BTD = self.norm(x_BTD)
        if targets_BT is None:
            return self.output(x_BTD).float()  # type: ignore[no-any-return]
        losses_N = cross_entropy(
            x_BTD.flatten(0, 1), self.output.weight, targets_BT.flatten(), compiled=self.compiled
        )
        return losses_N.view_as(targets_BT).clone()  # FSDP warns of a view, whose hooks could be lost


class Block(nn.Module):
    """Attention and feed-forward, each behind its norm, each added to what it read."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention = Attention(shape)
        self.feed_forward = FeedForward(shape)
        self.attention_norm = RMSNorm(shape.dim, shape.norm_eps)
        self.ffn_norm = RMSNorm(shape.dim, shape.norm_eps)

    def forward(self, x_BTD: Tensor, rotation: Tensor, mask: Mask) -> Tensor:
        """[B, T, D] → [B, T, D]."""
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), rotation, mask)
        out_BTD: Tensor = x_BTD + self.feed_forward(self.ffn_norm(x_BTD))
        return out_BTD


class Attention(nn.Module):
    """Causal attention of all heads; the scores are never stored."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.wq, self.wk, self.wv, self.wo = (Linear(shape.dim, shape.dim) for _ in range(4))

    def forward(self, x_BTD: Tensor, rotation: Tensor, mask: Mask) -> Tensor:
        """[B, T, D] → [B, T, D]."""
        q_BTHK, k_BTHK, v_BTHK = (
            w(x_BTD).unflatten(-1, (self.heads, -1)) for w in (self.wq, self.wk, self.wv)
        )
        q_BHTK = rotate(q_BTHK, rotation).transpose(1, 2)
        k_BHTK = rotate(k_BTHK, rotation).transpose(1, 2)
        out_BHTK = attend(q_BHTK, k_BHTK, v_BTHK.transpose(1, 2), mask)
        out_BTD: Tensor = self.wo(out_BHTK.transpose(1, 2).flatten(2))
        return out_BTD


class FeedForward(nn.Module):
    """SwiGLU: w2(silu(w1 x) · w3 x)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.w1 = Linear(shape.dim, shape.hidden)
        self.w2 = Linear(shape.hidden, shape.dim)
        self.w3 = Linear(shape.dim, shape.hidden)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """[B, T, D] → [B, T, D]."""
        out_BTD: Tensor = self.w2(F.silu(self.w1(x_BTD)) * self.w3(x_BTD))
        return out_BTD


class Linear(nn.Linear):
    """A matrix without bias, cast to the type of what it multiplies."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[…, inputs] → […, outputs]."""
        return F.linear(x, self.weight.to(x.dtype))


class RMSNorm(nn.Module):
    """x / root mean square of x, computed in fp32 and cast back, times a weight."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """[…, D] → […, D]."""
        wide = x.float()
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return normed.to(x.dtype) * self.weight.to(x.dtype)


def rotations(length: int, head_dim: int, theta: float, device: torch.device) -> Tensor:
    """float32[2, T, 1, K/2]: cosine and sine of position t times θ^(−2i/K)."""
    powers = torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim
    angles = torch.outer(torch.arange(length, device=device, dtype=torch.float32), theta**-powers)
    return torch.stack((angles.cos(), angles.sin())).unsqueeze(2)


def rotate(x_BTHK: Tensor, rotation: Tensor) -> Tensor:
    """Turn each pair of neighbours (2i, 2i + 1) by its position's angle, in fp32."""
    cos, sin = rotation.unbind()
    even, odd = x_BTHK.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1)
    return turned.flatten(-2).to(x_BTHK.dtype)


def within_documents(documents_BT: Tensor) -> Tensor | BlockMask:
    """The mask that keeps causal attention within documents.

    On a GPU of blocks, whose masked ones are skipped; elsewhere bool[B, 1, T, T].
    """
    if documents_BT.is_cuda:

        def visible(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
            return (q >= k) & (documents_BT[b, q] == documents_BT[b, k])

        rows, length = documents_BT.shape
        return create_block_mask(visible, rows, None, length, length, documents_BT.device)
    same_BTT = documents_BT.unsqueeze(2) == documents_BT.unsqueeze(1)
    return same_BTT.tril().unsqueeze(1)


def attend(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, mask: Mask) -> Tensor:
    """softmax(q k / √K) v over the past, in the fused kernel there is: float[B, H, T, K]."""
    if isinstance(mask, BlockMask):
        return _flex_attention()(q_BHTK, k_BHTK, v_BHTK, block_mask=mask)  # type: ignore[no-any-return]
    return F.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, attn_mask=mask, is_causal=mask is None)


@functools.cache
def _flex_attention() -> Callable[..., Tensor]:
    """Compiled, when it is first wanted: the compiler takes seconds to import."""
    compiled: Callable[..., Tensor] = torch.compile(flex_attention, dynamic=False)
    return compiled


@torch.no_grad()
def initialise(model: Llama, seed: int, given: Mapping[str, Tensor] | None = None) -> None:
    """Give a model its first weights: the same ones on any device and any number of ranks.

    Args:
        model: whose parameters lie on a device, whole or in shards of FSDP.
        seed: of random ones.
        given: whole tensors by the names of parameters, instead of random ones.

    LLaMA's are not published. Here: normal with deviation 0.02, for those that write to the residual stream
    (wo, w2) divided by √(2 · layers); norms 1. Each tensor has a generator of its own, seeded by its name.
    """
    for name, parameter in model.named_parameters():
        whole = _random(name, parameter, seed, model.shape.layers) if given is None else given[name]
        if isinstance(
            parameter, DTensor
        ):  # each rank has the whole tensor and keeps its part: nothing is sent
            whole = whole.to(parameter.device)
            whole = distribute_tensor(whole, parameter.device_mesh, parameter.placements, src_data_rank=None)
        parameter.copy_(whole)


def _random(name: str, parameter: Tensor, seed: int, layers: int) -> Tensor:
    if name.endswith("norm.weight"):
        return torch.ones(parameter.shape)
    std = _INIT_STD / math.sqrt(2 * layers) if name.endswith(("wo.weight", "w2.weight")) else _INIT_STD
    key = int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:7], "little")
    return torch.empty(parameter.shape).normal_(0.0, std, generator=torch.Generator().manual_seed(key))
