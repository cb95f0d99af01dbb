"""Checkpoints: tensors of all ranks and a state, written while training goes on, whole or not there at all.

In: named tensors, plain or sharded by FSDP2 (`fully_shard`), and a state that JSON can hold. Out, a folder a
step, which any number of ranks can read:

- ``step-00000100/rank-00000.safetensors``: rows that this rank held of each tensor (plain tensors: rank 0);
- ``step-00000100/rank-00000.json``: shape and dtype of each whole tensor, and which rows these are;
- ``step-00000100/manifest.json``: step, ranks, state, bytes and SHA-256 of every file, SHA-256 of itself.

A rank copies its rows to host memory, which it keeps for the next save, and a thread writes them to
``step-00000100.tmp-ATTEMPT``. Rank 0's thread waits for the files of the others, writes the manifest, and
names the folder when all is on disk: whenever a process is killed, a folder of that name is complete.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from trainer.checkpoint.durable import delete, digest, fingerprint, sync, write_json
from trainer.checkpoint.reader import MANIFEST, Checkpoint, read_manifest
from trainer.checkpoint.rows import description, local_rows
from trainer.errors import TrainerError

PATIENCE = 1800.0  # seconds a rank waits for the files of the others before it gives a save up


def steps(folder: Path) -> list[int]:
    """Steps of the complete checkpoints in a folder, ascending."""
    names = (path.parent.name.removeprefix("step-") for path in folder.glob(f"step-*/{MANIFEST}"))
    return sorted(int(name) for name in names if name.isdigit())


def find(folder: Path, step: int | None = None) -> Path:
    """The checkpoint of a step, or the last one.

    Raises:
        TrainerError: there is none.
    """
    there = steps(folder)
    if not there:
        raise TrainerError(f"{folder} holds no complete checkpoint; is it the folder of a run?")
    if step is not None and step not in there:
        raise TrainerError(f"{folder} holds no checkpoint of step {step}; choose one of {there}")
    return folder / _name(there[-1] if step is None else step)


class Checkpoints:
    """The checkpoints of a run, as one of its ranks writes them.

    A save holds training up for as long as this rank's rows are copied. One that went wrong is never lost:
    the next `save` or `wait` raises it, after which the run has to start anew (ranks may stand at different
    saves). A process that ends without `wait` gives up the save under way.
    """

    def __init__(self, folder: Path, keep: int, rank: int, world: int, attempt: str) -> None:
        """Prepare to write; rank 0 deletes what starts that were killed left behind.

        Args:
            folder: one that all ranks see.
            keep: how many checkpoints stay, at least 1.
            rank: of this process among `world`.
            world: ranks that write together.
            attempt: the same on all ranks, and another at each start.
        """
        if keep < 1:
            raise TrainerError(f"checkpoints to keep must be at least 1, not {keep}")
        self._folder, self._keep, self._attempt = folder, keep, attempt
        self._rank, self._world = rank, world
        self._staged: dict[str, Tensor] = {}
        self._thread: Thread | None = None
        self._error: Exception | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if rank == 0:
            for leftover in [*folder.glob("step-*.tmp-*"), *folder.glob(".deleted-*")]:
                if not leftover.name.endswith(f".tmp-{attempt}"):  # another rank may be ahead of this one
                    shutil.rmtree(leftover)

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending."""
        return steps(self._folder)

    def save(self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write a checkpoint of tensors and state as they are now, after the save before it is done.

        Replaces one of the same step; later ones, of a run that went back to an earlier step, are deleted.

        Args:
            step: at least 0.
            tensors: the same names on all ranks.
            state: what JSON can hold; it comes back with lists for tuples and strings for keys.

        Raises:
            TrainerError: the save before it went wrong, or a tensor is sharded in a way that is not FSDP2's.
        """
        self.wait()
        manifest = {"step": step, "world": self._world, "state": json.loads(json.dumps(state))}
        staged: dict[str, Tensor] = {}
        layout: dict[str, Any] = {}
        for name, tensor in tensors.items():
            rows, first, primary = local_rows(name, tensor, self._rank)
            if primary:
                buffer = self._staged.get(name)
                if buffer is None or (buffer.shape, buffer.dtype) != (rows.shape, rows.dtype):
                    buffer = torch.empty(rows.shape, dtype=rows.dtype)
                staged[name] = buffer.copy_(rows)
                layout[name] = description(tensor) | {"first": first, "rows": len(rows)}
        self._staged = staged
        self._thread = Thread(target=self._write, args=(step, layout, manifest), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the last save is on disk and the old ones beyond `keep` are deleted.

        Raises:
            TrainerError: it went wrong.
        """
        if self._thread:
            self._thread.join()
            self._thread = None
        if self._error:
            error, self._error = self._error, None
            raise TrainerError(
                f"a checkpoint could not be written to {self._folder}: {error}; see to its space and rights, "
                "then start again from the one before"
            ) from error

    def _write(self, step: int, layout: dict[str, Any], manifest: dict[str, Any]) -> None:
        try:
            folder = self._folder / f"{_name(step)}.tmp-{self._attempt}"
            folder.mkdir(exist_ok=True)
            path = folder / f"rank-{self._rank:05d}.safetensors"
            save_file(self._staged, path)
            path.chmod(folder.stat().st_mode & 0o666)  # the library lets nobody but the owner read it
            sync(path)
            own = path.with_suffix(".json")
            write_json(own, {"tensors": layout, "files": {path.name: fingerprint(path)}})
            if self._rank == 0:
                self._publish(folder, step, manifest)
            else:
                _until(lambda: not own.exists(), f"rank 0 did not complete {folder}")
        except Exception as error:
            self._error = error

    def _publish(self, folder: Path, step: int, manifest: dict[str, Any]) -> None:
        """Give the folder its name when the files of all ranks are there; delete what is not to stay."""
        files: dict[str, Any] = {}
        for path in (folder / f"rank-{rank:05d}.json" for rank in range(self._world)):
            _until(path.exists, f"{path} did not come")
            files |= {path.name: fingerprint(path)} | json.loads(path.read_bytes())["files"]
        manifest["files"] = files
        write_json(folder / MANIFEST, manifest | {"sha256": digest(manifest)})
        final = self._folder / _name(step)
        if final.exists():
            delete(final)
        folder.rename(final)
        sync(self._folder)
        kept = [other for other in self.steps() if other <= step][-self._keep :]
        for other in set(self.steps()) - set(kept):
            delete(self._folder / _name(other))


def load(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Fill tensors in place with those of a checkpoint, bit for bit; any number of ranks may read it.

    Args:
        path: the folder of a step.
        tensors: plain or sharded by FSDP2, all that the checkpoint has and no other.

    Returns:
        The state.

    Raises:
        TrainerError: a file is missing or is not as it was written, or names, shapes or dtypes differ.
    """
    checkpoint = Checkpoint(path)
    asked = {name: description(tensor) for name, tensor in tensors.items()}
    for name in sorted(asked.keys() | checkpoint.tensors.keys()):
        if (found := checkpoint.tensors.get(name)) != asked.get(name):
            raise TrainerError(
                f"{path}: tensor {name} is {found}, where {asked.get(name)} is asked for; "
                "go on with the preset and the optimiser that wrote it, or choose another checkpoint"
            )
    for name, tensor in tensors.items():
        rows, first, _ = local_rows(name, tensor, 0)
        checkpoint.fill(name, rows, first)
    return checkpoint.state


def read_state(path: Path) -> dict[str, Any]:
    """The state of a checkpoint; errors as those of `load`."""
    state: dict[str, Any] = read_manifest(path)["state"]
    return state


def read_tensors(path: Path, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Whole tensors of a checkpoint in host memory, by default all; errors as those of `load`."""
    checkpoint = Checkpoint(path)
    return {name: checkpoint.tensor(name) for name in (checkpoint.tensors if names is None else names)}


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _until(condition: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{otherwise} within {PATIENCE:g} s")
        time.sleep(0.05)
