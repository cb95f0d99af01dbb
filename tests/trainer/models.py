"""Small runs and tokenizers to export, and what SentencePiece and `transformers` make of them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

import torch

from corpus.sample import TEXTS
from tests.tokenizer.conftest import train
from trainer.checkpoint.folder import Checkpoints
from trainer.model import Llama
from trainer.presets import Shape

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}  # before their libraries are imported

SHAPE = Shape(dim=32, heads=4, layers=2, vocab=300, norm_eps=1e-4, rope_theta=5_000.0)
LENGTH = 64


def random_model(shape: Shape = SHAPE, seed: int = 0) -> Llama:
    """Weights larger than at the start of training, so that a wrong order of rows shows in the logits."""
    model = Llama(shape)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(1.0 if parameter.dim() == 1 else 0.0, 0.15, generator=generator)
    return model


def write_run(
    run: Path, models: dict[int, Llama], tokenizer: Path | None = None, length: int = LENGTH
) -> Path:
    """A run's folder with a checkpoint a step, as python -m trainer leaves it."""
    checkpoints = Checkpoints(run / "checkpoints", keep=len(models), rank=0, world=1, attempt="a")
    for step, model in models.items():
        parameters = dict(model.named_parameters())
        tensors = {f"model.{name}": p.detach() for name, p in parameters.items()}
        tensors |= {f"exp_avg.{name}": torch.zeros_like(p) for name, p in parameters.items()}
        sha256 = hashlib.sha256(tokenizer.read_bytes()).hexdigest() if tokenizer else "0" * 64
        state: dict[str, Any] = {
            "shape": dataclasses.asdict(model.shape),
            "length": length,
            "tokenizer_sha256": sha256,
            "step": step,
        }
        checkpoints.save(step, tensors, state)
    checkpoints.wait()
    return run


def write_tokenizer(folder: Path, name: str = "tokenizer", vocab: int = 1_000, **changes: object) -> Path:
    """A small model of LLaMA's settings, of pages and of repetitions, which could be cut in many ways."""
    pages = [path.read_text("utf-8") for path in sorted((TEXTS / "pages").rglob("*.txt"))]
    repeated = [unit * n for unit in ("a", "ab", "aab", "-=-", "= ", "  ") for n in range(1, 40)]
    return train(folder, name, [*pages, *repeated], vocab_size=vocab, **changes)
