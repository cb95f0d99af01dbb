"""One way to open, list and write files: local paths, and any address that fsspec knows.

A file appears under its name only when it is whole: local files are written beside their place and
renamed; object stores show an upload only when it is complete.
"""

from __future__ import annotations

import contextlib
import glob as globbing
import os
import posixpath
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

import fsspec

TEMPORARY_SUFFIX = ".tmp"


@dataclass(frozen=True, order=True)
class FileInfo:
    """A file found: its address, size in bytes, and etag or modification time."""

    path: str
    size: int
    tag: str


def is_local(path: str) -> bool:
    """Whether the address is a plain path on this machine."""
    return "://" not in path


def join(base: str, *parts: str) -> str:
    """Join with forward slashes, local or remote."""
    return posixpath.join(base, *parts)


def open_read(path: str) -> IO[bytes]:
    """Open for reading, seekable."""
    if is_local(path):
        return open(path, "rb")
    remote: IO[bytes] = fsspec.open(path, "rb").open()
    return remote


def read_bytes(path: str) -> bytes:
    """The whole of a small file."""
    with open_read(path) as f:
        return f.read()


@contextlib.contextmanager
def write(path: str) -> Iterator[IO[bytes]]:
    """Open for writing; the file appears when the block ends well, and not at all if it raises."""
    if is_local(path):
        folder, name = os.path.split(path)
        os.makedirs(folder or ".", exist_ok=True)
        temporary = os.path.join(folder, f".{name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
        try:
            with open(temporary, "wb") as f:
                yield f
                f.flush()
                os.fsync(f.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        return
    fs, inner = fsspec.core.url_to_fs(path)
    f = fs.open(inner, "wb", autocommit=False)
    try:
        yield f
        f.close()
        f.commit()
    except BaseException:
        f.discard()
        raise


def write_bytes(path: str, data: bytes) -> None:
    """Write a small file whole."""
    with write(path) as f:
        f.write(data)


def info(path: str) -> FileInfo:
    """Size and identity of one file.

    Raises:
        FileNotFoundError: there is none.
    """
    if is_local(path):
        stat = os.stat(path)
        return FileInfo(path, stat.st_size, str(stat.st_mtime_ns))
    fs, inner = fsspec.core.url_to_fs(path)
    return _remote_info(path, fs.info(inner))


def exists(path: str) -> bool:
    """Whether there is a file of this name."""
    try:
        info(path)
    except FileNotFoundError:
        return False
    return True


def find(path: str) -> list[FileInfo]:
    """Files that a path, glob or directory (searched to the bottom) names, sorted by path."""
    if is_local(path):
        if os.path.isdir(path):
            found = [
                os.path.join(folder, name)
                for folder, folders, names in os.walk(path)
                for name in names
                if not name.startswith(".")
            ]
        elif os.path.isfile(path):
            found = [path]
        else:
            found = [p for p in globbing.glob(path, recursive=True) if os.path.isfile(p)]
        return sorted(info(p) for p in found)
    fs, inner = fsspec.core.url_to_fs(path)
    protocol = path.split("://", 1)[0]
    if globbing.has_magic(inner):
        details = fs.glob(inner, detail=True)
    elif fs.isdir(inner):
        details = fs.find(inner, detail=True)
    elif fs.exists(inner):
        details = {inner: fs.info(inner)}
    else:
        details = {}
    return sorted(
        _remote_info(f"{protocol}://{name}" if "://" not in name else name, detail)
        for name, detail in details.items()
        if detail.get("type") == "file"
    )


def relative(path: str, root: str) -> str:
    """Path below a root, with forward slashes."""
    return str(PurePosixPath(path).relative_to(PurePosixPath(root))) if root else path


def remove(path: str) -> None:
    """Delete a file if it is there."""
    if is_local(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    fs, inner = fsspec.core.url_to_fs(path)
    with contextlib.suppress(FileNotFoundError):
        fs.rm_file(inner)


def remove_temporary(folder: str) -> None:
    """Delete what a killed writer left behind below a local folder."""
    if not is_local(folder):
        return
    for directory, _, names in os.walk(folder):
        for name in names:
            if name.startswith(".") and name.endswith(TEMPORARY_SUFFIX):
                os.unlink(os.path.join(directory, name))


def _remote_info(path: str, detail: dict[str, Any]) -> FileInfo:
    tag = detail.get("ETag") or detail.get("etag") or detail.get("md5Hash") or detail.get("mtime") or ""
    return FileInfo(path, int(detail["size"] or 0), str(tag).strip('"'))
