"""What the loader costs: the share of a run's time that it lets the device wait, and its speed alone."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from tests.bench.measure import process
from tests.trainer.corpora import write_corpus
from tokenizer.reader import Reader
from trainer.data import Loader, open_corpus
from trainer.metrics.log import read_metrics
from trainer.presets import Preset

_SHARDS = 4
_LONGEST = 2_000  # tokens of a document, half of it on average
_PIECES = 2_000
_SLICE_TOKENS = 4 << 20


class Waited(NamedTuple):
    """Seconds of the steps of a run but the first, those it waited in them, and how many steps there were."""

    steps: int
    seconds: float
    waited: float


def write(folder: Path, tokens: int) -> str:
    """Write shards of at least so many tokens, and what `speed` reads; returns their folder."""
    documents = -(-max(tokens, _SLICE_TOKENS) * 5 // (2 * _LONGEST * _SHARDS))
    return str(write_corpus(folder, [documents] * _SHARDS, {}, vocab=_PIECES, longest=_LONGEST))


def waited(data: str, output: Path, preset: Preset, steps: int, device: torch.device) -> Waited:
    """Train with a preset in a process of its own, and read what its log says of waiting."""
    options = {
        "data": data,
        "output": output,
        "preset": preset.name,
        "batch-tokens": preset.batch_tokens,
        "tokens": steps * preset.batch_tokens,
        "warmup-steps": 1,
        "device": device.type,
        "evaluate-every": steps,
        "checkpoint-every": steps,
    }
    given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    process([sys.executable, "-m", "trainer", *given])
    records = [r for r in read_metrics(output / "metrics.jsonl") if r["kind"] == "train"]
    columns = np.array([(r["step_seconds"], r["wait_seconds"]) for r in records[1:]])
    return Waited(len(columns), *columns.sum(0).tolist())


def speed(data: str, preset: Preset, device: torch.device) -> float:
    """Tokens a second that come out when nothing else is done: read, with sources, and on the device."""
    reader = Reader([open_corpus(data)], preset.length, 0)
    size = preset.batch_tokens // preset.length
    tokens, start = 0, time.perf_counter()
    with Loader(
        reader, size=size, micro=preset.micro_batch, rank=0, world=1, start=0, device=device
    ) as loader:
        for batches in loader:
            tokens += sum(batch.tokens_BT.numel() for batch in batches)
            if tokens >= _SLICE_TOKENS:
                break
    return tokens / (time.perf_counter() - start)
