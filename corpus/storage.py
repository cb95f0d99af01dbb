"""One way to open, list and write files: local paths, web addresses (to read), and any that fsspec knows.

A file appears under its name only when it is whole: local files are written beside their place and
renamed; object stores show an upload only when it is complete. Of a writer that was killed they keep, unseen
and paid for, the parts of an upload of more than one: give the bucket a rule that deletes such after days.

Where an object store is, and who asks, its client takes from the environment: `AWS_ENDPOINT_URL`,
`AWS_ACCESS_KEY_ID` … (s3fs), `STORAGE_EMULATOR_HOST`, `GOOGLE_APPLICATION_CREDENTIALS` … (gcsfs).

What fails for the moment the client tries again after growing pauses of random length: of S3 botocore 4 times
(`AWS_MAX_ATTEMPTS`), and that s3fs 5 times: some 20 seconds, five times that for a read without a connection.
What fails still is a `UserError`, never an `OSError`, which readers may take for trouble with the data.
"""

from __future__ import annotations

import contextlib
import errno
import glob as globbing
import logging
import os
import posixpath
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from importlib import import_module
from typing import IO, Any, cast

import fsspec

from corpus import web
from corpus.errors import UserError

_log = logging.getLogger(__name__)

TEMPORARY_SUFFIX = ".tmp"
# Stores that show an object when its upload ends; others get a temporary name and a rename.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})
_READ_AHEAD_BYTES = 8 << 20  # of a remote file, at each request
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_UPLOAD_BYTES = 16 << 20  # of an object, at each request; a store takes 10,000 of them
_S3_TRIES = 4  # botocore's own 3 would give up after half the time


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


def open_read(path: str, ahead: int = _READ_AHEAD_BYTES) -> IO[bytes]:
    """Open for reading, seekable.

    Args:
        ahead: bytes to fetch beyond those asked for, where each request to a remote file costs time. Web
            servers are read further and further ahead instead.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read; of a web address, one of `corpus.web`'s, also while reading.
        UserError: a store cannot be reached or refuses, also while reading.
    """
    if is_local(path):
        return open(path, "rb")
    if web.is_web(path):
        return web.open_read(path)
    fs, inner = _remote(path)
    cache = {"cache_type": "readahead"} if _is_object_store(path) else {}
    with _named(path):
        remote = fs.open(inner, "rb", block_size=ahead, **cache)
    if _is_object_store(path):
        remote.cache.fetcher = _named(path)(remote.cache.fetcher)
    return cast("IO[bytes]", remote)


def read_bytes(path: str) -> bytes:
    """The whole of a small file."""
    with open_read(path) as f:
        return f.read()


@contextlib.contextmanager
def write(path: str) -> Iterator[IO[bytes]]:
    """Open for writing; the file appears when the block ends well, and not at all if it raises.

    Raises:
        UserError: a local disk is full; a store cannot be reached or refuses.
    """
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
        except BaseException as error:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            if isinstance(error, OSError) and error.errno in _FULL:
                raise UserError(
                    f"{path} cannot be written: {os.strerror(error.errno)}; finished parts are kept: make "
                    "room, and the same command goes on from there"
                ) from error
            raise
        return
    fs, inner = _remote(path)
    if _is_object_store(path):
        f = fs.open(inner, "wb", block_size=_UPLOAD_BYTES)
        f.flush = _named(path)(f.flush)  # by which all is sent, while writing and at the end
        try:
            yield f
            f.close()
        except BaseException:
            f.closed = True  # else what is there would be uploaded when the object is collected
            _take_back(f, path)
            raise
        return
    fs.makedirs(fs._parent(inner), exist_ok=True)
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
    fs, inner = _remote(path)
    with _named(path):
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
    fs, inner = _remote(path)
    with _named(path):
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
    fs, inner = _remote(path)
    with contextlib.suppress(FileNotFoundError), _named(path):
        fs.rm_file(inner)


def remove_temporary(folder: str) -> None:
    """Delete what a killed writer left behind below a folder; in an object store it leaves no file."""
    if is_local(folder):
        found = [os.path.join(directory, name) for directory, _, names in os.walk(folder) for name in names]
    elif _is_object_store(folder):
        return
    else:
        fs, inner = _remote(folder)
        found = [_address(folder, name) for name in fs.find(inner)]
    for path in found:
        name = posixpath.basename(path)
        if name.startswith(".") and name.endswith(TEMPORARY_SUFFIX):
            remove(path)


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """What a store's client raises of failures and refusals, as UserError with the address."""
    try:
        yield
    except (FileNotFoundError, FileExistsError, IsADirectoryError, ValueError, ImportError, UserError):
        raise
    except Exception as error:
        raise UserError(
            f"{path} cannot be reached: {type(error).__name__}: {str(error).rstrip('.')}; check the store's "
            "address (AWS_ENDPOINT_URL …) and credentials, or wait until it is well: finished parts are "
            "kept, and the same command goes on from there"
        ) from error


def _take_back(f: Any, path: str) -> None:
    """End an upload that is not to be completed; what made it fail may keep us from that, too."""
    try:
        f.discard()
    except Exception as error:
        _log.warning("parts of an upload to %s stay behind, unseen: %s", path, error)


def _is_object_store(path: str) -> bool:
    return path.split("://", 1)[0] in _OBJECT_STORES


def _remote(path: str) -> tuple[Any, str]:
    """The file system of an address, and the name in it."""
    if not _is_object_store(path):
        return fsspec.core.url_to_fs(path)  # type: ignore[no-any-return]
    # A listing that is kept does not know what other processes have written since.
    options: dict[str, Any] = {"use_listings_cache": False}
    if not path.startswith(("s3://", "s3a://")):
        return fsspec.core.url_to_fs(path, **options)  # type: ignore[no-any-return]
    tries = {} if "AWS_MAX_ATTEMPTS" in os.environ else {"total_max_attempts": _S3_TRIES}
    options["config_kwargs"] = {"retries": {"mode": "standard", **tries}}
    fs, inner = fsspec.core.url_to_fs(path, **options)
    import_module("s3fs.core").set_custom_error_handler(_passes)
    return fs, inner


def _passes(error: Exception) -> bool:
    """Whether S3 may answer better the next time: s3fs itself knows SlowDown only, which no HEAD can say."""
    answer = getattr(error, "response", {}).get("ResponseMetadata", {})
    return bool(answer.get("HTTPStatusCode", 0) >= HTTPStatus.INTERNAL_SERVER_ERROR)


def _address(like: str, name: str) -> str:
    """A name that a file system gave, as an address spelled like the one it was asked with."""
    prefix = like[: like.index("://") + 3]
    rooted = like.startswith(prefix + "/")
    return prefix + ("/" if rooted else "") + name.lstrip("/")


def _remote_info(path: str, detail: dict[str, Any]) -> FileInfo:
    tag = detail.get("ETag") or detail.get("etag") or detail.get("md5Hash") or detail.get("mtime") or ""
    return FileInfo(path, int(detail["size"] or 0), str(tag).strip('"'))
