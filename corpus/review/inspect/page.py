"""A page of a crawl as it was before paragraphs were removed, and why each that is missing was.

In: an annotated row, the raw file (WET) or the text that stage `index` kept of it (WARC, ARC), and the runs
of line keys. Out: the page's lines, each with the reason for which it is not in the document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus import recipe, storage
from corpus.crawl.job import CrawlJob, Scope, scopes
from corpus.crawl.pages import extracted_path, run_path
from corpus.exchange import open_parquet
from corpus.inputs import InputFile, Split, split_from_dict
from corpus.kernels.lines import Lines, scan
from corpus.raw.damage import Damage, Unreadable
from corpus.raw.window import Window
from corpus.recipe import Limits
from corpus.review.inspect.raw_file import RawFileError, input_of, present
from corpus.review.inspect.search import Match
from corpus.review.runs import OpenedRun
from corpus.runs import Run
from corpus.sources.commoncrawl.pages import page_text
from corpus.sources.commoncrawl.warc import Record, read_records

# Of the runs of a scope a section is read for each key that is counted.
_SECTIONS_READ = 4_096
_BODIES = frozenset({"conversion", "response"})


@dataclass(frozen=True)
class Paragraph:
    """A line of a page. `removed`: why it is not in the document; None where it is."""

    text: str
    removed: str | None


@dataclass(frozen=True)
class Original:
    """A page before deduplication: where its text was read from, its paragraphs."""

    origin: str
    paragraphs: list[Paragraph]


def original(match: Match, row: dict[str, Any], input_root: str | None) -> Original:
    """The page that a row was made of.

    Raises:
        RawFileError: its raw file is not there any more, or is not the same.
        CorruptPartError: a file of the run is not what its record says.
    """
    job = _job(match.run)
    split, scope = scope_of(match)
    text, origin = _page(match.run, split, row, input_root)
    lines = scan(pa.array([text]), job.settings.min_chars, job.settings.dedup.hash)
    kept = set(row["paragraphs_v1"] or ())
    every = text.split("\n")
    known = {int(ordinal): i for i, ordinal in enumerate(lines.ordinal.tolist())}
    if not kept <= known.keys() or not _same(row, every, kept):
        raise RawFileError(
            f"{origin} is not the page that this document was made of: the raw file was changed"
        )
    counted = _counts(match.run, scope, lines, kept)
    paragraphs = []
    for ordinal, line in enumerate(every):
        why = None
        if ordinal not in kept:
            why = _why(lines, known.get(ordinal), job, scope, counted)
        paragraphs.append(Paragraph(line, why))
    return Original(origin, paragraphs)


def scope_of(match: Match) -> tuple[Split, Scope]:
    """The split that a page is in, and the scope in which its paragraphs were compared."""
    splits = [split_from_dict(saved) for saved in match.run.json("inputs.json")]
    name = match.part.annotated.path.rsplit("/", 1)[1].removesuffix(".parquet")
    split = next(s for s in splits if s.name == name)
    found = scopes(_job(match.run).settings, splits)
    return split, next(s for s in found if s.kind == "paragraphs" and split.ordinal in s.splits)


def read_record(file: InputFile, offset: int, url: str | None, limits: Limits) -> Record:
    """A record of a crawl file, read from its place, or from the file's beginning where it cannot be.

    A place within a compressed member is none of the file, and may be that of another record, too: then the
    file is read up to the one that has the address.

    Raises:
        RawFileError: no such record is there.
    """
    for start in dict.fromkeys((offset, 0)):
        with storage.open_read(file.path) as f:
            for item in read_records(Window(f, start, file.size), limits, _BODIES):  # type: ignore[arg-type]
                if not isinstance(item, Damage) and start + item.offset == offset and _url(item) == url:
                    return item
                if start:
                    break
    raise RawFileError(f"{file.path} has no page {url} at {offset:,}: it was changed, or is another")


def _page(run: OpenedRun, split: Split, row: dict[str, Any], input_root: str | None) -> tuple[str, str]:
    """The text of a page and where it was read from."""
    number = next(i for i, file in enumerate(split.files) if file.name == row["file"])
    path = extracted_path(split.name, number)
    kept = next(
        (f for part in run.parts("index") if part.name == split.name for f in part.files if f.path == path),
        None,
    )
    if kept is None:
        file = present(input_of(run, row["file"]), input_root)
        record = read_record(file, row["offset"], row["key"], _job(run).recipe.limits)
        try:
            _, text = page_text(record, _job(run).recipe.limits)
        except Unreadable as error:
            raise RawFileError(f"{file.path}, {row['offset']:,}: {error.message}: it was changed") from error
        return text.decode(), f"{file.path}, record at {row['offset']:,}"
    with open_parquet(run.root, kept) as parquet:
        for group in range(parquet.num_row_groups):
            places = parquet.read_row_group(group, columns=["offset"]).column("offset")
            at = pc.index(places, row["offset"]).as_py()
            if at >= 0:
                text = parquet.read_row_group(group, columns=["text"]).column("text")[at].as_py()
                return text, f"{run.root}/{path}, row group {group}, row {at}"
    raise RawFileError(f"{run.root}/{path} has no page at {row['offset']:,}: run the run's command again")


def _url(record: Record) -> str | None:
    value = record.headers.get(b"warc-target-uri")
    if value is None:
        return None
    try:
        return value.decode("utf-8").strip("<> ")
    except UnicodeDecodeError:
        return value.decode("latin-1").strip("<> ")


def _job(run: OpenedRun) -> CrawlJob:
    path = storage.join(run.root, "recipe.json")
    return CrawlJob(run.root, recipe.from_dict(run.json("recipe.json"), path), {})


def _same(row: dict[str, Any], lines: list[str], kept: set[int]) -> bool:
    """Whether the kept lines are the document's text, where the run kept it."""
    if row["text"] is None or not kept:
        return True
    return bool("\n".join(lines[i].strip() for i in sorted(kept)) == row["text"])


