"""One way to open, list and write files: local paths, web addresses (to read), and any that fsspec knows.

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
from typing import IO, Any

import fsspec

from corpus import web

TEMPORARY_SUFFIX = ".tmp"
# Stores that show an object when its upload ends; others get a temporary name and a rename.
_ATOMIC_UPLOADS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})


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
    """Open for reading, seekable.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read; of a web address, one of `corpus.web`'s, also while reading.
    """
    if is_local(path):
        return open(path, "rb")
    if web.is_web(path):
        return web.open_read(path)
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
    with contextlib.suppress(PermissionError):  # as fsspec.open: a bucket is not ours to make
        fs.makedirs(fs._parent(inner), exist_ok=True)
    if path.split("://", 1)[0] in _ATOMIC_UPLOADS:
        f = fs.open(inner, "wb", autocommit=False)
        try:
            yield f
            f.close()
            f.commit()
        except BaseException:
            f.discard()
            raise
        return
    folder, name = posixpath.split(inner)
    temporary = posixpath.join(folder, f".{name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        with fs.open(temporary, "wb") as f:
            yield f
        fs.mv(temporary, inner)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            fs.rm_file(temporary)
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
    if web.is_web(path):
        return FileInfo(path, *web.info(path))
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
    """Files that a path, glob or directory (searched to the bottom) names, sorted by path.

    Of a web address, which names no directory, the one file.

    Raises:
        ValueError: a glob over a web server.
    """
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
    if web.is_web(path):
        if "*" in path:
            raise ValueError("a web server cannot be searched: name its files in a list of paths")
        return [info(path)] if exists(path) else []
    fs, inner = fsspec.core.url_to_fs(path)
    if globbing.has_magic(inner):
        details = fs.glob(inner, detail=True)
    elif fs.isdir(inner):
        details = fs.find(inner, detail=True)
    elif fs.exists(inner):
        details = {inner: fs.info(inner)}
    else:
        details = {}
    return sorted(
        _remote_info(_address(path, name), detail)
        for name, detail in details.items()
        if detail.get("type") == "file" and not posixpath.basename(name).startswith(".")
    )


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


def _address(like: str, name: str) -> str:
    """A name that a file system gave, as an address spelled like the one it was asked with."""
    prefix = like[: like.index("://") + 3]
    rooted = like.startswith(prefix + "/")
    return prefix + ("/" if rooted else "") + name.lstrip("/")


def _remote_info(path: str, detail: dict[str, Any]) -> FileInfo:
    tag = detail.get("ETag") or detail.get("etag") or detail.get("md5Hash") or detail.get("mtime") or ""
    return FileInfo(path, int(detail["size"] or 0), str(tag).strip('"'))
