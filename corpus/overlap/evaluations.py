"""Evaluation files → their items' texts, by the ending of their names.

In: JSON lines (``.jsonl``, ``.ndjson``), CSV (``.csv``), TSV (``.tsv``, no quoting), each maybe as ``.gz``.
Out: `Text`s: file, item, field. A file that is not what its name says, or empty, is an error that names the
place: an evaluation that is only half read would be taken for clean.

Fields are columns, or keys of JSON; of what is nested the path (``endings[2]``, ``meta.title``). An item is
a line of JSON, or a row of a table, counted from 0 without the header. The first row of a table is its header
unless a cell of it has eight words or more, which names of columns never have: then columns are
``column1``… So no n-gram of eight words and more is lost to a wrong guess. Published tables have quotation
marks within quotation marks, which cut cells where there is a comma: a row that has more cells than the first
is one text, field ``row``.
"""

from __future__ import annotations

import csv
import io
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from isal import igzip

from corpus import storage
from corpus.errors import UserError
from corpus.kernels.ngram_words import words

_ENDINGS = (".jsonl", ".ndjson", ".csv", ".tsv")
_HEADER_WORDS = 8
_BLOCK = 1 << 20
_MAX_NESTING = 100
_UNEVEN = 0.25  # share of rows longer than the first beyond which a file is no table


@dataclass(frozen=True)
class EvaluationFile:
    """A file found: `name` as in reports, and where it lies."""

    name: str
    path: str
    size: int


@dataclass(frozen=True)
class Text:
    """A text of an item of an evaluation."""

    item: int
    field: str
    text: str


def base_field(field: str) -> str:
    """A field without its places in lists: ``endings`` of ``endings[2]``."""
    return re.sub(r"\[[0-9]+\]", "", field)


def find(paths: Sequence[str]) -> list[EvaluationFile]:
    """The evaluation files that paths, globs and folders name, by name.

    In folders what has another ending (licences, notes) is left out; a file that is named itself must have
    one that is known. Names are relative to the folder given, which is the first part of them. A file that is
    named twice is taken once.

    Raises:
        UserError: a path names no evaluation file, or two files would have one name.
    """
    found: dict[str, EvaluationFile] = {}
    known: set[str] = set()
    for path in paths:
        clean = os.path.abspath(path) if storage.is_local(path) else path.rstrip("/")
        infos = storage.find(clean)
        named = [info for info in infos if info.path == clean]
        chosen = named or [info for info in infos if _ending(info.path)]
        if not chosen:
            what = "has no file of a known kind" if infos else "does not exist"
            raise UserError(f"evaluation {path} {what} ({', '.join(_ENDINGS)}, each maybe with .gz)")
        base = os.path.dirname(clean.split("*", 1)[0]) if "*" in clean else os.path.dirname(clean)
        for info in chosen:
            if not _ending(info.path):
                raise UserError(
                    f"evaluation {info.path}: its ending tells no format; known are "
                    f"{', '.join(_ENDINGS)}, each maybe with .gz"
                )
            if info.path in known:
                continue
            known.add(info.path)
            name = info.path[len(base) :].lstrip("/")
            if name in found:
                raise UserError(f"two evaluations are called {name}: {found[name].path} and {info.path}")
            found[name] = EvaluationFile(name, info.path, info.size)
    return [found[name] for name in sorted(found)]


def read(file: EvaluationFile, max_bytes: int) -> list[Text]:
    """The texts of an evaluation file, in order.

    Raises:
        UserError: the file is empty, larger than `max_bytes` when inflated, or not of its format.
    """
    data = _inflated(file, max_bytes)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"evaluation {file.path} is not UTF-8: {error}") from error
    if not text.strip():
        raise UserError(f"evaluation {file.path} is empty")
    ending = _ending(file.path)
    texts = list(_json_lines(file, text) if ending in (".jsonl", ".ndjson") else _table(file, text, ending))
    if not texts:
        raise UserError(f"evaluation {file.path} has no text: none of its values is a string")
    return texts


def _ending(path: str) -> str:
    plain = path.lower().removesuffix(".gz")
    return next((ending for ending in _ENDINGS if plain.endswith(ending)), "")


def _inflated(file: EvaluationFile, max_bytes: int) -> bytes:
    blocks, size = [], 0
    try:
        with storage.open_read(file.path) as raw:
            stream: Any = igzip.GzipFile(fileobj=raw) if file.path.lower().endswith(".gz") else raw
            while block := stream.read(_BLOCK):
                size += len(block)
                if size > max_bytes:
                    raise UserError(f"evaluation {file.path} has more than {max_bytes:,} bytes: is it one?")
                blocks.append(block)
    except (igzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"evaluation {file.path} is not valid gzip: {error}") from error
    return b"".join(blocks)


def _json_lines(file: EvaluationFile, text: str) -> Iterator[Text]:
    item = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise UserError(f"evaluation {file.path}, line {number}: not valid JSON: {error}") from error
        if not isinstance(value, dict):
            raise UserError(f"evaluation {file.path}, line {number}: not a JSON object")
        try:
            for field, found in _strings(value, "", 0):
                yield Text(item, field, found)
        except _TooDeepError as error:
            raise UserError(f"evaluation {file.path}, line {number}: {error}") from error
        item += 1


class _TooDeepError(ValueError):
    """A value lies too deep."""


def _strings(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif depth >= _MAX_NESTING:
        raise _TooDeepError(f"nested more than {_MAX_NESTING} deep: {path[:60]}…")
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(inner, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _strings(inner, f"{path}[{i}]", depth + 1)


def _table(file: EvaluationFile, text: str, ending: str) -> Iterator[Text]:
    previous = csv.field_size_limit(max(len(text), 1))
    try:
        lines = io.StringIO(text, newline="")
        if ending == ".tsv":
            rows = [row for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if row]
        else:
            rows = [row for row in csv.reader(lines) if row]
    except csv.Error as error:
        raise UserError(f"evaluation {file.path} is not valid {ending[1:].upper()}: {error}") from error
    finally:
        csv.field_size_limit(previous)
    width = len(rows[0])
    if sum(len(row) > width for row in rows) > _UNEVEN * len(rows):
        raise UserError(
            f"evaluation {file.path} is not valid {ending[1:].upper()}: many of its {len(rows):,} rows have "
            f"more cells than the {width} of the first"
        )
    names = [f"column{i}" for i in range(1, width + 1)]
    if all(len(list(words(cell))) < _HEADER_WORDS for cell in rows[0]):
        names = [cell.strip() or name for cell, name in zip(rows[0], names, strict=True)]
        rows = rows[1:]
    for item, row in enumerate(rows):
        if len(row) > width:
            yield Text(item, "row", ", ".join(row))
            continue
        for name, cell in zip(names, row, strict=False):  # the last cells may be missing
            yield Text(item, name, cell)
