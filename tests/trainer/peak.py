"""The memory that a step really takes, beside what was estimated.

python -m tests.trainer.peak CHECKPOINTING PRECISION: prints the bytes estimated and the bytes measured.
"""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import torch

from trainer import memory, optim, presets
from trainer.model import Llama, initialise
from trainer.parallel import Ranks, distribute
from trainer.presets import Shape
from trainer.recipe import PRECISIONS, Options, Recipe

ROWS = 2


def resident(field: str) -> int:
    """Bytes of this process: `VmRSS` now, `VmHWM` at its peak."""
    (kilobytes,) = re.findall(rf"{field}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) * 1024


def step(recipe: Recipe, options: Options) -> None:
    """One step; the moments are there from its beginning."""
    with torch.device("meta"):
        model = Llama(recipe.shape, PRECISIONS[recipe.precision])
    alone = Ranks(0, 1, 1, torch.device("cpu"), "")
    distribute(model, alone, checkpointing=options.checkpointing, compiled=False)
    optimizer = optim.adamw(model)
    optim.start(optimizer, 0)
    initialise(model, 0)
    tokens_BT = torch.randint(recipe.shape.vocab, (options.micro_batch, recipe.length))
    model(tokens_BT, tokens_BT).sum().backward()
    optim.clip(model.parameters(), 1.0, tokens_BT.numel())
    optim.take_step(optimizer, 1e-4)


if __name__ == "__main__":
    checkpointing, precision = sys.argv[1:]
    preset = presets.load("60m")

    options = Options("", Path(), ROWS, checkpointing, compiled=False)
    recipe = Recipe(preset.shape(2_000), preset.length, ROWS, 2, 1e-3, 1, 0, precision, False, 10.0, "", "")
    step(replace(recipe, shape=Shape(64, 2, 1, 50), length=16), options)  # what libraries take once
    before = resident("VmRSS")
    step(recipe, options)
    print(memory.needed(recipe, options, 1), resident("VmHWM") - before)
