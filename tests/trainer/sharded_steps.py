"""Steps of a small run on 2 processes, and what 3 make of it.

python -m tests.trainer.sharded_steps FOLDER, where FOLDER/shards is a corpus: writes FOLDER/WORLD-RANK.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from torch.distributed.tensor import DTensor

from tests.trainer.models import SHAPE
from tokenizer.reader import Corpus, Reader
from trainer.data import Loader
from trainer.errors import TrainerError
from trainer.model import Llama
from trainer.parallel import Ranks, ranks
from trainer.recipe import Options, Recipe
from trainer.run import Run

STEPS, BATCH, LENGTH = 5, 8, 48
PRECISIONS = ("fp32", "bf16")


def recipe(precision: str) -> Recipe:
    """A hot one, so that weights that go wrong show in the next loss."""
    return Recipe(SHAPE, LENGTH, BATCH, STEPS, 1e-2, 1, 0, precision, True, 10.0, "", "")


def made(folder: Path, ranks: Ranks, precision: str = "fp32", checkpointing: str = "none") -> Run:
    options = Options(
        str(folder / "shards"),
        folder / f"run-{ranks.world}",
        micro_batch=3,
        compiled=False,
        checkpointing=checkpointing,
    )
    return Run(recipe(precision), options, ranks)


def loader(folder: Path, run: Run) -> Loader:
    reader = Reader(
        [Corpus.open(folder / "shards")], LENGTH, run.recipe.seed, folder / f"cache-{os.getpid()}"
    )
    return Loader(
        reader,
        size=BATCH,
        micro=run.options.micro_batch,
        rank=run.ranks.rank,
        world=run.ranks.world,
        start=0,
        device=run.ranks.device,
        documents=run.recipe.within_documents,
    )


def digests(model: Llama) -> dict[str, str]:
    """SHA-256 of each whole parameter."""
    whole = {name: p.full_tensor() if isinstance(p, DTensor) else p for name, p in model.named_parameters()}
    return {name: hashlib.sha256(p.detach().numpy()).hexdigest() for name, p in whole.items()}


def steps(folder: Path, ranks: Ranks, precision: str, checkpointing: str = "none") -> dict[str, Any]:
    """What a run says of its first weights and of each step."""
    run = made(folder, ranks, precision, checkpointing)
    first, taken, rows = digests(run.model), [], []
    with loader(folder, run) as batches:
        for _ in range(STEPS):
            batch = next(batches)
            rows.append([row for micro in batch for row in micro.tokens_BT.tolist()])
            taken.append(run.take(batch, len(batches.sources), 1.0, lambda: False))
    return {
        "first": first,
        "rows": rows,
        "losses": [sum(step.losses) / BATCH / LENGTH for step in taken],
        "by source": [step.losses for step in taken],
        "tokens": [step.tokens for step in taken],
        "norms": [step.norm for step in taken],
        "joules": [step.joules for step in taken],
    }


def one_rank(rank: int, folder: Path, ports: tuple[int, int]) -> None:
    torch.set_num_threads(1)
    for world, port in zip((2, 3), ports, strict=True):
        if rank >= world:
            continue
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
        os.environ |= dict(zip(names, map(str, (rank, world, rank, world, port)), strict=True))
        os.environ["MASTER_ADDR"] = "127.0.0.1"
        with ranks("cpu") as here:
            said: dict[str, Any] = {"attempt": here.attempt}
            if world == 2:
                said |= {precision: steps(folder, here, precision) for precision in PRECISIONS}
                said["selective"] = steps(folder, here, "fp32", "selective")
            else:
                run = made(folder, here)
                said["first"] = digests(run.model)
                try:
                    loader(folder, run).close()
                except TrainerError as error:
                    said["error"] = str(error)
        (folder / f"{world}-{rank}.json").write_text(json.dumps(said))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


if __name__ == "__main__":
    mp.spawn(one_rank, (Path(sys.argv[1]), (free_port(), free_port())), nprocs=3)
