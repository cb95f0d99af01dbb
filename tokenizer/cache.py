"""Files of shards, verified once: where they lie, or copied from elsewhere to a folder of this machine.

In: (path, offset, length) → bytes, a function of the caller's for shards that lie elsewhere. Out: memory maps
of files whose SHA-256 is the corpus's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from tokenizer.shards import TOKEN, ShardError, Tokens

Open = Callable[[str, int, int], bytes]

_BLOCK = 8 << 20


def read_local(path: str, offset: int, length: int) -> bytes:
    """Bytes of a local file; fewer where it ends."""
    with open(path, "rb") as f:
        f.seek(offset)
        return f.read(length)


class VerifiedFiles:
    """Maps the tokens of shards after their size and SHA-256 have been checked.

    A local file is hashed once, and again when its size or time changes; what was found is kept in `folder`.
    A remote one is copied there, hashed meanwhile, under a temporary name, then renamed.
    """

    def __init__(self, folder: str | Path, open_: Open | None, keep: int) -> None:
        """Use a folder as the cache.

        Args:
            folder: made where it is not there; may be shared by processes.
            open_: how remote files are read; None for local ones.
            keep: copies that stay, the latest used.
        """
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._open = open_
        self._keep = keep
        self._copies: list[Path] = []

    def tokens(self, path: str, count: int, sha256: bytes) -> Tokens:
        """The tokens of a ``.bin`` file, as a map of it.

        Raises:
            ShardError: it is missing, has another size, or other content.
        """
        size = count * TOKEN.itemsize
        verify = self._verified if self._open is None else self._copy
        local = verify(path, size, sha256)
        return np.memmap(local, TOKEN, "r") if count else np.empty(0, TOKEN)

    def _verified(self, name: str, size: int, sha256: bytes) -> Path:
        path = Path(name)
        try:
            stat = path.stat()
        except FileNotFoundError as error:
            raise ShardError(f"{path} is missing") from error
        if stat.st_size != size:
            raise ShardError(f"{path} has {stat.st_size:,} bytes where {size:,} were written")
        note = self._folder / f"{sha256.hex()}.verified"
        state = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
        if not note.is_file() or note.read_text() != state:
            digest = hashlib.sha256()
            with open(path, "rb") as f:
                while block := f.read(_BLOCK):
                    digest.update(block)
            _check(str(path), digest.digest(), sha256)
            self._write(note, state.encode())
        return path

    def _copy(self, path: str, size: int, sha256: bytes) -> Path:
        assert self._open is not None
        place = self._folder / f"{sha256.hex()}.bin"
        if not place.is_file() or place.stat().st_size != size:
            digest = hashlib.sha256()
            with self._temporary(place) as f:
                done = 0
                while done < size:
                    try:
                        block = self._open(path, done, min(_BLOCK, size - done))
                    except FileNotFoundError as error:
                        raise ShardError(f"{path} is missing") from error
                    if not block:
                        raise ShardError(f"{path} ends at byte {done:,} where {size:,} were written")
                    digest.update(block)
                    f.write(block)
                    done += len(block)
                _check(path, digest.digest(), sha256)
        self._use(place)
        return place

    def _use(self, place: Path) -> None:
        """Remember a copy as the latest used, and delete the oldest beyond those that stay.

        A map of a deleted file stays good as long as it is held.
        """
        if place in self._copies:
            self._copies.remove(place)
        self._copies.append(place)
        while len(self._copies) > self._keep:
            self._copies.pop(0).unlink(missing_ok=True)

    def _write(self, place: Path, data: bytes) -> None:
        with self._temporary(place) as f:
            f.write(data)

    @contextlib.contextmanager
    def _temporary(self, place: Path) -> Iterator[IO[bytes]]:
        """A file that appears under its name when the block ends well."""
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=f".{place.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as f:
                yield f
            os.replace(name, place)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _check(path: str, found: bytes, expected: bytes) -> None:
    if found != expected:
        raise ShardError(
            f"{path} does not have the SHA-256 of its corpus's table: it was altered, or is of another corpus"
        )
