"""What the user named as input, resolved to an ordered list of raw files, and cut into splits.

In: paths, globs, directories, and lists of paths (`@FILE`, `*.paths`, `*.paths.gz`). Out: `InputFile`s
whose order is the corpus's order (dump, then position), and `Split`s of consecutive files of one block.
Names are relative to the input root, so that the same tree elsewhere gives the same ids and bytes.
"""

from __future__ import annotations

import gzip
import io
import itertools
import os
import posixpath
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from corpus import storage
from corpus.errors import UserError
from corpus.recipe import Dedup

_DUMP = re.compile(r"CC-MAIN-\d{4}-\d{2,3}(?!\d)")
_LIST_ENDINGS = (".paths", ".paths.gz")
# Files that count as one of CCNet's shards where the dump's full list is not known.
_SHARD_FILES = 45
_LIST_BYTES_MAX = 1 << 30


@dataclass(frozen=True)
class InputFile:
    """A raw file. `name` is relative to the input root; `listed`: it came from a list of paths."""

    name: str
    path: str
    size: int
    tag: str
    dump: str
    listed: bool


@dataclass(frozen=True)
class Split:
    """Consecutive files read by one task; each makes one part of every stage."""

    ordinal: int
    dump: str
    block: int
    files: tuple[InputFile, ...]

    @property
    def name(self) -> str:
        """Name of its parts."""
        return self.name_of(self.ordinal)

    @staticmethod
    def name_of(ordinal: int) -> str:
        """Name of the parts of the split with this number."""
        return f"part-{ordinal:05d}"

    @property
    def bytes(self) -> int:
        """Raw size."""
        return sum(f.size for f in self.files)


def resolve(inputs: Sequence[str], root: str | None = None) -> list[InputFile]:
    """Find the files that the user named, in the order of the corpus: by dump, then as listed or by name.

    Args:
        inputs: paths, globs, directories, lists.
        root: folder that names are made relative to; by default the deepest folder common to all.

    Raises:
        UserError: an input matches nothing, two files get one name, or a file is outside the root.
    """
    if not inputs:
        raise UserError("no input: give --input PATH, GLOB, DIRECTORY or @LIST-OF-PATHS")
    found: dict[str, tuple[storage.FileInfo, bool]] = {}
    for pattern in inputs:
        listed = pattern.startswith("@") or pattern.endswith(_LIST_ENDINGS)
        matches = _listed_files(pattern.removeprefix("@"), root) if listed else _find(pattern)
        if not matches:
            raise UserError(f"input {pattern!r} matches no file")
        for match in matches:
            found.setdefault(match.path, (match, listed))
    base = root.rstrip("/") if root else _common_folder(found)
    files = [_input_file(info, listed, base) for info, listed in found.values()]
    seen: dict[str, str] = {}
    for f in files:
        if f.name in seen:
            raise UserError(f"{seen[f.name]} and {f.path} have the same name {f.name!r} below {base}")
        seen[f.name] = f.path
    # A stable sort: files of a list keep the list's order within their dump.
    return sorted(files, key=lambda f: (f.dump, "" if f.listed else f.name))


def plan_splits(files: Sequence[InputFile], dedup: Dedup) -> list[Split]:
    """Cut the files of each dump into splits that never straddle a block.

    A split holds ⌈n / shards_per_dump⌉ files of its dump, so at most `shards_per_dump` parts a dump. A
    block holds `shards_per_block` shards, where a shard is as many files as that for a dump read from its
    list of paths, and 45 files otherwise, so that a small input is one block (CCNet: cc_net/mine.py,
    `num_shards` and `hash_in_mem`).
    """
    splits: list[Split] = []
    for dump, group in itertools.groupby(files, key=lambda f: f.dump):
        members = list(group)
        per_split = -(-len(members) // dedup.shards_per_dump)
        per_shard = per_split if all(f.listed for f in members) else max(_SHARD_FILES, per_split)
        per_block = per_shard * dedup.shards_per_block
        for block, start in enumerate(range(0, len(members), per_block)):
            of_block = members[start : start + per_block]
            for first in range(0, len(of_block), per_split):
                chunk = tuple(of_block[first : first + per_split])
                splits.append(Split(len(splits), dump, block, chunk))
    return splits


def split_from_dict(saved: dict[str, Any]) -> Split:
    """A split as saved in a run's ``inputs.json``."""
    return Split(**{**saved, "files": tuple(InputFile(**f) for f in saved["files"])})


def _find(pattern: str) -> list[storage.FileInfo]:
    try:
        return storage.find(os.path.abspath(pattern) if storage.is_local(pattern) else pattern)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"input {pattern!r} cannot be listed: {error}") from error


def _listed_files(path: str, root: str | None) -> list[storage.FileInfo]:
    try:
        data = storage.read_bytes(path)
    except OSError as error:
        raise UserError(f"list of inputs {path!r} cannot be read: {error}") from error
    if data[:2] == b"\x1f\x8b":
        data = _gunzip(data, path)
    base = root or posixpath.dirname(os.path.abspath(path) if storage.is_local(path) else path)
    found = []
    for line in data.decode("utf-8").splitlines():
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        address = entry if "://" in entry or entry.startswith("/") else storage.join(base, entry)
        try:
            found.append(storage.info(address))
        except FileNotFoundError as error:
            raise UserError(f"{address}, named in the list {path}, does not exist") from error
    return found


def _gunzip(data: bytes, path: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as f:
            text = f.read(_LIST_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"list of inputs {path} is not readable gzip: {error}") from error
    if len(text) > _LIST_BYTES_MAX:
        raise UserError(f"list of inputs {path} inflates to more than {_LIST_BYTES_MAX:,} bytes")
    return text


def _common_folder(paths: Iterable[str]) -> str:
    folders = [posixpath.dirname(p) for p in paths]
    if len({p.split("://", 1)[0] if "://" in p else "" for p in folders}) > 1:
        raise UserError("inputs lie on different file systems: give --input-root, or run them apart")
    common = posixpath.commonprefix([f + "/" for f in folders])
    return common[: common.rfind("/")]


def _input_file(info: storage.FileInfo, listed: bool, base: str) -> InputFile:
    if base and not info.path.startswith(base + "/"):
        raise UserError(f"{info.path} does not lie below the input root {base}")
    name = info.path[len(base) :].lstrip("/")
    dump = _DUMP.search(info.path)
    return InputFile(name, info.path, info.size, info.tag, dump.group() if dump else "", listed)
