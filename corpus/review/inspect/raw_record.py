"""The raw record that a document was read from, read again at its place in the raw file.

In: an annotated row and the raw file as it lies now. Out: the record's own text before anything was removed,
where the source has it as text; else why it cannot be read again without reading much. What can only be
reached through all that lies before it in a compressed file is read up to `_FORWARD_BYTES` of raw bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple, TypeVar

import orjson

from corpus import recipe, storage
from corpus.build.source import FileRange
from corpus.inputs import InputFile
from corpus.raw.damage import Damage, Unreadable
from corpus.raw.json_lines import is_lines, read_range
from corpus.raw.parquet_rows import is_parquet, open_parquet
from corpus.recipe import Recipe
from corpus.review.inspect.page import read_record
from corpus.review.inspect.raw_file import RawFileError, input_of, present
from corpus.review.inspect.search import Match

_FORWARD_BYTES = 1 << 30
_TEXT_COLUMNS = ("text", "content")
Block = TypeVar("Block")
_POST = re.compile(rb"<row .*?/>", re.DOTALL)


class RawRecord(NamedTuple):
    """A raw record.

    Attributes:
        origin: where it was read from.
        what: that its text is, such as ``wikitext``.
        text: before anything was removed of it.
        lines: whether the document is made of its lines, so that those that are missing can be marked.
    """

    origin: str
    what: str
    text: str
    lines: bool


def raw_record(match: Match, row: dict[str, Any], input_root: str | None) -> RawRecord:
    """Read a document's raw record again.

    Raises:
        RawFileError: the raw file is not there, is not the same, or the record lies too far inside it.
    """
    run = match.run
    file = present(input_of(run, row["file"]), input_root)
    chosen = recipe.from_dict(run.json("recipe.json"), storage.join(run.root, "recipe.json"))
    origin = f"{file.path}, at {row['offset']:,}"
    try:
        what, text, lines = _READERS[run.source](file, row, chosen)
    except Unreadable as error:
        raise RawFileError(f"{origin}: {error.message or error.reason}: the raw file was changed") from error
    return RawRecord(origin, what, text, lines)


def _crawled(file: InputFile, row: dict[str, Any], chosen: Recipe) -> tuple[str, str, bool]:
    record = read_record(file, row["offset"], row["key"], chosen.limits)
    header = b"\n".join(name + b": " + value for name, value in record.headers.items())
    return "record", (header + b"\n\n" + record.body).decode("utf-8", "replace"), False


def _c4(file: InputFile, row: dict[str, Any], chosen: Recipe) -> tuple[str, str, bool]:
    if _block(chosen.c4).mode == "rebuild":
        return _crawled(file, row, chosen)
    return "text", _of_table(file, row, chosen), True


def _github(file: InputFile, row: dict[str, Any], chosen: Recipe) -> tuple[str, str, bool]:
    from corpus.sources.github.read import is_table

    if is_table(file.name, _block(chosen.github)):
        return "content", _of_table(file, row, chosen), True
    return "file", _whole(file, chosen).decode("utf-8", "replace"), True


def _books(file: InputFile, row: dict[str, Any], chosen: Recipe) -> tuple[str, str, bool]:
    from corpus.sources.books.encoding import decode
    from corpus.sources.books.files import Text, is_text, read_text, read_zip
    from corpus.sources.books.header import declared_encoding

    if not (is_text(file.name) or file.name.lower().endswith(".zip")):
        return "text", _of_table(file, row, chosen), True
    with storage.open_read(file.path) as f:
        if is_text(file.name):
            items: Iterator[Any] = iter([read_text(f, file.name, chosen.limits)])
        else:
            items = read_zip(f, file.name, chosen.limits, _block(chosen.books).zip_members)
        for item in items:
            if isinstance(item, Text) and item.offset == row["offset"]:
                return "file", decode(item.data, declared_encoding(item.data[: 1 << 16]))[0], True
    raise _gone(file, row)


def _wikipedia(file: InputFile, row: dict[str, Any], chosen: Recipe) -> tuple[str, str, bool]:
    from corpus.sources.wikipedia.pages import Page, pages
    from corpus.sources.wikipedia.streams import chunks

    at = row["offset"] if file.name.lower().endswith((".bz2", ".xml")) else 0
    if not at:
        _check_reach(file, row["offset"])
    found = pages(
        chunks(FileRange(file, at, file.size), chosen.limits), chosen.limits.record_bytes, first=not at
    )
    for item in found:
        if (
            isinstance(item, Page)
            and item.offset == row["offset"]
            and item.id == str(row["wikipedia_v1_page"])
        ):
            return "wikitext", item.text or "", False
        if item.offset > row["offset"]:
            break
    raise _gone(file, row)


def _arxiv(file: InputFile, row: dict[str, Any], chosen: Recipe) -> tuple[str, str, bool]:
    from corpus.raw.window import Window
    from corpus.sources.arxiv.byte_source import FileSource, Source
    from corpus.sources.arxiv.encoding import declared_codec, decode
    from corpus.sources.arxiv.submission import Skipped, read_submission
    from corpus.sources.arxiv.tar import BLOCK, Tar, is_header

    metadata = orjson.loads(row["metadata"])
    with storage.open_read(file.path) as f:
        source: Source = FileSource(Window(f, row["offset"], file.size))  # type: ignore[arg-type]
        if is_header(f.read(BLOCK)):
            source = Tar(FileSource(Window(f, row["offset"], file.size)))  # type: ignore[arg-type]
            if next(iter(source), None) is None:
                raise _gone(file, row)
        try:
            files = read_submission(source, _block(chosen.arxiv), chosen.limits)
        except Skipped as error:
            raise _gone(file, row) from error
    if metadata["main"] not in files:
        raise _gone(file, row)
    return metadata["main"], decode(files[metadata["main"]], declared_codec(files.values())), False


def _stackexchange(file: InputFile, row: dict[str, Any], chosen: Recipe) -> tuple[str, str, bool]:
    from corpus.sources.stackexchange.stream import blocks, is_plain

    plain = is_plain(file.name)
    if not plain:
        _check_reach(file, file.size)
    held, at = b"", row["offset"] if plain else 0
    for block in blocks(FileRange(file, at, file.size), chosen.limits.compression_ratio):
        if at + len(block) <= row["offset"]:
            at += len(block)
            continue
        held += block[max(0, row["offset"] - at) :]
        at += len(block)
        if (found := _POST.match(held)) or len(held) > chosen.limits.record_bytes:
            break
    found = _POST.match(held)
    if not found:
        raise _gone(file, row)
    return "the question's row", found[0].decode("utf-8", "replace"), False


_READERS: dict[str, Callable[[InputFile, dict[str, Any], Recipe], tuple[str, str, bool]]] = {
    "commoncrawl": _crawled,
    "c4": _c4,
    "github": _github,
    "wikipedia": _wikipedia,
    "books": _books,
    "arxiv": _arxiv,
    "stackexchange": _stackexchange,
}


def _block(settings: Block | None) -> Block:
    """A source's block, which the recipe of a build of it has."""
    assert settings is not None
    return settings


