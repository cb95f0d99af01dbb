"""Checkpoints read back: damage, other tensors and what is no checkpoint are named, with what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.trainer.saves import bits, blank, saved, some_tensors
from trainer.checkpoint import durable
from trainer.checkpoint.folder import Checkpoints, find, load, read_tensors
from trainer.errors import TrainerError


def edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def flip(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("rank-00000.safetensors", flip, "does not have the SHA-256 of manifest.json"),
        ("rank-00000.safetensors", lambda data: data[:-1], r"has [\d,]+ bytes where [\d,]+ were written"),
        ("rank-00000.safetensors", None, "cannot be read .No such file"),
        (
            "rank-00000.json",
            lambda data: data.replace(b'"rows": 7', b'"rows": 6'),
            "does not have the SHA-256",
        ),
        ("rank-00000.json", lambda data: b"", r"has 0 bytes where [\d,]+ were written"),
        ("rank-00000.json", None, "cannot be read .No such file"),
        (
            "manifest.json",
            lambda data: data.replace(b"512", b"513"),
            "does not have the SHA-256 written in it",
        ),
        ("manifest.json", lambda data: data[: len(data) // 2], "cannot be read"),
        ("manifest.json", lambda data: b"[]", "cannot be read"),
        ("manifest.json", lambda data: b"{}", "cannot be read"),
        ("manifest.json", lambda data: b"\xff", "cannot be read"),
    ],
)
def test_damage_names_the_file_and_what_to_do(
    file: str, damage: Callable[[bytes], bytes] | None, message: str, tmp_path: Path
) -> None:
    saved(tmp_path, steps=(1, 2))
    path = tmp_path / "step-00000002"
    if damage:
        edit(path / file, damage)
    else:
        (path / file).unlink()
    message = (
        rf"{re.escape(str(path / file))} {message}.*; delete {path} to go on from the checkpoint before it"
    )
    tensors = blank(some_tensors())
    with pytest.raises(TrainerError, match=message):
        load(path, tensors)
    with pytest.raises(TrainerError, match=message):
        read_tensors(path)
    assert load(tmp_path / "step-00000001", tensors)["step"] == 1


def test_rows_that_no_rank_wrote_are_missed(tmp_path: Path) -> None:
    saved(tmp_path)
    path = find(tmp_path)
    edit(path / "rank-00000.json", lambda data: data.replace(b'"rows": 7', b'"rows": 6'))
    manifest = json.loads((path / "manifest.json").read_bytes())
    del manifest["sha256"]
    manifest["files"]["rank-00000.json"] = durable.fingerprint(path / "rank-00000.json")
    durable.write_json(path / "manifest.json", manifest | {"sha256": durable.digest(manifest)})
    with pytest.raises(TrainerError, match=r"holds 6 of rows 0 to 7 of model\.w; delete"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model.w": torch.zeros(7, 6)},
            r"model\.w is .*\[7, 5\].*, where .*\[7, 6\].* is asked for; go on with",
        ),
        ({"model.w": torch.zeros(7, 5).double()}, r"model\.w is .*float32.*, where .*float64.* is asked for"),
        ({"another": torch.zeros(1)}, r"another is None, where .* is asked for"),
        ({"model.w": None}, r"model\.w is .*, where None is asked for"),
    ],
)
def test_other_tensors_than_were_saved_are_named(
    change: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    saved(tmp_path)
    tensors = blank(some_tensors())
    before = bits(tensors)
    asked = {name: tensor for name, tensor in (tensors | change).items() if tensor is not None}
    with pytest.raises(TrainerError, match=rf"step-00000001: tensor {message}"):
        load(find(tmp_path), asked)
    assert bits(tensors) == before
    with pytest.raises(TrainerError, match="holds no tensor another"):
        read_tensors(find(tmp_path), ["another"])


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="holds no complete checkpoint; is it the folder of a run"):
        find(tmp_path / "nowhere")
    saved(tmp_path, steps=(1, 3))
    with pytest.raises(TrainerError, match=r"holds no checkpoint of step 2; choose one of \[1, 3\]"):
        find(tmp_path, 2)
    with pytest.raises(TrainerError, match=r"nowhere is no complete checkpoint: .*manifest\.json"):
        load(tmp_path / "nowhere", {})
    with pytest.raises(TrainerError, match="at least 1, not 0"):
        Checkpoints(tmp_path, 0, 0, 1, "start")