def _counts(run: OpenedRun, scope: Scope, lines: Lines, kept: set[int]) -> dict[int, tuple[int, int]]:
    """By key of a removed line: documents of the scope that have it, at least; splits that do."""
    wanted = {
        int(key)
        for key, ordinal in zip(lines.key.tolist(), lines.ordinal.tolist(), strict=True)
        if ordinal not in kept
    }
    if not wanted or len(wanted) * len(scope.splits) > _SECTIONS_READ:
        return {}
    found = dict.fromkeys(wanted, (0, 0))
    for ordinal in scope.splits:
        opened = Run.open(storage.join(run.root, run_path(Split.name_of(ordinal), "paragraphs")))
        for key in wanted:
            there = opened.read(key, key + 1)
            if len(there.keys):
                documents, splits = found[key]
                found[key] = (documents + 1 + bool(there.flags[0]), splits + 1)
    return found


def _why(
    lines: Lines, at: int | None, job: CrawlJob, scope: Scope, counted: dict[int, tuple[int, int]]
) -> str:
    if bool(lines.short[0]):
        return f"the page has fewer than {job.settings.min_chars} characters"
    if at is None:
        return "blank: marks and spaces alone"
    if not lines.candidate[at]:
        return "the same line stands further up in this page"
    place = {"block": "block", "dump": "dump", "global": "corpus"}[job.settings.dedup.scope]
    where = place if place == "corpus" else f"{place} {scope.name}"
    what = "duplicate" if job.settings.dedup.policy == "drop-all" else "an earlier document has it"
    documents, splits = counted.get(int(lines.key[at]), (0, 0))
    if documents < 2:
        return f"{what}: in other documents of {where}"
    return f"{what}: in {documents} or more documents of {where} ({splits} of its {len(scope.splits)} splits)"
