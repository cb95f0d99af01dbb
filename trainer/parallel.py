"""How a model lies on devices: ranks, shards of parameters (FSDP2), activation checkpointing, compilation.

In: environment variables of torchrun, if any. On one rank the model is a plain module; on several each block
is a unit of FSDP: its parameters are gathered in the type that is computed in while the block before it
computes, its gradients are summed in fp32 while the block before it, on the way back, computes.
"""

from __future__ import annotations

import functools
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from trainer.errors import TrainerError
from trainer.model import Llama

CHECKPOINTING = ("none", "selective", "full")
# What selective checkpointing keeps, as the paper does (section 2.4): outputs that are expensive to compute,
# those of matrix products and of attention. Norms, rotation and SwiGLU are computed again.
_KEPT = frozenset(
    {
        torch.ops.aten.mm.default,
        torch.ops.aten.addmm.default,
        torch.ops.aten._scaled_dot_product_flash_attention.default,
        torch.ops.aten._scaled_dot_product_efficient_attention.default,
        torch.ops.aten._scaled_dot_product_cudnn_attention.default,
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
        torch._higher_order_ops.flex_attention,
    }
)


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: of this process, from 0.
        world: how many there are.
        here: how many of them are on this machine.
        device: of this process.
        attempt: random string, the same on all of them, another at each start.
    """

    rank: int
    world: int
    here: int
    device: torch.device
    attempt: str

    @property
    def first(self) -> bool:
        """Whether this is the process that writes logs."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.world > 1:
            dist.barrier()

    def total(self, value: float) -> float:
        """The sum of a number over all ranks."""
        return self.sum(torch.tensor(value, dtype=torch.float64, device=self.device)).item()

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of a tensor over all ranks, in place."""
        if self.world > 1:
            dist.all_reduce(values)
        return values


@contextmanager
def ranks(device: str | None = None, *, deterministic: bool = True) -> Iterator[Ranks]:
    """Join the processes torchrun started; alone without it.

    Args:
        device: ``cpu`` or ``cuda``; by default a GPU where there is one.
        deterministic: have kernels give the same bits every time.

    Raises:
        TrainerError: there is no such device, or not one for each process.
    """
    rank, world, local, here = (
        int(os.environ.get(name, default))
        for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 1))
    )
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if kind not in ("cpu", "cuda"):
        raise TrainerError(f"no device {kind!r}: cpu or cuda")
    if kind == "cuda" and torch.cuda.device_count() <= local:
        raise TrainerError(
            f"process {local} of this machine has no GPU: there are {torch.cuda.device_count()}"
        )
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    where = torch.device(kind, local) if kind == "cuda" else torch.device("cpu")
    if kind == "cuda":
        torch.cuda.set_device(where)
    attempt = [secrets.token_hex(4)]
    if world > 1:
        dist.init_process_group("cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo")
        dist.broadcast_object_list(attempt, device=torch.device("cpu"))
    try:
        yield Ranks(rank, world, here, where, attempt[0])
    finally:
        if world > 1:
            dist.destroy_process_group()


def distribute(model: Llama, ranks: Ranks, *, checkpointing: str, compiled: bool) -> None:
    """Prepare a model on the meta device, in place: its blocks' forward, and where its parameters will lie.

    Parameters are then allocated on the device, without values.
    """
    model.compiled = compiled
    for layer in model.layers:
        layer.forward = _forward(layer.forward, checkpointing, compiled)
    model.norm.forward = _forward(model.norm.forward, "none", compiled)  # type: ignore[method-assign]
    if ranks.world > 1:
        mesh = init_device_mesh(ranks.device.type, (ranks.world,))
        # Inputs stay as they are: the rotation is fp32, the residual stream has been cast by the model.
        policy = MixedPrecisionPolicy(model.dtype, torch.float32, cast_forward_inputs=False)
        for layer in model.layers:
            fully_shard(layer, mesh=mesh, mp_policy=policy)
        fully_shard(model, mesh=mesh, mp_policy=policy)
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.set_gradient_divide_factor(1.0)  # a sum: `optim.clip` divides it
                module.set_force_sum_reduction_for_comms(True)  # gloo has no sum with a factor
    model.to_empty(device=ranks.device)


def _forward(forward: Callable[..., Any], checkpointing: str, compiled: bool) -> Callable[..., Any]:
    """A block's forward, its activations kept or not, compiled or not. Hooks of FSDP stay outside of it."""
    if checkpointing != "none":
        contexts = {"context_fn": _selective} if checkpointing == "selective" else {}
        forward = functools.partial(
            checkpoint, forward, use_reentrant=False, preserve_rng_state=False, **contexts
        )
    return torch.compile(forward, fullgraph=True, dynamic=False) if compiled else forward


def _selective() -> Any:
    return create_selective_checkpoint_contexts(_policy)


def _policy(context: Any, operation: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if operation in _KEPT else CheckpointPolicy.PREFER_RECOMPUTE
