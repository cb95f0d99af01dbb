"""What the stages of a run to come will have to do, and write: units of what drives each, bytes.

All of a build grows as its raw bytes. Of the crawl filter a changed rate of duplicates changes what is
merged (distinct line keys), what the models see (bytes that deduplication leaves) and what is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from corpus.crawl.estimate import REFERENCE_BYTES
from corpus.crawl.job import SOURCE
from corpus.recipe import CommonCrawl, Recipe
from corpus.review.plan.measured import KEYS, RAW, MeasuredRun
from corpus.review.plan.tasks import Layout
from corpus.runs import bytes_of_answers, bytes_of_run
from corpus.runs.layout import merge_bytes

# Of a batch of text as read, scanned, assembled and written; a key with its lookup and bits
# (`corpus.crawl.estimate`).
_COPIES_OF_BATCH = 6
_BYTES_PER_KEY = 11
_INDEXED_BYTES_PER_KEY = 18  # keys and flags as added, and sorted


@dataclass(frozen=True)
class Amounts:
    """By stage: units of what drives it, bytes written, of these exchanged, memory beyond the process's own.

    `references`: bytes that pass through the engine, of all stages.
    """

    units: Mapping[str, Mapping[str, float]]
    written: Mapping[str, float]
    exchanged: Mapping[str, float]
    memory: Mapping[str, float]
    references: float


def duplicate_rate(run: MeasuredRun) -> float:
    """The share of the crawl's bytes of text that deduplication took."""
    counters = run.stage("annotate").counters
    return 1 - counters.get("kept_bytes", 0) / max(counters.get("text_bytes", 0), 1)


def amounts(run: MeasuredRun, layout: Layout, raw: float, rate: float | None, recipe: Recipe) -> Amounts:
    """What a run over `raw` bytes will do; with the measured run's own figures as arguments, what it did.

    Args:
        rate: of duplicates, of the crawl; None: as measured.
        recipe: of the run to come.
    """
    if run.run.source == SOURCE:
        rate = duplicate_rate(run) if rate is None else rate
        return _crawl(run, layout, raw, rate, recipe.commoncrawl)
    build = recipe.build
    growth = raw / max(run.raw_bytes, 1)
    parts = {name: len(shares) for name, shares in layout.shares.items()}
    memory = dict.fromkeys(parts, 0.0)
    memory[run.stages[0].name] = _COPIES_OF_BATCH * min(build.batch_bytes, raw / layout.splits)
    return Amounts(
        units={stage.name: {stage.driver: stage.units * growth} for stage in run.stages},
        written={stage.name: stage.written * growth for stage in run.stages},
        exchanged={stage.name: stage.exchanged * growth for stage in run.stages},
        memory=memory,
        references=float(sum(parts.values()) * REFERENCE_BYTES),
    )


def _crawl(run: MeasuredRun, layout: Layout, raw: float, rate: float, crawl: CommonCrawl) -> Amounts:
    index, annotate, export = (run.stage(name) for name in ("index", "annotate", "export"))
    growth = raw / max(run.raw_bytes, 1)
    measured_rate = duplicate_rate(run)
    left = (1 - rate) / max(1 - measured_rate, 1e-9)  # of what was left in the measured run
    kept = growth * left
    pages = index.counters.get("out", 0) * growth
    text = annotate.counters.get("text_bytes", 0) * growth
    keys = annotate.counters.get("lines", 0) * growth * _distinct(run, rate, measured_rate)
    splits, settings = layout.splits, crawl.dedup
    runs = splits * (bytes_of_run(round(keys / splits)) + bytes_of_run(round(pages / splits)))
    answers = layout.scopes * bytes_of_answers(
        round(keys / layout.scopes), splits / layout.scopes, layout.buckets
    ) + bytes_of_answers(round(pages), splits, 1)
    extracted = (index.written - index.exchanged) * growth
    merged = {stage.name: stage for stage in run.stages}
    units: dict[str, dict[str, float]] = {
        "index": {RAW: raw},
        "dedup": {KEYS: keys + pages},
        "annotate": {RAW: raw, annotate.driver: annotate.units * kept},
        "decide": {"in": run.stage("decide").units * growth},
        "export": {export.driver: export.units * kept},
    }
    if "duplicates" in merged:
        units["duplicates"] = {merged["duplicates"].driver: merged["duplicates"].units * growth}
    written = {name: stage.written * growth for name, stage in merged.items()} | {
        "index": runs + extracted,
        "dedup": answers,
        "annotate": annotate.written * growth * _stored(run, rate, crawl) / _stored(run),
        "export": export.written * kept,
    }
    exchanged = dict.fromkeys(merged, 0.0) | {"index": runs, "dedup": answers}
    if "duplicates" in merged:
        exchanged["duplicates"] = merged["duplicates"].exchanged * growth
    batch = _COPIES_OF_BATCH * min(crawl.batch_bytes, text / splits)
    in_bucket = keys / layout.scopes / layout.buckets * merge_bytes(False)
    memory = dict.fromkeys(merged, 0.0) | {
        "index": batch + min(keys / splits * _INDEXED_BYTES_PER_KEY, settings.bucket_bytes),
        "dedup": min(in_bucket, settings.bucket_bytes),
        "annotate": batch + keys / splits * _BYTES_PER_KEY,
    }
    references = REFERENCE_BYTES * splits * (layout.buckets + 3)
    return Amounts(units, written, exchanged, memory, float(references))


def _stored(run: MeasuredRun, rate: float | None = None, crawl: CommonCrawl | None = None) -> float:
    """The share of the text that annotated parts keep, of the measured run or of one to come.

    All that deduplication leaves, and by ``export.rejected = "text"`` whole pages that it took, too; else
    only pages in the languages that are kept. Pages are taken to be as long everywhere.
    """
    assert run.recipe is not None
    measured = duplicate_rate(run)
    rate = measured if rate is None else rate
    counters = run.stage("decide").counters
    lost = counters.get("rejected/all_duplicate", 0) + counters.get("rejected/short", 0)
    pages = max(run.stage("annotate").counters.get("in", 0), 1)
    if (crawl or run.recipe.commoncrawl).export.rejected == "text":
        whole = lost / pages * (rate / measured if measured else 1.0)
        return max(1 - rate + min(whole, rate), 1e-9)
    foreign = counters.get("rejected/language", 0) + counters.get("rejected/language_score", 0)
    return max((1 - rate) * (1 - foreign / max(pages - lost, 1)), 1e-9)


def _distinct(run: MeasuredRun, rate: float, measured_rate: float) -> float:
    """Line keys distinct within a split, a line: fewer with more duplicates, all of them without any."""
    lines = run.stage("annotate").counters.get("lines", 0)
    repeated = 1 - run.stage("index").counters.get(KEYS, 0) / max(lines, 1)
    return min(max(1 - repeated * (rate / measured_rate if measured_rate else 1.0), 0.05), 1.0)
