"""Files of shards, verified once: where they lie, or copied from elsewhere to a folder of this machine.

In: (path, offset, length) → bytes, a function of the caller's for shards that lie elsewhere. Out: memory maps
of files whose SHA-256 is the corpus's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import IO

import numpy as np

from tokenizer.shards import TOKEN, ShardError, Tokens

Open = Callable[[str, int, int], bytes]

_BLOCK = 8 << 20
_OTHER = "{} does not have the SHA-256 of its corpus's table: it was altered, or is of another corpus"


def read_local(path: str, offset: int, length: int) -> bytes:
    """Bytes of a local file; fewer where it ends."""
    with open(path, "rb") as f:
        f.seek(offset)
        return f.read(length)


class VerifiedFiles:
    """Maps the tokens of shards after their size and SHA-256 have been checked.

    A file is hashed once, and again when its size or time changes; what was found is kept in `folder`. A
    remote one is copied there, hashed meanwhile, under a temporary name, then renamed.
    """

    def __init__(self, folder: str | Path, open_: Open | None, keep: int) -> None:
        """Use a folder as the cache.

        Args:
            folder: made where it is not there; may be shared by processes.
            open_: how remote files are read, from any thread; None for local ones.
            keep: copies that stay, the latest used; those that are there already are older.
        """
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._open = open_
        self._keep = keep
        self._copies = sorted(self._folder.glob("*.bin")) if open_ else []
        self._lock = threading.Lock()  # of the list of copies
        self._ahead: dict[str, Future[Path]] = {}

    def tokens(self, path: str, count: int, sha256: bytes, again: bool = False) -> Tokens:
        """The tokens of a ``.bin`` file, as a map of it.

        Args:
            path: of the file.
            count: its tokens.
            sha256: of it.
            again: hash it whatever is known of it.

        Raises:
            ShardError: it is missing, has another size, or other content.
        """
        ahead = self._ahead.pop(path, None)
        local = ahead.result() if ahead and not again else self._checked(path, count, sha256, again)
        return np.memmap(local, TOKEN, "r") if count else np.empty(0, TOKEN)

    def ahead(self, path: str, count: int, sha256: bytes) -> None:
        """Begin to copy and check a file that will be asked for soon; its errors come when it is."""
        found: Future[Path] = Future()

        def check() -> None:
            try:
                found.set_result(self._checked(path, count, sha256))
            except Exception as error:
                found.set_exception(error)

        self._ahead = {path: found}
        # Not one of a pool: a process that ends need not wait for it.
        threading.Thread(target=check, daemon=True).start()

    def _checked(self, path: str, count: int, sha256: bytes, again: bool = False) -> Path:
        size = count * TOKEN.itemsize
        if self._open is not None:
            return self._copy(path, size, sha256, again)
        try:
            found = os.stat(path).st_size
        except FileNotFoundError as error:
            raise ShardError(f"{path} is missing") from error
        if found != size:
            raise ShardError(f"{path} has {found:,} bytes where {size:,} were written")
        if not self._is_right(Path(path), sha256, again):
            raise ShardError(_OTHER.format(path))
        return Path(path)

    def _is_right(self, path: Path, sha256: bytes, again: bool) -> bool:
        """Whether a file of this machine has a hash, as far as is known or by hashing it."""
        note, state = self._folder / f"{sha256.hex()}.verified", _state(path)
        if again or not note.is_file() or note.read_text() != state:
            digest = hashlib.sha256()
            with open(path, "rb") as f:
                while block := f.read(_BLOCK):
                    digest.update(block)
            if digest.digest() != sha256:
                return False
            self._write(note, state.encode())
        return True

    def _copy(self, path: str, size: int, sha256: bytes, again: bool) -> Path:
        place = self._folder / f"{sha256.hex()}.bin"
        try:
            there = place.stat().st_size == size and self._is_right(place, sha256, again)
        except FileNotFoundError:  # or deleted meanwhile, by a process that shares the folder
            there = False
        if not there:
            self._fetch(path, size, sha256, place)
        self._use(place)
        return place

    def _fetch(self, path: str, size: int, sha256: bytes, place: Path) -> None:
        assert self._open is not None
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
            if digest.digest() != sha256:
                raise ShardError(_OTHER.format(path))
        self._write(place.with_suffix(".verified"), _state(place).encode())

    def _use(self, place: Path) -> None:
        """Remember a copy as the latest used, and delete the oldest beyond those that stay.

        A map of a deleted file stays good as long as it is held.
        """
        with self._lock:
            if place in self._copies:
                self._copies.remove(place)
            self._copies.append(place)
            while len(self._copies) > self._keep:
                oldest = self._copies.pop(0)
                oldest.unlink(missing_ok=True)
                oldest.with_suffix(".verified").unlink(missing_ok=True)

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


def _state(path: Path) -> str:
    """What is known of a file without reading it."""
    stat = path.stat()
    return f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
