"""C4: as published, JSON lines; or built again from a crawl by the published rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from corpus import storage
from corpus.build.job import BuildJob
from corpus.build.line import closing_stages, usual_stages
from corpus.build.source import BuildSource, FileRange, ReadContext, Unique
from corpus.errors import UserError
from corpus.inputs import InputFile
from corpus.raw.inflate import pieces
from corpus.raw.members import Piece, RecordStart
from corpus.settings.c4 import C4, THRESHOLDS
from corpus.sources.c4 import pages, published, rebuild, rest
from corpus.sources.c4.columns import FIELDS, NAME, checks
from corpus.stages import Stage
from corpus.tally import Tally

_RATIO = 1_000
_HEAD = 16


def read(part: FileRange, context: ReadContext, tally: Tally) -> Iterator[pa.RecordBatch]:
    """Documents of published files; pages of a crawl, cleaned, of the rebuild."""
    settings: C4 = context.settings
    reader = published.read if settings.mode == "published" else pages.read
    return reader(part, context, tally)


def unique(settings: C4) -> tuple[Unique, ...]:
    """Of a published row that is there twice the first stays; the rebuild has rules of its own."""
    if settings.mode == "rebuild":
        return ()
    return (Unique("row", "repeated_row", ("id",), (("file", "ascending"), ("offset", "ascending"))),)


def used_assets(settings: C4) -> list[str]:
    """The list of bad words and Punkt's parameters, in the rebuild."""
    if settings.mode == "published":
        return []
    found = [settings.bad_words] if settings.bad_words else []
    return [*found, settings.punkt] if settings.sentences == "punkt" else found


def check_input(files: Sequence[InputFile], settings: C4) -> None:
    """Tell JSON lines and crawl files apart by the first file that has anything in it.

    Raises:
        UserError: the block's mode is the other one.
    """
    for file in files:
        head = _head(file)
        if not head:
            continue
        if head.startswith(b"{") and settings.mode == "rebuild":
            raise UserError(f'{file.path} has JSON lines, but c4.mode is "rebuild": set it to "published"')
        if head.startswith((b"WARC/", b"filedesc:")) and settings.mode == "published":
            raise UserError(f'{file.path} is a crawl file, but c4.mode is "published": set it to "rebuild"')
        return


def stages(job: BuildJob) -> tuple[Stage, ...]:
    """The usual stages for published files; those of `corpus.sources.c4.rebuild` else."""
    settings: C4 = job.settings
    if settings.mode == "published":
        return usual_stages(job)
    comparing = rebuild.comparing_stages(settings)
    return (*comparing, rest.stage(settings), *closing_stages(job, rebuild.ANNOTATE))


def _head(file: InputFile) -> bytes:
    """First bytes of what a file inflates to; none of one that is empty or damaged."""
    with storage.open_read(file.path) as f:
        first = next(pieces(f, _RATIO, RecordStart(_HEAD, bool)), None)
    return first.data.lstrip()[:_HEAD] if isinstance(first, Piece) else b""


SOURCE = BuildSource(
    name=NAME,
    version=1,
    libraries=("pyarrow", "msgspec", "zstandard", "isal"),
    fields=FIELDS,
    read=read,
    checks=checks,
    stages=stages,
    unique=unique,
    assets=used_assets,
    thresholds=THRESHOLDS,
    check_input=check_input,
)
