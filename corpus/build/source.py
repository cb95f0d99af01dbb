"""What a source gives to `llama-corpus build`: how its files are cut and read, and what is decided by.

In a package ``corpus.sources.NAME`` there is one `BuildSource`; `corpus.registry` lists them. A source
reads raw bytes into documents and measures them; it never drops one: what stays follows from its columns
and the recipe's thresholds (`corpus.build.decide`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from corpus.inputs import InputFile
from corpus.recipe import Limits
from corpus.rules import Check
from corpus.stages import Stage
from corpus.tally import Tally

if TYPE_CHECKING:
    from corpus.build.job import BuildJob


@dataclass(frozen=True)
class FileRange:
    """What one split owns of a raw file: bytes [start, end) as stored, of Parquet its row groups.

    `bytes`: its share of the file's size.
    """

    file: InputFile
    start: int
    end: int
    bytes: int = 0


@dataclass(frozen=True)
class BuildSplit:
    """Consecutive ranges of files read by one task; each makes one part of stage `extract`."""

    ordinal: int
    ranges: tuple[FileRange, ...]

    @property
    def name(self) -> str:
        """Name of its parts."""
        return f"part-{self.ordinal:05d}"


@dataclass(frozen=True)
class ReadContext:
    """What a reader works by.

    Attributes:
        settings: the source's block of the recipe.
        limits: beyond which a record is bad.
        paths: local path of each asset that the block names.
        batch_bytes: text that a batch holds, about.
    """

    settings: Any
    limits: Limits
    paths: Mapping[str, str]
    batch_bytes: int


@dataclass(frozen=True)
class Unique:
    """A rule of uniqueness: of the candidates whose `key` is equal, one stays.

    Candidates are documents that nothing else speaks against. Their order is that of the columns in
    `order` (integers, or strings by their UTF-8 bytes; null last), then of their ids, then of their places.

    Attributes:
        kind: its name, one word.
        reason: why the others are rejected.
        key: columns of the annotated parts.
        order: columns, each with its direction; the first document stays.
    """

    kind: str
    reason: str
    key: tuple[str, ...]
    order: tuple[tuple[str, Literal["ascending", "descending"]], ...]


def whole_file(file: InputFile, split_bytes: int) -> list[tuple[int, int]]:
    """The ranges of a file that cannot be cut."""
    return [(0, file.size)]


def no_assets(settings: Any) -> list[str]:
    """The assets of a source that uses none."""
    return []


def no_unique(settings: Any) -> tuple[Unique, ...]:
    """The rules of a source whose documents are never alike."""
    return ()


def any_input(files: Sequence[InputFile], settings: Any) -> None:
    """The check of a source that takes every file."""


@dataclass(frozen=True)
class BuildSource:
    """A source of documents.

    Attributes:
        name: of the source, of its block in the recipe and of its documents' column `source`.
        version: raised by hand when the reader changes what it yields.
        libraries: distributions whose version shapes it.
        fields: columns beside those of `DOCUMENT`; ``NAME_v1_reason`` (string), if it is among them, says
            why a document cannot be used whatever the thresholds are.
        read: batches of `DOCUMENT` and `fields`, in the order of the file. Counters: ``framed``; ``in``, of
            these all that could be documents, and each unreadable record, span or file; ``skipped``;
            ``bad``; ``out``; always in = out + bad + merged. None where the stages read by themselves.
        checks: thresholds that documents are held to, in their order.
        stages: all stages of a build; `corpus.build.line` has the usual ones.
        unique: rules of uniqueness, applied one after the other to what the checks let pass.
        cut: (file, bytes) → ranges of about so many bytes.
        assets: names of the recipe's assets that the block uses.
        thresholds: fields of the block that only `checks` and `unique` look at: what the reader yields does
            not change with them.
        check_input: raises `UserError` for what the user got wrong in the choice of files.
    """

    name: str
    version: int
    libraries: tuple[str, ...]
    fields: tuple[pa.Field, ...]
    read: Callable[[FileRange, ReadContext, Tally], Iterator[pa.RecordBatch]] | None
    checks: Callable[[Any], list[Check]]
    stages: Callable[[BuildJob], tuple[Stage, ...]]
    unique: Callable[[Any], tuple[Unique, ...]] = no_unique
    cut: Callable[[InputFile, int], list[tuple[int, int]]] = whole_file
    assets: Callable[[Any], list[str]] = no_assets
    thresholds: frozenset[str] = frozenset()
    check_input: Callable[[Sequence[InputFile], Any], None] = any_input
