"""The paragraphs of a crawl that deduplication removed most often. Their text lies only in the raw files.

In: the raw files of some splits, read again, and the ordinals of the lines that their annotated pages kept.
Out: `Removed`. A line is a paragraph of CCNet; the same are those with one key (`corpus.kernels.lines`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from tqdm import tqdm

from corpus import recipe, storage
from corpus.crawl.job import CrawlJob
from corpus.crawl.pages import extracted_path, read_again
from corpus.errors import CorruptPartError, UserError
from corpus.inputs import Split, split_from_dict
from corpus.kernels.lines import Lines, scan
from corpus.parts import Part
from corpus.review.report.counting import Frequent
from corpus.review.report.documents import part_name
from corpus.review.runs import DecidedPart, OpenedRun, decided_parts, read_decided
from corpus.review.visible import visible
from corpus.tally import Tally

_RAW_BYTES = 64 << 20  # of splits that are read again; at least one is, to this many bytes of text
_TEXT_BYTES = 256 << 20
_KEYS = 100_000
_SHOWN = 20
_CHARACTERS = 300
_PLACE = ("file", "offset", "digest")  # the digest tells a page of the same place in another file
_SEED = 0x7061_7261  # "para"


@dataclass
class Removed:
    """Paragraphs by the pages that they were removed from.

    Attributes:
        paragraphs: text as on the first page read, and pages; the most frequent first.
        error: pages that a count may be too low by.
        read_splits, splits, read_pages, pages: how much of the run was read again.
        why_not: in words, where some or all of the raw files could not be read again.
    """

    paragraphs: list[tuple[str, int]] = field(default_factory=list)
    error: int = 0
    read_splits: int = 0
    splits: int = 0
    read_pages: int = 0
    pages: int = 0
    why_not: str = ""


def most_removed(run: OpenedRun) -> Removed:
    """Read a bounded, always equal choice of splits again, and count the lines that their pages lost."""
    job = CrawlJob(run.root, recipe.from_dict(run.json("recipe.json"), "recipe.json"), run.manifest["models"])
    splits = [split_from_dict(saved) for saved in run.json("inputs.json")]
    indexed = {part.name: part for part in run.parts("index")}
    decided = {part_name(part): part for part in decided_parts(run)}
    found = Removed(splits=len(splits), pages=run.stats["stages"]["annotate"].get("in", 0))
    counts = Frequent(_KEYS)
    texts: dict[str, str] = {}
    for split in tqdm(
        _choice(splits), desc=f"{run.name}: removed paragraphs", unit="split", disable=None, leave=False
    ):
        try:
            pages = _read_split(run, job, split, indexed[split.name], decided[split.name], counts, texts)
        except (OSError, CorruptPartError, UserError, ValueError) as error:
            found.why_not = found.why_not or visible(
                f"{type(error).__name__}: {error}"[:_CHARACTERS], lines=False
            )
            continue
        found.read_splits += 1
        found.read_pages += pages
    found.paragraphs = [(texts[key], n) for key, n in counts.most(_SHOWN)]
    found.error = counts.error
    return found


def _choice(splits: list[Split]) -> list[Split]:
    """Splits by a hash of their names, as many as the bound allows, in their own order."""
    chosen: list[Split] = []
    size = 0
    for split in sorted(
        splits, key=lambda s: (xxhash.xxh3_64_intdigest(s.name.encode(), seed=_SEED), s.ordinal)
    ):
        if chosen and size + split.bytes > _RAW_BYTES:
            break
        chosen.append(split)
        size += split.bytes
    return sorted(chosen, key=lambda s: s.ordinal)


def _read_split(
    run: OpenedRun,
    job: CrawlJob,
    split: Split,
    index: Part,
    part: DecidedPart,
    counts: Frequent,
    texts: dict[str, str],
) -> int:
    """Count the removed lines of a split's pages; returns its pages.

    Raises:
        OSError: a raw file cannot be read any more.
        ValueError: it is not the one that the run read.
    """
    for number, file in enumerate(split.files):
        from_raw = index.file(extracted_path(split.name, number)) is None
        # Of CommonCrawl's own lists the size is a typical one, and there is no tag.
        if from_raw and file.tag and storage.info(file.path).size != file.size:
            raise ValueError(f"{file.name} does not have the size that it had")
    kept = _kept_lines(run, part)
    pages = size = 0
    at = next(kept, None)
    for _, batch in read_again(job, split, index, Tally(lambda batch: None)):
        lines = scan(batch.column("text"), job.settings.min_chars, job.settings.dedup.hash)
        places = list(zip(*(batch.column(name).to_pylist() for name in _PLACE), strict=True))
        left: list[np.ndarray] = []
        known = np.zeros(len(places), bool)
        for number, place in enumerate(places):
            if at is not None and at[0] == place:  # else the run left the page out
                known[number] = True
                left.append(np.int64(number) << 32 | at[1])
                at = next(kept, None)
        _count(batch.column("text"), lines, known, left, counts, texts)
        pages += int(known.sum())
        size += batch.nbytes
        if size > _TEXT_BYTES:
            break
    return pages


def _kept_lines(run: OpenedRun, part: DecidedPart) -> Iterator[tuple[tuple[Any, ...], np.ndarray]]:
    """Of each annotated page its place, and the ordinals of the lines that it kept, int64."""
    for batch, _ in read_decided(run, part, [*_PLACE, "paragraphs_v1"]):
        columns: list[list[Any]] = [batch.column(name).to_pylist() for name in (*_PLACE, "paragraphs_v1")]
        for *place, ordinals in zip(*columns, strict=True):
            yield tuple(place), np.array(ordinals or [], np.int64)


def _count(
    text: pa.StringArray,
    lines: Lines,
    known: np.ndarray,
    left: list[np.ndarray],
    counts: Frequent,
    texts: dict[str, str],
) -> None:
    """Add the lines of a batch that are gone, each once a page."""
    here = np.int64(lines.document) << 32 | lines.ordinal
    gone = (
        ~np.isin(here, np.concatenate([np.zeros(0, np.int64), *left]))
        & lines.candidate
        & known[lines.document]
    )
    keys, first, pages = np.unique(lines.key[gone], return_index=True, return_counts=True)
    data = text.buffers()[2]
    start, end = lines.start[gone][first], lines.end[gone][first]
    names = [f"{key:016x}" for key in keys.tolist()]
    for name, s, e in zip(names, start.tolist(), end.tolist(), strict=True):
        if name not in counts.counts:
            raw = data[s : min(e, s + 4 * _CHARACTERS)].to_pybytes()
            texts[name] = visible(raw.decode("utf-8", "ignore")[:_CHARACTERS], lines=False)
    before = counts.error
    counts.add(zip(names, pages.tolist(), strict=True))
    if counts.error != before:
        for name in texts.keys() - counts.counts.keys():
            del texts[name]
