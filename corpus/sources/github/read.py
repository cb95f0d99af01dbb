"""GitHub: tables of code, or folders of repositories -> documents.

In: a range of a table, or a file of a repository. Out: batches of `DOCUMENT` and `FIELDS`. Every row and
every file is framed. *Skipped* are rows and files that are no text by nature: ``binary`` (marked so, or with
NUL), ``no_content``, ``link``, ``git`` (files below ``.git``). *Bad* are rows that are no JSON or have no
repository or path, and text that is not UTF-8 (UTF-16 and UTF-32 with a mark are read).
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from corpus import storage
from corpus.build.source import FileRange, ReadContext
from corpus.raw.damage import Damage, Unreadable
from corpus.recipe import Limits
from corpus.settings.github import GitHub
from corpus.sources.github import repositories
from corpus.sources.github.documents import NAME, CodeFile, Documents, read_text
from corpus.sources.github.license_list import LicenseList, open_list, row_license
from corpus.sources.github.licenses import LicenseRule, open_rule
from corpus.sources.github.rows import Row, is_rows, metadata, read_rows
from corpus.tally import BadRecord, Tally

_LINK_MODE = 0o120000  # Git's, of a symbolic link


class _Skipped(Exception):
    """No document by nature; its argument is the reason."""


def read(part: FileRange, context: ReadContext, tally: Tally) -> Iterator[pa.RecordBatch]:
    """Read a range of a table, or a file of a repository."""
    settings: GitHub = context.settings
    rule = open_rule(settings)
    documents = Documents(settings, context.limits, context.batch_bytes, part.file.name)
    found: Iterator[CodeFile]
    if is_table(part.file.name, settings):
        licenses = context.paths[settings.licenses] if settings.licenses else None
        of_others = open_list(licenses, context.limits, rule) if licenses else None
        found = _of_table(part, context.limits, rule, of_others, tally)
    else:
        found = _of_repository(part, settings, context.limits, rule, tally)
    for code in found:
        if batch := documents.add(code):
            tally.count("out", batch.num_rows)
            yield batch
    if batch := documents.finish():
        tally.count("out", batch.num_rows)
        yield batch


def is_table(name: str, settings: GitHub) -> bool:
    """Whether a file is read as a table."""
    return settings.layout == "rows" or (settings.layout == "auto" and is_rows(name))


def _of_table(
    part: FileRange, limits: Limits, rule: LicenseRule, of_others: LicenseList | None, tally: Tally
) -> Iterator[CodeFile]:
    with storage.open_read(part.file.path) as file:
        for item in read_rows(file, part.file.name, part.start, part.end, part.file.size, limits):
            if isinstance(item, Damage):
                if item.framed:
                    tally.count("framed")
                _bad(tally, part, item.offset, item.reason, item.message, item.first_bytes)
                continue
            tally.count("framed")
            try:
                code = _code_file(item, rule, of_others)
            except _Skipped as reason:
                tally.skipped(str(reason))
            except Unreadable as error:
                head = str(item.values.get("path", "")).encode()
                _bad(tally, part, item.offset, error.reason, error.message, head)
            else:
                tally.count("in")
                yield code


def _code_file(row: Row, rule: LicenseRule, of_others: LicenseList | None) -> CodeFile:
    """A row as a file.

    Raises:
        _Skipped: it is none by nature.
        Unreadable: it is one, and cannot be read.
    """
    values = row.values
    if values.get("link") or values.get("mode") in (_LINK_MODE, str(_LINK_MODE)):
        raise _Skipped("link")
    if values.get("binary") in (True, "true"):
        raise _Skipped("binary")
    content = values.get("content")
    if content is None:
        raise _Skipped("no_content")
    for name in ("repository", "path"):
        if not isinstance(values.get(name), str) or not values[name]:
            raise Unreadable(f"no_{name}", f"columns {', '.join(sorted(values))}")
    text = read_text(content) if isinstance(content, bytes) else _of_string(content)
    if text is None:
        raise _Skipped("binary")
    license_ = row_license(row, rule)
    if license_.expression is None and of_others is not None:
        license_ = of_others.get(values["repository"]) or license_
    more = {k: values[k] for k in metadata() if isinstance(values.get(k), str | int | float)}
    return CodeFile(row.offset, values["repository"], values["path"].lstrip("/"), text, license_, more)


def _of_string(text: str) -> str | None:
    return None if "\0" in text else text.removeprefix("\ufeff")


def _of_repository(
    part: FileRange, settings: GitHub, limits: Limits, rule: LicenseRule, tally: Tally
) -> Iterator[CodeFile]:
    if part.start:  # a file of a repository is read whole, however it was cut
        return
    tally.count("framed")
    place = repositories.place_of(part.file, settings)
    if place is None:
        _bad(tally, part, -1, "no_repository", "the file lies in no repository's folder", b"")
        return
    if reason := repositories.skipped(part.file, place):
        tally.skipped(reason)
        return
    if part.file.size > limits.record_bytes:
        _bad(tally, part, 0, "record_too_large", f"{part.file.size} bytes", b"")
        return
    with storage.open_read(part.file.path) as file:
        data = file.read(limits.record_bytes)
    try:
        text = read_text(data)
    except Unreadable as error:
        _bad(tally, part, 0, error.reason, error.message, data)
        return
    if text is None:
        tally.skipped("binary")
        return
    tally.count("in")
    license_ = rule.of_texts(repositories.license_texts(place, settings.license_bytes))
    yield CodeFile(0, place.repository, place.path, text, license_, {"size": len(data)})


def _bad(tally: Tally, part: FileRange, offset: int, reason: str, message: str, head: bytes) -> None:
    tally.count("in")
    tally.bad(BadRecord(NAME, part.file.name, offset, "read", reason, message, head))
