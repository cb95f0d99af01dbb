"""Checkpoints: whole or not there, bit for bit, read by any number of ranks; failures are never lost."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.saves import STATE, bits, blank, saved, some_tensors
from trainer.checkpoint import folder as checkpoint
from trainer.checkpoint.folder import Checkpoints, find, load, read_state, read_tensors
from trainer.errors import TrainerError

ROOT = Path(__file__).parents[2]


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
