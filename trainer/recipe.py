"""What decides a run's losses and is checked when it goes on (recipe), and what does not (options)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tokenizer.reader import Corpus
from trainer.checkpoint.durable import digest, fingerprint
from trainer.errors import TrainerError
from trainer.presets import Preset, Shape

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Recipe:
    """All that decides which parameters come out.

    Attributes:
        shape: of the model.
        length: tokens of a sequence.
        batch: sequences of a global batch.
        steps: in all; the schedule's end.
        learning_rate: its peak.
        warmup_steps: over which it grows.
        seed: of the first weights, and of the order of sequences.
        precision: a key of `PRECISIONS`.
        within_documents: whether attention stays within a document.
        explosion: times its mean at which a gradient's norm is not followed.
        corpus: SHA-256 of its manifest.
        tokenizer: SHA-256.
        start: digest of the first weights, where they are given.
    """

    shape: Shape
    length: int
    batch: int
    steps: int
    learning_rate: float
    warmup_steps: int
    seed: int
    precision: str
    within_documents: bool
    explosion: float
    corpus: str
    tokenizer: str
    start: str | None = None

    def check(self, saved: Mapping[str, Any], where: Path) -> None:
        """Check that a run goes on by the recipe it began with.

        Raises:
            TrainerError: something differs.
        """
        mine = asdict(self)
        differing = [
            f"{key} was {saved.get(key)}, is {mine[key]}" for key in mine if saved.get(key) != mine[key]
        ]
        if differing:
            raise TrainerError(
                f"{where} is of a run with another recipe: {'; '.join(differing)}. "
                "Go on with what it began with, or give another --output"
            )


@dataclass(frozen=True)
class Options:
    """What may change from one start of a run to the next.

    Attributes:
        data: folder or address of shards.
        output: folder of the run.
        micro_batch: sequences a device takes at a time.
        checkpointing: of activations, one of `parallel.CHECKPOINTING`.
        compiled: whether blocks are compiled.
        deterministic: whether kernels that give other bits each time are refused.
        device: ``cpu``, ``cuda``, or None for what there is.
        checkpoint_every: steps.
        keep: checkpoints.
        evaluate_every: steps.
        evaluate_tokens: of each source's held-out set.
        stop_after: a step to stop after, as if asked to; None for the end.
        watts: of a device, instead of measuring.
        pue, kg_per_kwh: see `trainer.carbon`.
        prompts: continued at each evaluation, by the likeliest tokens.
        start: Hugging Face folder with the first weights; None for random ones.
    """

    data: str
    output: Path
    micro_batch: int
    checkpointing: str = "none"
    compiled: bool = True
    deterministic: bool = True
    device: str | None = None
    checkpoint_every: int | None = None
    keep: int = 2
    evaluate_every: int | None = None
    evaluate_tokens: int = 32_768
    stop_after: int | None = None
    watts: float | None = None
    pue: float = 1.1
    kg_per_kwh: float = 0.385
    prompts: Sequence[str] = ()
    start: Path | None = None


def resolve(
    preset: Preset,
    corpus: Corpus,
    *,
    tokens: int | None,
    seed: int,
    within_documents: bool,
    explosion: float,
    start: Path | None = None,
) -> Recipe:
    """The recipe of a preset on a corpus; tokens by default the preset's.

    Raises:
        TrainerError: they do not fit each other.
    """
    if preset.batch_tokens % preset.length:
        raise TrainerError(
            f"a batch of {preset.batch_tokens:,} tokens is no whole number of sequences of {preset.length:,}"
        )
    if preset.precision not in PRECISIONS:
        raise TrainerError(f"no precision {preset.precision!r}: {' or '.join(PRECISIONS)}")
    batch = preset.batch_tokens // preset.length
    there = max(0, int(corpus.starts[-1]) - 1) // preset.length // batch
    steps = there if tokens is None else tokens // preset.batch_tokens
    if not 1 <= steps <= there:
        raise TrainerError(
            f"{corpus.root} holds {corpus.starts[-1]:,} tokens to train on, {there:,} batches of "
            f"{preset.batch_tokens:,}; {steps:,} are wanted. Make more with `llama-corpus mix`, or set "
            "--tokens" + ("" if there else " and --batch-tokens")
        )
    if not 0 <= preset.warmup_steps < steps:
        raise TrainerError(
            f"a warm-up of {preset.warmup_steps:,} steps in a run of {steps:,}: set --warmup-steps"
        )
    pieces = corpus.manifest["tokenizer"].get("pieces")
    if pieces is None:
        raise TrainerError(f"{corpus.root} does not say how many pieces its tokenizer has: run `mix` again")
    return Recipe(
        preset.shape(pieces),
        preset.length,
        batch,
        steps,
        preset.learning_rate,
        preset.warmup_steps,
        seed,
        preset.precision,
        within_documents,
        explosion,
        corpus.sha256.hex(),
        corpus.manifest["tokenizer"]["sha256"],
        None if start is None else _digest(start),
    )


def _digest(folder: Path) -> str:
    """Of the weights of a Hugging Face folder."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise TrainerError(f"{folder} has no *.safetensors: it is no Hugging Face folder with weights")
    return digest([fingerprint(file) for file in files])
