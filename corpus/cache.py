"""The cache directory of a machine, and locks between the processes that share it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

CACHE_VARIABLE = "LLAMA_CORPUS_CACHE"


def cache_directory() -> Path:
    """Where downloads and built tools are kept: `LLAMA_CORPUS_CACHE`, else the user's cache directory."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "llama-corpus"
    # XDG Base Directory Specification: an unset or relative value means ~/.cache.
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "llama-corpus"


@contextlib.contextmanager
def exclusive(lock: Path) -> Iterator[int]:
    """Hold a lock file, waiting for the thread or process that holds it; released however the process ends.

    Yields:
        The file's descriptor, open for reading and writing: a few bytes may be kept in it.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
