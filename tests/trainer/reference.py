"""LLaMA written plainly, to compare with: as the paper and the released code have it, in fp64 and by loops.

Rotary positions are those of llama_v1 (llama/model.py): `torch.view_as_complex` on pairs of neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from trainer.presets import Shape


def logits(weights: Mapping[str, Tensor], shape: Shape, tokens: list[int]) -> Tensor:
    """float64[T, V] of one row, from weights by Meta's names."""
    w = {name: tensor.detach().double() for name, tensor in weights.items()}
    x_TD = w["tok_embeddings.weight"][tokens]
    for i in range(shape.layers):
        layer = f"layers.{i}."
        normed_TD = norm(x_TD, w[layer + "attention_norm.weight"], shape.norm_eps)
        x_TD = x_TD + attention(normed_TD, w, layer + "attention.", shape)
        normed_TD = norm(x_TD, w[layer + "ffn_norm.weight"], shape.norm_eps)
        x_TD = x_TD + feed_forward(normed_TD, w, layer + "feed_forward.")
    return torch.einsum("td,vd->tv", norm(x_TD, w["norm.weight"], shape.norm_eps), w["output.weight"])


def norm(x_TD: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    return x_TD / torch.sqrt((x_TD**2).mean(1, keepdim=True) + eps) * weight_D


def feed_forward(x_TD: Tensor, w: Mapping[str, Tensor], name: str) -> Tensor:
    gate_TF = torch.einsum("td,fd->tf", x_TD, w[name + "w1.weight"])
    up_TF = torch.einsum("td,fd->tf", x_TD, w[name + "w3.weight"])
    return torch.einsum("tf,df->td", gate_TF / (1 + torch.exp(-gate_TF)) * up_TF, w[name + "w2.weight"])


def attention(x_TD: Tensor, w: Mapping[str, Tensor], name: str, shape: Shape) -> Tensor:
    """A query at a time, of a head at a time, over the keys up to it."""
    length, width = len(x_TD), shape.head_dim
    q_THK, k_THK, v_THK = (
        torch.einsum("td,ed->te", x_TD, w[name + m + ".weight"]).reshape(length, shape.heads, width)
        for m in ("wq", "wk", "wv")
    )
    q_THK, k_THK = turned(q_THK, shape.rope_theta), turned(k_THK, shape.rope_theta)
    out_THK = torch.zeros_like(v_THK)
    for t in range(length):
        for h in range(shape.heads):
            scores = torch.stack([q_THK[t, h] @ k_THK[s, h] / math.sqrt(width) for s in range(t + 1)])
            weights = scores.exp() / scores.exp().sum()
            out_THK[t, h] = sum(weights[s] * v_THK[s, h] for s in range(t + 1))
    return torch.einsum("te,de->td", out_THK.reshape(length, -1), w[name + "wo.weight"])


def turned(x_THK: Tensor, theta: float) -> Tensor:
    """Each pair of neighbours as a complex number, times e^(i · t · θ^(−2j/K))."""
    length, heads, width = x_THK.shape
    frequencies = 1.0 / (theta ** (torch.arange(0, width, 2).double() / width))
    angles = torch.outer(torch.arange(length).double(), frequencies)
    turns = torch.polar(torch.ones_like(angles), angles)
    pairs = torch.view_as_complex(x_THK.reshape(length, heads, width // 2, 2).contiguous())
    return torch.view_as_real(pairs * turns[:, None, :]).flatten(2)
