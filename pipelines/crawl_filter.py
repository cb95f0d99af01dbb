"""The crawl filter as one Beam graph.

Elements are splits of the input, then references to parts (names, sizes, digests): no text, no hash and
no token passes between steps. Data of different splits meets in run files, read by range.

    splits ─ index ─┬─ group by (scope, bucket) ─ dedup ─ group by split ─┬─ annotate ─ decide ─ export
                    └──────────────────────────────────────────────────────┘
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import apache_beam as beam

from corpus.crawl.annotate import annotate_split
from corpus.crawl.decisions import decide_part
from corpus.crawl.dedup import answer_bucket
from corpus.crawl.export import export_group
from corpus.crawl.index import index_split
from corpus.crawl.job import STAGES, CrawlJob, Scope, scopes
from corpus.inputs import Split
from corpus.parts import Part
from corpus.recipe import digest


def build(pipeline: beam.Pipeline, job: CrawlJob, splits: Sequence[Split], until: str) -> None:
    """Add the graph to a pipeline, up to and with the stage `until`."""
    last = STAGES.index(until)
    plan = scopes(job.settings, splits)
    # Local workers are dealt their elements once: the largest first, so that the shares are even.
    by_size = sorted(splits, key=lambda s: (-s.bytes, s.ordinal))
    work = (
        pipeline
        | "Splits" >> beam.Create([(s.ordinal, s) for s in by_size])
        | "SpreadSplits" >> beam.Reshuffle()
    )
    indexed = work | "Index" >> beam.MapTuple(partial(_index, job=job))
    if last < STAGES.index("dedup"):
        return
    answers = (
        indexed
        | "BucketsOfSplit" >> beam.FlatMapTuple(partial(_buckets_of_split, plan=plan))
        | "ByBucket" >> beam.GroupByKey()
        | "Dedup" >> beam.MapTuple(partial(_answer, job=job, plan=plan))
        | "ByScope" >> beam.GroupByKey()
        | "SplitsOfScope" >> beam.FlatMapTuple(partial(_splits_of_scope, plan=plan))
    )
    if last < STAGES.index("annotate"):
        return
    annotated = (
        {"split": work, "index": indexed, "answers": answers}
        | "BySplit" >> beam.CoGroupByKey()
        | "Annotate" >> beam.MapTuple(partial(_annotate, job=job, plan=plan))
    )
    if last < STAGES.index("decide"):
        return
    _decide_and_export(annotated, job, last)


def build_decide(pipeline: beam.Pipeline, job: CrawlJob, annotated: Sequence[Part], until: str) -> None:
    """Add a graph that decides (and exports) parts that are annotated already."""
    numbered = pipeline | beam.Create([(int(p.name.removeprefix("part-")), p) for p in annotated])
    _decide_and_export(numbered | beam.Reshuffle(), job, STAGES.index(until))


def _decide_and_export(annotated: Any, job: CrawlJob, last: int) -> None:
    decided = annotated | "Decide" >> beam.MapTuple(partial(_decide, job=job))
    if last < STAGES.index("export"):
        return
    size = job.settings.export.splits_per_file
    _ = (
        decided
        | "ByExportFile" >> beam.MapTuple(partial(_export_group, size=size))
        | "GroupForExport" >> beam.GroupByKey()
        | "Export" >> beam.MapTuple(partial(_export, job=job))
    )


def _index(ordinal: int, split: Split, job: CrawlJob) -> tuple[int, Part]:
    return ordinal, index_split(job, split)


def _buckets_of_split(
    ordinal: int, index: Part, plan: Sequence[Scope]
) -> Iterator[tuple[tuple[int, int], tuple[int, str]]]:
    """((scope, bucket), (split, digest of its index part)) for every bucket a split takes part in."""
    for number, scope in enumerate(plan):
        if ordinal in scope.splits:
            for bucket in range(scope.buckets):
                yield (number, bucket), (ordinal, index.digest)


def _answer(
    key: tuple[int, int], members: Iterable[tuple[int, str]], job: CrawlJob, plan: Sequence[Scope]
) -> tuple[int, tuple[int, str]]:
    """(scope, (bucket, digest of its answer part))."""
    number, bucket = key
    answer = answer_bucket(job, plan[number], bucket, dict(members))
    return number, (bucket, answer.digest)


def _splits_of_scope(
    number: int, answers: Iterable[tuple[int, str]], plan: Sequence[Scope]
) -> Iterator[tuple[int, tuple[int, str]]]:
    """(split, (scope, digest of all its answers)) for each split of a scope."""
    whole = digest(sorted(answers))
    for ordinal in plan[number].splits:
        yield ordinal, (number, whole)


def _annotate(
    ordinal: int, group: dict[str, Iterable[Any]], job: CrawlJob, plan: Sequence[Scope]
) -> tuple[int, Part]:
    (split,), (index,) = list(group["split"]), list(group["index"])
    answers = {plan[number]: whole for number, whole in group["answers"]}
    return ordinal, annotate_split(job, split, index, answers)


def _decide(ordinal: int, annotated: Part, job: CrawlJob) -> tuple[int, tuple[Part, Part]]:
    return ordinal, (annotated, decide_part(job, annotated))


def _export_group(
    ordinal: int, pair: tuple[Part, Part], size: int
) -> tuple[int, tuple[int, tuple[Part, Part]]]:
    return ordinal // size, (ordinal, pair)


def _export(group: int, members: Iterable[tuple[int, tuple[Part, Part]]], job: CrawlJob) -> Part:
    in_order = [pair for _, pair in sorted(members, key=lambda m: m[0])]
    return export_group(job, group, in_order)
