"""Tensors that FSDP2 shards over 1, 2 and 3 processes, each way saved and read back by each number.

python -m tests.trainer.sharded_saves FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from trainer.checkpoint.folder import Checkpoints, load, read_tensors
from trainer.errors import TrainerError

SHAPES = {"five": (5, 3), "one": (1, 4), "even": (6, 2), "vector": (7,), "bytes": (2, 5)}
WORLDS = (1, 2, 3)


def whole() -> dict[str, Tensor]:
    """What is saved: parameters, a moment of each, a count and a plain table."""
    generator = torch.Generator().manual_seed(0)
    found = {f"model.{name}": torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    found["model.bytes"] = found["model.bytes"].bfloat16()
    found |= {name.replace("model", "exp_avg"): tensor + 1 for name, tensor in found.items()}
    return found | {"count": torch.tensor(3), "table": torch.arange(6).view(2, 3)}


def sharded(values: dict[str, Tensor], mesh: DeviceMesh) -> dict[str, Tensor]:
    """Values as a model's parameters that FSDP2 shards, and moments made like them."""
    model = nn.ParameterDict({name: nn.Parameter(values[f"model.{name}"].clone()) for name in SHAPES})
    fully_shard(model, mesh=mesh)
    tensors = {f"model.{name}": parameter for name, parameter in model.items()}
    for name, parameter in model.items():
        assert isinstance(parameter, DTensor)
        moment = torch.zeros_like(parameter)
        moment.copy_(distribute_tensor(values[f"exp_avg.{name}"], mesh, parameter.placements))
        tensors[f"exp_avg.{name}"] = moment.detach()
    return tensors | {name: values[name].clone() for name in ("count", "table")}


def equal(tensors: dict[str, Tensor], values: dict[str, Tensor]) -> bool:
    found = {name: t.full_tensor() if isinstance(t, DTensor) else t for name, t in tensors.items()}
    return all(torch.equal(found[name], value) for name, value in values.items())


def one_rank(rank: int, root: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{root}/store", rank=rank, world_size=max(WORLDS))
    values = whole()
    blank = {name: torch.zeros_like(value) for name, value in values.items()}
    meshes = {f"{world}": DeviceMesh("cpu", list(range(world))) for world in WORLDS}
    meshes["replicas"] = DeviceMesh("cpu", [[0], [1]], mesh_dim_names=("replicate", "shard"))

    for name, mesh in meshes.items():
        if rank < mesh.size():
            checkpoints = Checkpoints(root / name, 1, rank, mesh.size(), "start")
            tensors = sharded(values, mesh)
            checkpoints.save(1, tensors, {"written by": name})
            for tensor in tensors.values():
                tensor.detach().zero_()
            checkpoints.wait()
            assert checkpoints.steps() == [1]
    dist.barrier()
    for written in meshes:
        path = root / written / "step-00000001"
        for mesh in meshes.values():
            if rank < mesh.size():
                tensors = sharded(blank, mesh)
                assert load(path, tensors) == {"written by": written}
                assert equal(tensors, values), (written, mesh)
        assert equal(read_tensors(path), values)
    if rank < 2:
        columns = distribute_tensor(torch.zeros(4, 4), meshes["2"], [Shard(1)])
        with pytest.raises(TrainerError, match=r"columns is sharded as .*dim=1"):
            Checkpoints(root / "columns", 1, rank, 2, "start").save(1, {"columns": columns}, {})
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(one_rank, (Path(sys.argv[1]),), nprocs=max(WORLDS))
