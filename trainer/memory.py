"""What a run needs on each device, in bytes, so that one that cannot fit is told before it starts.

Parameters, gradients and the two moments of AdamW are fp32, spread over the ranks. What the backward pass
needs of the forward one is counted by token; kernels' own space is not, so what is near the limit may not fit
either.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch

from trainer.errors import TrainerError
from trainer.loss import CHUNK
from trainer.parallel import Ranks
from trainer.recipe import PRECISIONS, Options, Recipe

_STATE = 16  # bytes a parameter: itself, gradient, two moments
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def needed(recipe: Recipe, options: Options, world: int) -> int:
    """Bytes on each of `world` devices."""
    shape, width = recipe.shape, PRECISIONS[recipe.precision].itemsize
    tokens = options.micro_batch * recipe.length
    block = (8 * shape.dim + 3 * shape.hidden) * width  # what a block keeps of a token
    layer = (shape.parameters - 2 * shape.vocab * shape.dim) // shape.layers
    kept = {
        "none": shape.layers * block,
        "selective": shape.layers * (7 * shape.dim + 2 * shape.hidden) * width + block,
        "full": shape.layers * shape.dim * width + block,
    }[options.checkpointing]
    output = shape.vocab * shape.dim
    loss = CHUNK * shape.vocab * (4 + 4 + width) + output * (4 + width)
    # Weights in the type that is computed in: kept for the way back, or gathered, two blocks at a time.
    cast = 2 * (layer + output) * width if world > 1 else (shape.parameters * width if width < 4 else 0)
    return shape.parameters * _STATE // world + cast + tokens * kept + loss


def available(ranks: Ranks) -> int:
    """Bytes of a device; of a machine's memory this process's part."""
    if ranks.device.type == "cuda":
        return int(torch.cuda.get_device_properties(ranks.device).total_memory)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if _CGROUP_LIMIT.exists() and (limit := _CGROUP_LIMIT.read_text().strip()) != "max":
        memory = min(memory, int(limit))
    return memory // ranks.here


def check(recipe: Recipe, options: Options, ranks: Ranks) -> None:
    """Check that a run can fit.

    Raises:
        TrainerError: it cannot.
    """
    need, there = needed(recipe, options, ranks.world), available(ranks)
    if need > there:
        raise TrainerError(
            f"a model of {recipe.shape.parameters:,} parameters needs about {need / 1e9:.1f} GB on each of "
            f"{ranks.world} devices with micro-batches of {options.micro_batch}; {ranks.device} has "
            f"{there / 1e9:.1f} GB. Use more devices, --checkpointing full, a smaller --micro-batch, "
            "or a smaller preset"
        )
