"""One checkpoint read back: rows of its tensors, from whichever ranks' files hold them.

In: the folder of a step (see `trainer.checkpoint.folder`). Out: its state, and any rows of any tensor; no
more of a tensor is read than that, but a file is hashed as a whole before it is used (1.7 GB/s on one core).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from trainer.checkpoint.durable import digest, fingerprint
from trainer.errors import TrainerError

MANIFEST = "manifest.json"


class Checkpoint:
    """A complete checkpoint to read from. A file is verified as a whole before rows of it are read.

    Attributes:
        state: as it was given to `Checkpoints.save`.
        tensors: by name, ``{"shape": [...], "dtype": "float32"}`` of the whole tensor.
    """

    def __init__(self, path: Path) -> None:
        """Read the manifest and where the rows lie.

        Raises:
            TrainerError: it is missing or is not as it was written.
        """
        self._path = path
        manifest = read_manifest(path)
        self.state: dict[str, Any] = manifest["state"]
        self.tensors: dict[str, dict[str, Any]] = {}
        self._files: dict[str, dict[str, Any]] = manifest["files"]
        self._open: dict[str, Any] = {}
        self._pieces: dict[str, list[tuple[str, int, int]]] = {}
        for name in sorted(name for name in self._files if name.endswith(".json")):
            self._verify(name)
            data = name.removesuffix(".json") + ".safetensors"
            for tensor, about in json.loads((path / name).read_bytes())["tensors"].items():
                piece = (data, about.pop("first"), about.pop("rows"))
                self._pieces.setdefault(tensor, []).append(piece)
                self.tensors[tensor] = about

    def tensor(self, name: str) -> Tensor:
        """A whole tensor, in host memory.

        Raises:
            TrainerError: there is none of this name, or a file is missing or is not as it was written.
        """
        if name not in self.tensors:
            raise TrainerError(f"{self._path} holds no tensor {name}; is it of a model of this kind?")
        about = self.tensors[name]
        found = torch.empty(about["shape"], dtype=getattr(torch, about["dtype"]))
        self.fill(name, torch.atleast_1d(found), 0)
        return found

    @torch.no_grad()
    def fill(self, name: str, rows: Tensor, first: int) -> None:
        """Copy rows of a tensor, from number `first` on, as many as there are in `rows`.

        Raises:
            TrainerError: a file is missing or is not as it was written.
        """
        end, filled = first + len(rows), 0
        for file, start, count in self._pieces[name]:
            low, high = max(first, start), min(end, start + count)
            if low < high:
                if file not in self._open:
                    self._open[file] = safe_open(self._verify(file), framework="pt")
                found = self._open[file].get_slice(name)[low - start : high - start]
                rows[low - first : high - first].copy_(found)
                filled += high - low
        if filled != len(rows):
            raise _damage(self._path, f"{self._path} holds {filled:,} of rows {first:,} to {end:,} of {name}")

    def _verify(self, name: str) -> Path:
        path, expected = self._path / name, self._files[name]
        try:
            if (size := path.stat().st_size) != expected["bytes"]:
                raise _damage(
                    self._path, f"{path} has {size:,} bytes where {expected['bytes']:,} were written"
                )
            if fingerprint(path) != expected:
                raise _damage(self._path, f"{path} does not have the SHA-256 of {MANIFEST}")
        except OSError as error:
            raise _damage(self._path, f"{path} cannot be read ({error.strerror})") from error
        return path


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint: ``step``, ``world``, ``state``, ``files``.

    Raises:
        TrainerError: it is missing or is not as it was written.
    """
    file = path / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(file.read_bytes())
        expected = manifest.pop("sha256")
    except OSError as error:
        raise TrainerError(f"{path} is no complete checkpoint: {file}: {error.strerror}") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise _damage(path, f"{file} cannot be read ({error})") from error
    if expected != digest(manifest):
        raise _damage(path, f"{file} does not have the SHA-256 written in it")
    return manifest


def _damage(path: Path, what: str) -> TrainerError:
    return TrainerError(f"{what}; delete {path} to go on from the checkpoint before it")
