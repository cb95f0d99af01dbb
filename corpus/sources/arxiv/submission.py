r"""A submission -> its TeX files, and what its name says.

In: the bytes of one member of a bulk tar: a gzip of a tar, a gzip of one TeX file, or either without gzip.
Out: the bytes of its text files by path; or why it is no paper in TeX. Figures and data are passed over
unread.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from corpus.raw.damage import Unreadable
from corpus.recipe import Limits
from corpus.settings.arxiv import ArXiv
from corpus.sources.arxiv.byte_source import GzipSource, Source
from corpus.sources.arxiv.tar import BLOCK, Tar, is_header

_NEW_ID = re.compile(r"(\d{2})(0[1-9]|1[0-2])\.(\d{4,5})(?:v(\d{1,4}))?")
_OLD_ID = re.compile(r"([a-z][a-z-]{1,18}(?:\.[A-Z]{2})?)/?(\d{2})(0[1-9]|1[0-2])(\d{3})(?:v(\d{1,4}))?")
_OLDEST_YEAR = 91  # arXiv began in 1991
_GZIP_MAGIC = b"\x1f\x8b"
_KINDS = (
    (b"%PDF", "pdf"),
    (b"%!", "postscript"),
    (b"PK\x03\x04", "zip"),
    (b"<html", "html"),
    (b"<!doctype", "html"),
    (b"<?xml", "html"),
)
_IGNORED = b"%auto-ignore"  # how arXiv marks what is not to be compiled
_ENDINGS = (".tar.gz", ".tgz", ".gz", ".tar", ".tex")


class Skipped(Exception):
    """Not a paper in TeX; its argument is the reason."""


@dataclass(frozen=True)
class Identity:
    """A paper's arXiv id without version, its version, and the month of submission (``2013-08``)."""

    arxiv_id: str
    version: int | None
    month: str | None


def identity(path: str) -> Identity:
    """What a member's path says: ``1308/1308.0001v2.gz``, ``9901/hep-th9901001.gz``, ``hep-th/9901001``.

    A name that is no arXiv id is taken as it is, without its ending.
    """
    folder, name = posixpath.split(path)
    stem = next((name.removesuffix(e) for e in _ENDINGS if name.endswith(e)), name)
    if match := _NEW_ID.fullmatch(stem):
        year, month, number, version = match.groups()
        return Identity(f"{year}{month}.{number}", _version(version), _month(year, month))
    for candidate in (stem, f"{posixpath.basename(folder)}/{stem}"):
        if match := _OLD_ID.fullmatch(candidate):
            archive, year, month, number, version = match.groups()
            return Identity(f"{archive}/{year}{month}{number}", _version(version), _month(year, month))
    return Identity(stem, None, None)


def read_submission(raw: Source, settings: ArXiv, limits: Limits) -> dict[str, bytes]:
    """The text files of a submission, by path.

    Raises:
        Skipped: it is no paper in TeX: ``pdf``, ``postscript``, ``html``, ``zip``, ``empty``, ``withdrawn``,
            ``no_tex``.
        Unreadable: it cannot be read, or a limit forbids it.
    """
    source = _unzipped(raw, settings, limits)
    head = source.read(BLOCK)
    if is_header(head):
        files = _tar_files(_Rest(head, source), settings, limits)
    else:
        files = {"paper.tex": _whole(head, source, limits)}
    if not files:
        raise Skipped("no_tex")
    if all(data.lstrip().startswith(_IGNORED) for data in files.values()):
        raise Skipped("withdrawn")
    return files


class _Rest:
    """A source with the bytes put back that were read of it."""

    def __init__(self, head: bytes, source: Source) -> None:
        self._head = head
        self._source = source

    def read(self, n: int) -> bytes:
        data = self._head[:n]
        self._head = self._head[n:]
        return data + self._source.read(n - len(data)) if len(data) < n else data

    def skip(self, n: int) -> bool:
        step = min(n, len(self._head))
        self._head = self._head[step:]
        return self._source.skip(n - step)


def _unzipped(raw: Source, settings: ArXiv, limits: Limits) -> Source:
    magic = raw.read(2)
    rest = _Rest(magic, raw)
    return (
        GzipSource(rest, limits.compression_ratio, settings.submission_bytes)
        if magic == _GZIP_MAGIC
        else rest
    )


def _whole(head: bytes, source: Source, limits: Limits) -> bytes:
    start = head.lstrip().lower()
    if not start and not head:
        raise Skipped("empty")
    for mark, reason in _KINDS:
        if start.startswith(mark.lower()):
            raise Skipped(reason)
    data = head + source.read(limits.record_bytes + 1 - len(head))
    if len(data) > limits.record_bytes:
        raise Unreadable("text_too_large", f"a file of {limits.record_bytes} bytes and more")
    if b"\\" not in data:
        raise Skipped("withdrawn" if b"withdrawn" in data.lower() else "no_tex" if data.strip() else "empty")
    return data


def _tar_files(source: Source, settings: ArXiv, limits: Limits) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    archive = Tar(source)
    total = 0
    for count, member in enumerate(archive):
        if count >= settings.max_members:
            raise Unreadable("too_many_members", f"more than {settings.max_members}")
        path = posixpath.normpath(member.name)
        ending = posixpath.splitext(path)[1].lower()
        if member.kind != "file" or ending not in settings.text_files or _is_foreign(path):
            continue
        if total + member.size > limits.record_bytes:
            if not ending:
                continue
            raise Unreadable("text_too_large", f"{path} has {member.size} bytes, after {total} of others")
        data = archive.read(member.size)
        if not ending and (b"\0" in data or b"\\" not in data):
            continue  # no TeX: data, a licence, a Makefile
        total += member.size
        files[path] = data
    return files


def _is_foreign(path: str) -> bool:
    """A path outside the submission, or one of the copies that macOS leaves."""
    name = posixpath.basename(path)
    return path.startswith(("/", "../", "__MACOSX/")) or path == ".." or name.startswith("._")


def _version(text: str | None) -> int | None:
    return int(text) if text else None


def _month(year: str, month: str) -> str:
    century = "19" if int(year) >= _OLDEST_YEAR else "20"
    return f"{century}{year}-{month}"
