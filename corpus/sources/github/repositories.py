"""Folders of repositories: where each begins, and what its licence files say.

In: an input file, whose name is ``OWNER/NAME/path`` or ``NAME/path`` below the input root. Out: repository,
path, and the texts of the repository's licence files. Links are not followed, and Git's own files not read.
What is found of a folder is remembered for as long as its modification time stays.
"""

from __future__ import annotations

import functools
import glob
import os
import re
from dataclasses import dataclass

from corpus import storage
from corpus.inputs import InputFile
from corpus.settings.github import GitHub

_GIT = ".git"
# Of a repository's licence files those that are the licence, else those that name one of several.
_WHOLE = re.compile(r"(?:licen[cs]e|copying|unlicense)(?:\.(?:txt|md|markdown|rst|html))?", re.IGNORECASE)
_PART = re.compile(
    r"(?:licen[cs]e|copying)[-_.].+|.+[-_.](?:licen[cs]e|copying)(?:\.(?:txt|md|rst))?", re.IGNORECASE
)


@dataclass(frozen=True)
class Place:
    """Where a file lies: its repository's name and folder, its path below that."""

    repository: str
    folder: str
    path: str


def place_of(file: InputFile, settings: GitHub) -> Place | None:
    """Where a file lies; None where it lies in no repository."""
    parts = file.name.split("/")
    root = file.path[: len(file.path) - len(file.name)]
    depth = settings.repository_depth or (1 if _files(root + parts[0]) or len(parts) < 3 else 2)
    if len(parts) <= depth:
        return None
    repository = "/".join(parts[:depth])
    return Place(repository, root + repository, "/".join(parts[depth:]))


def skipped(file: InputFile, place: Place) -> str | None:
    """Why a file is no document by nature; None where it is one."""
    if _GIT in place.path.split("/"):
        return "git"
    return "link" if storage.is_local(file.path) and os.path.islink(file.path) else None


def license_texts(place: Place, most_bytes: int) -> tuple[bytes, ...]:
    """The texts of the repository's licence files, each cut off after `most_bytes` + 1."""
    return _license_texts(place.folder, _time_of(place.folder), most_bytes)


@functools.lru_cache(maxsize=256)
def _license_texts(folder: str, time: int, most_bytes: int) -> tuple[bytes, ...]:
    files = _list(folder, time)
    for pattern in (_WHOLE, _PART):
        chosen = [path for path in files if pattern.fullmatch(path.rpartition("/")[2])]
        if chosen:
            return tuple(_head(path, most_bytes + 1) for path in chosen)
    return ()


def _head(path: str, size: int) -> bytes:
    with storage.open_read(path) as f:
        return f.read(size)


def _files(folder: str) -> tuple[str, ...]:
    return _list(folder, _time_of(folder))


@functools.lru_cache(maxsize=256)
def _list(folder: str, time: int) -> tuple[str, ...]:
    """The files of a folder, not those below, by name."""
    found = storage.find(glob.escape(folder) + "/*")
    return tuple(f.path for f in found if not (storage.is_local(f.path) and os.path.islink(f.path)))


def _time_of(folder: str) -> int:
    return os.stat(folder).st_mtime_ns if storage.is_local(folder) and os.path.isdir(folder) else 0