def _of_table(file: InputFile, row: dict[str, Any], chosen: Recipe) -> str:
    """The text of a row of Parquet or a line of JSON."""
    with storage.open_read(file.path) as f:
        values = _parquet_row(f, row["offset"]) if is_parquet(file.name) else _json_row(f, file, row, chosen)
    named = [chosen.books.columns.text] if chosen.books else []
    for name in (*named, *_TEXT_COLUMNS):
        if isinstance(value := values.get(name), str | bytes):
            return value if isinstance(value, str) else value.decode("utf-8", "replace")
    raise _gone(file, row)


def _json_row(f: IO[bytes], file: InputFile, row: dict[str, Any], chosen: Recipe) -> dict[str, Any]:
    plain = is_lines(file.name) and not file.name.lower().endswith((".gz", ".zst"))
    start = row["offset"] if plain else 0
    if not plain:
        _check_reach(file, row["offset"])
    for item in read_range(f, start, file.size, file.size, chosen.limits):
        # Of compressed files places neither ascend nor are distinct: a member's, and the line's within it.
        if item.offset == row["offset"] and not isinstance(item, Damage) and _names(item.data, row):
            values = orjson.loads(item.data)
            return values if isinstance(values, dict) else {}
        if plain:
            break
    raise _gone(file, row)


def _names(line: bytes, row: dict[str, Any]) -> bool:
    """Whether a line of JSON names what the document is known by."""
    try:
        values = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    known = row.get("github_v1_path") or (row["key"] if row["source"] == "c4" else None)
    if known is None or not isinstance(values, dict):
        return known is None
    inner = values.get("meta")
    strings = [*values.values(), *(inner.values() if isinstance(inner, dict) else ())]
    return any(isinstance(value, str) and value.lstrip("/") == known for value in strings)


def _parquet_row(f: IO[bytes], number: int) -> dict[str, Any]:
    parquet = open_parquet(f)
    start = 0
    for group in range(parquet.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        if number < start + rows:
            for batch in parquet.iter_batches(64, row_groups=[group]):
                if number < start + batch.num_rows:
                    values: dict[str, Any] = batch.slice(number - start, 1).to_pylist()[0]
                    return values
                start += batch.num_rows
        start += rows
    return {}


def _whole(file: InputFile, chosen: Recipe) -> bytes:
    with storage.open_read(file.path) as f:
        return f.read(chosen.limits.record_bytes)


def _check_reach(file: InputFile, bytes_before: int) -> None:
    if bytes_before and file.size > _FORWARD_BYTES:
        raise RawFileError(
            f"{file.path} is compressed as a whole, so that a record can only be reached through all before "
            f"it: of a file of {file.size:,} bytes that is not done"
        )


def _gone(file: InputFile, row: dict[str, Any]) -> RawFileError:
    return RawFileError(
        f"{file.path} has no such record at {row['offset']:,}: it was changed, or is another file"
    )
