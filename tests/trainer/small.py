"""A model so small that a hundred steps take a second, trained in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from trainer import presets
from trainer.console import Console
from trainer.data import open_corpus
from trainer.evaluate.scores import Score
from trainer.parallel import Ranks
from trainer.presets import Preset
from trainer.recipe import Options, resolve
from trainer.run import Run
from trainer.train import train

PRESET = dataclasses.replace(
    presets.load("tiny"), dim=32, heads=2, layers=1, length=16, batch_tokens=64, warmup_steps=10
)
ALONE = Ranks(0, 1, 1, torch.device("cpu"), "start")


def options(shards: Path, output: Path, **changes: Any) -> Options:
    few: dict[str, Any] = {"micro_batch": 2, "compiled": False, "evaluate_tokens": 400, "watts": 10.0}
    return Options(**few | {"data": str(shards), "output": output} | changes)


def prepare(
    shards: Path, output: Path, steps: int, preset: Preset = PRESET, explosion: float = 10.0, **changes: Any
) -> Run:
    """A run of so many steps, before its next one."""
    within = changes.pop("within_documents", False)
    recipe = resolve(
        preset,
        open_corpus(str(shards)),
        tokens=steps * preset.batch_tokens,
        seed=0,
        within_documents=within,
        explosion=explosion,
        start=changes.get("start"),
    )
    output.mkdir(exist_ok=True)
    return Run(recipe, options(shards, output, **changes), ALONE)


def finish(run: Run, console: Console | None = None) -> dict[str, Score]:
    """Take all its steps."""
    with one_thread():
        return train(run, open_corpus(run.options.data), console or Console(silent=True))


@contextmanager
def one_thread() -> Iterator[None]:
    """The same sums in the same order, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
