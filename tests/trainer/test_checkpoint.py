"""Checkpoints: whole or not there, bit for bit, read by any number of ranks; damage is named."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trainer import checkpoint, durable
from trainer.checkpoint import Checkpoints, find, load, read_state, read_tensors
from trainer.errors import TrainerError

ROOT = Path(__file__).parents[2]
STATE = {"position": 512, "config": {"preset": "tiny", "rates": [0.1, 3e-4]}, "loss": float("inf")}


def some_tensors() -> dict[str, Tensor]:
    """Every bit counts: negative zero, NaN with a payload, the smallest numbers, other types and strides."""
    odd = torch.tensor([0x80000000, 0x7FC01234, 1, 0x7F800000], dtype=torch.int64).to(torch.int32)
    return {
        "model.w": torch.randn(7, 5, generator=torch.Generator().manual_seed(0)),
        "model.odd": odd.view(torch.float32),
        "model.half": torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).bfloat16(),
        "exp_avg.w": torch.arange(12.0).view(3, 4).t(),
        "empty": torch.zeros(0, 3),
        "step": torch.tensor(41),
    }


def blank(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.full_like(tensor, 9) for name, tensor in tensors.items()}


def bits(tensors: dict[str, Tensor]) -> dict[str, tuple[Any, ...]]:
    return {
        name: (t.dtype, t.shape, t.contiguous().flatten().view(torch.uint8).tolist())
        for name, t in tensors.items()
    }


def saved(folder: Path, keep: int = 3, steps: tuple[int, ...] = (1,)) -> Checkpoints:
    checkpoints = Checkpoints(folder, keep, 0, 1, "start")
    for step in steps:
        checkpoints.save(step, some_tensors(), STATE | {"step": step})
    checkpoints.wait()
    return checkpoints


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    saved(tmp_path)
    path, tensors = find(tmp_path), blank(some_tensors())
    tensors["model.w"].requires_grad_()
    assert load(path, tensors) == STATE | {"step": 1} == read_state(path)
    assert bits(tensors) == bits(some_tensors()) == bits(read_tensors(path))
    assert bits(read_tensors(path, ["step"])) == bits({"step": torch.tensor(41)})
    assert names(path) == ["manifest.json", "rank-00000.json", "rank-00000.safetensors"]
    assert len({file.stat().st_mode for file in path.iterdir()}) == 1


def test_the_values_at_the_moment_of_save_are_written(tmp_path: Path, monkeypatch: Any) -> None:
    """The writer is held until tensors and state are changed; training went on meanwhile."""
    changed, write = threading.Event(), checkpoint.save_file

    def late(*args: Any) -> None:
        assert changed.wait(60)
        write(*args)

    monkeypatch.setattr(checkpoint, "save_file", late)
    checkpoints, tensors, state = Checkpoints(tmp_path, 3, 0, 1, "start"), some_tensors(), {"at": [1]}
    for step in (1, 2):  # the second goes through the buffers of the first
        changed.clear()
        checkpoints.save(step, tensors, state)
        assert checkpoints.steps() == list(range(1, step))
        for tensor in tensors.values():
            tensor.fill_(step)
        state["at"].append(step)
        changed.set()
        checkpoints.wait()
    assert bits(read_tensors(find(tmp_path, 1))) == bits(some_tensors())
    assert bits(read_tensors(find(tmp_path, 2))) == bits(
        {name: torch.ones_like(tensor) for name, tensor in some_tensors().items()}
    )
    assert [read_state(find(tmp_path, step))["at"] for step in (1, 2)] == [[1], [1, 1]]


def test_only_the_last_ones_are_kept(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, keep=2, steps=(100, 200, 300))
    assert checkpoints.steps() == [200, 300]
    assert names(tmp_path) == ["step-00000200", "step-00000300"]
    assert find(tmp_path).name == "step-00000300"
    assert find(tmp_path, 200).name == "step-00000200"


def test_a_run_that_went_back_replaces_what_it_does_again(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, keep=2, steps=(100, 200, 300))
    checkpoints.save(200, some_tensors(), {"again": True})
    checkpoints.wait()
    assert names(tmp_path) == ["step-00000200"]
    assert read_state(find(tmp_path)) == {"again": True}


def test_a_start_deletes_leftovers_of_others_alone(tmp_path: Path) -> None:
    saved(tmp_path)
    for name in ("step-00000002.tmp-killed", ".deleted-step-00000000", "step-00000002.tmp-now"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
    assert Checkpoints(tmp_path, 3, 1, 2, "now").steps() == [1]
    assert len(names(tmp_path)) == 4
    assert Checkpoints(tmp_path, 3, 0, 2, "now").steps() == [1]
    assert names(tmp_path) == ["step-00000001", "step-00000002.tmp-now"]


def test_a_checkpoint_has_its_name_when_all_of_it_is_on_disk(tmp_path: Path, monkeypatch: Any) -> None:
    """Names of files may reach the disk before their bytes do; after a loss of power that would be a hole."""
    forced: set[int] = set()
    left: list[str] = []
    fsync, rename = os.fsync, os.rename

    def forcing(number: int) -> None:
        forced.add(os.fstat(number).st_ino)
        fsync(number)

    def renaming(old: Path, new: Path) -> None:
        if Path(new).name == "step-00000001":
            left.extend(
                path.name for path in [Path(old), *Path(old).iterdir()] if path.stat().st_ino not in forced
            )
            forced.clear()
        rename(old, new)

    monkeypatch.setattr(os, "fsync", forcing)
    monkeypatch.setattr(os, "rename", renaming)
    saved(tmp_path)
    assert left == []
    assert forced == {tmp_path.stat().st_ino}  # and the name itself


def run(module: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.trainer.{module}", *args],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_killed_at_each_system_call_nothing_half_is_seen(tmp_path: Path) -> None:
    assert int(run("killed_saves", "calls", str(tmp_path))) > 50


def test_killed_at_random_moments_the_latest_is_whole(tmp_path: Path) -> None:
    assert int(run("killed_saves", "moments", str(tmp_path))) > 0


def test_any_number_of_ranks_reads_what_another_wrote(tmp_path: Path) -> None:
    run("sharded_saves", str(tmp_path))


def test_ranks_wait_for_each_other(tmp_path: Path) -> None:
    first, second = (Checkpoints(tmp_path, 1, rank, 2, "start") for rank in (0, 1))
    for step in (7, 7, 8):
        second.save(step, some_tensors(), STATE)
        first.save(step, some_tensors(), STATE)
        second.wait()
        assert step in first.steps()
    first.wait()
    assert first.steps() == [8]
    assert bits(read_tensors(find(tmp_path))) == bits(some_tensors())
    sizes = [(find(tmp_path) / f"rank-0000{rank}.safetensors").stat().st_size for rank in (0, 1)]
    assert sizes[0] > 200 > sizes[1]  # plain tensors lie in rank 0's file alone


@pytest.mark.parametrize(
    ("rank", "message"), [(0, r"rank-00001\.json did not come within"), (1, "rank 0 did not complete")]
)
def test_a_rank_that_does_not_come_is_named(
    rank: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "PATIENCE", 0.1)
    alone = Checkpoints(tmp_path, 1, rank, 2, "start")
    alone.save(1, some_tensors(), STATE)
    with pytest.raises(TrainerError, match=message):
        alone.wait()
    assert alone.steps() == []


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


def test_a_write_that_failed_is_raised_once_by_the_next_call(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path)
    (tmp_path / "step-00000002.tmp-start").write_text("in the way")
    checkpoints.save(2, some_tensors(), STATE)
    with pytest.raises(TrainerError, match=r"could not be written to .*File exists.*; see to its space"):
        checkpoints.save(3, some_tensors(), STATE)
    checkpoints.wait()
    assert checkpoints.steps() == [1]
    checkpoints.save(4, some_tensors(), STATE)
    checkpoints.wait()
    assert checkpoints.steps() == [1, 4]


def test_a_disk_that_takes_no_more_fails_the_save(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 1, 0, 1, "start")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    try:
        checkpoints.save(1, {"large": torch.zeros(1 << 20)}, STATE)
        with pytest.raises(TrainerError, match=r"could not be written to .*File too large"):
            checkpoints.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoints.steps() == []
