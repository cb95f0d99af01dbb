"""The raw file that a document was read from: where it lies now, and whether it is still the same.

In: a run's ``inputs.json``. Out: the file's `InputFile`, its path where it is now.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from corpus import storage
from corpus.errors import CorruptPartError
from corpus.inputs import InputFile
from corpus.review.runs import OpenedRun


class RawFileError(Exception):
    """A raw record cannot be read again; the message says why, and what can be done."""


def input_of(run: OpenedRun, name: str) -> InputFile:
    """A raw file as the run saw it.

    Raises:
        CorruptPartError: the run does not know it.
    """
    for saved in _files(run):
        if saved["name"] == name:
            return InputFile(**saved)
    raise CorruptPartError(f"{run.root}/inputs.json has no file {name!r}: run the run's command again")


def present(file: InputFile, input_root: str | None) -> InputFile:
    """A raw file where it lies now.

    Args:
        file: as a run saw it.
        input_root: the folder that names are relative to, where it is not that of the run.

    Raises:
        RawFileError: it is not there, or has another size.
    """
    path = storage.join(input_root.rstrip("/"), file.name) if input_root else file.path
    try:
        size = storage.info(path).size
    except OSError as error:
        raise RawFileError(
            f"the raw file {path} cannot be read ({error.strerror or error}); where it has moved, "
            "give --input-root, the folder that holds it by its name in the run"
        ) from error
    # Of a dump's listed files the size was not asked for, and they have no tag.
    if size != file.size and file.tag:
        raise RawFileError(
            f"the raw file {path} has {size:,} bytes where the run read {file.size:,}: it was changed, "
            "or is another; give --input-root, the folder that holds the one that was read"
        )
    return dataclasses.replace(file, path=path, size=size)


def split_of(run: OpenedRun, name: str) -> tuple[int, int]:
    """Number of the split that first reads a file, and the file's place in it."""
    for split in _splits(run):
        names = [entry["name"] for entry in _files_of(split)]
        if name in names:
            return split["ordinal"], names.index(name)
    raise CorruptPartError(f"{run.root}/inputs.json has no file {name!r}: run the run's command again")


def _splits(run: OpenedRun) -> list[dict[str, Any]]:
    saved = run.json("inputs.json")
    if saved is None:
        raise CorruptPartError(f"{run.root}/inputs.json is missing: run the run's command again")
    splits: list[dict[str, Any]] = saved["splits"] if isinstance(saved, dict) else saved
    return splits


def _files_of(split: dict[str, Any]) -> list[dict[str, Any]]:
    return split["files"] if "files" in split else [part["file"] for part in split["ranges"]]


def _files(run: OpenedRun) -> list[dict[str, Any]]:
    return [file for split in _splits(run) for file in _files_of(split)]
