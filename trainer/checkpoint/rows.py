"""Which rows of a tensor this rank holds: rows of dimension 0; a tensor without dimensions is one row."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate, Shard

from trainer.errors import TrainerError


class Rows(NamedTuple):
    """Rows of a tensor on this rank, which share its memory.

    Attributes:
        rows: them, with at least one dimension.
        first: the number of the first in the whole tensor.
        primary: whether other ranks that hold the same rows leave them to this one to write.
    """

    rows: Tensor
    first: int
    primary: bool


def local_rows(name: str, tensor: Tensor, rank: int) -> Rows:
    """The rows of a tensor on this rank.

    Args:
        name: of the tensor, for the error.
        tensor: plain, the same on all ranks; or sharded on dimension 0 by `fully_shard`, which cuts as
            `torch.chunk`: each rank holds ceil(rows / ranks) until they run out (torch/chunk docs).
        rank: of this process among all; of a plain tensor rank 0 is the primary one.

    Raises:
        TrainerError: the tensor is sharded in another way.
    """
    if not isinstance(tensor, DTensor):
        return Rows(torch.atleast_1d(tensor.detach()), 0, rank == 0)
    with torch.no_grad():
        local: Tensor = torch.atleast_1d(tensor.to_local())
    first, count, primary = 0, tensor.shape[0] if tensor.ndim else 1, True
    mesh = tensor.device_mesh
    known = True
    for placement, size, at in zip(tensor.placements, mesh.shape, mesh.get_coordinate() or (), strict=True):
        if type(placement) is Shard and placement.dim == 0:
            chunk = -(-count // size)
            skipped = min(at * chunk, count)
            first, count = first + skipped, min(chunk, count - skipped)
        elif isinstance(placement, Replicate):
            primary = primary and at == 0
        else:
            known = False
    if not known or len(local) != count:
        raise TrainerError(f"{name} is sharded as {tensor.placements}, not on dimension 0 as by fully_shard")
    return Rows(local, first, primary)


def description(tensor: Tensor) -> dict[str, Any]:
    """``{"shape": [5, 3], "dtype": "float32"}`` of the whole tensor."""
    return {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
