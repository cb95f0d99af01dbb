"""Checkpoints → models: a Hugging Face folder on disk, or a `Llama` in memory.

In: a checkpoint folder of a run (or a Hugging Face folder, to restore). Out: config.json,
generation_config.json, weights in files of at most 5 GB, and with a tokenizer its files, so that
`transformers` gives the same logits and ids. The weights of one file are held at a time.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from trainer.checkpoint.durable import sync
from trainer.checkpoint.folder import find
from trainer.checkpoint.reader import MANIFEST, Checkpoint
from trainer.errors import TrainerError
from trainer.export.hugging_face import INDEX, WEIGHTS, config_of, load_hf, shapes, their_name, to_theirs
from trainer.export.tokenizer_json import read_tokenizer
from trainer.model import Llama
from trainer.presets import Shape

TOKENIZER = "tokenizer.model"
LARGEST_FILE = 5_000_000_000  # bytes; what transformers' save_pretrained cuts at
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
_BEGIN, _END = 1, 2  # marks in LLaMA's tokenizer, where none is given


def export(
    checkpoint: Path,
    output: Path,
    tokenizer: Path | None,
    dtype: torch.dtype,
    largest_file: int = LARGEST_FILE,
) -> None:
    """Write a Hugging Face folder.

    Args:
        checkpoint: folder of one step.
        output: folder to make; it appears when it is whole.
        tokenizer: the SentencePiece model that the shards were made with; None writes no tokenizer files.
        dtype: of the weights written.
        largest_file: bytes of weights in a file, at most (a single tensor may be larger).

    Raises:
        TrainerError: the checkpoint cannot be read, the folder exists, or the tokenizer is not the model's.
    """
    if output.exists():
        raise TrainerError(f"{output} exists already; give another folder, or delete it")
    read = Checkpoint(checkpoint)
    shape, length = Shape(**read.state["shape"]), read.state["length"]
    texts: dict[str, str] = {}
    begin, end = _BEGIN, _END
    if tokenizer is not None:
        check_tokenizer(tokenizer, read.state["tokenizer_sha256"])
        texts, begin, end = read_tokenizer(tokenizer, length)
    texts["config.json"] = _json(config_of(shape, length, dtype, begin, end))
    texts["generation_config.json"] = _json({"bos_token_id": begin, "eos_token_id": end})

    unfinished = output.with_name(f".{output.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    _write_weights(read, unfinished, shape, dtype, largest_file)
    for name, text in texts.items():
        (unfinished / name).write_text(text, "utf-8")
    if tokenizer is not None:
        shutil.copyfile(tokenizer, unfinished / TOKENIZER)
    for path in [*unfinished.iterdir(), unfinished]:
        sync(path)
    unfinished.rename(output)
    sync(output.parent)


def restore(path: Path, device: torch.device | str) -> Llama:
    """A model with the weights of a checkpoint folder, or of a Hugging Face one; it computes in fp32.

    Raises:
        TrainerError: the folder cannot be read.
    """
    if (path / "config.json").exists():
        shape, tensors = load_hf(path)
    else:
        read = Checkpoint(path)
        shape = Shape(**read.state["shape"])
        tensors = {name: read.tensor(f"model.{name}") for name in shapes(shape)}
    with torch.device("meta"):
        model = Llama(shape)
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return model.to(device)


def checkpoint_of(run: Path, step: int | None) -> Path:
    """The folder of a step of a run, of the last one if None; the folder of a checkpoint is itself.

    Raises:
        TrainerError: there is none.
    """
    if run.name.startswith("step-") and (run / MANIFEST).exists():
        return run
    return find(run / "checkpoints", step)


def tokenizer_of(checkpoint: Path) -> Path | None:
    """The tokenizer that lies in the folder of a checkpoint's run, if one does."""
    path = checkpoint.parent.parent / TOKENIZER
    return path if path.exists() else None


def check_tokenizer(path: Path, sha256: str) -> None:
    """Raise a `TrainerError` unless this is the tokenizer that a model was trained with."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise TrainerError(f"{path}: cannot be read ({error.strerror})") from error
    if found != sha256:
        raise TrainerError(
            f"{path}: not the tokenizer that the model was trained with (sha256 {found[:12]}…, not "
            f"{sha256[:12]}…); give the one that the shards were made with"
        )


def _write_weights(
    checkpoint: Checkpoint, folder: Path, shape: Shape, dtype: torch.dtype, largest_file: int
) -> None:
    sizes = {name: size.numel() * dtype.itemsize for name, size in shapes(shape).items()}
    groups: list[list[str]] = [[]]
    for name, size in sizes.items():
        if groups[-1] and sum(sizes[other] for other in groups[-1]) + size > largest_file:
            groups.append([])
        groups[-1].append(name)
    where: dict[str, str] = {}
    for i, names in enumerate(groups, 1):
        file = WEIGHTS if len(groups) == 1 else f"model-{i:05}-of-{len(groups):05}.safetensors"
        tensors = {
            their_name(name): to_theirs(name, checkpoint.tensor(f"model.{name}").to(dtype), shape.heads)
            for name in names
        }
        save_file(tensors, folder / file, {"format": "pt"})
        (folder / file).chmod(folder.stat().st_mode & 0o666)  # the library lets nobody but the owner read it
        where |= dict.fromkeys(tensors, file)
    if len(groups) > 1:
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": where}
        (folder / INDEX).write_text(_json(index))


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, indent=2) + "\n"
